"""Concatenated minimum-permutation error rate (cpCER): what was said, and by whom.

All that one speaker says is one text, in order of time; speakers of the hypothesis are paired with those of the reference so
that the errors are fewest, and of a speaker without a partner everything is deleted, or inserted. Watanabe et al. (2020),
CHiME-6; counted like cpWER in meeteval, but by the units of asr.scoring.cer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from rapidfuzz.distance import Levenshtein
from scipy.optimize import linear_sum_assignment

from asr.scoring.cer import CharErrors, unit_errors

Texts = Mapping[str, Sequence[str]]
"""Speaker → units of all that they say."""


@dataclass(frozen=True)
class Paired:
    """The errors of one recording under the best pairing."""

    errors: CharErrors
    pairs: tuple[tuple[str | None, str | None], ...]
    """(speaker of the reference, speaker of the hypothesis); None for one without a partner."""


def paired_errors(reference: Texts, hypothesis: Texts) -> Paired:
    """The least errors of all ways to pair speakers."""
    said, named = list(reference), list(hypothesis)
    n = max(len(said), len(named))
    left: list[str | None] = [*said, *[None] * (n - len(said))]
    right: list[str | None] = [*named, *[None] * (n - len(named))]

    def units(texts: Texts, speaker: str | None) -> Sequence[str]:
        return () if speaker is None else texts[speaker]

    costs = np.array([[Levenshtein.distance(units(reference, a), units(hypothesis, b)) for b in right] for a in left])
    rows, columns = linear_sum_assignment(costs.reshape(n, n))
    pairs = tuple((left[a], right[b]) for a, b in zip(rows, columns, strict=True))
    errors = (unit_errors(units(reference, a), units(hypothesis, b)) for a, b in pairs)
    return Paired(sum(errors, CharErrors()), pairs)
