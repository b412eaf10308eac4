"""How well marks are restored: hits, false ones and misses of each mark, and F1."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asr.punctuation.features import Array
from asr.punctuation.marks import MARKS


@dataclass(frozen=True)
class Counts:
    """Of each mark, in the order of MARKS, all (marks,)."""

    hits: Array
    """Places where it stands and was set."""
    found: Array
    """Places where it was set."""
    real: Array
    """Places where it stands."""

    @property
    def micro(self) -> float:
        """F1 of all marks together: a mark in the place of another one is a false one and a miss."""
        return f1(self.hits.sum(), self.found.sum(), self.real.sum())

    @property
    def each(self) -> list[float]:
        """F1 of each mark."""
        return [f1(*counts) for counts in zip(self.hits, self.found, self.real, strict=True)]

    def row(self) -> str:
        """The figures with three digits: all marks, then each."""
        return " ".join(f"{value:6.3f}" for value in (self.micro, *self.each))


HEADING = " ".join(f"{name:>6}" for name in ("micro", *(f"{mark} " for mark in MARKS)))
"""Above rows."""


def f1(hits: float, found: float, real: float) -> float:
    """The harmonic mean of precision and recall; 0 where nothing is right."""
    return float(2 * hits / (found + real)) if found + real else 0.0


def counted(found: Sequence[Array], real: Sequence[Array]) -> Counts:
    """Tags that were found and those that are right, texts of (U,) each."""
    a, b = np.concatenate(found), np.concatenate(real)
    tags = np.arange(1, len(MARKS) + 1)[:, None]
    return Counts(((a == tags) & (b == tags)).sum(1), (a == tags).sum(1), (b == tags).sum(1))
