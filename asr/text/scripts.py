"""Chinese scripts, converted by OpenCC."""

import functools
import re

from asr.errors import AsrError
from asr.extras import brings

_READ_ZHE = re.compile(
    "(?<![专原名巨编译论显昭卓土遗拙撰彰较所新旧知])(?<!合(?!著[眼嘴双拍上]))"
    "著(?!名(?![单字])|作(?![业战文曲画答为出乐])|称(?![赞呼])|述|者|录(?![音像影])|译|《|书立)"
    "(?!有(?:《|大量|[多数几十百]+[部种篇本]|诗|长篇|专著|论文|小说|文集))"
    "(?!(?<![看读抱拿捧翻背夹带卖借还念抄]著)书)"
)
"""著 as traditional texts write what is 着 in simplified ones: not in 著作, 著名, 显著 and other words of writing and showing."""


def to_simplified(text: str) -> str:
    """Traditional characters as simplified ones, by words: 頭髮 is 头发, 發現 is 发现, 看著 is 看着 and 著名 stays 著名."""
    text = _converter("t2s").convert(text)
    return _READ_ZHE.sub("着", text) if "著" in text else text


def to_traditional(text: str) -> str:
    """Simplified characters as traditional ones, by words: 头发 is 頭髮, 发现 is 發現."""
    return _converter("s2t").convert(text)


@functools.cache
def _converter(name: str):
    try:
        import opencc
    except ImportError:
        raise AsrError(f"converting scripts needs OpenCC: {brings('text')}") from None
    return opencc.OpenCC(name)
