"""Faint streams, made loud enough for the network that finds speech: of speech at -50 dB of full scale it hears 90 %, at -60 54.

The gain is the same for all samples of a block, so that noise before a word is as far below it as it was.
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


class Amplifier:
    """Makes one stream loud enough, block by block; what is loud enough stays as it is."""

    def __init__(self):
        self.level = -np.inf
        """How loud the stream is, in dB of full scale."""

    def amplified(self, block: np.ndarray) -> np.ndarray:
        """The next samples (S,), some seconds of them, at least as loud as they were."""
        powers = np.square(block[: len(block) // WINDOW * WINDOW].reshape(-1, WINDOW), dtype=np.float64).mean(1)
        if not powers.any():
            return block
        self.level = max(10 * np.log10(np.quantile(powers, LOUDER) + 1e-12), self.level - FORGOTTEN)
        gain = min(max(LOUD_ENOUGH - self.level, 0.0), MOST)
        return block * np.float32(10 ** (gain / 20)) if gain else block
