"""Texts as units, and what the rules did to them on the way: what a person should know who reads the rate."""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence

from rapidfuzz.distance import Levenshtein

from asr.foreign_bytes import some
from asr.scoring.cer import units_of
from asr.text.normalize import RULES, TRAINING, is_common_han, tags_of
from asr.text.signs import in_one_way

_DROPPING = ("punctuation", "word_signs", "number_signs")
_IDLE = {"forms", *TRAINING}
"""Rules that change nothing in common Chinese characters."""


class Normalizer:
    """References, or hypotheses, as units; counts what the rules changed."""

    def __init__(self, rules: Sequence[str], unit: str):
        self.rules, self.unit = rules, unit
        self.changed: Counter[str] = Counter()
        """Rule → characters."""
        self.dropped: Counter[str] = Counter()
        """Characters that the rules for punctuation dropped, though they are none."""
        self.with_digits = 0
        """Texts that hold digits."""
        self.tags: Counter[str] = Counter()
        """What looks like <unk> or [NOISE]."""
        self._idle = _IDLE.issuperset(rules)

    def units(self, text: str) -> Sequence[str]:
        """What is counted in a text."""
        if self._idle and is_common_han(text):  # most texts; a third of the time went into rules that change nothing
            return units_of(text, self.unit)
        self.with_digits += bool(re.search(r"\d", text))
        self.tags.update(tags_of(text))
        for rule in self.rules:
            after = RULES[rule](text)
            if after != text:
                self.changed[rule] += Levenshtein.distance(text, after)
                if rule in _DROPPING:
                    self._lost(in_one_way(text), after)
                text = after
        return units_of(text, self.unit, "spaces" in self.rules)

    def _lost(self, before: str, after: str) -> None:
        for character, n in (Counter(before) - Counter(after)).items():
            if not character.isspace() and unicodedata.category(character)[0] not in "PZ":
                self.dropped[character] += n


def both(references: Mapping[str, int], hypotheses: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """What was counted → how often in references, in hypotheses; the most frequent first."""
    keys = sorted({*references, *hypotheses}, key=lambda key: (-references.get(key, 0) - hypotheses.get(key, 0), key))
    return {key: (references.get(key, 0), hypotheses.get(key, 0)) for key in keys}


def dropped_note(dropped: Mapping[str, tuple[int, int]]) -> str:
    """What was dropped that is no punctuation, in words; empty for nothing."""
    shown = [f"{visible(c)} {a:,} + {b:,}" for c, (a, b) in dropped.items()]
    return f"dropped, though it is no punctuation: {some(shown)}" if shown else ""


def visible(character: str) -> str:
    """The character, or U+200B and the like where it would not be seen."""
    return character if character.isprintable() else f"U+{ord(character):04X}"


def hints(references: Normalizer, hypotheses: Normalizer) -> tuple[str, ...]:
    """Rules that might be meant, where the texts hold what they are for."""
    found, rules = [], references.rules
    digits, tags = references.with_digits + hypotheses.with_digits, both(references.tags, hypotheses.tags)
    if digits and "numbers" not in rules:
        found.append(
            f"{digits:,} texts ({references.with_digits:,} references, {hypotheses.with_digits:,} hypotheses) hold digits:"
            " --rules +numbers compares numbers as they are read, 30% as 百分之三十"
        )
    if tags and "tags" not in rules:
        n = sum(a + b for a, b in tags.values())
        found.append(
            f"{n:,} tags ({some(list(tags), 5)}) count like the words they are"
            " written with: --rules +tags leaves them out"
        )
    return tuple(found)
