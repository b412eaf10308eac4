"""Readings of Chinese text, by pypinyin (which chooses among the readings of a character by the words it stands in)."""

import functools
from collections.abc import Sequence

from asr.errors import AsrError
from asr.extras import brings


@functools.cache
def readings(character: str) -> tuple[str, ...]:
    """All tonal syllables that a character may be read as; itself if it has none. 行: hang2, xing2, …

    Raises AsrError without pypinyin.
    """
    try:
        from pypinyin import Style, pinyin
    except ImportError:
        raise _needed() from None

    found = pinyin(character, style=Style.TONE3, neutral_tone_with_five=True, heteronym=True, errors=list)
    return tuple(found[0])


def syllable_ids(tokens: Sequence[str]) -> list[int]:
    """For each token the number of its sound, counted from 0: homophones, 是 and 事, share one.

    The sound of a character is the reading it has by itself, also where it has others. Raises AsrError without pypinyin.
    """
    numbers: dict[str, int] = {}
    return [numbers.setdefault(" ".join(tonal_syllables(token)), len(numbers)) for token in tokens]


def tonal_syllables(text: str) -> list[str]:
    """One item per character: its syllable with the tone as a digit (5 is neutral), or the character itself if it has none.

    Example: `tonal_syllables("银行行长A")` is `["yin2", "hang2", "hang2", "zhang3", "A"]`. Raises AsrError without pypinyin.
    """
    try:
        from pypinyin import Style, lazy_pinyin
    except ImportError:
        raise _needed() from None
    read = lazy_pinyin(text, style=Style.TONE, errors=list)
    return [_numbered(syllable) if syllable != c else c for syllable, c in zip(read, text, strict=True)]


@functools.cache
def _numbered(syllable: str) -> str:
    """háng as hang2: pypinyin does that for each character of a text anew, which takes half of its time."""
    from pypinyin.contrib.tone_convert import to_tone3

    return to_tone3(syllable, neutral_tone_with_five=True, v_to_u=False)


def _needed() -> AsrError:
    return AsrError(f"readings need pypinyin: {brings('text')}")
