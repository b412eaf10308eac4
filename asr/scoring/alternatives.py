"""What references of sclite leave open: `{ 的 / 得 }` is either, `{ 啊 / @ }` or `(啊)` may be missing.

Of each the hypothesis is compared with what comes nearest to it, and only that is counted.
"""

import re
from collections.abc import Callable, Sequence

import numpy as np

from asr.errors import ManifestError
from asr.foreign_bytes import quoted

_OPEN = re.compile(r"\{(?P<either>[^{}]*)\}|(?<!\S)\((?P<maybe>[^()\s]+)\)(?!\S)")
_ALTERNATIVES = re.compile(r"\{[^{}]*/[^{}]*\}|<ALT(?:_BEGIN)?>")
_BETWEEN = re.compile(r"(?<!\S)/(?!\S)")
_MAYBE = re.compile(r"\([^()\s]+\)")
_NOTHING = "@"
Part = tuple[str, ...]
"""Texts one of which was said, "" for nothing; a text that is sure is alone."""


def refuse_alternatives(text: str, where: str) -> None:
    """Raises ManifestError for `{ a / b }` where one text is needed: counted as it stands, it would be both."""
    if _ALTERNATIVES.search(text):
        raise ManifestError(
            f"{where}: alternatives ({{ a / b }}) are understood in references without --speakers; write one of them"
        )


def open_parts(text: str, where: str) -> tuple[Part, ...]:
    """A text as its parts, in order; none where nothing is left open. Raises ManifestError for braces within braces."""
    parts: list[Part] = []
    end = 0
    for match in _OPEN.finditer(text):
        texts = (match["maybe"], "") if match["either"] is None else _either(match["either"])
        parts += [(text[end : match.start()],), texts]
        end = match.end()
    if any(brace in text[end:] or any(brace in part[0] for part in parts[::2]) for brace in "{}") or "<ALT" in text:
        raise ManifestError(f"{where}: alternatives must be {{ a / b }}, with none inside them, is {quoted(text)}")
    return (*parts, (text[end:],)) if parts else ()


def _either(inside: str) -> Part:
    """The alternatives; a slash within a word parts them only where none stands alone: `{ TCP/IP / 网络 }`."""
    texts = _BETWEEN.split(inside)
    found = [text.strip() for text in (texts if len(texts) > 1 else inside.split("/"))]
    each = ["" if text == _NOTHING else text[1:-1] if _MAYBE.fullmatch(text) else text for text in found]
    return (*each, "") if any(map(_MAYBE.fullmatch, found)) else tuple(each)


def nearest_text(parts: Sequence[Part], hypothesis: Sequence[str], units: Callable[[str], Sequence[str]]) -> str:
    """The text with fewest errors; of equals the alternatives that stand first.

    hypothesis: its units. `units` makes them of a text. Levenshtein's table, a row for each unit of a reference: every
    alternative goes on from the same row, and in each place the best of them is kept, with where in the hypothesis it began.
    """
    numbers: dict[str, int] = {}
    heard = np.array([numbers.setdefault(unit, len(numbers)) for unit in hypothesis], int)
    row = np.arange(len(heard) + 1)
    ways: list[tuple[np.ndarray, np.ndarray]] = []
    for texts in parts:
        rows, begins = zip(
            *(_behind(row, [numbers.get(u, -1) for u in units(text)], heard) for text in texts), strict=True
        )
        best = np.argmin(rows, axis=0)
        row = np.take_along_axis(np.array(rows), best[None], 0)[0]
        ways.append((best, np.take_along_axis(np.array(begins), best[None], 0)[0]))
    chosen, place = [], len(heard)
    for texts, (best, begins) in zip(reversed(parts), reversed(ways), strict=True):
        chosen.append(texts[best[place]])
        place = begins[place]
    return " ".join(reversed(chosen))


def _behind(row: np.ndarray, said: Sequence[int], heard: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The row (M + 1,) behind some units, and for each place that of the first row from which it came."""
    places = np.arange(len(row))
    begins = places
    for unit in said:
        deleted, other = row + 1, row[:-1] + (heard != unit)
        row, came = deleted, begins
        nearer = other <= deleted[1:]
        row = np.concatenate([deleted[:1], np.where(nearer, other, deleted[1:])])
        came = np.concatenate([begins[:1], np.where(nearer, begins[:-1], begins[1:])])
        # insertions: from the place before which is cheapest, one more for each step
        lifted = row - places
        least = np.minimum.accumulate(lifted)
        source = np.maximum.accumulate(np.where(lifted == least, places, 0))
        row, begins = least + places, came[source]
    return row, begins
