import numpy as np
import pytest

from asr.audio.speech_probabilities import WINDOW
from asr.audio.voice_activity import load_voice_activity
from asr.errors import ConfigError
from asr.transcription.segmenting import SegmentConfig, SpeechCutter
from tests.sounds import cut_speech, noise, silence, sine, speech


@pytest.fixture(scope="module")
def network():
    return load_voice_activity()


def pieces_of(network, *parts: np.ndarray, **settings):
    return list(cut_speech([np.concatenate(parts)], network, SegmentConfig(**settings)))


def spans(pieces):
    return [(round(piece.start, 2), round(piece.end, 2)) for piece in pieces]


@pytest.mark.parametrize(
    "sound",
    [silence(60), noise(60), noise(60, level=0.001), sine(60, hz=50), sine(60, hz=1000), silence(0), noise(0.01)],
    ids=["silence", "loud noise", "faint noise", "hum", "tone", "nothing", "10 ms"],
)
def test_what_nobody_speaks_in_gives_nothing(network, sound):
    assert pieces_of(network, sound) == []


def test_speech_is_found_with_some_of_what_surrounds_it(network):
    pieces = pieces_of(
        network, noise(4, level=0.002), speech(3), noise(5, level=0.002), speech(2, seed=1), silence(0.1)
    )
    assert len(pieces) == 2
    assert (pieces[0].start, pieces[0].end) == pytest.approx((3.5, 7.6), abs=0.25)
    assert (pieces[1].start, pieces[1].end) == pytest.approx((11.5, 14.1), abs=0.25)


def test_no_piece_begins_or_ends_in_digital_silence(network):
    """A recording that is muted between words: next to noise the models that hear it take the edge for a sound."""
    noisy = speech(3) + noise(3, level=0.01)
    (piece,) = pieces_of(network, silence(2), noisy, silence(2))
    assert (piece.start, piece.end) == pytest.approx((2, 5), abs=WINDOW / 16000)
    faint = noise(0.2, level=0.001)
    (piece,) = pieces_of(network, silence(2), faint, noisy, faint, silence(2))
    assert (piece.start, piece.end) == pytest.approx((2, 5.4), abs=WINDOW / 16000)


def test_pieces_are_the_samples_of_their_times(network):
    samples = np.concatenate([silence(1), speech(20), silence(0.7), speech(5, seed=2)])
    for piece in cut_speech([samples], network):
        assert np.array_equal(piece.samples, samples[piece.first : piece.first + len(piece.samples)])


def test_long_speech_is_cut_and_nothing_of_it_lost(network):
    pieces = pieces_of(network, silence(1), speech(60), longest=10.0, shortest=4.0)
    assert all(a.end == b.start for a, b in zip(pieces, pieces[1:], strict=False))
    assert pieces[0].start < 1 and pieces[-1].end == 61
    assert all(4 <= piece.end - piece.start <= 11 for piece in pieces[:-1])


def test_cuts_fall_into_the_longest_pause(network):
    """8 s of speech, a pause of 0.4 s, which does not end a piece, 3 s of speech, 0.2 s of pause, and more speech."""
    faint = noise(0.4, level=0.001)
    parts = speech(8), faint, speech(3, seed=1), faint[:3200], speech(6, seed=2)
    first, *_ = pieces_of(network, *parts, longest=12.0, shortest=5.0, pause=1.0)
    assert 8 < first.end < 8.4


def test_a_pause_ends_a_piece(network):
    parts = speech(2), silence(0.8), speech(2, seed=1)
    assert len(pieces_of(network, *parts, pause=0.5)) == 2
    assert len(pieces_of(network, *parts, pause=1.2)) == 1


@pytest.mark.parametrize("n", [997, 16000, 240001])
def test_the_blocks_of_the_stream_do_not_matter(network, n):
    samples = np.concatenate([silence(1), speech(15), silence(1), speech(8, seed=1), silence(2)])
    whole = pieces_of(network, samples)
    pieces = list(cut_speech([samples[i : i + n] for i in range(0, len(samples), n)], network))
    assert spans(pieces) == spans(whole) and len(pieces) >= 3
    assert all(np.array_equal(a.samples, b.samples) for a, b in zip(pieces, whole, strict=True))


def test_pieces_come_while_the_stream_goes_on(network):
    read = 0

    def stream():
        nonlocal read
        while True:
            read += 1
            yield speech(1, seed=read % 5)

    next(cut_speech(stream(), network))
    assert read < 25


def test_only_the_open_piece_is_held(network):
    cutter = SpeechCutter(network)
    for second in range(60):
        list(cutter.add(silence(1)))
        assert len(cutter.held) < 10 * 16000, second
    for second in range(60):
        list(cutter.add(speech(1, seed=second % 3)))
        assert len(cutter.held) < 25 * 16000, second


def test_a_threshold_of_zero_takes_everything_for_speech(network):
    pieces = pieces_of(network, noise(30), threshold=0.0, silence=0.0)
    assert pieces[0].start == 0 and pieces[-1].end == 30
    assert all(a.end == b.start for a, b in zip(pieces, pieces[1:], strict=False))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"longest": 5.0, "shortest": 6.0}, "must be 0 < shortest 6 s < longest 5 s <= 120 s"),
        ({"threshold": 1.5}, "must be 0 <= silence 0.35 <= threshold 1.5 < 1"),
        ({"threshold": 0.2}, "must be 0 <= silence 0.35 <= threshold 0.2 < 1"),
        ({"padding": 0.7}, "must be 0 <= padding 0.7 s <= pause 0.6 s <= 120 s"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(ConfigError, match=message):
        SegmentConfig(**settings)
