"""Pieces of a recording; and all of one in pieces short enough to encode, cut where it is quietest, speech or not."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from asr.audio.reading import SAMPLE_RATE

MAX_SECONDS = 15.0
MIN_SECONDS = 6.0
"""No piece but the last is shorter."""
WINDOW = SAMPLE_RATE // 10
"""Samples over which quietness is measured."""
SILENCE_PEAK = 1e-4
"""A piece that never rises above -80 dBFS holds nothing to recognise."""


@dataclass(frozen=True, eq=False)
class Piece:
    """A stretch of a recording."""

    first: int
    """Its first sample's place in the recording."""
    samples: np.ndarray
    """(S,) at 16 kHz."""

    @property
    def start(self) -> float:
        """Seconds from the start of the recording."""
        return self.first / SAMPLE_RATE

    @property
    def end(self) -> float:
        """Where it ends, in seconds."""
        return (self.first + len(self.samples)) / SAMPLE_RATE

    @property
    def silent(self) -> bool:
        return not len(self.samples) or float(np.abs(self.samples).max()) < SILENCE_PEAK


def cut_at_pauses(blocks: Iterable[np.ndarray]) -> Iterator[Piece]:
    """Pieces of at most MAX_SECONDS that follow each other without gap, from blocks of any length."""
    held = np.zeros(0, np.float32)
    position = 0
    longest = int(MAX_SECONDS * SAMPLE_RATE)
    for block in blocks:
        held = np.concatenate([held, block])
        while len(held) > longest:
            cut = _quietest(held[: longest - SAMPLE_RATE])  # a second before the end, so that no scrap is left
            yield Piece(position, held[:cut])
            held, position = held[cut:], position + cut
    if len(held):
        yield Piece(position, held)


def _quietest(samples: np.ndarray) -> int:
    """The middle of the quietest window beyond MIN_SECONDS; of equally quiet ones the last."""
    first = int(MIN_SECONDS * SAMPLE_RATE) // WINDOW
    n = len(samples) // WINDOW
    power = np.square(samples[first * WINDOW : n * WINDOW].reshape(-1, WINDOW)).mean(1)
    return (n - 1 - int(np.argmin(power[::-1]))) * WINDOW + WINDOW // 2
