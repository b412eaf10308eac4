"""Character error rate. Counts add up; a rate is computed from sums and never averaged over utterances."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby, zip_longest

from rapidfuzz.distance import Levenshtein

from asr.config_values import nearest
from asr.errors import ConfigError
from asr.text.normalize import is_han, normalize, select_rules

UNITS = {"char": "CER", "mixed": "MER"}
"""What is counted → name of the rate. `char`: every character, as the AISHELL recipes have it; `mixed`: Han characters,
and words and numbers of what is written with spaces (DON'T, WI-FI, 3.14, 30%), as WeNet's compute-wer has it."""
SCORING = {
    "char": ("forms", "width", "case", "punctuation", "word_signs", "spaces"),
    "mixed": ("forms", "width", "case", "punctuation", "spaces"),
}
"""Unit → the rules of scoring where nothing else is asked for. Signs in numbers count: 3.14 is not 314."""
LANGUAGES = ("Mandarin", "English", "numbers", "other")
"""What a mixed unit may be: a Han character; a word in Latin letters; digits with their signs; anything else (A4, か)."""

_MIXED = re.compile("[^\\s\u2e80-\U0010ffff]+|[\u2e80-\U0010ffff]")  # from there on scripts write without spaces


@dataclass(frozen=True)
class CharErrors:
    """What separates hypotheses from references, in characters (or in whatever units are counted)."""

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

    def line(self, name: str = "CER") -> str:
        """Rate and counts on one line: `CER 5.12 % [ 312 S, 41 D, 28 I / 7,441 ]`."""
        return (
            f"{name} {100 * self.cer:.2f} % [ {self.substitutions:,} S, {self.deletions:,} D, {self.insertions:,} I"
            f" / {self.reference:,} ]"
        )

    def __str__(self) -> str:
        return self.line()


def char_errors(
    reference: str, hypothesis: str, unit: str = "char", rules: str | Iterable[str] | None = None
) -> CharErrors:
    """Errors between two texts, both normalised by `rules`; spaces are not counted unless the rule for them is left out.

    `rules`: names, or a text as `--rules` takes it; None for those of the unit (SCORING).
    An empty reference makes every character of the hypothesis an insertion.
    """
    rules = scoring_rules(rules, unit)
    return unit_errors(*(units_of(normalize(text, rules), unit, "spaces" in rules) for text in (reference, hypothesis)))


def scoring_rules(wanted: str | Iterable[str] | None, unit: str = "char") -> tuple[str, ...]:
    """Rules by name, in their order; a text with signs (`+script,-case`) changes those of the unit, None are those.

    Raises ConfigError for a unit or a rule that does not exist.
    """
    base = SCORING[_known(unit)]
    return base if wanted is None else select_rules(wanted, base)


def _known(unit: str) -> str:
    if unit not in UNITS:
        raise ConfigError(f"there is no unit {unit!r}; {nearest(unit, UNITS)}")
    return unit


@cache
def language(unit: str) -> str:
    """Which of LANGUAGES a unit of mixed text is."""
    if is_han(unit[:1]):
        return "Mandarin"
    letters = {c for c in unit if c.isalpha()}
    if any(c.isnumeric() for c in unit):
        return "other" if letters else "numbers"
    return "English" if letters and all("LATIN" in unicodedata.name(c, "") for c in letters) else "other"


def units_of(text: str, unit: str = "char", drop_spaces: bool = True) -> Sequence[str]:
    """What is counted in a normalised text: its characters, or for `mixed` its Han characters and other words."""
    if _known(unit) == "mixed":
        return _MIXED.findall(text)
    return text.replace(" ", "") if drop_spaces else text


def unit_errors(reference: Sequence[str], hypothesis: Sequence[str]) -> CharErrors:
    """Least errors (Levenshtein 1966, all at cost 1) that turn one sequence of units into the other."""
    n, m = len(reference), len(hypothesis)
    if reference == hypothesis:
        return CharErrors(reference=n)
    edits = Levenshtein.editops(reference, hypothesis)
    insertions = sum(edit.tag == "insert" for edit in edits)
    deletions = n - m + insertions
    return CharErrors(len(edits) - insertions - deletions, deletions, insertions, n)


def align(reference: Sequence[str], hypothesis: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of units, "" where one is missing: 好 against 好的 is `[("好", "好"), ("", "的")]`.

    Between two units that are right, wrong ones are paired from the left and what is left over stands last; before the
    first right one they are paired from the right: what is cut off from the start or the end shows there.
    """
    pairs: list[tuple[str, str]] = []
    start = other = 0
    for block in Levenshtein.opcodes(reference, hypothesis):
        if block.tag == "equal":
            pairs += _pair(reference[start : block.src_start], hypothesis[other : block.dest_start], not pairs)
            pairs += zip(
                reference[block.src_start : block.src_end], hypothesis[block.dest_start : block.dest_end], strict=True
            )
            start, other = block.src_end, block.dest_end
    return pairs + _pair(reference[start:], hypothesis[other:], False)


def _pair(reference: Sequence[str], hypothesis: Sequence[str], from_the_right: bool) -> list[tuple[str, str]]:
    if from_the_right:
        return _pair(reference[::-1], hypothesis[::-1], False)[::-1]
    return list(zip_longest(reference, hypothesis, fillvalue=""))


def in_runs(pairs: Iterable[tuple[str, str]], joint: str = "") -> list[str | tuple[str, str]]:
    """Aligned pairs for a page: each run of right units as one text, each wrong pair as it is."""
    parts: list[str | tuple[str, str]] = []
    for right, run in groupby(pairs, key=lambda pair: pair[0] == pair[1]):
        same = list(run)
        parts += [joint.join(unit for unit, _ in same)] if right else same
    return parts
