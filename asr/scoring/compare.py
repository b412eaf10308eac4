"""Is B better than A? Two hypothesis files against the same references."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from asr.scoring.bootstrap import Difference, paired_difference
from asr.scoring.score import Score, score_read
from asr.scoring.transcripts import read_together

CHANGES = 10
"""Utterances listed that changed most."""


@dataclass(frozen=True)
class Comparison:
    """Scores of two systems on the same references."""

    a: Score
    b: Score

    @cached_property
    def difference(self) -> Difference:
        """B minus A, with its interval and p-value."""
        pairs = list(zip(self.a.utterances, self.b.utterances, strict=True))
        return paired_difference(
            [a.errors.total for a, _ in pairs],
            [b.errors.total for _, b in pairs],
            [a.errors.reference for a, _ in pairs],
            [a.value("speaker") for a, _ in pairs],
            lengths_b=[b.errors.reference for _, b in pairs],
        )

    def changes(self) -> list[tuple[int, str]]:
        """(errors of B minus errors of A, id) of utterances that differ, the largest change first."""
        found = [
            (b.errors.total - a.errors.total, a.id) for a, b in zip(self.a.utterances, self.b.utterances, strict=True)
        ]
        return sorted((change for change in found if change[0]), key=lambda change: (-abs(change[0]), change[0]))

    def lines(self) -> list[str]:
        """Both scores, the difference, and what changed most, in words."""
        changes = self.changes()
        better = sum(change < 0 for change, _ in changes)
        lines = [f"A {self.a.name}", *self.a.lines(), f"B {self.b.name}", *self.b.lines(), self._verdict()]
        lines.append(f"B is better on {better:,} utterances, worse on {len(changes) - better:,}")
        lines += [f"  {change:+d} errors {id}" for change, id in changes[:CHANGES]]
        return lines

    def _verdict(self) -> str:
        d, name = self.difference, self.a.rate_name
        text = f"B − A {100 * d.cer:+.2f} points of {name}"
        if d.interval:
            text += f", 95 % interval {100 * d.interval.low:+.2f} to {100 * d.interval.high:+.2f}"
        if d.p_value is None:
            return text + " (fewer than ten utterances: no test)"
        return text + f", {d.p_text}" + f" (matched-pairs bootstrap over {d.n:,} {d.over})"

    def __str__(self) -> str:
        return "\n".join(self.lines())


def compare_files(
    reference: str | Path,
    a: str | Path,
    b: str | Path,
    unit: str = "char",
    *,
    rules: str | Sequence[str] | None = None,
    ids: bool | None = None,
    utt2spk: str | Path | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Comparison:
    """Two hypothesis files against one reference file; the arguments are those of score_files."""
    references, *systems = read_together([reference, a, b], ids, say, utt2spk)
    return Comparison(*(score_read(references, system, unit, rules, say=say) for system in systems))
