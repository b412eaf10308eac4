"""What people read, in their language: Chinese where the locale is Chinese, English everywhere else.

Messages are written in English where they arise, as f-strings, and errors stay English for programs. At the few doors where
a person reads them, `translated` looks for the template that a message was made of, `{path}: no such file`, and fills the
Chinese one with what stands in its fields. What has no translation appears in English. Results on stdout and what
programs read do not come by here.
"""

import gettext
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import islice
from pathlib import Path
from string import Formatter

from asr.printable import printable

FOLDER = Path(__file__).parent / "locale"
DOMAIN, CHINESE = "asr", "zh_CN"
PREFIX = "asr: "
"""Before a message to a person; not part of what is translated."""
VARIABLES = ("LC_ALL", "LC_MESSAGES", "LANG")
"""Of the environment, which name a locale; the first that is set holds."""
BOUNDARIES = re.compile(r": |; |, |\. |\? | \(|\)")
"""Where a message may be put together of two."""
MOST_BOUNDARIES = 12
"""That are looked at: a list of names has many."""
PLACE = re.compile(r"(\{\w+\}): ")
"""How a message begins that says where something is."""
WORD = re.compile(r"[A-Za-z]{2,}")
ENGLISH = re.compile(r"en(-|$)")
QUALITY = re.compile(r"0(\.\d{0,3})?|1(\.0{0,3})?")
"""How much a language is liked, behind it in an Accept-Language (RFC 9110, 12.4.2)."""
FULL_WIDTH = {": ": "：", "; ": "；", ", ": "，", ". ": "。"}
"""What stands in their place before Chinese."""
OF_OTHERS = (
    *("Permission denied", "No such file or directory", "Not a directory", "Is a directory", "File exists"),
    *("File name too long", "No space left on device", "Disk quota exceeded", "Read-only file system"),
    "Input/output error",
)
"""Messages of the system and of libraries that are passed on, and translated like our own."""
DEPTH = 6
"""Messages inside of messages that are looked for."""


def language(environment: Mapping[str, str] | None = None) -> str:
    """The language that messages are to have, by the environment: zh_CN, or en.

    LANGUAGE, a list of languages, comes first, as in GNU programs, but for the locale C, which means English.
    """
    environment = os.environ if environment is None else environment
    locale = next((environment[name] for name in VARIABLES if environment.get(name)), "")
    if locale in ("C", "POSIX"):
        return "en"
    wanted = [name for name in environment.get("LANGUAGE", "").split(":") if name] or [locale]
    return CHINESE if is_chinese(wanted[0]) else "en"


def preferred(accepted: str) -> str:
    """Of Chinese and English the one that an Accept-Language of HTTP likes best (RFC 9110, 12.5.4): zh_CN, or en.

    That of the environment where it says nothing, or any will do (`*`, which speaks for those that are not named beside it);
    English where it names others alone, unless it refuses English (`en;q=0`). An entry whose weight is none is as if it was not
    there.
    """
    entries = [entry for part in accepted.lower().split(",") if (entry := _language_and_weight(part))]
    if not entries:
        return language()
    likings = {own: _liking(own, entries) for own in sorted((CHINESE, "en"), key=lambda own: own != language())}
    best = max(likings, key=lambda own: likings[own])  # of equal ones the server's
    return "en" if likings["en"] == likings[best] and not likings[best][0] else best


def _liking(own: str, entries: Sequence[tuple[str, float]]) -> tuple[float, int]:
    """How much a language is liked by entries of an Accept-Language, and among equal ones how early; what is refused is
    liked less than what is not named."""
    speaks_for = is_chinese if own == CHINESE else ENGLISH.match
    named = [(weight, -place) for place, (name, weight) in enumerate(entries) if speaks_for(name)]
    any_other = [(weight, -place) for place, (name, weight) in enumerate(entries) if name == "*"]
    said = named or any_other
    weight, place = max(said, default=(0.0, 0))
    return weight, place if weight else -bool(said)


def _language_and_weight(entry: str) -> tuple[str, float] | None:
    """`zh-cn; q=0.8` → ("zh-cn", 0.8), which is 1 where none is given; None for what is nothing of the kind."""
    name, *parameters = (part.strip() for part in entry.split(";"))
    pairs = [parameter.partition("=") for parameter in parameters]
    weight = next((value.strip() for key, _, value in pairs if key.strip() == "q"), "1")
    return (name, float(weight)) if name and QUALITY.fullmatch(weight) else None


def in_preferred(message: str, accepted: str) -> str:
    """A message in the language that an Accept-Language likes best."""
    return in_chinese(message) if preferred(accepted) == CHINESE else message


def is_chinese(name: str) -> bool:
    """Whether a language, as locales and HTTP name it, is Chinese."""
    return bool(re.match("zh([_.@;-]|$)", name.strip(), re.IGNORECASE))


def say(line: str) -> None:
    """A line for the person at the terminal, in their language, whatever the names in it hold."""
    print(printable(translated(line)), file=sys.stderr, flush=True)


def translated(text: str) -> str:
    """A message in the language of the environment, line by line."""
    return in_chinese(text) if language() == CHINESE else text


def in_chinese(text: str) -> str:
    """A message in Chinese as far as it is known, line by line."""
    return "\n".join(map(_line, text.split("\n")))


def _line(text: str) -> str:
    message = text.removeprefix(PREFIX)
    return text[: len(text) - len(message)] + templates().translate(message)


@dataclass(frozen=True)
class Template:
    """A message in English with fields, and in Chinese."""

    parts: tuple[str, ...]
    """What stands before, between and behind the fields."""
    fields: tuple[str, ...]
    """Their names."""
    chinese: str
    """With the same fields, in any order."""

    @cached_property
    def weight(self) -> int:
        """How much it says by itself."""
        return sum(map(len, self.parts))

    def values(self, text: str) -> dict[str, str] | None:
        """What stands in the fields of a text; None where the text is not made of this template."""
        first, last = self.parts[0], self.parts[-1]
        if len(text) < self.weight or not text.startswith(first) or not text.endswith(last):
            return None
        found, at, end = [], len(first), len(text) - len(last)
        for part in self.parts[1:-1]:
            place = text.find(part, at, end)
            if place < 0:
                return None
            found.append(text[at:place])
            at = place + len(part)
        return dict(zip(self.fields, [*found, text[at:end]], strict=True))


class Templates:
    """All that is translated."""

    def __init__(self, catalogue: Mapping[str, str]):
        self.plain: dict[str, str] = {}
        self.templates: list[Template] = []
        for english, chinese in catalogue.items():
            self._add(*split(english), chinese)
            place = PLACE.match(english)
            if place and chinese.startswith(f"{place[1]}：") and place[1] not in chinese[len(place[1]) :]:
                self._add(
                    *split(english[place.end() :]), chinese[len(place[1]) + 1 :]
                )  # as it is said of what is known
        self.templates.sort(key=lambda template: -template.weight)

    def _add(self, parts: tuple[str, ...], fields: tuple[str, ...], chinese: str) -> None:
        if fields and WORD.search(" ".join(parts)):
            self.templates.append(Template(parts, fields, chinese))
        elif not fields:
            self.plain.setdefault(parts[0], unescaped(chinese))

    def translate(self, text: str) -> str:
        """The text in Chinese as far as it is known."""
        able = [template for template in self.templates if all(part in text for part in template.parts)]
        return Reading(self.plain, able).known(text, DEPTH)[0]


class Reading:
    """One message, which may be put together of others, and the templates that could be in it."""

    def __init__(self, plain: Mapping[str, str], able: Sequence[Template]):
        self.plain, self.able = plain, able
        self.cache: dict[tuple[str, int], tuple[str, int]] = {}

    def known(self, text: str, depth: int) -> tuple[str, int]:
        """The text in Chinese, and how many of its characters are known: the way of reading it in which that are most."""
        if text in self.plain:
            return self.plain[text], len(text)
        if not depth or not text.strip():
            return text, 0
        if (text, depth) not in self.cache:
            ways = [*self._as_a_whole(text, depth - 1), *self._in_two(text, depth - 1), (text, 0)]
            self.cache[text, depth] = max(ways, key=lambda way: way[1])  # of equal ones the first
        return self.cache[text, depth]

    def _as_a_whole(self, text: str, depth: int) -> Iterator[tuple[str, int]]:
        for template in self.able:
            if (values := template.values(text)) is not None:
                inside = {field: self.known(value, depth) for field, value in values.items()}
                chinese = template.chinese.format_map({field: known for field, (known, _) in inside.items()})
                yield chinese, template.weight + sum(n for _, n in inside.values())

    def _in_two(self, text: str, depth: int) -> Iterator[tuple[str, int]]:
        for boundary in islice(BOUNDARIES.finditer(text), MOST_BOUNDARIES):
            start, end = boundary.span()
            for left, right in ((start, start), (start, end), (end, end)):
                (before, n), (behind, m) = self.known(text[:left], depth), self.known(text[right:], depth)
                glue = text[left:right]
                if n + m:
                    named = m and glue == ": " and " " not in before  # a file, of which the rest is said
                    yield before + (FULL_WIDTH.get(glue, glue) if (n and m) or named else glue) + behind, n + m


def split(template: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """`{path}: {n} lines` → what is around its fields, and their names: ("", ": ", " lines"), ("path", "n")."""
    parts, fields = [""], []
    for literal, field, _, _ in Formatter().parse(template):
        parts[-1] += literal
        if field is not None:
            fields.append(field)
            parts.append("")
    return tuple(parts), tuple(fields)


def unescaped(template: str) -> str:
    """A template without fields as the text that it stands for: `{{` is `{`."""
    return "".join(split(template)[0])


@cache
def templates() -> Templates:
    """The Chinese ones."""
    return Templates(dict(_entries()))


def _entries() -> Iterator[tuple[str, str]]:
    catalogue = gettext.translation(DOMAIN, FOLDER, [CHINESE], fallback=True)
    for english in getattr(catalogue, "_catalog", {}):
        if english:  # the empty one is the header
            yield english, catalogue.gettext(english)
