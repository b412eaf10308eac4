"""Faint audio is made louder before speech is looked for in it, and stays as far above its noise as it was."""

import numpy as np
import pytest
import torch

from asr.audio.faint import Amplifier, loudness, made_audible
from asr.audio.speech_probabilities import WINDOW
from asr.audio.voice_activity import load_voice_activity
from asr.recognition.encoding import encode
from asr.transcription.segmenting import BLOCK
from tests.conftest import random_model
from tests.sounds import cut_speech, noise, speech


def tone(decibels: float, samples: int = BLOCK) -> np.ndarray:
    """As loud as that in each window."""
    wave = np.sqrt(2) * np.sin(2 * np.pi * np.arange(WINDOW) / 32)
    return (np.tile(wave, samples // WINDOW) * 10 ** (decibels / 20)).astype(np.float32)


def gains(*blocks: np.ndarray) -> list[float]:
    """By how many dB each block of a stream is amplified."""
    stream = Amplifier()
    return [20 * np.log10(np.abs(stream.amplified(x)).max() / np.abs(x).max()) for x in blocks]


def test_gains_by_hand():
    assert gains(tone(-40), tone(-28), tone(-3)) == pytest.approx([12, 0, 0], abs=1e-3)
    assert gains(tone(-90)) == pytest.approx([32], abs=1e-3)  # no further
    assert gains(tone(-20), *[tone(-40)] * 40)[20::20] == pytest.approx([0, 4], abs=1e-3)  # 0.3 dB a block from -20 on
    loud = tone(-10)
    assert Amplifier().amplified(loud) is loud and Amplifier().amplified(np.zeros(BLOCK, np.float32)).max() == 0
    assert (
        Amplifier().amplified(loud[:100]).tolist() == loud[:100].tolist()
    )  # less than a window: nothing to tell it by


def test_a_click_does_not_make_a_stream_loud():
    clicked = tone(-50)
    clicked[: 7 * WINDOW] = tone(-3)[: 7 * WINDOW]  # of 256 windows
    stream = Amplifier()
    assert 20 * np.log10(stream.amplified(clicked)[-WINDOW:].max() / clicked[-WINDOW:].max()) == pytest.approx(
        22, abs=0.1
    )
    clicked[: 12 * WINDOW] = tone(-3)[: 12 * WINDOW]  # that is a word
    assert stream.amplified(clicked) is clicked


@pytest.mark.parametrize(("decibels", "gain"), [(-20, 0), (-39, 0), (-41, 1), (-60, 20), (-74, 32)])
def test_a_faint_utterance_is_heard_louder_as_a_whole(decibels, gain):
    said = np.concatenate([tone(decibels - 30), tone(decibels), tone(decibels - 20)[:-7]])
    heard = made_audible(said)
    assert np.allclose(heard, said * 10 ** (gain / 20), rtol=1e-4, atol=1e-7) and (gain or heard is said)


@pytest.mark.parametrize("offset", [0.02, -0.5])
def test_an_offset_is_no_sound(offset):
    said = tone(-60)
    assert loudness(said + np.float32(offset)) == pytest.approx(-60, abs=0.1)
    assert np.allclose(made_audible(said + np.float32(offset)), 10 * said, atol=2e-4)
    assert loudness(np.full(BLOCK, 0.3, np.float32)) is None


def test_nothing_to_hear_stays_as_it_is():
    for said in (np.zeros(16000, np.float32), np.zeros(0, np.float32), tone(-60)[: WINDOW - 1]):
        assert made_audible(said) is said


def test_faint_utterances_are_encoded_as_if_they_were_loud_enough():
    """Beside others in a batch, too."""
    model, said = random_model().eval(), speech(1.0)
    faint = said * np.float32(10 ** ((-50 - loudness(said)) / 20))
    heard = made_audible(faint)
    assert loudness(heard) == pytest.approx(-40, abs=0.01)
    with torch.inference_mode():
        memory = encode(model, [faint, said, heard])
    assert torch.allclose(memory.values[0], memory.values[2], rtol=0, atol=1e-5)


def test_faint_speech_is_cut_out_like_loud_speech():
    loud = np.concatenate(
        [noise(2, level=3e-3), speech(5), noise(2, level=3e-3), speech(4, seed=1), noise(2, level=3e-3)]
    )
    network = load_voice_activity()
    pieces = [list(cut_speech([loud * np.float32(10 ** (decibels / 20))], network)) for decibels in (0, -30)]
    assert [len(found) for found in pieces] == [2, 2]
    for wanted, found in zip(*pieces, strict=True):
        assert abs(wanted.first - found.first) <= 0.2 * 16000
        assert found.samples.max() < 0.1  # pieces are as loud as they were
