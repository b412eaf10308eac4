"""Numbers that belong together are written in one style: 三斤二两 stays, 十五斤六两 is 15斤6两, 五到十二岁 is 5到12岁."""

import re
from collections.abc import Iterator, Sequence

from asr.text.number_words import COUNTED, LONG_UNITS
from asr.text.numerals import NUMERALS, ONE_BY_ONE, number_of

CharacterSpan = tuple[int, int]

_DAY, _HOUR, _MINUTE = 86_400, 3600, 60
_SIZES: tuple[dict[str, float], ...] = (
    {
        **{"年": 365 * _DAY, "个月": 365 / 12 * _DAY, "周": 7 * _DAY, "个星期": 7 * _DAY, "天": _DAY},
        **dict.fromkeys(("小时", "个小时", "钟头", "个钟头"), _HOUR),
        **{"分": _MINUTE, "分钟": _MINUTE, "秒": 1, "秒钟": 1},
    },
    {"度": 3600, "分": 60, "秒": 1},
    {"元": 100, "块": 100, "块钱": 100, "角": 10, "毛": 10, "毛钱": 10, "分": 1, "分钱": 1},
    {"吨": 1e6, "公斤": 1000, "千克": 1000, "斤": 500, "两": 50, "钱": 5, "克": 1, "毫克": 0.001},
    {
        "公里": 1000,
        "里": 500,
        "丈": 10 / 3,
        "米": 1,
        "尺": 1 / 3,
        "分米": 0.1,
        "寸": 1 / 30,
        "厘米": 0.01,
        "公分": 0.01,
    },
)
"""What units of one kind are worth."""
_RATES = ("年", "个月", "周", "个星期", "天")
"""One of these is rather what something is counted by: 一天八小时."""
_NUMBER = rf"(?:零点[{ONE_BY_ONE}]+|(?![零〇])[{NUMERALS}]+(?:点[{ONE_BY_ONE}]+)?)"
_NOT_BEFORE = f"(?<![{NUMERALS}几数第周期拜初之统唯])"
_MEASURES = "|".join(sorted({unit for sizes in _SIZES for unit in sizes}, key=len, reverse=True))
_A_NUMBER = re.compile(_NUMBER)
_QUANTITY = rf"{_NUMBER}(?:{_MEASURES})(?!之)"
_ONE_QUANTITY = re.compile(rf"(?P<number>{_NUMBER})(?P<unit>{_MEASURES})(?!之)")
_QUANTITIES = re.compile(rf"{_NOT_BEFORE}{_QUANTITY}(?:[零又到至比对和与或]?{_QUANTITY})+")
_UNITS = f"{LONG_UNITS}|{COUNTED}"
_SIDE = f"{_NUMBER}(?:(?:{_MEASURES})(?:{_NUMBER})?)?"
_SIGN = "(?:第|零下|负)?"
_LINKED = re.compile(
    rf"{_NOT_BEFORE}{_SIGN}{_NUMBER}[多来余]?(?P<unit>{_UNITS})?(?:[到至]{_SIGN}{_NUMBER}(?(unit)(?P=unit)))+"
    rf"|{_NOT_BEFORE}{_SIDE}(?:(?:加上?|减去?|乘以?|除以|等于|比|选){_SIDE})+"
    rf"|{_NOT_BEFORE}{_NUMBER}的负?{_NUMBER}(?=次[方幂])"
    rf"|{_NOT_BEFORE}{_NUMBER}[块米度斤尺里丈]{_NUMBER}(?=\W|$|[的了呀啊吧吗呢])"
)
"""From one to another, sums and products, powers, and what stands behind a unit without one of its own."""


def wholes(text: str) -> Iterator[list[CharacterSpan]]:
    """Where the numbers are that belong together, whole by whole."""
    for match in _QUANTITIES.finditer(text):
        yield from _quantities(text, match.span())
    for match in _LINKED.finditer(text):
        yield [part.span() for part in _A_NUMBER.finditer(text, *match.span())]


def _quantities(text: str, span: CharacterSpan) -> Iterator[list[CharacterSpan]]:
    """Those of a row of quantities that are parts of one, or of one kind."""
    row: list[re.Match] = []
    for part in _ONE_QUANTITY.finditer(text, *span):
        if row and not _belong_together(text, row[-1], part):
            yield [one.span("number") for one in row]
            row = []
        row.append(part)
    yield [one.span("number") for one in row]


def _belong_together(text: str, before: re.Match, after: re.Match) -> bool:
    """十五分四秒; not 一天二十四小时 or 一分六十秒, which say what one of something is, or holds."""
    sizes = next((sizes for sizes in _SIZES if before["unit"] in sizes and after["unit"] in sizes), None)
    if sizes is None:
        return False
    joint = text[before.end() : after.start()]
    if before["number"] != "一" or joint:
        return True
    least = sizes[before["unit"]] / sizes[after["unit"]]
    value = number_of(after["number"])
    return before["unit"] not in _RATES and (value is None or float(value.rstrip("万亿") or 0) < least)


def as_wholes(text: str, found: Sequence[tuple[int, int, str]], kept: bytes) -> list[tuple[int, int, str]]:
    """What was found, with what lacks of each whole added; where that is no number, nothing of the whole is written.

    kept: a byte for each character, 1 where a numeral is no number.
    """
    by_span = {(first, end): written for first, end, written in found}
    for parts in wholes(text):
        spans = [span for span in by_span if span[0] < parts[-1][1] and parts[0][0] < span[1]]
        if not spans or any(kept[parts[0][0] : parts[-1][1]]) or not set(spans) <= set(parts):
            continue
        lacking = {part: number_of(text[slice(*part)]) for part in parts if part not in by_span}
        if None in lacking.values():
            for span in spans:
                del by_span[span]
        else:
            by_span |= lacking
    return sorted((*span, written) for span, written in by_span.items())
