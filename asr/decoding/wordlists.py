"""Hot words: files with one a line, lists and strings, each with a weight of its own if need be."""

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from asr.errors import ConfigError
from asr.files import read_lines
from asr.foreign_bytes import quoted, reading
from asr.text.normalize import characters, holds_han, normalize
from asr.text.tokenizer import Tokenizer, TokenTable

MOST = 100
"""The largest weight."""
HotwordList = str | Path | Collection[str | tuple[str, float]] | Mapping[str, float]
"""A file, a string of words, a list of them, some or all in pairs with a weight, or a table of words and their weights."""

_HAN = "[㐀-鿿\U00020000-\U0003ffff]"
_COMMAS = "[,，、;；|]"
_TOGETHER = re.compile(rf"{_HAN}{{2}}\s*(?:[\s/]|{_COMMAS})\s*{_HAN}|{_HAN}\s*(?:[\s/]|{_COMMAS})\s*{_HAN}{{2}}")
"""What parts words, where a line has one; 张 三 is a name that is written with a space."""
_BETWEEN = re.compile(rf"\s*{_COMMAS}\s*|(?<={_HAN})\s+(?=[^\W\d])|(?<=\w)\s+(?={_HAN})")
"""What parts the words of a string: commas, and spaces beside Chinese; GPT 4 and NEW YORK are one."""


@dataclass(frozen=True)
class Hotwords:
    """Words by their tokens."""

    weights: dict[tuple[int, ...], float]
    """Tokens of a word → bonus for each of them; a character of several tokens has one bonus, in parts."""
    words: dict[tuple[int, ...], str]
    """Tokens of a word → the word as it was given."""
    ignored: tuple[str, ...] = ()
    """Words with characters that the model cannot write."""
    doubts: tuple[str, ...] = ()
    """What was given as one word and looks like several, which will hardly be said in a row; with its place."""

    def with_more(self, others: "Hotwords") -> "Hotwords":
        """These and others; where both have a word, the others' weight."""
        ignored, doubts = self.ignored + others.ignored, self.doubts + others.doubts
        return Hotwords(self.weights | others.weights, self.words | others.words, ignored, doubts)


def read_hotwords(given: HotwordList, tokenizer: Tokenizer, table: TokenTable, weight: float) -> Hotwords:
    """Words and weights of a file, a list or a string.

    A line of a file, or an item of a list, is `word`, or `word weight` with a tab or a space between; in a file `#` begins a
    comment. A number that a space parts from Latin letters or digits belongs to the word; behind a tab it is a weight. A
    string is the name of a file if there is one, or if it looks like one; else its words are parted by commas, lines, and
    spaces beside Chinese: "北京 语音识别，GPT 4".

    weight: bonus per character where none is given. Raises ConfigError with the place.
    """
    weights, words, ignored, doubts = {}, {}, [], []
    for where, word, own in _entries(given):
        tokens = tuple(tokenizer.encode(normalize(word)))
        if not tokens or table.unk in tokens:
            ignored.append(word)
            continue
        if _TOGETHER.search(word):
            doubts.append(f"{where}: {quoted(word)} is one hot word, said in a row; several need a line each")
        spread = min(1.0, len(characters(word)) / len(tokens))  # 惊 may be three tokens, bytes
        weights[tokens], words[tokens] = spread * (weight if own is None else own), word
    if not words and not ignored:
        raise ConfigError(f"{given if _is_file(given) else 'hotwords'}: holds no hot word")
    return Hotwords(weights, words, tuple(ignored), tuple(doubts))


def _entries(given: HotwordList) -> Iterator[tuple[str, str, float | None]]:
    """(place, word, weight) of each."""
    if _is_file(given):
        with reading(given, ConfigError, "cannot be read") as place:
            for place.line, line in enumerate(read_lines(given), 1):
                word, own = word_and_weight(line.partition("#")[0].strip(), str(place))
                if word:
                    yield str(place), word, own
        return
    if isinstance(given, Mapping):
        for word, own in given.items():
            yield f"hotwords[{word!r}]", str(word), _weight(own, f"hotwords[{word!r}]")
        return
    items = [part for line in given.splitlines() for part in _BETWEEN.split(line)] if isinstance(given, str) else given
    if not isinstance(items, Iterable):
        raise ConfigError(f"hotwords must be a list of words, or a file of them, is {quoted(items)}")
    for number, item in enumerate(items):
        where = f"hotwords[{number}]"
        if isinstance(item, tuple) and len(item) == 2:
            yield where, str(item[0]).strip(), _weight(item[1], where)
            continue
        if not isinstance(item, str):
            raise ConfigError(f"{where}: must be a word, is {quoted(repr(item))}")
        word, own = word_and_weight(item.strip(), where)
        if word:
            yield where, word, own


def _is_file(given: HotwordList) -> bool:
    """Whether it is a path, or a string that is one: of a file that is there, or without Chinese, commas and lines."""
    if isinstance(given, str):
        return os.path.isfile(given) or not (holds_han(given) or re.search(rf"{_COMMAS}|\n", given))
    return isinstance(given, os.PathLike)


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
    return word.strip(), _weight(last, where)


def _weight(given: object, where: str) -> float:
    try:
        weight = float(given)
    except (TypeError, ValueError):
        weight = float("nan")
    if not -MOST <= weight <= MOST:
        raise ConfigError(f"{where}: a weight must be from -{MOST} to {MOST}, is {quoted(str(given))}")
    return weight
