"""Text as the units that a transcript counts and times: Han characters, Latin words, numbers."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from asr.text.normalize import HAN_RANGES

MARKS = '，。、；：？！…—～·“”‘’「」『』《》〈〉（）【】,.;:?!()[]{}"'
"""Punctuation: never a unit, nor a part of one, except for `.` `,` `:` between two digits."""

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
