"""Chinese numerals and what they are worth: 三百零五 is 305, 二零二四 read one by one is 2024."""

import re

VALUE = {c: n for n, c in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2, "幺": 1}
_UNIT = {"十": 10, "百": 100, "千": 1000}
ONE_BY_ONE = "零〇一二三四五六七八九幺"
"""Digits that are read one by one."""
ONE_TO_NINE = "一二三四五六七八九"
NUMERALS = "零〇一二三四五六七八九十百千万亿两"
"""What cardinal numbers are made of."""
LONGEST = 40
"""Characters of a number with units; what is longer was never said."""


def cardinal(numerals: str) -> int | None:
    """The value of a number with units, 三百零五 or 两万: None for what is no complete one (百八, 三十五六, 二百五)."""
    if len(numerals) > LONGEST or not re.fullmatch(f"[{NUMERALS}]+", numerals) or numerals[0] in "百千万亿":
        return None
    for mark, unit in (("亿", 10**8), ("万", 10**4)):
        high, found, low = numerals.rpartition(mark)
        if found:
            above = cardinal(high) if high else None
            below = _below(low, unit) if low else 0
            return None if above is None or below is None else above * unit + below
    return _small(numerals)


def _below(numerals: str, unit: int) -> int | None:
    """What stands behind 万 or 亿: 零 marks a gap, and only then may it be less than a tenth of the unit."""
    gap = numerals[0] in "零〇"
    value = cardinal(numerals.lstrip("零〇")) if numerals.lstrip("零〇") else None
    if value is None or value >= unit or (not gap and value < unit // 10):
        return None
    return value


def _small(numerals: str) -> int | None:
    """Below 10,000."""
    if len(numerals) == 1:
        return VALUE.get(numerals, 10 if numerals == "十" else None)
    if numerals[0] == "十":
        numerals = "一" + numerals
    total, last, gap = 0, 10_000, False
    digit: int | None = None
    for place, c in enumerate(numerals):
        if c in "零〇":
            if digit is not None or gap or not place:
                return None
            gap = True
        elif c in _UNIT:
            unit = _UNIT[c]
            if digit is None or not digit or unit >= last or (not gap and last != 10_000 and unit * 10 != last):
                return None
            total, last, digit, gap = total + digit * unit, unit, None, False
        else:
            if digit is not None:
                return None
            digit = VALUE[c]
    if digit is not None:
        if numerals[-1] == "两":  # 五十两: a weight
            return None
        if last == 10_000 or (last != 10 and not gap):  # 二百五 is 250, or a fool: not sure
            return None
        total += digit
    elif gap:
        return None
    return total


def digits_of(numerals: str) -> str:
    """Digits that are read one by one."""
    return "".join(str(VALUE[c]) for c in numerals)


def in_digits(numerals: str) -> str | None:
    """A cardinal number as it is written: 三百万 is 300万, 一万二千 is 12000. None for what is none."""
    value = cardinal(numerals)
    if value is None:
        return None
    if value >= 10**8:
        high, low = divmod(value, 10**8)
        rest = in_digits(numerals.split("亿", 1)[1].lstrip("零〇")) if low else ""
        return f"{high}亿{rest}"
    return f"{value // 10**4}万" if value >= 10**4 and value % 10**4 == 0 else str(value)


def number_of(numerals: str) -> str | None:
    """A number that may have decimals."""
    whole, point, decimals = numerals.partition("点")
    written = in_digits(whole)
    return written if written is None or not point else f"{written}.{digits_of(decimals)}"
