"""Text as the model learns it and as scoring compares it: one set of rules for both.

A rule is a function from text to text, in `RULES` in the order in which they apply. Training uses `TRAINING`; what scoring
uses (asr.scoring.cer) keeps the signs that make 3.14 another number than 314. Han characters, digits and erhua (儿 is a
character of its own) are left exactly as written by the rules of training: 2024 stays 2024.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable

from asr.config_values import nearest
from asr.errors import ConfigError
from asr.text.forms import unify_forms
from asr.text.numbers import spell_numbers
from asr.text.scripts import to_simplified
from asr.text.signs import drop_number_signs, drop_punctuation, drop_word_signs

NORMALIZER = "mandarin-1"
"""Name of the training rules; stored with every model, so that later rules cannot be mixed up with these."""
INTERJECTIONS = "呃嗯唔啊哦喔噢欸诶"
"""Hesitations and exclamations that many transcription guides leave out; they are part of few words (唔该, 呃逆)."""

HAN_RANGES = "\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
"""Chinese characters, for the inside of a character class."""
_HAN = re.compile(f"[{HAN_RANGES}]")
_COMMON_HAN = re.compile("[\u4e00-\u9fff]*")
_SPACE_BESIDE_HAN = re.compile(f" (?=[{HAN_RANGES}])|(?<=[{HAN_RANGES}]) ")
_VARIATION_SELECTORS = re.compile("[\u180b-\u180d\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_INTERJECTION = re.compile(f"[{INTERJECTIONS}]")
_TAG = re.compile(r"<[^<>\s]{1,30}>|\[(?:[A-Za-z_|/][A-Za-z0-9_| /-]{0,29}|[+*])\]")


def is_han(character: str) -> bool:
    """True for a Chinese character, 〇 included."""
    return bool(_HAN.match(character))


def holds_han(text: str) -> bool:
    """True if there is a Chinese character in the text."""
    return bool(_HAN.search(text))


def drop_tags(text: str) -> str:
    """Without what recognisers write besides text: <unk>, [NOISE], <|zh|>."""
    return _TAG.sub(" ", text)


def tags_of(text: str) -> list[str]:
    """What drop_tags would leave out, in order."""
    return _TAG.findall(text)


def is_common_han(text: str) -> bool:
    """True for a text of common Chinese characters alone, which no rule of training changes."""
    return _COMMON_HAN.fullmatch(text) is not None


def unify_width(text: str) -> str:
    """Unicode NFKC: ＡＢＣ is ABC, compatibility ideographs their plain form; selectors, which only choose a glyph, go."""
    text, selectors = _VARIATION_SELECTORS.subn("", unicodedata.normalize("NFKC", text))
    return unicodedata.normalize("NFKC", text) if selectors else text


def unify_case(text: str) -> str:
    """Latin letters as capitals."""
    return text if (capitals := text.upper()) == text else unicodedata.normalize("NFKC", capitals)  # ŉ becomes two


def drop_spaces(text: str) -> str:
    """A space only between two words that are not Han (`HELLO WORLD`, `A 4`)."""
    return _SPACE_BESIDE_HAN.sub("", " ".join(text.split()))


def drop_interjections(text: str) -> str:
    """Without 呃, 嗯, 啊 and the like."""
    return _INTERJECTION.sub("", text)


RULES: dict[str, Callable[[str], str]] = {
    "tags": drop_tags,
    "forms": unify_forms,
    "width": unify_width,
    "script": to_simplified,
    "numbers": spell_numbers,
    "case": unify_case,
    "interjections": drop_interjections,
    "punctuation": drop_punctuation,
    "word_signs": drop_word_signs,
    "number_signs": drop_number_signs,
    "spaces": drop_spaces,
}
"""Rules by name, in the order in which they apply."""
TRAINING = ("width", "case", "punctuation", "word_signs", "number_signs", "spaces")
"""The rules of training."""


def normalize(text: str, rules: Iterable[str] = TRAINING) -> str:
    """The text by these rules, in their order. Example: `normalize("你好，ＡＢＣ 公司!")` is `"你好ABC公司"`."""
    for rule in rules:
        text = RULES[rule](text)
    return text


def characters(text: str) -> list[str]:
    """The characters of the text as training normalises it, spaces left out."""
    return [c for c in normalize(text) if c != " "]


def select_rules(wanted: str | Iterable[str], base: Iterable[str] = TRAINING) -> tuple[str, ...]:
    """Rules by name, in the order in which they apply. A text may change those of `base`: `+script,-case`.

    `width,case` is these two, `none` is none. Raises ConfigError for a name that is not in `RULES`.
    """
    names = [name.strip() for name in wanted.split(",")] if isinstance(wanted, str) else list(wanted)
    names = [name for name in names if name]
    if names == ["none"]:
        return ()
    signed = [name for name in names if name[0] in "+-"]
    if signed and len(signed) < len(names):
        raise ConfigError(f"rules must either all have a sign or none of them, are {','.join(names)!r}")
    for name in names:
        if name.lstrip("+-") not in RULES:
            raise ConfigError(f"there is no rule {name.lstrip('+-')!r}; {nearest(name.lstrip('+-'), RULES)}")
    if not signed:
        return tuple(rule for rule in RULES if rule in names)
    added, taken = ({name[1:] for name in names if name[0] == sign} for sign in "+-")
    return tuple(rule for rule in RULES if rule in {*base, *added} - taken)
