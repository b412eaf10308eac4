"""Faint audio, made loud enough for networks: of speech at -50 dB of full scale that which finds speech hears 90 %, at -60 54,
and what a recogniser writes has more errors there, whose features tell how loud it is.

The gain is the same for all samples of a block, or of an utterance, so that noise is as far below speech as it was.
"""

import numpy as np

from asr.audio.speech_probabilities import WINDOW

LOUD_ENOUGH = -28.0
"""dB of full scale up to which the louder windows of what is faint are amplified."""
LOUDER = 0.97
"""Which quantile of a block's windows tells how loud it is: what is louder for a quarter of a second, as a click is, does not."""
MOST = 32.0
"""dB by which nothing is amplified further."""
FORGOTTEN = 0.3
"""dB by which the loudest block so far counts for less with every block."""
AUDIBLE = -40.0
"""dB of full scale up to which the louder windows of a faint utterance are amplified: louder ones are recognised no better."""


class Amplifier:
    """Makes one stream loud enough, block by block; what is loud enough stays as it is."""

    def __init__(self):
        self.level = -np.inf
        """How loud the stream is, in dB of full scale."""

    def amplified(self, block: np.ndarray) -> np.ndarray:
        """The next samples (S,), some seconds of them, at least as loud as they were."""
        if (level := loudness(block)) is None:
            return block
        self.level = max(level, self.level - FORGOTTEN)
        return louder(block, LOUD_ENOUGH - self.level)


def made_audible(utterance: np.ndarray) -> np.ndarray:
    """An utterance (S,), loud enough to be recognised where it is faint, else as it is."""
    level = loudness(utterance)
    return utterance if level is None else louder(utterance, AUDIBLE - level)


def loudness(samples: np.ndarray) -> float | None:
    """That of the louder windows of samples (S,) in dB of full scale; None of digital silence, and of less than a window."""
    windows = samples[: len(samples) // WINDOW * WINDOW].reshape(-1, WINDOW)
    powers = windows.var(1, dtype=np.float64)  # an offset of all samples is not heard
    return 10 * np.log10(np.quantile(powers, LOUDER) + 1e-12) if powers.any() else None


def louder(samples: np.ndarray, wanted: float) -> np.ndarray:
    """Samples (S,) with so many dB more, but no less than they had, nor more than MOST of them, and without their offset."""
    gain = min(max(wanted, 0.0), MOST)
    if not gain:
        return samples
    offset = samples.mean(dtype=np.float64).astype(np.float32)
    return (samples - offset) * np.float32(10 ** (gain / 20))
