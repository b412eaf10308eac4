"""Many systems on many test sets: rates, intervals, and which differences are more than chance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations

from asr.scoring.bootstrap import Difference
from asr.scoring.compare import Comparison
from asr.scoring.score import Score

SIGNIFICANT = 0.05
ALL = "all sets"
"""Name of the column in which all sets are one."""


@dataclass(frozen=True)
class Pair:
    """Two systems on a test set."""

    set: str
    a: int
    """Place of the first among the systems."""
    b: int
    difference: Difference
    """B minus A."""
    corrected: float | None
    """The p-value after Holm's correction for all pairs of the set; None where there is no test."""

    @property
    def significant(self) -> bool:
        """Whether the difference is more than chance."""
        return self.corrected is not None and self.corrected < SIGNIFICANT


@dataclass(frozen=True)
class Table:
    """Systems by test sets."""

    systems: tuple[str, ...]
    """Their names."""
    sets: Mapping[str, Sequence[Score]]
    """Name of a set → the scores of the systems, in their order."""

    @cached_property
    def columns(self) -> dict[str, Sequence[Score]]:
        """The sets, and where there are several all of them as one: what is summed is counted, not the rates."""
        if len(self.sets) < 2:
            return dict(self.sets)
        together = [_together([scores[n] for scores in self.sets.values()]) for n in range(len(self.systems))]
        return {**self.sets, ALL: together}

    @cached_property
    def pairs(self) -> list[Pair]:
        """Each two systems on each column, by a matched-pairs bootstrap."""
        return [pair for name, scores in self.columns.items() for pair in _pairs(name, scores)]

    def beaten(self, column: str, system: int) -> list[int]:
        """Systems that this one is significantly better than."""
        found = []
        for pair in self.pairs:
            if pair.set == column and pair.significant and system in (pair.a, pair.b):
                better = pair.b if pair.difference.cer < 0 else pair.a
                found += [pair.a + pair.b - better] if better == system else []
        return sorted(found)

    def is_best(self, column: str, system: int) -> bool:
        """Whether no system has a lower rate."""
        return self.columns[column][system].cer == min(score.cer for score in self.columns[column])

    @property
    def rate_name(self) -> str:
        """CER, or MER for mixed units."""
        return next(iter(self.sets.values()))[0].rate_name


def letter(system: int) -> str:
    """A, B … Z, A1, B1 …: the systems by their places."""
    return chr(ord("A") + system % 26) + (str(system // 26) if system >= 26 else "")


def _pairs(name: str, scores: Sequence[Score]) -> list[Pair]:
    """Holm (1979): the smallest p-value counts as often as there are pairs, the next once less, and none less than one before."""
    places = list(combinations(range(len(scores)), 2))
    found = [Pair(name, a, b, Comparison(scores[a], scores[b]).difference, None) for a, b in places]
    tested = sorted((p for p in found if p.difference.p_value is not None), key=lambda p: p.difference.p_value)
    least, corrected = 0.0, {}
    for n, pair in enumerate(tested):
        least = max(least, min(1.0, (len(tested) - n) * pair.difference.p_value))
        corrected[pair.a, pair.b] = least
    return [replace(pair, corrected=corrected.get((pair.a, pair.b))) for pair in found]


def _together(scores: Sequence[Score]) -> Score:
    """All sets as one: speakers of different sets are different ones, even where they have the same name."""
    utterances = []
    for n, score in enumerate(scores):
        for u in score.utterances:
            speaker = u.value("speaker")
            utterances.append(replace(u, fields=u.fields | {"speaker": f"{n} {speaker}"}) if speaker else u)
    return Score(tuple(utterances), scores[0].unit, scores[0].rules, {}, name=scores[0].name)
