"""How many people speak, and which stretch is whose, from vectors made by numbers."""

import numpy as np
import pytest
import torch

from asr.features.telephone import telephone
from asr.speakers.bands import centred, is_narrow, means, unit
from asr.speakers.clustering import people
from asr.speakers.embedding import mel_features
from asr.speakers.labelling import labels_of
from asr.speakers.linking import people_by_band
from asr.speakers.stretches import Stretch
from tests.sounds import speech


def voices(n, spread=0.35, channel=0.0, seed=0):
    """Directions of n people; `channel`: how much of all vectors is the same."""
    chance = np.random.default_rng(seed)
    common = chance.normal(size=192)
    people = chance.normal(size=(n, 192))

    def say(person: int) -> np.ndarray:
        vector = people[person] + channel * common + spread * chance.normal(size=192) * np.sqrt(2)
        return (vector / np.linalg.norm(vector)).astype(np.float32)

    return say


def conversation(n, turns=12, **options):
    """Stretches of n people in turn, each with a voice of its own, and who says them."""
    say = voices(n, **options)
    stretches, who, at = [], [], 0.0
    for turn in range(turns * n):
        person = turn % n
        for _ in range(2):
            stretches.append(Stretch(at, at + 1.4, turn, 1.4, say(person)))
            who.append(person)
            at += 1.5
        at += 0.5
    return stretches, who


def in_both_bands(centres):
    return np.repeat(centres[:, None], 2, axis=1)


def same_partition(a, b) -> bool:
    return len(set(zip(a, b, strict=True))) == len(set(a)) == len(set(b))


@pytest.mark.parametrize("channel", [0.0, 1.0])
@pytest.mark.parametrize("n", [1, 2, 3, 5, 8])
def test_people_are_counted_however_alike_a_line_makes_them(n, channel):
    stretches, who = conversation(n, channel=channel)
    centres = people(stretches, 1, 0)
    assert len(centres) == n
    assert same_partition(labels_of(stretches, in_both_bands(centres)), who)


@pytest.mark.parametrize("channel", [0.0, 0.3])
def test_two_who_sound_alike_are_two(channel):
    """Nearer to each other than to anybody else, and yet farther apart than what one of them says."""
    chance = np.random.default_rng(4)
    directions = chance.normal(size=(4, 192))
    directions[1] = 0.7 * directions[0] + 0.7 * directions[1]
    directions += channel * chance.normal(size=192)
    stretches, who = [], []
    for turn in range(72):
        person = turn % 4
        for part in range(2):
            at = 4.0 * turn + 1.5 * part
            vector = unit(directions[person] + 0.5 * chance.normal(size=192))
            stretches.append(Stretch(at, at + 1.4, turn, 1.4, vector.astype(np.float32)))
            who.append(person)
    centres = people(stretches, 1, 0)
    assert len(centres) == 4
    assert same_partition(labels_of(stretches, in_both_bands(centres)), who)


def test_few_groups_are_not_a_person_each():
    """One who sounds a little different the second time, and another."""
    chance = np.random.default_rng(5)
    first, second, other = (unit(chance.normal(size=192)) for _ in range(3))
    said = [first, unit(0.7 * first + 0.7 * second), other]
    stretches = [Stretch(8.0 * n, 8.0 * n + 4.5, n, 4.5, vector.astype(np.float32)) for n, vector in enumerate(said)]
    centres = people(stretches, 1, 0)
    assert len(centres) == 2
    assert same_partition(labels_of(stretches, in_both_bands(centres)), [0, 0, 1])


@pytest.mark.parametrize("times", [1, 8])
def test_more_of_the_same_is_nobody_new(times):
    """Somebody who sounds a little different now and then is one person, however long the recording is."""
    chance = np.random.default_rng(6)
    person, moods = chance.normal(size=192), chance.normal(size=(2, 192))
    vectors = [unit(person + 0.6 * moods[n // 10 % 2] + 2 * chance.normal(size=192)) for n in range(120)] * times
    stretches = [Stretch(6.0 * n, 6.0 * n + 1.8, n, 1.8, vector.astype(np.float32)) for n, vector in enumerate(vectors)]
    assert len(people(stretches, 1, 0)) == 1


def test_a_number_that_is_asked_for_is_kept():
    stretches, _ = conversation(4)
    assert len(people(stretches, 2, 2)) == 2
    assert len(people(stretches, 6, 6)) == 6
    assert len(people(stretches, 2, 3)) == 3
    assert len(people(stretches, 2, 5)) == 4
    assert len(people(stretches[:2], 5, 5)) <= 2 and len(people([], 2, 2)) == 0


def of_two_bands(n=3, far=0.7):
    """Three people, and then the same through a telephone, which moves all voices the same way and hides much of each."""
    stretches, who = conversation(n, channel=0.0)
    chance = np.random.default_rng(5)
    moves = chance.normal(size=192) / np.sqrt(192) + far * np.array([chance.normal(size=192) for _ in range(n)]) / 14
    end, narrow = stretches[-1].end, []
    for stretch, person in zip(stretches, who, strict=True):
        vector = unit(stretch.vector + moves[person])
        narrow.append(Stretch(stretch.start + end, stretch.end + end, stretch.voice + 1000, 1.4, vector, True))
    return [*stretches, *narrow], [*who, *who]


def test_people_who_are_heard_through_a_telephone_too_are_the_same():
    stretches, who = of_two_bands()
    centres = people_by_band(stretches, 1, 0)
    assert centres.shape == (3, 2, 192)
    assert same_partition(labels_of(stretches, centres), who)
    assert len(people_by_band(stretches, 3, 3)) == 3 and len(people_by_band(stretches, 2, 2)) == 2
    assert len(people_by_band(stretches, 5, 5)) == 5  # less of them are linked, then


def test_a_caller_who_is_heard_in_no_other_band_is_one_more():
    stretches, who = of_two_bands()
    called = [stretch for stretch, person in zip(stretches, who, strict=True) if not stretch.narrow or person == 0]
    other = voices(9, seed=77, channel=0.0)
    called += [Stretch(1000.0 + 2 * i, 1001.8 + 2 * i, 5000 + i, 1.8, other(8), True) for i in range(24)]
    assert len(people_by_band(called, 1, 0)) == 4


def test_little_of_another_band_has_no_people_of_its_own():
    stretches, who = of_two_bands()
    few = [s for s in stretches if not s.narrow] + [s for s in stretches if s.narrow][:6]
    assert len(people_by_band(few, 1, 0)) == 3 and len(people_by_band([], 1, 0)) == 0


def test_a_narrow_band_is_told_and_what_its_voices_share_is_taken_away():
    sound = torch.from_numpy(speech(4.0))[None].float()
    for samples, narrow in ((sound, False), (telephone(sound, 1.0), True)):
        features, _ = mel_features()(samples, torch.tensor([samples.shape[1]]))
        assert is_narrow(features[0]) == narrow
    vector = np.random.default_rng(0).normal(size=192).astype(np.float32)
    assert means().shape == (2, 192)
    for narrow in (False, True):
        found = centred(7 * vector, narrow)
        assert np.linalg.norm(found) == pytest.approx(1, abs=1e-5)
        np.testing.assert_allclose(found, unit(unit(vector) - means()[int(narrow)]), atol=1e-6)


def test_stray_sounds_are_nobody():
    stretches, who = conversation(2)
    stray = Stretch(500.0, 501.6, 999, 1.6, voices(1, seed=9)(0))
    assert len(people([*stretches, stray], 1, 0)) == 2


def test_what_is_not_heard_alone_has_the_person_of_its_voice_near_it():
    stretches, who = conversation(2)
    unheard = Stretch(stretches[1].end, stretches[1].end + 0.2, stretches[1].voice, 0.0, None)
    labels = labels_of([*stretches[:2], unheard, *stretches[2:]], in_both_bands(people(stretches, 1, 0)))
    assert labels[2] == labels[1]
