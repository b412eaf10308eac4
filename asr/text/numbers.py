"""Numbers as they are read aloud, so that 30% and 百分之三十 compare as equal.

One spelling for both sides of a comparison, not a reading aloud for people: 两 becomes 二, 〇 becomes 零, 幺 beside
digits 一. What digits alone do not tell is settled by a rule: four digits before 年 are read one by one, so are telephone
numbers, what stands behind 拨打, 密码 and the like, a leading zero, and eight digits or more that are neither round nor
counted, the two of 3·15, the parts of 192.168.1.1 and what generations are called (80后); a dash between two numbers is 到,
any other sign has one reading, so that no two numbers become equal for want of it; everything else is a cardinal number. What
people say otherwise stays an error: 半 or 整 for a time, 零下 for minus, 一千五 for 1500, 块 for 元.
"""

import functools
import re
import unicodedata
from re import Match

from asr.errors import AsrError
from asr.extras import brings
from asr.text.number_words import BEFORE_CODE, LONG_UNITS

_DIGITS = dict(zip("0123456789", "零一二三四五六七八九", strict=True))
_SAME = str.maketrans("〇两", "零二")
_NUMERAL = "零一二三四五六七八九"
_WIDE = "０１２３４５６７８９％．：／－＄"
_AND_PART = re.compile(r"(?<=\d)(?=[¼-¾⅐-⅞↉])")
_NUMBER = r"\d+(?:,\d{3}){0,12}(?:\.\d+)?"
_SPELLED = f"[{_NUMERAL}〇两十百千万亿点]"
_SHARE = re.compile(f"(?<!{_SPELLED})({_SPELLED}+)\\s?([%‰])")
_BETWEEN = {
    "×": "乘",
    "*": "乘",
    "÷": "除以",
    "+": "加",
    "=": "等于",
    "<": "小于",
    ">": "大于",
    "≈": "约等于",
    ":": "比",
    "∶": "比",
}
_BEFORE = {
    "+": "正",
    "±": "正负",
    "<": "小于",
    ">": "大于",
    "≤": "不大于",
    "≥": "不小于",
    "≈": "约",
    "~": "约",
    "～": "约",
}
_SERVICES = "热线|急救|火警|报警|客服"
"""Behind the number that is called."""
_ALONE = (
    rf"(?!\d|[,.]\d|\s?[%‰°℃]|\s?[-−~～—–:：/⁄×*÷^+]\s?\d|多|余|以[上下内]|[元块人个万亿米行次趟架台部名条页款秒克吨套间强分]"
    rf"|{LONG_UNITS})"
)
"""Behind a code: neither the rest of a longer number nor what is counted."""
_MANY = r"(?![1-9]0+(?!\d))"
"""Before a number that is not round, as those are of people who take calls: 500客服."""
_MONEY = {"$": "美元", "¥": "元", "￥": "元", "€": "欧元", "£": "英镑"}


def spell_numbers(text: str) -> str:
    """Every number in Arabic digits as Chinese numerals. Raises AsrError where cn2an is not installed."""
    if re.search(r"\d", text, re.ASCII):
        for pattern, spelled in _PATTERNS:
            text = pattern.sub(spelled, text)
    text = _SHARE.sub(_share, text)
    text = re.sub(f"(?<=[{_NUMERAL}])幺|幺(?=[{_NUMERAL}])", "一", text.translate(_SAME))
    return re.sub(f"百分之一百(?![{_NUMERAL}])", "百分之百", text)


def is_to_be_spelled(text: str) -> bool:
    """Whether there is a number in the text that is not written as it is said: an Arabic digit of any width, ½, 三%."""
    text = _narrow(text)
    return bool(re.search(r"\d", text, re.ASCII) or _SHARE.search(text))


def _narrow(text: str) -> str:
    """Digits and what stands beside them in their plain form: ２５％ is 25%, ½ is 1⁄2, 3½ is 3+1⁄2, ① is 1."""
    return "".join(
        unicodedata.normalize("NFKC", c) if c in _WIDE or unicodedata.category(c) == "No" else c
        for c in _AND_PART.sub("+", text)
    )


def read_aloud(text: str) -> str:
    """Every number in Arabic digits as people say it, for texts to train on: 25% is 百分之二十五, 2个 is 两个.

    All else stays as it is written. Raises AsrError where cn2an is not installed.
    """
    if not is_to_be_spelled(text):
        return text
    text = _narrow(text)
    for pattern, spelled in _PATTERNS:
        text = pattern.sub(_SAID.get(spelled, spelled), text)
    return _SHARE.sub(_share, text)


def _by_digit(digits: str) -> str:
    return "".join(_DIGITS.get(d, "") for d in digits)


def _cardinal(number: str) -> str:
    whole, _, decimals = number.replace(",", "").partition(".")
    if len(whole) > 16 or (whole[0] == "0" and len(whole) > 1):
        read = _by_digit(whole)
    else:
        read = _cn2an().an2cn(whole, "low")
    return read + ("点" + _by_digit(decimals) if decimals else "")


@functools.cache
def _cn2an():
    try:
        import cn2an
    except ImportError:
        raise AsrError(f"writing numbers as they are read needs cn2an: {brings('text')}") from None
    return cn2an


def _date(match: Match) -> str:
    return f"{_by_digit(match['y'])}年{_cardinal(str(int(match['m'])))}月{_cardinal(str(int(match['d'])))}日"


def _time(match: Match) -> str:
    hours, *rest = (part for part in match.groups() if part)
    read = _cardinal(str(int(hours))) + "点"
    for part, unit in zip(rest, "分秒", strict=False):
        if int(part):
            read += ("零" if part[0] == "0" else "") + _cardinal(str(int(part))) + unit
    return read


def _share(match: Match) -> str:
    return {"%": "百", "‰": "千"}[match[2]] + "分之" + match[1]


def _number(match: Match) -> str:
    return _cardinal(match[0])


def _said_time(match: Match) -> str:
    return re.sub("^二点", "两点", _time(match))


def _said_number(match: Match) -> str:
    counts = match.string[max(0, match.start() - 1) : match.start()] != "第"
    if match[0] == "2" and counts and _MEASURE.match(match.string, match.end()):
        return "两"
    return re.sub("^二(?=[千万亿])", "两", _cardinal(match[0]))


_SAID = {_time: _said_time, _number: _said_number}
"""How a number is spelled to be compared → how it is said, where that differs."""
_MEASURE = re.compile(
    r"[千万亿]|(?:到\d+)?(?:[个只位名天次条张件种块斤倍岁家场些]|小时|分钟|秒钟|公里|公斤|平方|星期"
    r"|年(?![级代])|点(?![零一二三四五六七八九]|\d+(?![\d分])))"
)
"""What 2 is 两 before, and not 二."""
_PATTERNS = [
    (re.compile(pattern, re.ASCII), spelled)
    for pattern, spelled in [
        (r"(?<!\d)(?P<y>\d{4})(?P<between>[-/.])(?P<m>\d{1,2})(?P=between)(?P<d>\d{1,2})(?!\d)", _date),
        (r"(?<!\d)(\d{1,2}):([0-5]\d)(?::([0-5]\d))?(?!\d)", _time),
        (r"(?<!\d)(?:0\d{2,3}-\d{7,8}|1\d\d-\d{4}-\d{4}|[48]00-\d{3}-\d{4})(?!\d)", lambda m: _by_digit(m[0])),
        (rf"(?:US)?([{''.join(_MONEY)}])([-−]?)({_NUMBER})([万亿]*)", lambda m: m[2] + m[3] + m[4] + _MONEY[m[1]]),
        (r"(?<![\da-zA-Z.)）%‰°年月日号时点分秒元块—–-])[-−](?=\d)", lambda m: "负"),
        (rf"(?<![\da-zA-Z|/<>])[{''.join(_BEFORE)}](?=负?\d)", lambda m: _BEFORE[m[0]]),
        (r"(?<!\d)\d+[·•‧・]\d+", lambda m: _by_digit(m[0])),
        (rf"((?:{BEFORE_CODE})(?:号码)?[是为：:]?)(\d{{3,}}){_ALONE}", lambda m: m[1] + _by_digit(m[2])),
        (rf"(?<![\d.,]){_MANY}\d{{3,}}(?={_SERVICES})", lambda m: _by_digit(m[0])),
        (
            r"(?<![\d第.过满达超点分])(?<!(?<!后)[到至])(?:[5-9][05]|[01]0)后(?![面来边退方续天])",
            lambda m: _by_digit(m[0][:2]) + "后",
        ),
        (r"(?<![\d.])\d+(?:\.\d+){2,}(?![\d.])", lambda m: "点".join(map(_by_digit, m[0].split(".")))),
        (r"(?<=\d)\+(?=\d+⁄\d)", lambda m: "又"),
        (r"(?<=[\d%‰°年月日号时点分秒元])\s*[-~～—–]\s*(?=负?\d)", lambda m: "到"),
        (rf"(?<!\d)({_NUMBER})\s*([%‰])", lambda m: {"%": "百", "‰": "千"}[m[2]] + "分之" + _cardinal(m[1])),
        (rf"(?<!\d)({_NUMBER})[/⁄]({_NUMBER})", lambda m: _cardinal(m[2]) + "分之" + _cardinal(m[1])),
        (r"\^[-−](?=\d)", lambda m: "^负"),
        (r"(?<=\d)\^(负?)(\d+)", lambda m: f"的{m[1]}{_cardinal(m[2])}次方"),
        (rf"(?<=[\d%])\s?[{re.escape(''.join(_BETWEEN))}]\s?(?=负?\d)", lambda m: _BETWEEN[m[0].strip()]),
        (r"(?<=\d)\+(?![\w+])", lambda m: "加"),
        (r"(?<!\d)(?:19|20)\d\d(?=年|到\d{4}年)|(?<!\d)\d{4}(?=年(?!前|历史|来))", lambda m: _by_digit(m[0])),
        (r"(?<![\d,.])(?:1[3-9]\d{9}|(?!\d+000(?!\d))\d{8,})(?![\d,.]|[元块人个])", lambda m: _by_digit(m[0])),
        (_NUMBER, _number),
        (r"(?<=[零一二三四五六七八九十百千万亿])\s*(?:°C|℃)", lambda m: "摄氏度"),
        (r"(?<=[零一二三四五六七八九十百千万亿])\s*°", lambda m: "度"),
    ]
]
"""What is matched → how it is read, tried in this order."""
