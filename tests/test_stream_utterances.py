"""When what of a stream is decoded: never by a clock, only by the samples that have come."""

from types import SimpleNamespace

import numpy as np
import pytest

from asr.audio.voice_activity import load_voice_activity
from asr.transcription.pieces import Piece
from asr.transcription.segmenting import SegmentConfig
from asr.transcription.stream_utterances import BEHIND, EVERY, PAUSE, SHARE, Due, StreamUtterances
from tests.sounds import noise, silence, speech

CHUNK = 320


@pytest.fixture(scope="module")
def network():
    return load_voice_activity()


def spoken(*parts: np.ndarray) -> np.ndarray:
    samples = np.concatenate(parts)
    return samples + noise(len(samples) / 16000 + 1, level=0.0005)[: len(samples)]


def decoded(text: str) -> SimpleNamespace:
    """What a decoding gave: a token for each character."""
    return SimpleNamespace(text=text, hypothesis=SimpleNamespace(tokens=tuple(map(ord, text))))


def dues(network, samples: np.ndarray, text: str = "", look: bool = True) -> list[tuple[float, Due]]:
    """(seconds heard, due) of all that is to be decoded; each decoding finds the text, but none twice."""
    utterances = StreamUtterances.at_pauses(network, SegmentConfig())
    seen = []
    for first in range(0, len(samples), CHUNK):
        for due in utterances.add(samples[first : first + CHUNK], look):
            seen.append((utterances.heard_samples / 16000, due))
            due.result = due.result or decoded(text)
            utterances.heard(due)
    return seen


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


@pytest.mark.parametrize("length, new", [(1.0, EVERY), (3.0, EVERY), (6.0, 0.6), (20.0, 2.0)])
def test_the_longer_somebody_speaks_the_less_often_it_is_looked_at(network, length, new):
    """A look costs as much as the utterance is long: so a second of speech costs the same, however long that becomes."""
    utterances = StreamUtterances.at_pauses(network, SegmentConfig())
    look = Due(Piece(32000, np.zeros(round(16000 * length), np.float32)), utterances.number)
    assert new == pytest.approx(max(EVERY, SHARE * length))
    utterances.decoded = look.piece.end - new + 0.01
    assert not utterances.wants(look)
    utterances.decoded = look.piece.end - new - 0.01
    assert utterances.wants(look)


def test_what_two_decodings_agree_on_is_where_the_next_one_begins(network):
    utterances = StreamUtterances.at_pauses(network, SegmentConfig())
    texts, known, heard = iter(["今天", "今天天", "今年天气", *["今天天气"] * 99]), [], []
    samples = spoken(silence(1), speech(4), silence(1))
    for first in range(0, len(samples), CHUNK):
        for due in utterances.add(samples[first : first + CHUNK]):
            if due.full:
                assert due.known == (), "the full search is free"
                due.result = due.result or decoded("今夜")
                continue
            known.append("".join(map(chr, due.known)))
            due.result = decoded(next(texts))
            heard.append(utterances.heard(due))
    assert known[:4] == ["", "", "今天", "今天"], "one that is told otherwise takes nothing back"
    assert [(h.text, h.settled) for h in heard[:3]] == [("今天", 0), ("今天天", 2), ("今天天气", 2)]
    assert set(known[5:]) == {"今天天气"} and utterances.heard_samples


def test_who_lags_behind_gets_only_what_is_over(network):
    found = dues(network, spoken(silence(1), speech(2), silence(1)), look=False)
    assert [(due.full, due.final) for _, due in found] == [(True, True)]


def test_a_look_that_comes_late_changes_nothing(network):
    samples = spoken(silence(1), speech(2), silence(1))
    utterances = StreamUtterances.at_pauses(network, SegmentConfig())
    found = [due for i in range(0, len(samples), CHUNK) for due in utterances.add(samples[i : i + CHUNK])]
    look = next(due for due in found if not due.full)
    assert found[-1].final and not utterances.wants(look)
    look.result = decoded("好")
    assert utterances.heard(look) is None and utterances.text == ""
