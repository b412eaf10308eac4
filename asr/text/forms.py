"""One way of writing what is the same: other code points of a character, digits that are set apart or set high."""

import re
from re import Match

_RADICALS = (
    "⺁⺂⺃⺄⺅⺆⺇⺈⺉⺊⺋⺌⺍⺎⺏⺐⺑⺒⺓⺔⺕⺖⺗⺘⺙⺛⺜⺝⺞⺠⺡⺢⺣⺤⺥⺦⺧⺨⺩⺪⺫⺬⺭⺮⺯⺰⺱⺲⺳⺴⺵⺶⺷⺸⺹⺺⺻⺼⺽⺾⺿⻀⻁⻂⻃⻄"
    "⻅⻆⻇⻈⻉⻊⻋⻌⻍⻎⻏⻐⻑⻒⻓⻔⻕⻖⻗⻘⻙⻚⻛⻜⻝⻞⻟⻠⻡⻢⻣⻤⻥⻦⻧⻨⻩⻪⻫⻬⻭⻮⻯⻰⻱⻲㇆㇏㇐㇑㇒㇓㇔㇕㇖㇗㇘㇙㇚㇛㇜㇝㇞㇟㇠㇡"
)
_CHARACTERS = (
    "厂乛乚乙亻冂𠘨刀刂卜㔾小小兀尣尢𡯂巳幺彑彐忄心扌攵旡日月歺民氵氺灬爫爫丬牛犭王𤴔目示礻𥫗糹纟罓罒㓁冗𦉫羊𦍌𦍋耂肀聿肉𦥑艹艹艹虎衤覀西"
    "见角𧢲讠贝𧾷车辶辶辶邑钅長镸长门𨸏阝雨青韦页风飞食𩙿飠饣𩠐马骨鬼鱼鸟卤麦黄黾斉齐歯齿竜龙龜亀𠃌乀一丨丿丿丶𠃍乛𠃊𠃎𠄌亅𡿨𠃋乀𠃑乚乙𠄎"
)
_CHARACTER_OF = str.maketrans(_RADICALS, _CHARACTERS)
"""Radical or stroke → the character that looks like it, by Unicode's Equivalent_Unified_Ideograph; NFKC has the other half."""

_NUMERAL = "零〇一二三四五六七八九十百千"
_DATED = "年月日号后级届代"
_RING = "○◯⚪⭕◦∘⚬"
_ZERO = re.compile(
    # a ring behind a numeral, or before one that begins a year; a letter or a digit only between numerals, or before 年
    rf"(?<=[{_NUMERAL}])[{_RING}]+|[{_RING}](?=[{_NUMERAL}](?:[{_NUMERAL}{_DATED}]))"
    rf"|(?<=[{_NUMERAL}])[OoＯｏОоΟο0０]+(?=[{_NUMERAL}{_RING}{_DATED}])"
)
_DIGIT = "[0-9０-９]"
_GROUPED = re.compile(rf"(?<![\d.．,])[1-9１-９]{_DIGIT}{{0,2}}(?:,{_DIGIT}{{3}})+(?!{_DIGIT}|,{_DIGIT})")
_GROUPED_WIDE = re.compile(r"(?<![\d.．,，])[１-９][０-９]{0,2}(?:，[０-９]{3})+(?![０-９]|，[０-９])")
_LISTED = re.compile("(?<=[0-9])，(?=[0-9])")
_HIGH = re.compile("(?<=[0-9０-９])[⁺⁻]?[⁰¹²³⁴-⁹]+")
_FRACTION = re.compile("(?<=[0-9０-９])[¼-¾⅐-⅞↉]")


def unify_forms(text: str) -> str:
    """Radicals and rings as the characters they stand for, 1,000 as 1000, 10² as 10^2 and 2½ as 2+1/2.

    Example: `unify_forms("二○○八年⻄安")` is `"二〇〇八年西安"`. A full-width comma between ordinary digits is a pause, no sign.
    """
    if text.isascii() and "," not in text:
        return text
    text = _ZERO.sub(lambda match: "〇" * len(match[0]), text.translate(_CHARACTER_OF))
    for grouped in (_GROUPED, _GROUPED_WIDE):
        text = grouped.sub(_without_commas, text)
    text = _LISTED.sub("、", text)
    return _FRACTION.sub(lambda match: "+" + match[0], _HIGH.sub(lambda match: "^" + match[0], text))


def _without_commas(match: Match) -> str:
    return match[0].replace(",", "").replace("，", "")
