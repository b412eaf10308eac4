"""Sounds that the tests make, and what they measure of them."""

from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import soundfile
import soxr

from asr.audio.voice_activity import VoiceActivity
from asr.corpus.toy import CHARACTERS, speak
from asr.transcription.pieces import Piece
from asr.transcription.segmenting import SegmentConfig, SpeechCutter


def sine(seconds: float, rate: int = 16000, hz: float = 440.0, level: float = 0.5) -> np.ndarray:
    """A tone (S,) float32 whose peak is `level`."""
    return (level * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def noise(seconds: float, rate: int = 16000, level: float = 0.1, seed: int = 0) -> np.ndarray:
    """White noise (S,) float32 whose standard deviation is `level`."""
    n = round(seconds * rate)
    return np.random.default_rng(seed).normal(0, level, n).clip(-1, 1).astype(np.float32)


def silence(seconds: float, rate: int = 16000) -> np.ndarray:
    return np.zeros(round(seconds * rate), np.float32)


def hum(seconds: float, hz: float = 50.0, level: float = 0.1, seed: int = 0) -> np.ndarray:
    """Mains hum: ten harmonics and a little noise."""
    random = np.random.default_rng(seed)
    t = np.arange(round(seconds * 16000)) / 16000
    tones = (random.uniform(0.1, 1) / k * np.sin(2 * np.pi * hz * k * t + random.uniform(0, 6)) for k in range(1, 11))
    return (level * sum(tones) + random.normal(0, level / 100, len(t))).clip(-1, 1).astype(np.float32)


def music(seconds: float, seed: int = 0, level: float = 0.2) -> np.ndarray:
    """A tune over chords, bass and drums, in a key, tempo and timbre that change every eight bars."""
    random = np.random.default_rng(seed)
    parts = []
    while sum(map(len, parts)) < seconds * 16000:
        parts.append(_eight_bars(random))
    samples = np.concatenate(parts)[: round(seconds * 16000)]
    return (level * samples / samples.std()).clip(-1, 1).astype(np.float32)


def _eight_bars(random: np.random.Generator) -> np.ndarray:
    beat = random.uniform(0.3, 0.6)
    scale = np.array([0, 2, 4, 5, 7, 9, 11])
    key, timbre, vibrato = random.integers(45, 57), random.uniform(0.3, 0.8), random.uniform(0, 0.01)
    samples = np.zeros(int((32 * beat + 2) * 16000))

    def add(start: float, sound: np.ndarray) -> None:
        first = int(start * 16000)
        samples[first : first + len(sound)] += sound[: len(samples) - first]

    for bar in range(8):
        chord = random.integers(0, 7)
        for step in (0, 2, 4):
            add(4 * bar * beat, 0.3 * _note(key + scale[(chord + step) % 7] + 12, 4 * beat, timbre, 0))
        for place in range(8):
            at = (4 * bar + place / 2) * beat
            if random.random() < 0.8:
                pitch = key + 12 * random.integers(1, 3) + scale[random.integers(0, 7)]
                add(at, 0.6 * _note(pitch, random.choice([0.5, 1]) * beat, timbre, vibrato))
            if place % 2 == 0:
                add(at, 0.5 * _note(key - 12 + scale[chord], beat, 0.5, 0))
                add(at, 0.3 * random.normal(0, 1, 1600) * np.exp(-np.arange(1600) / (200 if place % 4 else 500)))
    return samples[: int(32 * beat * 16000)]


def _note(pitch: int, seconds: float, timbre: float, vibrato: float) -> np.ndarray:
    """A plucked or blown tone of MIDI number `pitch`: harmonics that fall by `timbre` each."""
    t = np.arange(int(seconds * 16000)) / 16000
    hz = 440 * 2 ** ((pitch - 69) / 12)
    phase = 2 * np.pi * hz * t + vibrato * hz / 5 * np.sin(2 * np.pi * 5 * t)
    tone = sum(timbre**k * np.sin((k + 1) * phase) for k in range(8) if (k + 1) * hz < 7500)
    return tone * np.minimum(1, t / 0.01) * np.exp(-2 * t / seconds)


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


def cut_speech(
    blocks: Iterable[np.ndarray], network: VoiceActivity, config: SegmentConfig | None = None
) -> Iterator[Piece]:
    """Pieces of speech in order, from blocks (S,) of any length, as they are found."""
    cutter = SpeechCutter(network, config)
    for block in blocks:
        yield from cutter.add(block)
    yield from cutter.finish()
