import numpy as np
import pytest

from asr.transcription.pieces import Piece, cut_at_pauses
from tests.sounds import noise, silence


def speech_with_pauses(*lengths: float) -> np.ndarray:
    """Noise of these seconds, each followed by half a second of silence."""
    return np.concatenate([part for i, s in enumerate(lengths) for part in (noise(s, seed=i), silence(0.5))])


def blocks_of(samples: np.ndarray, n: int) -> list[np.ndarray]:
    return [samples[i : i + n] for i in range(0, len(samples), n)]


@pytest.mark.parametrize(
    "samples",
    [noise(0.01), noise(14.99), noise(15), noise(15.01), noise(95.3), silence(40), speech_with_pauses(4, 9, 2, 14, 7)],
    ids=["10 ms", "14.99 s", "15 s", "15.01 s", "95.3 s", "silence", "pauses"],
)
def test_pieces_cover_the_recording_without_gap_or_overlap(samples):
    pieces = list(cut_at_pauses(blocks_of(samples, 160000)))
    assert np.array_equal(np.concatenate([piece.samples for piece in pieces]), samples)
    assert [piece.start for piece in pieces] == pytest.approx([0, *(piece.end for piece in pieces[:-1])], abs=1e-9)
    assert pieces[-1].end == pytest.approx(len(samples) / 16000, abs=1e-9)
    assert all(len(piece.samples) <= 15 * 16000 for piece in pieces)
    assert all(len(piece.samples) >= 6 * 16000 for piece in pieces[:-1])


def test_what_is_short_enough_is_not_cut():
    assert len(list(cut_at_pauses([noise(15)]))) == 1
    assert len(list(cut_at_pauses([noise(15), noise(0.001)]))) == 2
    assert list(cut_at_pauses([])) == []


def test_cuts_fall_into_pauses():
    """Pauses are at 8-8.5, 12.5-13, 22-22.5, 30.5-31 and 42-42.5 s; 7 s before the last is the end of the recording."""
    pieces = list(cut_at_pauses([speech_with_pauses(8, 4, 9, 8, 11, 7)]))
    cuts = [piece.start for piece in pieces[1:]]
    assert len(cuts) == 4
    for cut, (start, end) in zip(cuts, [(12.5, 13), (22, 22.5), (30.5, 31), (42, 42.5)], strict=True):
        assert start < cut < end


def test_of_equally_quiet_pauses_the_last_is_taken():
    samples = np.ones(16 * 16000, np.float32)
    for second in (7, 11):
        samples[second * 16000 : second * 16000 + 1600] = 0
    first, second = cut_at_pauses([samples])
    assert first.end == second.start == 11.05


def test_a_pause_in_the_first_seconds_is_left_alone():
    samples = noise(16)
    samples[3 * 16000 : 4 * 16000] = 0  # quietest, but a piece of 3 s would be too short to decode well
    first, _ = cut_at_pauses([samples])
    assert first.end >= 6


@pytest.mark.parametrize("n", [997, 16000, 240000, 240001, 10**9])
def test_the_blocks_of_the_stream_do_not_matter(n):
    samples = speech_with_pauses(5, 9, 3, 3, 12, 20, 1)
    expected = list(cut_at_pauses(blocks_of(samples, 4000)))
    pieces = list(cut_at_pauses(blocks_of(samples, n)))
    assert [piece.start for piece in pieces] == [piece.start for piece in expected]
    assert all(np.array_equal(a.samples, b.samples) for a, b in zip(pieces, expected, strict=True))


def test_pieces_come_while_the_stream_goes_on():
    read = 0

    def stream():
        nonlocal read
        while True:
            read += 1
            yield noise(1)

    next(cut_at_pauses(stream()))
    assert read == 16


@pytest.mark.parametrize(
    ("samples", "silent"),
    [
        (np.zeros(0), True),
        (np.zeros(16000), True),
        (np.full(16000, -9e-5), True),
        (np.full(16000, -2e-4), False),
        (np.eye(1, 16000, 8000)[0] * 0.01, False),
    ],
    ids=["nothing", "zeros", "below -80 dBFS", "above -80 dBFS", "one click"],
)
def test_silence_is_what_never_rises_above_80_dbfs(samples, silent):
    assert Piece(0.0, samples.astype(np.float32)).silent is silent
