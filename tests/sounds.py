"""Sounds that the tests make, and what they measure of them."""

from functools import cache
from pathlib import Path

import numpy as np
import soundfile
import soxr

from asr.corpus.toy import CHARACTERS, speak


def sine(seconds: float, rate: int = 16000, hz: float = 440.0, level: float = 0.5) -> np.ndarray:
    """A tone (S,) float32 whose peak is `level`."""
    return (level * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def noise(seconds: float, rate: int = 16000, level: float = 0.1, seed: int = 0) -> np.ndarray:
    """White noise (S,) float32 whose standard deviation is `level`."""
    n = round(seconds * rate)
    return np.random.default_rng(seed).normal(0, level, n).clip(-1, 1).astype(np.float32)


def silence(seconds: float, rate: int = 16000) -> np.ndarray:
    return np.zeros(round(seconds * rate), np.float32)


@cache
def speech(seconds: float, seed: int = 0, rate: int = 16000) -> np.ndarray:
    """Somebody talks in the toy language without a pause for exactly so long; voice activity takes it for speech."""
    random = np.random.default_rng(seed)
    text = "".join(random.choice(list(CHARACTERS), int(seconds * 8) + 8))
    samples = 0.5 * speak(text, random)[2400:]
    samples = samples[: round(seconds * 16000)]
    return samples if rate == 16000 else soxr.resample(samples, 16000, rate)


def write_wav(path: Path, samples: np.ndarray, rate: int = 16000, subtype: str = "FLOAT") -> Path:
    """Writes the samples, by default without rounding them, and returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, subtype=subtype, format="WAV")
    return path


def encode(path: Path, samples: np.ndarray, rate: int, codec: str) -> Path:
    """Writes a container of FFmpeg's, named by the suffix."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        for first in range(0, len(samples), rate):
            frame = av.AudioFrame.from_ndarray(samples[None, first : first + rate], format="fltp", layout="mono")
            frame.sample_rate, frame.pts = rate, first  # without a time, the encoder's delay is not written down
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def frequency(samples: np.ndarray, rate: int = 16000) -> float:
    """The strongest frequency in Hz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(spectrum.argmax()) * rate / len(samples)


def peak_level(samples: np.ndarray) -> float:
    """The peak of a tone, from the power of its middle half."""
    quarter = len(samples) // 4
    return float(samples[quarter:-quarter].std() * np.sqrt(2))
