"""Chinese scripts, converted by OpenCC."""

import functools

from asr.errors import AsrError


def to_simplified(text: str) -> str:
    """Traditional characters as simplified ones, by words: 頭髮 is 头发, 發現 is 发现."""
    return _converter("t2s").convert(text)


def to_traditional(text: str) -> str:
    """Simplified characters as traditional ones, by words: 头发 is 頭髮, 发现 is 發現."""
    return _converter("s2t").convert(text)


@functools.cache
def _converter(name: str):
    try:
        import opencc
    except ImportError:
        raise AsrError("converting scripts needs OpenCC: pip install 'mandarin-asr[text]'") from None
    return opencc.OpenCC(name)
