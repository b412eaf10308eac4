"""Text as the units that a transcript counts and times: Han characters, Latin words, numbers."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from asr.text.normalize import HAN_RANGES

MARKS = '，。、；：？！…—～·“”‘’「」『』《》〈〉（）【】,.;:?!()[]{}"'
"""Punctuation: never a unit, nor a part of one, except for `.` `,` `:` between two digits."""
OPENING = "“‘「『《〈（【([{"
"""Those of them that belong to what follows."""

_MARKS = re.escape(MARKS)
_UNIT = re.compile(rf"(?P<text>[{HAN_RANGES}]|(?:[^\s{HAN_RANGES}{_MARKS}]|(?<=\d)[.,:](?=\d))+)(?P<mark>[{_MARKS}]*)")


class Unit(NamedTuple):
    """A unit of a text."""

    first: int
    """Place of its first character."""
    end: int
    """Place behind its last character."""
    text: str
    """What it is."""
    mark: str
    """Punctuation right behind it."""


def units(text: str) -> Iterator[Unit]:
    """The units of a text in order. Example: `用APP 2.0，好` has 用, APP, 2.0 (with the mark ，) and 好."""
    for match in _UNIT.finditer(text):
        yield Unit(match.start(), match.end("text"), match["text"], match["mark"])


def with_all_between(text: str, kept: Sequence[Unit]) -> Iterator[Unit]:
    """Some units of a text with all that stands around them: what opens is before the next one, the rest behind the last.

    Example: of `“好” (x & y)` without & they are “好”, (x & and y).
    """
    if not kept:
        return
    ends = [unit.first for unit in kept[1:]] + [len(text)]
    opening = text[: kept[0].first].strip()
    for unit, end in zip(kept, ends, strict=True):
        gap = text[unit.end : end].rstrip()
        closed = len(gap) if end == len(text) else len(_opened(gap))
        mark = " ".join(gap[:closed].split())
        if gap[:1].isspace() and mark and unit.text[-1:].isascii() and mark.isascii():
            mark = f" {mark}"
        yield unit._replace(text=opening + unit.text, mark=mark)
        opening = gap[closed:]


def _opened(gap: str) -> str:
    """What stands between two units, without what opens at its end: straight quotes do that behind a space."""
    closed = gap.rstrip(OPENING)
    return closed[:-1] if closed.endswith(('"', "'")) and closed[-2:-1].isspace() else closed
