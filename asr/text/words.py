"""Words of Chinese text, which has no spaces between them: parted by jieba's dictionary (the extra `text`)."""

import functools
import importlib.util
import re
import warnings
from collections.abc import Sequence
from itertools import accumulate

from asr.errors import AsrError
from asr.extras import brings
from asr.text.scripts import to_simplified
from asr.transcript import TranscriptToken, in_clauses

TOGETHER = re.compile(r".{1,500}\n?|\n")
"""What is looked up at once: a clause, as far as it goes. What jieba needs for a text grows with the square of its length."""


def knows_words() -> bool:
    """Whether jieba is installed: without it every character is a word."""
    return importlib.util.find_spec("jieba") is not None


def in_words(tokens: Sequence[TranscriptToken], invent: bool = True) -> list[tuple[TranscriptToken, ...]]:
    """Tokens, word by word, in order. No word goes beyond punctuation. Without jieba each token is a word.

    invent: whether characters may be a word that no dictionary has, such as a name.
    Example: those of 他们刚刚公布了 are those of 他们, 刚刚, 公布 and 了.
    """
    if not tokens or not knows_words():
        return [(token,) for token in tokens]
    text, starts = in_clauses(tokens)
    clauses = TOGETHER.findall(_simplified(text))
    begin = {0, *accumulate(len(word) for clause in clauses for word in _jieba().cut(clause, HMM=invent))}
    first = [i for i, start in enumerate(starts) if start in begin]
    return [tuple(tokens[a:b]) for a, b in zip(first, [*first[1:], len(tokens)], strict=True)]


def is_known(text: str) -> bool:
    """Whether a text is one word of the dictionary. Raises AsrError without jieba."""
    if not knows_words():
        raise AsrError(f"words need jieba: {brings('text')}")
    return bool(_jieba().FREQ.get(_simplified(text)))


def _simplified(text: str) -> str:
    """The text in the script of the dictionary, character for character; as it is where OpenCC is missing."""
    try:
        simplified = to_simplified(text)
    except AsrError:
        return text
    return simplified if len(simplified) == len(text) else text


@functools.cache
def _jieba():
    """A tokenizer of our own: jieba's writes a file into the folder for temporary files, and reads what lies there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its escape sequences, and of pkg_resources
        import jieba
    tokenizer = jieba.Tokenizer()
    tokenizer.FREQ, tokenizer.total = tokenizer.gen_pfdict(tokenizer.get_dict_file())
    tokenizer.initialized = True
    return tokenizer
