"""Marks as tags: which of ，。？！、 stands behind each unit (Han character, Latin word, number) of a text."""

from asr.text.units import units

MARKS = "，。？！、"
"""The marks that are restored, in the order of their tags; tag 0 is no mark."""
ENDS = "。？！"
"""The marks that end a sentence."""
_STRONGEST_FIRST = "？！。，、"
_STAND_FOR = {
    "；": "，",
    "：": "，",
    "—": "，",
    "…": "，",
    ",": "，",
    ".": "。",
    "?": "？",
    "!": "！",
    ";": "，",
    ":": "，",
}
"""What a mark that is not restored counts as; every other one, quotation marks say, counts as none."""


def tag_of(marks: str, at_end: bool = False) -> int:
    """The tag of the marks behind a unit: the strongest of them counts. An ellipsis at the end of a text is a full stop.

    Examples: `？”` is ？, `：“` is ，, `”` is none.
    """
    found = {_STAND_FOR.get(mark, mark) for mark in marks}
    if at_end and "…" in marks:
        found.add("。")
    return next((MARKS.index(mark) + 1 for mark in _STRONGEST_FIRST if mark in found), 0)


def tagged(text: str) -> tuple[list[str], list[int]]:
    """The units of a punctuated text and the tag of each. Marks before the first unit count for nothing."""
    found = list(units(text))
    tags = []
    for unit, following in zip(found, [*found[1:], None], strict=True):
        until = following.first if following else len(text)
        tags.append(tag_of(text[unit.end : until], at_end=following is None))
    return [unit.text for unit in found], tags
