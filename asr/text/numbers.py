"""Numbers as they are read aloud, so that 30% and 百分之三十 compare as equal.

One spelling for both sides of a comparison, not a reading aloud for people: 两 becomes 二, 〇 becomes 零. What cannot
be known from the digits is settled by a rule: four digits before 年 are read one by one, so are a leading zero and eight
digits or more that are not a round number; everything else is a cardinal number.
"""

import functools
import re
from re import Match

from asr.errors import AsrError

_DIGITS = dict(zip("0123456789", "零一二三四五六七八九", strict=True))
_SAME = str.maketrans("〇两", "零二")
_NUMBER = r"\d+(?:,\d{3})*(?:\.\d+)?"
_MINUS = r"(?<![\w.)）-])[-−](?=\d)"


def spell_numbers(text: str) -> str:
    """Every number in Arabic digits as Chinese numerals. Raises AsrError where cn2an is not installed."""
    if re.search(r"\d", text, re.ASCII):
        for pattern, spelled in _PATTERNS:
            text = pattern.sub(spelled, text)
    return text.translate(_SAME)


def _by_digit(digits: str) -> str:
    return "".join(_DIGITS[d] for d in digits)


def _cardinal(number: str) -> str:
    whole, _, decimals = number.replace(",", "").partition(".")
    long = len(whole) >= 8 and not whole.endswith("000")
    if long or len(whole) > 16 or (whole[0] == "0" and len(whole) > 1):
        read = _by_digit(whole)
    else:
        read = _cn2an().an2cn(whole, "low")
    return read + ("点" + _by_digit(decimals) if decimals else "")


@functools.cache
def _cn2an():
    try:
        import cn2an
    except ImportError:
        raise AsrError("writing numbers as they are read needs cn2an: pip install 'mandarin-asr[text]'") from None
    return cn2an


def _date(match: Match) -> str:
    year, month, day = match.groups()
    return f"{_by_digit(year)}年{_cardinal(str(int(month)))}月{_cardinal(str(int(day)))}日"


def _time(match: Match) -> str:
    hours, *rest = (part for part in match.groups() if part)
    read = _cardinal(str(int(hours))) + "点"
    for part, unit in zip(rest, "分秒", strict=False):
        if int(part):
            read += ("零" if part[0] == "0" else "") + _cardinal(str(int(part))) + unit
    return read


_PATTERNS = [
    (re.compile(pattern, re.ASCII), spelled)
    for pattern, spelled in [
        (r"(?<!\d)(\d{4})([-/.])(\d{1,2})\2(\d{1,2})(?!\d)", lambda m: _date(re.match(r"(\d+)\D(\d+)\D(\d+)", m[0]))),
        (r"(?<!\d)(\d{1,2}):([0-5]\d)(?::([0-5]\d))?(?!\d)", _time),
        (_MINUS, lambda m: "负"),
        (rf"({_NUMBER})([%‰])", lambda m: {"%": "百", "‰": "千"}[m[2]] + "分之" + _cardinal(m[1])),
        (rf"({_NUMBER})[/⁄]({_NUMBER})", lambda m: _cardinal(m[2]) + "分之" + _cardinal(m[1])),
        (r"(?<!\d)(\d{4})(?=年)", lambda m: _by_digit(m[1])),
        (_NUMBER, lambda m: _cardinal(m[0])),
        (r"(?<=[零一二三四五六七八九十百千万亿])\s*(?:°C|℃)", lambda m: "摄氏度"),
    ]
]
"""What is matched → how it is read, tried in this order."""
