import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from asr.audio.speech_probabilities import CONTEXT, WINDOW, SpeechProbabilities
from asr.audio.voice_activity import load_voice_activity
from asr.errors import AsrError
from tests.sounds import noise, silence, sine, speech


@pytest.fixture(scope="module")
def network():
    return load_voice_activity()


def samples() -> np.ndarray:
    return np.concatenate([silence(1), speech(3), noise(1), sine(1, hz=150), speech(2, seed=1)])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_probabilities_are_those_of_the_package(network):
    path = Path(importlib.util.find_spec("silero_vad").submodule_search_locations[0]) / "data" / "silero_vad.jit"
    theirs, x = torch.jit.load(path), torch.from_numpy(samples())
    with torch.inference_mode():
        expected = [theirs(x[i : i + WINDOW], 16000).item() for i in range(0, len(x) - WINDOW + 1, WINDOW)]
    found = SpeechProbabilities(network).add(samples())
    assert len(found) == len(expected)
    assert np.abs(found - expected).max() < 1e-4
    assert found.max() > 0.9 and found[:20].max() < 0.1


@pytest.mark.parametrize("n", [1, 511, 4000])
def test_the_stream_may_come_in_any_pieces(network, n):
    x = samples()[: 300 * n]
    stream = SpeechProbabilities(network)
    pieces = np.concatenate([stream.add(x[i : i + n]) for i in range(0, len(x), n)])
    assert np.abs(pieces - SpeechProbabilities(network).add(x)).max(initial=0) < 1e-5
    assert len(stream.held) < CONTEXT + WINDOW


def test_a_missing_package_is_said(monkeypatch):
    monkeypatch.setattr("asr.audio.speech_probabilities.find_spec", lambda name: None)
    with pytest.raises(
        AsrError, match="silero-vad, which finds the speech in a recording, is not installed: pip install"
    ):
        load_voice_activity()


def test_the_package_itself_stays_out(network):
    """Importing it would set PyTorch to one thread."""
    assert "silero_vad" not in sys.modules
