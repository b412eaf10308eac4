"""Signs that are part of a number or of a word: 3.14 is not 314, 30% is not 30, and DON'T is one word.

A sign is told by what stands right beside it, in a text of unified width. Signs that only look different become one.
"""

import re
import unicodedata

_MONEY = "".join(c for c in map(chr, range(0x2E80)) if unicodedata.category(c) == "Sc")
_DASHES = "‐‑‒–—―−-"
_ALIKE = str.maketrans("⁄∕∶∼〜•‧・’", "//:~~···'") | dict.fromkeys(map(ord, _DASHES), "-")
"""Sign → how it is written."""

_WORD, _LETTER = (rf"[^\W{but}_\u2e80-\U0010ffff]" for but in ("", r"\d"))
"""A character of a script that puts spaces between words."""
_NUMERAL = "[零〇一二三四五六七八九十百千万亿半]"
_AMOUNT = rf"(?=[{_MONEY}]?\.?\d)"
_NUMBER_SIGNS = (
    # between two numbers: 3.14, 1/2, 12:30, 3-5, 3%~5%, 2×3; a space on both sides belongs to it
    rf"(?:(?<=\d)|(?<=\d[%‰‱°′″]))(?:\s(?=\S\s)|(?=\S\S))[.:/⁄∕∶·•‧・~∼〜+*×÷=<>≤≥≠≈±^'’{_DASHES}]\s?(?=[+±−-]?[{_MONEY}]?\.?\d)",
    rf"(?<=\d),(?=\d)|(?<={_NUMERAL})[./](?={_NUMERAL})",
    # before one: -5, 零下-5, but not COVID-19 nor ——5
    rf"(?<!{_WORD})(?<![{_DASHES}])[−‐‑‒–-]{_AMOUNT}",
    rf"(?<!{_WORD})(?<![|/<>+~])[+±∓√~∼〜≈≤≥<>]{_AMOUNT}",
    r"(?<!\S)[−-]\s(?=\d(?:\s|$))",  # where each character stands alone
    rf"[{_MONEY}]\s?(?=[−-]?\.?\d)",
    r"(?<![\w.])\.(?=\d)",
    # behind one: 30%, 三十%, 25°, 18+, 5€
    rf"(?<=\d)\s?[%‰‱°]|(?<={_NUMERAL})\s?[%‰‱°]",
    rf"(?<=\d)[′″{_MONEY}]|(?<={_NUMERAL})[′″]|(?:(?<=\d)|(?<=\d[%‰]))\+(?!{_WORD})",
)
_WORD_SIGNS = (
    # inside a word: DON'T, E-MAIL, U.S.A, AT&T, V2.0-RC1; at its end: C++, C#
    rf"(?<={_LETTER})['’.‐‑_@&/+-](?={_WORD})|(?<={_WORD})['’.‐‑_@&/+-](?={_LETTER})",
    rf"(?<={_LETTER})(?:\+\+?|#)(?!{_WORD}|[+#])",
)
_NUMBER_SIGN, _WORD_SIGN = (re.compile("|".join(signs)) for signs in (_NUMBER_SIGNS, _WORD_SIGNS))
_SIGN = re.compile("|".join((*_NUMBER_SIGNS, *_WORD_SIGNS)))


class _Breaks(dict):
    """For str.translate: what is no letter, mark or number is a space. Filled as characters come."""

    def __missing__(self, code: int) -> int:
        self[code] = code if unicodedata.category(chr(code))[0] in "LNM" else 0x20
        return self[code]


_BREAKS = _Breaks()


def drop_punctuation(text: str) -> str:
    """Punctuation, symbols and control characters as breaks between words, but for signs in words and numbers."""
    return _drop_but(_SIGN, text)


def drop_word_signs(text: str) -> str:
    """Without what drop_punctuation leaves in words: DON'T becomes DON T."""
    return _drop_but(_NUMBER_SIGN, text)


def drop_number_signs(text: str) -> str:
    """Without what drop_punctuation leaves in numbers: 3.14 becomes 3 14."""
    return _drop_but(_WORD_SIGN, text)


def in_one_way(text: str) -> str:
    """Signs that only look different as one: − as -, ∶ as :."""
    return text.translate(_ALIKE)


def _drop_but(sign: re.Pattern, text: str) -> str:
    if text.isalnum():
        return text
    parts, end = [], 0
    for match in sign.finditer(text):
        parts += text[end : match.start()].translate(_BREAKS), in_one_way(match[0].strip())
        end = match.end()
    return "".join(parts) + text[end:].translate(_BREAKS)
