"""Work that nobody waits for any more is given up, whether or not it has yielded anything."""

import numpy as np
import pytest

from asr.audio.reading import SAMPLE_RATE
from asr.decoding.decode_config import DecodeConfig
from asr.errors import Cancelled
from asr.transcription.transcriber import load
from tests.sounds import silence, speech


@pytest.fixture(scope="module")
def transcriber(model):
    return load(model, "cpu", decode=DecodeConfig(beam=2))


def after(asked: int):
    """What cancels when it is asked that many times; and how often it was."""
    times = []

    def cancelled() -> bool:
        times.append(None)
        return len(times) >= asked

    return cancelled, times


def test_silence_is_given_up_in_its_first_block(transcriber, monkeypatch):
    read = []

    class Endless:
        seconds, rate, damage, problems = None, SAMPLE_RATE, None, []

        def __init__(self, path, track=None):
            pass

        def blocks(self, **_):
            while True:
                read.append(None)
                yield silence(10.0)[:, None]

    monkeypatch.setattr("asr.transcription.recordings.Recording", Endless)
    cancelled, asked = after(3)
    with pytest.raises(Cancelled, match="^endless.flac: given up after 30 s of audio$"):
        transcriber.transcribe("endless.flac", cancelled=cancelled)
    assert len(read) == len(asked) == 3


def test_a_search_is_given_up_in_its_next_step(transcriber):
    samples = np.concatenate([part for seed in range(3) for part in (speech(4.0, seed=seed), silence(1.0))])
    cancelled, asked = after(6)
    with pytest.raises(Cancelled, match="^given up while it was decoded$"):
        list(transcriber.iter_segments((samples, SAMPLE_RATE), cancelled=cancelled))
    assert len(asked) == 6  # a block, two groups that are encoded, and three steps
    assert list(transcriber.iter_segments((samples, SAMPLE_RATE)))  # which does not concern what comes after


def test_an_encoder_is_given_up_before_its_next_group(transcriber, monkeypatch):
    model, encoded = transcriber.loaded.model, []
    monkeypatch.setattr(model, "encode", lambda *given: encoded.append(None) or type(model).encode(model, *given))
    cancelled, _ = after(3)
    with pytest.raises(Cancelled, match="^given up while it was encoded$"):
        transcriber.recognizer.recognize([speech(8.0, seed=seed) for seed in range(5)], cancelled=cancelled)
    assert len(encoded) == 2  # of five that are too long for two at once


def test_who_is_asked_and_never_cancels_changes_nothing(transcriber):
    audio = (speech(2.0), SAMPLE_RATE)
    cancelled, asked = after(10**9)
    assert transcriber.transcribe(audio, cancelled=cancelled) == transcriber.transcribe(audio)
    assert len(asked) > 2
    assert [t for _, t in transcriber.transcribe_all([audio], cancelled=cancelled)] == [transcriber.transcribe(audio)]


def test_what_the_callers_own_function_raises_is_the_callers(transcriber):
    def fails() -> bool:
        raise RuntimeError("my bug")

    with pytest.raises(RuntimeError, match="my bug"):
        transcriber.transcribe((silence(30.0), SAMPLE_RATE), cancelled=fails)
