"""Recorded words: where they begin and end, their level, their tempo, and one joined to the next."""

from collections.abc import Sequence

import av
import numpy as np

from asr.audio.reading import SAMPLE_RATE

SILENCE_DB = 35
"""Frames so far below the loudest are silence."""
LEVEL = 0.08
"""Root mean square that every word is brought to."""


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
