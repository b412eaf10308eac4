"""Recorded words and syllables joined to connected speech: trimmed, cross-faded, given a melody and a tempo."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import soundfile

from asr.audio.reading import SAMPLE_RATE, read_samples
from asr.corpus.manifest import Utterance

SILENCE_DB = 35
"""Frames so far below the loudest are silence."""
LEVEL = 0.08
"""Root mean square that every joined word is brought to."""
VOICES = (0.75, 1.2)
"""Pitch and vocal tract of a sentence, as a factor."""
TEMPI = (2.8, 5.2)
"""Characters a second in connected speech."""
FASTEST, SLOWEST = 2.0, 0.7
"""Factors beyond which tempo is not changed: it would be heard."""


@dataclass(frozen=True)
class Piece:
    """A stretch of a recording that is joined to others."""

    audio: Path
    start: float = 0.0
    duration: float | None = None
    kept: float = 1.0
    """The share of it that is said: a third tone before another syllable does not rise again."""


@dataclass(frozen=True)
class Task:
    """A sentence to be made."""

    text: str
    pieces: tuple[Piece, ...]
    path: Path
    seed: int
    source: str
    connected: bool = False
    """Whether the pieces were cut from connected speech: they keep their level and tempo."""


def make(task: Task) -> Utterance:
    """Writes the audio of a task; the same task gives the same samples."""
    random = np.random.default_rng(task.seed)
    samples = _spliced(task, random) if task.connected else _joined(task, random)
    return finish(samples, task.text, task.path, task.source, random)


def finish(samples: np.ndarray, text: str, path: Path, source: str, random: np.random.Generator) -> Utterance:
    """Writes samples with silence of random lengths around them, at a random level, in steady noise."""
    silence = [np.zeros(int(random.uniform(0, 0.4) * SAMPLE_RATE), np.float32) for _ in range(2)]
    samples = np.concatenate([silence[0], samples, silence[1]]) * random.uniform(0.3, 1.5)
    samples += random.normal(0, 10 ** random.uniform(-4.5, -2.7), len(samples))
    soundfile.write(path, samples.clip(-1, 1), SAMPLE_RATE, subtype="PCM_16")
    return Utterance(path.stem, path, len(samples) / SAMPLE_RATE, text, speaker=source, source=source)


def _joined(task: Task, random: np.random.Generator) -> np.ndarray:
    """Words said one at a time, as one sentence."""
    silence_db = random.uniform(18, SILENCE_DB)
    pieces = []
    for piece in task.pieces:
        samples = trim(_read(piece.audio, piece.start, piece.duration), silence_db)
        samples = samples[: max(round(len(samples) * piece.kept), SAMPLE_RATE // 10)]
        pieces.append(level(samples) * 10 ** (random.normal(0, 2) / 20))
    lengths = [len(piece) for piece in pieces]
    samples = cross_fade(pieces, random.uniform(0.01, 0.06))
    samples = bend(samples, melody(lengths, random.uniform(*VOICES), random))
    tempo = random.uniform(*TEMPI) * len(samples) / SAMPLE_RATE / len(task.text)
    return change_tempo(samples, float(np.clip(tempo, SLOWEST, FASTEST)))


def _spliced(task: Task, random: np.random.Generator) -> np.ndarray:
    """Stretches of connected speech, one after the other."""
    pieces = [_read(p.audio, p.start, p.duration) for p in task.pieces]
    return cross_fade(pieces, random.uniform(0.01, 0.03))


@functools.cache
def _read(audio: Path, start: float, duration: float | None) -> np.ndarray:
    return read_samples(audio, start, duration)


def loud_part(samples: np.ndarray, silence_db: float = SILENCE_DB) -> tuple[float, float]:
    """Where the first loud frame begins and the last one ends, in seconds."""
    frame = SAMPLE_RATE // 100
    power = np.square(samples[: len(samples) // frame * frame].reshape(-1, frame)).mean(1)
    loud = np.flatnonzero(power > power.max() * 10 ** (-silence_db / 10))
    return (loud[0] / 100, (loud[-1] + 1) / 100) if len(loud) else (0.0, len(samples) / SAMPLE_RATE)


def trim(samples: np.ndarray, silence_db: float = SILENCE_DB) -> np.ndarray:
    """From the first loud frame to the last."""
    first, last = (round(t * SAMPLE_RATE) for t in loud_part(samples, silence_db))
    return samples[first:last]


def level(samples: np.ndarray) -> np.ndarray:
    """The same at the common level."""
    return samples * (LEVEL / max(float(np.sqrt(np.square(samples).mean())), 1e-6))


def cross_fade(pieces: Sequence[np.ndarray], seconds: float) -> np.ndarray:
    """Pieces one after the other, each fading into the next."""
    joined = pieces[0]
    for piece in pieces[1:]:
        n = min(int(seconds * SAMPLE_RATE), len(joined), len(piece))
        rising = np.linspace(0, 1, n, dtype=np.float32)
        overlap = joined[len(joined) - n :] * rising[::-1] + piece[:n] * rising
        joined = np.concatenate([joined[: len(joined) - n], overlap, piece[n:]])
    return joined


def melody(lengths: Sequence[int], voice: float, random: np.random.Generator) -> np.ndarray:
    """Pitch factor of each sample: `voice`, falling over the sentence, and a little higher or lower in each piece."""
    ends = np.cumsum(lengths)
    middles = ends - np.array(lengths) / 2
    falling = np.linspace(1, -1, len(lengths)) * random.uniform(0, 0.08)
    factors = voice * np.exp(falling + random.normal(0, 0.04, len(lengths)))
    return np.interp(np.arange(ends[-1]), middles, factors)


def bend(samples: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """The same as a tape whose speed changes: higher and faster where the factor is above 1."""
    times = np.cumsum(1 / factors[: len(samples)])
    positions = np.interp(np.arange(int(times[-1])), times, np.arange(len(samples)))
    return np.interp(positions, np.arange(len(samples)), samples).astype(np.float32)


def change_tempo(samples: np.ndarray, factor: float) -> np.ndarray:
    """The same speech, `factor` times as fast at the same pitch (FFmpeg's atempo: waveform-similarity overlap-add)."""
    graph = av.filter.Graph()
    source = graph.add_abuffer(sample_rate=SAMPLE_RATE, format="flt", layout="mono", time_base=f"1/{SAMPLE_RATE}")
    tempo = graph.add("atempo", f"{factor:.4f}")
    sink = graph.add("abuffersink")
    source.link_to(tempo)
    tempo.link_to(sink)
    graph.configure()
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None], np.float32), format="flt", layout="mono")
    frame.sample_rate = SAMPLE_RATE
    source.push(frame)
    source.push(None)
    pieces = []
    while True:
        try:
            pieces.append(sink.pull().to_ndarray()[0])
        except (av.error.EOFError, av.error.BlockingIOError):
            return np.concatenate(pieces)
