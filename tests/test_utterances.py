"""When what of a stream is decoded: never by a clock, only by the samples that have come."""

from types import SimpleNamespace

import numpy as np
import pytest

from asr.audio.voice_activity import load_voice_activity
from asr.transcription.segmenting import SegmentConfig
from asr.transcription.utterances import BEHIND, EVERY, PAUSE, Due, Utterances
from tests.sounds import noise, silence, speech

CHUNK = 320


@pytest.fixture(scope="module")
def network():
    return load_voice_activity()


def spoken(*parts: np.ndarray) -> np.ndarray:
    samples = np.concatenate(parts)
    return samples + noise(len(samples) / 16000 + 1, level=0.0005)[: len(samples)]


def dues(network, samples: np.ndarray, text: str = "", look: bool = True) -> list[tuple[float, Due]]:
    """(seconds heard, due) of all that is to be decoded; each decoding finds the text, but none twice."""
    utterances = Utterances.at_pauses(network, SegmentConfig())
    found = []
    for first in range(0, len(samples), CHUNK):
        for due in utterances.add(samples[first : first + CHUNK], look):
            found.append((utterances.heard_samples / 16000, due))
            due.result = due.result or SimpleNamespace(text=text)
            utterances.heard(due)
    return found


def test_an_utterance_is_decoded_before_the_pause_that_ends_it_is_over(network):
    found = dues(network, spoken(silence(1), speech(2), silence(1)))
    *looks, (early, ending), (at, final) = found
    assert not any(due.full or due.final for _, due in looks) and looks
    assert final is ending and final.full and final.final, "what was found is the final text"
    assert at - early == pytest.approx(PAUSE - BEHIND, abs=0.04)
    assert final.piece.end == pytest.approx(early, abs=0.04), "all that is decoded has been heard by then"


def test_whoever_speaks_on_has_one_utterance(network):
    """A pause that is long enough to begin with its end, and too short to end it."""
    found = dues(network, spoken(silence(1), speech(1.5), silence(0.35), speech(1.5, seed=1), silence(1)))
    endings = list(dict.fromkeys(due for _, due in found if due.full))
    assert [due.final for due in endings] == [False, True]
    assert endings[0].piece.start == endings[1].piece.start and endings[0].piece.end < endings[1].piece.end - 1.5


def test_nothing_is_guessed_from_the_first_sound(network):
    """Before some speech has come a model writes what it likes best."""
    samples = spoken(silence(1), speech(3), silence(1))
    found = dues(network, samples)
    [onset] = {due.piece.start for _, due in found}
    looks = [at for at, due in found if not due.full]
    assert looks[0] - (onset + 0.512) == pytest.approx(EVERY, abs=0.05)  # 16 windows are kept before speech
    assert np.diff(looks) == pytest.approx(EVERY, abs=0.05)


def test_who_lags_behind_gets_only_what_is_over(network):
    found = dues(network, spoken(silence(1), speech(2), silence(1)), look=False)
    assert [(due.full, due.final) for _, due in found] == [(True, True)]


def test_a_look_that_comes_late_changes_nothing(network):
    samples = spoken(silence(1), speech(2), silence(1))
    utterances = Utterances.at_pauses(network, SegmentConfig())
    found = [due for i in range(0, len(samples), CHUNK) for due in utterances.add(samples[i : i + CHUNK])]
    look = next(due for due in found if not due.full)
    assert found[-1].final and not utterances.wants(look)
    look.result = SimpleNamespace(text="好")
    assert utterances.heard(look) is None and utterances.text == ""
