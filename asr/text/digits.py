"""Spoken numbers as digits, where it is sure that they are numbers: 二零二四年三月五号 is 2024年3月5号, 三心二意 stays.

The rule for what is ambiguous: it stays. In particular
- a single numeral stays (三个, 星期一, 第二, 十年, 百米), and 一 before any unit too (一小时, 一米八). It becomes a digit only
  in dates, times, percentages, fractions, decimals, scores, below zero, and before units that mean nothing else (五公斤);
- two digits in a row are an estimate (七八个) or a name (五四, 双十一): they stay, but for 九八年, 零八年, 九零后;
- shortened numbers (一百二, 三千五, 二百五) and estimates (百八十, 十七八岁, 二三十) stay;
- 十二, 三百 and the like need something behind them that is counted or measured; longer ones do not (三百二十五);
- a digit string is a number if it has 零 or 幺 in it, stands behind a word such as 电话 or 密码, or is long, unless it counts;
- 三点五 is a decimal only before a unit; 八点 and 八点零五 are times only behind a word such as 早上;
- fixed expressions stay: 三百六十行, 十万火急, 十八层地狱.
"""

import re
from collections.abc import Callable
from re import Match
from typing import NamedTuple

_VALUE = {c: n for n, c in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2, "幺": 1}
_UNIT = {"十": 10, "百": 100, "千": 1000}
_D = "零〇一二三四五六七八九幺"
"""Digits that are read one by one."""
_ONE_TO_NINE = "一二三四五六七八九"
_N = "零〇一二三四五六七八九十百千万亿两"
"""What cardinal numbers are made of."""
_LONG_UNITS = (
    "公里|厘米|毫米|分米|纳米|微米|英里|英尺|英寸|海里|光年|公斤|千克|毫克|微克|英镑|毫升|"
    "公升|加仑|平方米|平方公里|平方千米|平方厘米|平米|立方米|公顷|英亩|摄氏度|华氏度|千瓦时|千瓦|兆瓦|"
    "伏特|安培|赫兹|兆赫|分贝|千卡|卡路里|字节|兆字节|像素|美元|欧元|日元|港元|港币|韩元|卢布|"
    "人民币|块钱|元钱|毛钱|分钱|分钟(?![爱情意])|小时|秒钟|毫秒|周岁|马力|克拉|帕斯卡|毫安"
)
"""Units that nothing else is called."""
_SHORT_UNITS = "米克吨秒"
_COUNTED = (
    "世纪|年代|年级|月份|号线|号楼|人次|人民币|公交|百分点|个|名|位|人|口|元|块|毛|角|岁|年|月|"
    "日|号|天|周|分(?!之)|秒|点(?!零)|度|米|克|吨|斤|升|尺|寸|里|亩|丈|倍|次|遍|回|趟|台|辆|"
    "架|艘|部|件|条|张|只|头|匹|本|册|页|篇|章|集|届|期(?!间)|层|楼|室|间|栋|幢|套|户|"
    "家|所|座|场|级|班|路|门|首|句|段|字|步|支|枝|枚|颗|粒|滴|瓶|杯|碗|盒|箱|包|袋|桶|桌|"
    "双|对|组|队|批|种|项|份|笔|股|票|道|幅|棵|株|朵|根|片|刀|枪|炮|发|伏|瓦|兆|磅|折|万|"
    "亿|厂|国|省|市|县|区|村|校|科|床|排|列|栏|行|车|船|客|分之"
)
"""What is counted or measured, behind a number of ten or more."""
_BEFORE_TIME = (
    "早上|上午|中午|下午|晚上|凌晨|傍晚|夜里|夜晚|半夜|深夜|清晨|清早|早晨|今早|今晚|明早|明晚|"
    "昨晚|昨夜|当晚|每晚|每早|午后|午夜"
)
_BEFORE_CODE = (
    "电话|号码|手机|手机号|密码|验证码|账号|帐号|卡号|尾号|编号|工号|学号|邮编|车牌|车牌号|代码|"
    "房号|房间|房间号|分机|热线|拨打|区号|股票代码|取件码|取餐号|订单号|航班|车次|门牌号|序列号|"
    "身份证号|身份证|群号"
)
_FIXED = (
    "三十而立|四十不惑|四十而不惑|五十而知天命|五十知天命|六十耳顺|七十古来稀|三十而已|二十不惑|三十六计|"
    "三十六策|七十二变|七十二行|七十二家|七十二贤人|二十四节气|二十四孝|二十四史|二十五史|二十八宿|"
    "六十四卦|一百零八将|一百单八将|三百六十行|唐诗三百首|诗三百|一千零一夜|十万火急|十万八千里|"
    "十万个为什么|十万大山|十万分|八千里路|三千里江山|三千尺|三千弟子|三千宠爱|三千世界|三千烦恼|三千青丝|"
    "弱水三千|两万五千里|五十步笑百步|五十步|三十年河东|三十年河西|三十年风水|二十年后又是|十八层地狱|"
    "十八般|十八罗汉|十八相送|十八弯|十八变|十八子|十三太保|十三香|十二分(?!钟|之)|十二金钗|十二生肖|十二星座|"
    "十二时辰|十二指肠|十五个吊桶|十五只吊桶|二十条军规|二十二条军规|一百二十分的|一百个放心|一百个不|"
    "一百个愿意|一万个不|一万个为什么|一万年太久|一千个哈姆雷特|一千个读者|八百里加急|八百里秦川|八百里洞庭|"
    "八百罗汉|五百罗汉|五百年前|五百年修得|八百年前|八百个心眼|二百五|三十六着|三百两|三百回合|八十万禁军|"
    "八十岁老母|百八十|千儿八百|万儿八千|九十九道弯|五十六个民族|五十弦|四十大盗|三十好几|十八大|十九大|"
    "二十大|十三幺|十三陵|十三行|十三经|十二月党|十五贯|二十四桥|二十五孝|四十二章经|十三点(?![钟半整])|"
    "七零八落|七零八碎|三分钟热度|第[一二三]百货|十一(?:国庆|长假|黄金周)"
)
"""Expressions that hold numbers and stay."""


class Replacement(NamedTuple):
    """A stretch of a text and what stands in its place."""

    first: int
    """Place of its first character."""
    end: int
    """Place behind its last one."""
    text: str
    """The digits."""


def write_digits(text: str) -> str:
    """A plain text with its numbers as digits: what `--numbers digits` does to transcripts, whose times `find_numbers` keeps.

    Example: `一共三百二十五块，打八折` is `一共325块，打八折`.
    """
    written, at = "", 0
    for replacement in find_numbers(text):
        written += text[at : replacement.first] + replacement.text
        at = replacement.end
    return written + text[at:]


def find_numbers(text: str) -> list[Replacement]:
    """The numbers of a text that are sure to be numbers, in order, without overlap: the first rule that fits wins."""
    taken = bytearray(len(text))
    for match in _FIXED_PATTERN.finditer(text):
        taken[match.start() : match.end()] = b"\1" * (match.end() - match.start())
    found: list[Replacement] = []
    for pattern, write in _RULES:
        for match in pattern.finditer(text):
            for name, written in write(match).items():
                first, end = match.span(name)
                if written is not None and first >= 0 and not any(taken[first:end]):
                    taken[first:end] = b"\1" * (end - first)
                    found.append(Replacement(first, end, written))
    return sorted(found)


def cardinal(numerals: str) -> int | None:
    """The value of a number with units, 三百零五 or 两万: None for what is no complete one (百八, 三十五六, 二百五)."""
    if not re.fullmatch(f"[{_N}]+", numerals) or numerals[0] in "百千万亿":
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
        return _VALUE.get(numerals, 10 if numerals == "十" else None)
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
            digit = _VALUE[c]
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
    return "".join(str(_VALUE[c]) for c in numerals)


def _written(numerals: str) -> str | None:
    """A cardinal number as it is written: 三百万 is 300万, 一万二千 is 12000. None for what is none."""
    value = cardinal(numerals)
    if value is None:
        return None
    if value >= 10**8:
        high, low = divmod(value, 10**8)
        rest = _written(numerals.split("亿", 1)[1].lstrip("零〇")) if low else ""
        return f"{high}亿{rest}"
    return f"{value // 10**4}万" if value >= 10**4 and value % 10**4 == 0 else str(value)


def _number(numerals: str) -> str | None:
    """A number that may have decimals."""
    whole, point, decimals = numerals.partition("点")
    written = _written(whole)
    return written if written is None or not point else f"{written}.{digits_of(decimals)}"


Written = dict[str, str | None]
"""Group of a match → what is written in its place, None for nothing."""


def _all_numbers(match: Match) -> Written:
    """Every group is a number; none is written unless all can be."""
    written = {name: _number(match[name]) for name in match.groupdict() if match[name] is not None}
    return written if None not in written.values() else {}


def _decimal(match: Match) -> Written:
    """Not 八点零五, which may be a time."""
    whole, _, decimals = match["number"].partition("点")
    may_be_time = decimals[0] == "零" and len(decimals) == 2 and 1 <= (cardinal(whole) or 0) <= 24
    return {} if may_be_time else _all_numbers(match)


def _time(match: Match) -> Written:
    written = {n: _minutes(match[n]) if n != "hour" else _number(match[n]) for n in match.groupdict() if match[n]}
    if None in written.values():
        return {}
    fits = int(written.get("hour") or 99) <= 24 and int(written.get("until") or 0) <= 24
    fits = fits and int(written.get("minute") or 0) < 60
    return written if fits else {}


def _minutes(numerals: str) -> str | None:
    """五 is 5, 零五 is 05."""
    rest = _number(numerals.lstrip("零〇"))
    return None if rest is None else "0" * (numerals[0] in "零〇") + rest


def _date(match: Match) -> Written:
    written = _all_numbers(match)
    fits = 1 <= int(written.get("month") or 1) <= 12 and 1 <= int(written.get("day") or 1) <= 31
    return written if fits else {}


def _share(match: Match) -> Written:
    number = _number(match["number"])
    return {"all": None if number is None else number + {"百": "%", "千": "‰"}[match["of"]]}


def _fraction(match: Match) -> Written:
    over, under = cardinal(match["over"]), cardinal(match["under"])
    sure = over is not None and under is not None and 1 <= over and 2 <= under < 100
    return {"all": f"{over}/{under}" if sure else None}


def _string(match: Match) -> Written:
    return {"number": digits_of(match["number"])}


def _long_string(match: Match) -> Written:
    """Not one that counts: 一二三四五, 一三五七九."""
    digits = digits_of(match["number"])
    steps = {int(b) - int(a) for a, b in zip(digits, digits[1:], strict=False)}
    return {} if len(steps) == 1 else {"number": digits}


def _short_year(match: Match) -> Written:
    """九八年, but not 七八年, 三五年: those are estimates."""
    a, b = (_VALUE[c] for c in match["number"])
    return {} if b == a + 1 or (a, b) == (3, 5) else _string(match)


def _counted(match: Match) -> Written:
    value = cardinal(match["number"])
    return {} if value is None or value < 10 else {"number": _written(match["number"])}


def _after_letters(match: Match) -> Written:
    number = match["number"]
    written = digits_of(number) if re.fullmatch(f"[{_D}]+", number) else _written(number)
    return {"all": None if written is None else match["letters"] + written}


def _before_letter(match: Match) -> Written:
    return {"all": f"{_VALUE[match['number']]}{match['letter']}"}


_LEFT = f"(?<![{_N}幺点第之])"
_ALONE = f"(?![{_N}幺])"
_NO = f"(?<![{_N}幺])"
_NO_POINTS = "(?<![这那面])(?<!以上|以下)"
"""Where hours are not points that are made: 这三点十分重要."""
_END = r"\W|$|[的了呀啊吧吗呢]"
"""Where a price ends: at punctuation, which finishing turns into a line break, at the end, and before a particle."""
_FIXED_PATTERN = re.compile(
    f"双十[一二]|(?:正月|腊月|冬月|农历|阴历|大年)[{_N}]+|{_NO}(?:{_FIXED})(?:{_ALONE}|(?<![{_N}]))"
    "|(?:几|(?<![人总次分票件])数)[十百千万亿]+(?![一二三四五六七八九])"
    f"|(?:(?<![{_N}几半])周|星期|礼拜)[一二三四五六](?=[{_N}])"
)
"""Fixed expressions, estimates (几十万, 数百), and weekdays that a number follows: 周三十点 is no 30 o'clock."""
_DECIMAL_UNITS = f"个百分点|倍|万|亿|元|块|度|岁|折|米|克|吨|斤|升|秒|寸|分(?!之)|{_LONG_UNITS}|[GMKT]B"
_NO_DECIMAL = f"食|花|钱|件|散|碎|用|售|头|点|线|滴|[{_N}]"
_NOT_COUNTED = "万[幸分]|里[面外边]|人[家们]民?|点[点滴]|天[然生]"
_TIME_ENDS = "钟(?![声爱情意])|半(?![点途天夜路年个场道月斤])|整(?![理个体天齐洁])|[一三]刻"
_RULES: list[tuple[re.Pattern, Callable[[Match], Written]]] = [
    (re.compile(pattern), write)
    for pattern, write in [
        # 百分之三十五, 三分之一
        (rf"(?P<all>{_NO}(?P<of>百|千)分之(?!百{_ALONE})(?P<number>[{_N}]+(?:点[{_D}]+)?)){_ALONE}(?![几多])", _share),
        (rf"(?P<all>{_NO}(?P<under>[{_N}]+)分之(?P<over>[{_N}]+)){_ALONE}", _fraction),
        # 二零二四年三月五号
        (rf"{_NO}(?P<number>[{_D}]{{4}})(?=年)", _string),
        (rf"{_NO}(?P<number>[{_D}]{{2}})(?=年(?!级|代))", _short_year),
        (rf"{_NO}(?P<number>[零五六七八九][零五])(?=后(?!来|面|天|年|边))", _string),
        (rf"{_NO}(?P<month>[{_N}]+)月(?P<day>[{_N}]+)(?=[日号])", _date),
        (rf"(?<=年)(?P<month>[{_N}]+)(?=月)", _date),
        (rf"{_NO}(?P<month>[{_N}]+)(?=月份)", _date),
        # 电话八八四八, 三零二室, 幺幺零, 一九四九, 六二二八四八
        (rf"(?:{_BEFORE_CODE})(?:号码)?[是为]?(?P<number>[{_D}]{{3,}}){_ALONE}", _string),
        (rf"{_NO}(?<!点)(?P<number>(?=[{_D}]*[零〇幺])[{_D}]{{3,}}){_ALONE}", _string),
        (rf"{_NO}(?P<number>(?:一九|二零|二〇)[{_D}]{{2}}){_ALONE}", _string),
        (rf"{_NO}(?<!点)(?P<number>[{_D}]{{5,}}){_ALONE}", _long_string),
        # G二十, 五G
        (rf"(?P<all>(?<![A-Za-z0-9])(?P<letters>[A-Za-z]+)(?P<number>[{_N}]{{2,}})){_ALONE}", _after_letters),
        (rf"(?P<all>{_NO}(?P<number>[二三四五六七八九])(?P<letter>[GDK]))(?![A-Za-z0-9])", _before_letter),
        # 三点二十分, 三点二十, 八点半, 早上八点
        (rf"{_LEFT}{_NO_POINTS}(?P<hour>[{_N}]+)点(?P<minute>[{_N}]+)分(?!之)(?:(?P<second>[{_N}]+)秒)?", _time),
        (
            rf"{_LEFT}{_NO_POINTS}(?P<hour>[{_N}]+)点(?P<minute>[二三四五]?十[一二三四五六七八九]?){_ALONE}(?![年天个])",
            _time,
        ),
        (rf"{_LEFT}(?P<hour>[{_N}]+)(?=点(?:{_TIME_ENDS}))", _time),
        # 下午两点到四点
        (rf"(?:{_BEFORE_TIME})的?(?P<hour>[{_N}]+)点半?[到至](?P<until>[{_N}]+)(?=点(?![{_N}多滴]))", _time),
        (rf"(?:{_BEFORE_TIME})的?(?P<hour>[{_N}]+)点(?P<minute>零[{_ONE_TO_NINE}]){_ALONE}", _time),
        (rf"(?:{_BEFORE_TIME})的?(?P<hour>(?!一点)[{_N}]+)(?=点(?![{_N}多滴]))", _time),
        # 三点五公里, 三点一四, 零点五
        (rf"{_LEFT}(?P<number>[{_N}]+点[{_D}]+)(?={_DECIMAL_UNITS})", _all_numbers),
        (
            rf"{_LEFT}(?P<number>[{_N}]{{2,}}点[{_D}]+|零点[{_D}]+|[{_N}]点[{_D}]{{2,}}|[{_N}]点零){_ALONE}(?!{_NO_DECIMAL})",
            _decimal,
        ),
        # 二十块五毛六, 三百九十九块九; not 二十块三斤
        (
            rf"{_NO}(?P<yuan>[{_N}]{{2,}})块(?P<mao>[{_ONE_TO_NINE}])[毛角]"
            rf"(?:(?P<fen>[{_ONE_TO_NINE}](?=分|{_END})|[二三四五六七八九](?!{_COUNTED}|[{_N}])))?",
            _all_numbers,
        ),
        (rf"{_NO}(?P<yuan>[{_N}]{{2,}})块(?P<mao>[{_ONE_TO_NINE}])(?={_END})", _all_numbers),
        # 三比二, 零下五度, 五公斤
        (rf"(?<![{_N}点])(?P<left>[{_N}]+)比(?P<right>[{_N}]+){_ALONE}(?!点)", _all_numbers),
        (rf"零下(?P<number>[{_N}]+(?:点[{_D}]+)?)(?=度|摄氏度)", _all_numbers),
        (rf"{_LEFT}(?P<number>[二两三四五六七八九十])(?={_LONG_UNITS}|[{_SHORT_UNITS}](?![{_N}上下]))", _all_numbers),
        (rf"{_LEFT}(?P<number>[{_N}]{{2,}})度(?P<rest>[一二三四五六七八九]){_ALONE}", _all_numbers),
        # 十二个, 二十多岁, 三十到四十人, 三百二十五, 第二十
        (
            rf"{_NO}(?<!点|之)(?P<number>[{_N}]{{2,}})"
            rf"(?![万亿][{_N}])(?=[多余来]?(?:{_LONG_UNITS}|{_COUNTED})|[多余]{_ALONE}|[到至][{_N}]+(?:{_LONG_UNITS}|{_COUNTED}))(?!{_NOT_COUNTED})",
            _counted,
        ),
        (rf"{_NO}(?<!点|之)(?P<number>[{_N}]{{3,}})(?![{_N}幺几]|点零)", _counted),
        (rf"第(?P<number>[{_N}]{{2,}}){_ALONE}", _counted),
    ]
]
"""Patterns whose named groups are numbers, and how they are written, the surest first."""
