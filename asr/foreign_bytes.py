"""The one door for what others wrote: files of users, of other toolkits and of killed runs, answers from the network.

A reader knows what its format allows. What else may stand in a file raises whatever it happens to raise, somewhere inside
a library; inside `reading` all of that becomes the file's own error, and nobody lists exceptions.
"""

import json
import os
import re
import reprlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asr.errors import AsrError

QUOTED = 200
"""Characters of foreign content that a message quotes at most."""
HALF_CHARACTER = re.compile(r"[\ud800-\udfff]")
"""A lone surrogate, which JSON can write and nothing else."""
POINTER = b"version https://git-lfs.github.com/spec/"
"""How the few lines begin that Git LFS leaves in the place of a file."""
NOT_FETCHED = "is what Git LFS leaves in the place of the file, which was not fetched; `git lfs pull` fetches it"
NAMES, LONGEST_NAME = 8, 80
"""Names that a message lists at most, and characters of each."""


@dataclass
class Place:
    """Where a reader is in a file; it sets `line` as it goes, where there are lines."""

    path: str | Path
    line: int = 0

    def __str__(self) -> str:
        return f"{self.path}:{self.line}" if self.line else str(self.path)


@contextmanager
def reading(path: str | Path, kind: type[AsrError], what: str = "damaged", advice: str = "") -> Iterator[Place]:
    """A block that reads foreign bytes. Whatever goes wrong in it is raised as `kind`: `path:line: what (reason); advice`.

    Errors that are an AsrError already stay as they are.
    """
    place = Place(path)
    try:
        yield place
    except AsrError:
        raise
    except FileNotFoundError as error:
        missing = "" if error.filename is None or str(error.filename) == str(path) else f" ({quoted(error.filename)})"
        raise kind(f"{path}: no such file{missing}") from error
    except Exception as error:  # RecursionError and MemoryError are among them
        if isinstance(error, OSError) and error.strerror:
            raise kind(f"{place}: cannot be read ({reason(error)})") from error
        if is_pointer(path):
            raise kind(f"{path}: {NOT_FETCHED}") from error
        raise kind(f"{place}: {what} ({reason(error)}){advice and f'; {advice}'}") from error


def is_pointer(path: str | Path) -> bool:
    """Whether a file is what Git LFS leaves in the place of one that was not fetched."""
    if not os.path.isfile(path):  # of a pipe nothing may be read
        return False
    try:
        with open(path, "rb") as file:
            return file.read(len(POINTER)) == POINTER
    except OSError:
        return False


def json_value(text: str) -> Any:
    """What JSON holds. Raises ValueError for what is none, and for half characters (`"\\ud800"`), which nobody can write down."""
    value = json.loads(text)
    if "\\ud" in text.lower() and (half := HALF_CHARACTER.search(json.dumps(value, ensure_ascii=False))):
        raise ValueError(f"holds half a character (a lone surrogate): {ascii(half[0])}")
    return value


def json_in(path: str | Path) -> Any:
    """What a file of JSON holds. Raises as `json_value`, and OSError."""
    return json_value(Path(path).read_text(encoding="utf-8"))


def reason(error: BaseException) -> str:
    """What an exception says, in one line of at most QUOTED characters."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, MemoryError):
        return "too large for the memory of this machine"
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8: {error.reason} at byte {error.start}"
    if isinstance(error, KeyError):
        return f"{quoted(error.args[0] if error.args else None)} is missing"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return shortened(" ".join(str(error).split())) or type(error).__name__


def quoted(value: object) -> str:
    """A foreign value as Python writes it, in at most QUOTED characters, however large or deeply nested it is."""
    return shortened(_Bounded().repr(value))


def some(names: Sequence[str], most: int = 10, between: str = ", ") -> str:
    """The first few names, and a sign that there are more."""
    return between.join(names[:most]) + (" …" if names[most:] else "")


def listed(names: Iterable[object], most: int = NAMES) -> str:
    """Foreign names with commas between: the first few, in about QUOTED characters, and how many more there are."""
    names, shown, room = list(names), [], QUOTED
    while len(shown) < min(len(names), most) and (room > 0 or not shown):
        name = names[len(shown)]
        shown.append(shortened(on_one_line(name) if isinstance(name, str) else quoted(name), LONGEST_NAME))
        room -= len(shown[-1])
    more = f" and {len(names) - len(shown):,} more" if len(names) > len(shown) else ""
    return ", ".join(shown) + more


def on_one_line(text: str) -> str:
    """The text with its line breaks written as escapes: a name may hold any, and would begin a line as a message does."""
    return text.replace("\n", "\\n")


def shortened(text: str, most: int = QUOTED) -> str:
    """The text, without its middle where it is longer."""
    return text if len(text) <= most else f"{text[: most * 2 // 3]} … {text[3 - most // 3 :]}"


class _Bounded(reprlib.Repr):
    """Looks at a few parts of a value only: aliases make small files stand for values of any size."""

    def __init__(self):
        super().__init__()
        self.maxlevel = 3
        self.maxlist = self.maxtuple = self.maxset = self.maxdict = NAMES
        self.maxstring = QUOTED

    def repr_int(self, value: int, level: int) -> str:
        return repr(value) if value.bit_length() < 128 else f"a number of {value.bit_length():,} bits"

    def repr_bytes(self, value: bytes, level: int) -> str:
        return repr(value[:QUOTED])

    def repr_instance(self, value: object, level: int) -> str:
        plain = isinstance(value, float | complex | bool | Path) or value is None or hasattr(value, "isoformat")
        return repr(value) if plain else f"<{type(value).__name__}>"
