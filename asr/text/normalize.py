"""Text as the model learns it and as scoring compares it: one rule set for both.

Rules, in order:
1. Unicode NFKC: full-width letters and digits become ASCII, compatibility ideographs their plain form; variation
   selectors, which only choose a glyph, go.
2. Latin letters become capitals.
3. Punctuation, symbols and control characters become word breaks.
4. A space stays only between two words that are not Han (`HELLO WORLD`, `A 4`); everywhere else it goes.

Han characters, digits and erhua (儿 is a character of its own) are left exactly as written: 2024 stays 2024.
"""

import re
import unicodedata

NORMALIZER = "mandarin-1"
"""Name of the rule set; stored with every model, so that a later rule set cannot be mixed up with it."""

_HAN = re.compile("[\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")


_VARIATION_SELECTORS = dict.fromkeys([*range(0x180B, 0x180E), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)])


def is_han(character: str) -> bool:
    """True for a Chinese character, 〇 included."""
    return bool(_HAN.match(character))


def _is_word_character(character: str) -> bool:
    return unicodedata.category(character)[0] in "LNM"


def normalize(text: str) -> str:
    """The text by the rules above. Example: `normalize("你好，ＡＢＣ 公司!")` is `"你好ABC公司"`."""
    text = unicodedata.normalize("NFKC", text).translate(_VARIATION_SELECTORS).upper()
    text = unicodedata.normalize("NFKC", text)  # capitals of some letters are two characters that compose again
    words = "".join(c if _is_word_character(c) else " " for c in text).split()
    result = ""
    for word in words:
        if result and not is_han(result[-1]) and not is_han(word[0]):
            result += " "
        result += word
    return result


def characters(text: str) -> list[str]:
    """The units that CER counts: every character of the normalised text, spaces left out."""
    return [c for c in normalize(text) if c != " "]
