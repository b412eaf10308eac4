"""Text that a terminal shows and does not obey, and names of files that can be written as text."""

import os
import unicodedata
from pathlib import Path

OBEYED = ("C", "Zl", "Zp")
"""Categories of Unicode whose characters are not shown but do something: ESC colours and types, U+202E turns a name round."""


def printable(text: str) -> str:
    """The text with a backslash and a number in the place of each character that would not be seen.

    Names of files and of uploads may hold anything: `a\x1b[2J.wav` becomes `a\\x1b[2J.wav`. Lines stay lines.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c == "\n" or _is_seen(c) else c.encode("unicode_escape").decode() for c in text)


def _is_seen(character: str) -> bool:
    return not unicodedata.category(character).startswith(OBEYED)


def readable_path(path: str | Path) -> str:
    """A path as text that can be written: bytes of it that are no UTF-8, those of a name in GBK, as \\xb2."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def columns(text: str) -> int:
    """How many columns of a terminal a text takes: a Chinese character takes two, an accent above another letter none."""
    return sum(1 + (unicodedata.east_asian_width(c) in "WF") for c in text if unicodedata.category(c) != "Mn")
