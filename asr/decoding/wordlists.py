"""Files of hot words: one a line, with a weight of its own if need be."""

import re
from dataclasses import dataclass
from pathlib import Path

from asr.errors import ConfigError
from asr.files import read_lines
from asr.foreign_bytes import quoted, reading
from asr.text.normalize import normalize
from asr.text.tokenizer import Tokenizer, TokenTable

MOST = 100
"""The largest weight."""


@dataclass(frozen=True)
class Hotwords:
    """Words by their tokens."""

    weights: dict[tuple[int, ...], float]
    """Tokens of a word → bonus for each of them."""
    words: dict[tuple[int, ...], str]
    """Tokens of a word → the word as the file has it."""
    ignored: tuple[str, ...] = ()
    """Words with characters that the model cannot write."""


def read_hotwords(path: str | Path, tokenizer: Tokenizer, table: TokenTable, weight: float) -> Hotwords:
    """Words and weights of a file; lines are `word`, or `word weight` with a tab or a space between, `#` begins a comment.

    A number that a space parts from Latin letters or digits belongs to the word; behind a tab it is a weight.
    weight: bonus per character where the line has none. Raises ConfigError with file and line.
    """
    weights, words, ignored = {}, {}, []
    with reading(path, ConfigError, "cannot be read") as place:
        for place.line, line in enumerate(read_lines(path), 1):
            word, own = word_and_weight(line.partition("#")[0].strip(), str(place))
            if not word:
                continue
            tokens = tuple(tokenizer.encode(normalize(word)))
            if not tokens or table.unk in tokens:
                ignored.append(word)
                continue
            weights[tokens], words[tokens] = weight if own is None else own, word
    if not words and not ignored:
        raise ConfigError(f"{path}: holds no hot word")
    return Hotwords(weights, words, tuple(ignored))


def word_and_weight(line: str, where: str) -> tuple[str, float | None]:
    """Word and weight of a line. What stands behind a space may be a part of the name: GPT 4, 波音 747."""
    word, tab, last = line.rpartition("\t")
    if not tab:
        word, _, last = line.rpartition(" ")
    try:
        weight = float(last)
    except ValueError:
        if tab:
            raise ConfigError(f"{where}: behind a tab stands a weight, a number, is {quoted(last)}") from None
        return line, None
    if not word or (not tab and (re.search("[A-Za-z0-9]$", word.strip()) or (last.isdigit() and weight > MOST))):
        return line, None
    if not -MOST <= weight <= MOST:
        raise ConfigError(f"{where}: a weight must be from -{MOST} to {MOST}, is {quoted(last)}")
    return word.strip(), weight
