"""What nobody speaks in gives no text: the complaint that users make most about systems of this kind."""

import numpy as np
import pytest

from asr.transcription.transcriber import load
from tests.sounds import hum, music, noise, silence, speech

MINUTES = 10


@pytest.fixture(scope="module")
def embedded():
    return load()


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [
        silence,
        noise,
        lambda s: noise(s, level=0.003),
        hum,
        lambda s: hum(s, hz=60, level=0.3, seed=1) + noise(s, level=0.01),
        music,
        lambda s: music(s, seed=1, level=0.05),
    ],
    ids=["silence", "white noise", "faint noise", "hum", "loud hum and noise", "music", "soft music"],
)
def test_ten_minutes_without_speech_give_at_most_five_characters(embedded, make):
    transcript = embedded.transcribe((make(60 * MINUTES), 16000))
    assert len(transcript.text) <= 5
    assert transcript.duration == 60 * MINUTES


def test_speech_in_noise_is_still_found(embedded):
    talk = np.concatenate([silence(2), speech(5), silence(2)])
    for name, sound in {"noise": noise(9), "hum": hum(9), "music": music(9)}.items():
        mixed = talk + sound * np.float32(np.sqrt(np.square(speech(5)).mean() / 10 / np.square(sound).mean()))  # 10 dB
        segments = embedded.transcribe((mixed, 16000)).segments
        heard = sum(min(s.end, 7) - max(s.start, 2) for s in segments)
        assert heard > 4.9, name
