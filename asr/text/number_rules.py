"""Patterns of numbers in a text, and how each is written, the surest first."""

import re
from collections.abc import Callable
from re import Match

from asr.text.number_words import BEFORE_CODE, BEFORE_TIME, COUNTED, LONG_UNITS, SHORT_UNITS
from asr.text.numerals import NUMERALS, ONE_BY_ONE, ONE_TO_NINE, VALUE, cardinal, digits_of, in_digits, number_of

Written = dict[str, str | None]
"""Group of a match → what is written in its place, None for nothing."""
STAYS: Written = {"all": ""}
"""The group `all` stays as it is, and no later rule writes a part of it."""


def _all_numbers(match: Match) -> Written:
    """Every group is a number; none is written unless all can be."""
    written = {name: number_of(match[name]) for name in match.groupdict() if match[name] is not None}
    return written if None not in written.values() else {}


def _long_ones(match: Match) -> Written:
    """三胜一负, 二选一 stay."""
    return _all_numbers(match) if any(len(part) > 1 for part in match.groups() if part) else {}


def _hundredths(match: Match) -> Written:
    """九秒五八: behind the seconds digits are read one by one."""
    return {"number": in_digits(match["number"]), "hundredths": digits_of(match["hundredths"])}


def _decimal(match: Match) -> Written:
    """Not 八点零五, which may be a time."""
    whole, _, decimals = match["number"].partition("点")
    may_be_time = decimals[0] == "零" and len(decimals) == 2 and 1 <= (cardinal(whole) or 0) <= 24
    return {} if may_be_time else _all_numbers(match)


def _time(match: Match) -> Written:
    written = {n: _minutes(match[n]) if n != "hour" else number_of(match[n]) for n in match.groupdict() if match[n]}
    if None in written.values():
        return {}
    fits = int(written.get("hour") or 99) <= 24 and int(written.get("until") or 0) <= 24
    fits = fits and int(written.get("minute") or 0) < 60
    return written if fits else {}


def _minutes(numerals: str) -> str | None:
    """五 is 5, 零五 is 05."""
    rest = number_of(numerals.lstrip("零〇"))
    return None if rest is None else "0" * (numerals[0] in "零〇") + rest


def _date(match: Match) -> Written:
    written = _all_numbers(match)
    fits = 1 <= int(written.get("month") or 1) <= 12 and 1 <= int(written.get("day") or 1) <= 31
    return written if fits else {}


def _share(match: Match) -> Written:
    number = number_of(match["number"])
    minus = "-" * ("负" in match["all"])
    return {"all": None if number is None else minus + number + {"百": "%", "千": "‰"}[match["of"]]}


def _shares(match: Match) -> Written:
    """百分之三到五: both are percentages."""
    number, until = number_of(match["number"]), number_of(match["until"])
    if number is None or until is None:
        return STAYS
    sign = {"百": "%", "千": "‰"}[match["of"]]
    return {"all": f"{number}{sign}{match['to']}{until}{sign}"}


def _fraction(match: Match) -> Written:
    whole = match.groupdict().get("whole")
    over, under = cardinal(match["over"]), cardinal(match["under"])
    sure = over is not None and under is not None and 1 <= over and 2 <= under < 100
    if not whole:
        return {"all": f"{over}/{under}" if sure else None}
    before = number_of(whole)
    return {"all": f"{before}又{over}/{under}"} if sure and before else STAYS


def _below_zero(match: Match) -> Written:
    number = number_of(match["number"])
    return {"all": None if number is None else "-" + number}


def _dotted(match: Match) -> Written:
    """An address of the net has four parts below 256, a version may have three: each is read by digits, or as a number."""
    parts = match["all"].split("点")
    read = [_digits_or_number(part) for part in parts]
    values = [int(number) if number and number.isdigit() else 1000 for number in read]
    plain = all(number == str(value) for number, value in zip(read, values, strict=True))  # no 007
    fits = plain and len(parts) <= 4 and max(values) < 256
    sure = len(parts) == 4 or max(values) > 9 or 0 in values or match["before"] or match["behind"]
    return {"all": ".".join(map(str, values))} if fits and sure else STAYS


def _string(match: Match) -> Written:
    return {"number": digits_of(match["number"])}


def _long_string(match: Match) -> Written:
    """Not one that counts: 一二三四五, 一三五七九."""
    digits = digits_of(match["number"])
    steps = {int(b) - int(a) for a, b in zip(digits, digits[1:], strict=False)}
    return {} if len(steps) == 1 else {"number": digits}


def _short_year(match: Match) -> Written:
    """九八年, but not 七八年, 三五年: those are estimates."""
    a, b = (VALUE[c] for c in match["number"])
    return {} if b == a + 1 or (a, b) == (3, 5) else _string(match)


def _counted(match: Match) -> Written:
    value = cardinal(match["number"])
    return {} if value is None or value < 10 else {"number": in_digits(match["number"])}


def _digits_or_number(numerals: str) -> str | None:
    return digits_of(numerals) if re.fullmatch(f"[{_D}]+", numerals) else in_digits(numerals)


def _letters_and_digits(match: Match) -> Written:
    return {"all": re.sub(f"[{_D}]", lambda numeral: digits_of(numeral[0]), match["all"])}


def _after_letters(match: Match) -> Written:
    parts = [_digits_or_number(part) for part in match["number"].split("点")]
    written = None if None in parts else ".".join(parts)
    return {"all": None if written is None else match["letters"] + written}


def _before_letter(match: Match) -> Written:
    return {"all": f"{VALUE[match['number']]}{match['letter']}"}


_N, _D = NUMERALS, ONE_BY_ONE
_Q = f"[{_N}]+(?:点[{_D}]+)?"
"""A number that may have decimals."""
_N_BEFORE_UNIT = f"(?:(?!(?<=[十百])千)[{_N}])"
"""Numerals without the 千 of 二十千瓦."""
_LEFT = f"(?<![{_N}幺点第之])"
_ALONE = f"(?![{_N}幺])"
_NO = f"(?<![{_N}幺])"
_NO_POINTS = "(?<![这那面])(?<!以上|以下)"
"""Where hours are not points that are made: 这三点十分重要."""
_PART = f"[{_N}幺]+"
_NO_VERB = "(?<![正胜平自抱担肩辜欠背身承荷])"
"""Where 负 is minus, and nothing that is carried or lost."""
_LINE = "高速|纸|航站楼|出?口|座|栋|级|次列车|次航班|次"
"""What a letter and a single numeral are a name of: A四纸."""
_ROUTES = "[国省县乡]道|路(?:公交|大?巴|电?车)|次(?:列车|航班|高铁|动车|特?快)|号[国省县]道|房间|室(?![内外友温])|信箱|医院|高地"
"""What has a number that is read by digits."""
_END = r"\W|$|[的了呀啊吧吗呢]"
"""Where a price ends: at punctuation, which finishing turns into a line break, at the end, and before a particle."""
_DECIMAL_UNITS = f"个?百分点|[%‰]|个点|倍|万|亿|元|块|度|岁|折|米|克|吨|斤|升|秒|寸|分(?!之)|{LONG_UNITS}|[GMKT]B"
_NO_DECIMAL = f"食|花|钱|件|散|碎|用|售|头|点|线|滴|[{_N}]"
_NOT_COUNTED = (
    "万[幸分]|里[面外边铺店堡屯河桥庄村坪台沟坡湾营墩]|道[沟河岭湾坡梁拐弯]|分音|字[方箴真令诀]|人[家们]民?|"
    "点[点滴]|天[然生]"
)
_TIME_ENDS = "钟(?![声爱情意])|半(?![点途天夜路年个场道月斤])|整(?![理个体天齐洁])|[一三]刻"
RULES: list[tuple[re.Pattern, Callable[[Match], Written]]] = [
    (re.compile(pattern), write)
    for pattern, write in [
        # 幺九二点幺六八点一点一, 版本一点二点三: as a whole or not at all
        (
            rf"(?P<before>版本?号?|[A-Za-z])?(?<![{_N}点幺第])(?P<all>{_PART}(?:点{_PART}){{2,}})(?!点|[{_N}幺]|[分钟刻半整多])"
            "(?P<behind>版)?",
            _dotted,
        ),
        (rf"(?P<all>{_NO}[{_N}]+点[百千万]分之[{_N}]+)", lambda match: STAYS),
        # 百分之三十五, 百分之三到五, 三分之一, 三又四分之一
        (
            rf"(?P<all>{_NO}(?P<of>百|千)分之(?P<number>{_Q})(?P<to>[到至])(?P<until>{_Q})){_ALONE}(?!点|分之|{COUNTED})",
            _shares,
        ),
        (
            rf"(?P<all>(?:{_NO_VERB}负)?{_NO}(?P<of>百|千)分之(?!百{_ALONE})负?(?P<number>{_Q})){_ALONE}(?![几多]|点[{_N}])",
            _share,
        ),
        (rf"(?P<all>{_NO}(?P<whole>{_Q})又(?P<under>[{_N}]+)分之(?P<over>[{_N}]+)){_ALONE}", _fraction),
        (rf"(?P<all>{_NO}(?P<under>[{_N}]+)分之(?P<over>[{_N}]+)){_ALONE}", _fraction),
        # 二零二四年三月五号
        (rf"{_NO}(?P<number>[{_D}]{{4}})(?=年)", _string),
        (rf"公元前?(?P<number>[{_D}]{{3}})(?=年)", _string),
        (rf"{_NO}(?P<number>[{_D}]{{2}})(?=年(?!级|代))", _short_year),
        (rf"{_NO}(?P<number>[零五六七八九][零五])(?=后(?!来|面|天|年|边))", _string),
        (rf"{_NO}(?P<month>[{_N}]+)月(?P<day>[{_N}]+)(?=[日号])", _date),
        (rf"(?<=年)(?P<month>[{_N}]+)(?=月)", _date),
        (rf"{_NO}(?P<month>[{_N}]+)(?=月份)", _date),
        # 电话八八四八, 三零二室, 幺幺零, 一九四九, 六二二八四八
        (rf"(?:{BEFORE_CODE})(?:号码)?[是为]?(?P<number>[{_D}]{{3,}}){_ALONE}", _string),
        (rf"[铀钚碘铯锶钴镭](?P<number>[{_D}]{{2,3}}){_ALONE}", _string),
        (rf"{_NO}(?<!点)(?P<number>(?=[{_D}]*[零〇幺])[{_D}]{{3,}}){_ALONE}", _string),
        (rf"{_NO}(?P<number>(?:一九|二零|二〇)[{_D}]{{2}}){_ALONE}", _string),
        (rf"{_NO}(?<!点)(?P<number>[{_D}]{{5,}}){_ALONE}", _long_string),
        (rf"{_NO}(?<!点)(?P<number>[{_D}]{{3,4}})(?={_ROUTES})", _string),
        # H一N一
        (rf"(?P<all>(?<![A-Za-z0-9])(?:[A-Za-z][{_D}]){{2,}})(?![A-Za-z0-9{_N}])", _letters_and_digits),
        # G二十, PM二点五, Q十, 五G
        (
            rf"(?P<all>(?<![A-Za-z0-9])(?P<letters>[A-Za-z]+)(?P<number>[{_N}]{{2,}}|[{_N}]+点[{_N}]+)){_ALONE}(?!点)",
            _after_letters,
        ),
        (
            rf"(?P<all>(?<![A-Za-z0-9])(?P<letters>[A-Za-z])(?P<number>[二三四五六七八九十]))(?={_LINE}|{_END})",
            _after_letters,
        ),
        (rf"(?P<all>(?<![A-Za-z0-9])(?P<letters>[A-Za-z]+)(?P<number>十))(?={_END})", _after_letters),
        (rf"(?P<all>{_NO}(?P<number>[二三四五六七八九])(?P<letter>[GDK]))(?![A-Za-z0-9])", _before_letter),
        # 三点二十分, 三点二十, 八点半, 早上八点
        (rf"{_LEFT}{_NO_POINTS}(?P<hour>[{_N}]+)点(?P<minute>[{_N}]+)分(?!之)(?:(?P<second>[{_N}]+)秒)?", _time),
        (
            rf"{_LEFT}{_NO_POINTS}(?P<hour>[{_N}]+)点(?P<minute>[二三四五]?十[一二三四五六七八九]?){_ALONE}(?![年天个])",
            _time,
        ),
        (rf"{_LEFT}(?P<hour>[{_N}]+)(?=点(?:{_TIME_ENDS}))", _time),
        # 下午两点到四点
        (rf"(?:{BEFORE_TIME})的?(?P<hour>[{_N}]+)点半?[到至](?P<until>[{_N}]+)(?=点(?![{_N}多滴]))", _time),
        (rf"(?:{BEFORE_TIME})的?(?P<hour>[{_N}]+)点(?P<minute>零[{ONE_TO_NINE}]){_ALONE}", _time),
        (rf"(?:{BEFORE_TIME})的?(?P<hour>(?!一点)[{_N}]+)(?=点(?![{_N}多滴]))", _time),
        # 负五度, 负三点五
        (rf"{_NO_VERB}{_NO}(?P<all>负(?P<number>[{_N}]+点[{_D}]+|[{_N}]{{2,}})){_ALONE}(?!点)", _below_zero),
        (rf"{_NO_VERB}{_NO}(?P<all>负(?P<number>[{_N}]))(?=度(?![{_N}假])|摄氏度)", _below_zero),
        # 三点五公里, 三点一四, 零点五
        (rf"{_LEFT}(?P<number>[{_N}]+点[{_D}]+)(?={_DECIMAL_UNITS})", _all_numbers),
        (
            rf"{_LEFT}(?P<number>[{_N}]{{2,}}点[{_D}]+|零点[{_D}]+|[{_N}]点[{_D}]{{2,}}|[{_N}]点零){_ALONE}(?!{_NO_DECIMAL})",
            _decimal,
        ),
        # 二十块五毛六, 三百九十九块九; not 二十块三斤
        (
            rf"{_NO}(?P<yuan>[{_N}]{{2,}})块(?P<mao>[{ONE_TO_NINE}])[毛角]"
            rf"(?:(?P<fen>[{ONE_TO_NINE}](?=分|{_END})|[二三四五六七八九](?!{COUNTED}|[{_N}])))?",
            _all_numbers,
        ),
        (rf"{_NO}(?P<yuan>[{_N}]{{2,}})块(?P<mao>[{ONE_TO_NINE}])(?={_END})", _all_numbers),
        (rf"{_NO}(?P<yuan>[{_N}]{{2,}})块(?P<mao>[二三四五六七八九])(?=一(?:{COUNTED}|公斤))", _all_numbers),
        (rf"(?P<all>{_NO}[{_N}]{{2,}}块[二三四五六七八九])(?!{COUNTED}|[{_N}])", lambda match: STAYS),  # 二十块五花肉
        # 三比二, 十一选五, 十二乘以八, 二十胜五负, 九秒五八
        (rf"(?<![{_N}点])(?P<left>[{_N}]+)比(?P<right>[{_N}]+){_ALONE}(?!点)", _all_numbers),
        (rf"(?<![{_N}点])(?!一加)(?P<of>{_Q})(?:选|乘以?|除以|加上?|减去?)(?P<number>{_Q}){_ALONE}", _long_ones),
        (rf"{_NO}(?P<won>[{_N}]+)胜(?:(?P<drawn>[{_N}]+)平)?(?P<lost>[{_N}]+)负", _long_ones),
        (rf"{_LEFT}(?P<number>[{_N}]+)秒(?P<hundredths>[{_D}]{{2}}){_ALONE}", _hundredths),
        # 零下五度, 五公斤
        (rf"零下(?P<number>[{_N}]+(?:点[{_D}]+)?)(?=度|摄氏度)", _all_numbers),
        (rf"{_LEFT}(?P<number>[二两三四五六七八九十])(?={LONG_UNITS}|[{SHORT_UNITS}](?![{_N}上下]))", _all_numbers),
        (rf"{_LEFT}(?P<number>[{_N}]{{2,}})度(?P<rest>[一二三四五六七八九]){_ALONE}(?![分秒])", _all_numbers),
        # 十二个, 二十多岁, 三十到四十人, 三百二十五, 第二十
        (
            rf"{_NO}(?<!点|之)(?P<number>{_N_BEFORE_UNIT}{{2,}})"
            rf"(?![万亿][{_N}])(?=[多余来]?(?:{LONG_UNITS}|{COUNTED})|[多余]{_ALONE}|[到至][{_N}]+(?:{LONG_UNITS}|{COUNTED}))(?!{_NOT_COUNTED})",
            _counted,
        ),
        (rf"(?<=[年月天时钟分度元块斤米里]零)(?P<number>[{_N}]{{2,}})(?={LONG_UNITS}|{COUNTED})", _counted),
        (rf"(?<=分零)(?P<number>[{ONE_TO_NINE}])(?=秒)", _all_numbers),
        (
            rf"{_NO}(?<!点|之)(?P<number>{_N_BEFORE_UNIT}{{3,}})(?!(?!千[瓦克卡米])[{_N}幺几]|点[{_N}]|碳|烷|水合|{_NOT_COUNTED})",
            _counted,
        ),
        (rf"第(?P<number>[{_N}]{{2,}}){_ALONE}", _counted),
    ]
]
"""Patterns whose named groups are numbers, and how they are written, the surest first."""
