"""Character error rate. Counts add up; a rate is computed from sums and never averaged over utterances."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from asr.errors import ManifestError
from asr.text.normalize import characters


@dataclass(frozen=True)
class CharErrors:
    """What separates hypotheses from references, in characters."""

    substitutions: int = 0
    """S: a wrong character."""
    deletions: int = 0
    """D: a character of the reference that is missing."""
    insertions: int = 0
    """I: a character that is not in the reference."""
    reference: int = 0
    """N: characters in the reference."""

    def __add__(self, other: "CharErrors") -> "CharErrors":
        return CharErrors(
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
            self.reference + other.reference,
        )

    @property
    def total(self) -> int:
        """S + D + I."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def cer(self) -> float:
        """(S + D + I) / N. Of an empty reference: 0 for no error, infinity otherwise."""
        if self.reference == 0:
            return float("inf") if self.total else 0.0
        return self.total / self.reference

    def __str__(self) -> str:
        return (
            f"CER {100 * self.cer:.2f} % [ {self.substitutions:,} S, {self.deletions:,} D, {self.insertions:,} I"
            f" / {self.reference:,} ]"
        )


def char_errors(reference: str, hypothesis: str) -> CharErrors:
    """Errors between two texts, both normalised by the rules of asr.text.normalize, spaces not counted.

    An empty reference makes every character of the hypothesis an insertion.
    """
    import jiwer  # costs a tenth of a second that transcribing need not pay

    units = "".join(characters(reference))
    out = jiwer.process_characters(units, "".join(characters(hypothesis)))
    return CharErrors(out.substitutions, out.deletions, out.insertions, len(units))


def corpus_errors(references: Mapping[str, str], hypotheses: Mapping[str, str]) -> CharErrors:
    """Errors over all references, matched by id; a missing hypothesis counts as empty: all deletions."""
    if not references:
        raise ManifestError("no reference to score against")
    return sum((char_errors(text, hypotheses.get(id, "")) for id, text in references.items()), CharErrors())


def errors_by(groups: Iterable[str], errors: Iterable[CharErrors]) -> dict[str, CharErrors]:
    """Sums of errors per group, sorted by its name."""
    sums: dict[str, CharErrors] = {}
    for group, e in zip(groups, errors, strict=True):
        sums[group] = sums.get(group, CharErrors()) + e
    return dict(sorted(sums.items()))
