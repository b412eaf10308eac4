"""Diarization error rate (DER): for how much of the speech the wrong speaker, nobody, or somebody too many was named.

Speakers have no names that both sides share: each of the reference is paired with one of the hypothesis at most, so that as
much time as possible is right. NIST (2000), as in md-eval and pyannote.metrics; people who speak at the same time count each.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from asr.transcript import Span


@dataclass(frozen=True)
class SpokenTurn:
    """Somebody speaks."""

    start: float
    """Seconds."""
    end: float
    """Seconds."""
    speaker: str
    """Who it is, by any name; the names of references and hypotheses need not be the same."""
    text: str | None = None
    """What is said; None where the file tells times only."""


@dataclass(frozen=True)
class DiarizationErrors:
    """What separates a hypothesis from a reference, in seconds of speakers: two who speak for 1 s are 2."""

    missed: float = 0.0
    """Speech of the reference in which nobody, or not enough speakers, are named."""
    false_alarm: float = 0.0
    """Speakers who are named where nobody, or fewer, speak."""
    confusion: float = 0.0
    """Speech in which another one is named."""
    reference: float = 0.0
    """Speech in the reference."""

    def __add__(self, other: "DiarizationErrors") -> "DiarizationErrors":
        return DiarizationErrors(
            self.missed + other.missed,
            self.false_alarm + other.false_alarm,
            self.confusion + other.confusion,
            self.reference + other.reference,
        )

    @property
    def total(self) -> float:
        """All three."""
        return self.missed + self.false_alarm + self.confusion

    @property
    def der(self) -> float:
        """(missed + false alarm + confusion) / reference. Without any speech: 0 for no error, infinity otherwise."""
        return self.share(self.total)

    def share(self, seconds: float) -> float:
        """A part of the errors as a share of the speech."""
        if self.reference == 0:
            return float("inf") if seconds else 0.0
        return seconds / self.reference

    def line(self) -> str:
        """Rate and parts: `DER 7.00 % [ 3.00 missed, 1.50 false alarm, 2.50 confusion of 181.2 s ]`, all in percent."""
        parts = (("missed", self.missed), ("false alarm", self.false_alarm), ("confusion", self.confusion))
        shares = ", ".join(f"{100 * self.share(seconds):.2f} {name}" for name, seconds in parts)
        return f"DER {100 * self.der:.2f} % [ {shares} of {self.reference:.1f} s ]"

    def __str__(self) -> str:
        return self.line()


def diarization_errors(
    reference: Sequence[SpokenTurn],
    hypothesis: Sequence[SpokenTurn],
    collar: float = 0.0,
    ignored: Iterable[Span] = (),
) -> DiarizationErrors:
    """Errors in one recording. A speaker who has two turns at the same time speaks once; a turn that takes no time is none.

    `collar`: seconds before and after each start and end of a turn of the reference that are not scored, since nobody hears
    borders more exactly (0.25 in md-eval; pyannote.metrics calls the same 0.5). `ignored`: what is not scored besides.
    """
    borders = [moment for turn in reference if turn.end > turn.start for moment in (turn.start, turn.end)]
    left_out = [(moment - collar, moment + collar) for moment in borders] if collar else []
    left_out += ignored
    spans = [(turn.start, turn.end) for turn in (*reference, *hypothesis)] + left_out
    moments = np.unique(np.array(spans, float).reshape(-1))
    if len(moments) < 2:
        return DiarizationErrors()
    scored = ~_covered(left_out, moments)
    seconds = np.diff(moments) * scored  # (T,) of each stretch in which nothing changes
    said, named = _activity(reference, moments), _activity(hypothesis, moments)  # (speakers, T)
    shared = (said * seconds) @ named.T
    right = np.zeros(len(seconds))
    for a, b in zip(*linear_sum_assignment(shared, maximize=True), strict=True):
        right += said[a] * named[b]
    n_said, n_named = said.sum(0), named.sum(0)
    return DiarizationErrors(
        missed=float(seconds @ np.maximum(0, n_said - n_named)),
        false_alarm=float(seconds @ np.maximum(0, n_named - n_said)),
        confusion=float(seconds @ (np.minimum(n_said, n_named) - right)),
        reference=float(seconds @ n_said),
    )


def _activity(turns: Sequence[SpokenTurn], moments: np.ndarray) -> np.ndarray:
    """For each speaker in order of appearance, 1 or 0 for each stretch between two moments: (speakers, T)."""
    spans: dict[str, list[Span]] = {}
    for turn in turns:
        spans.setdefault(turn.speaker, []).append((turn.start, turn.end))
    rows = [_covered(mine, moments).astype(float) for mine in spans.values()]
    return np.array(rows).reshape(len(rows), len(moments) - 1)


def _covered(spans: Sequence[Span], moments: np.ndarray) -> np.ndarray:
    """Whether a span covers each stretch between two moments: (T,). The ends of the spans are among the moments."""
    changes = np.zeros(len(moments), int)
    for start, end in spans:
        if end > start:
            changes[np.searchsorted(moments, start)] += 1
            changes[np.searchsorted(moments, end)] -= 1
    return changes.cumsum()[:-1] > 0
