"""Hot words: files with one a line, lists and strings, each with a weight of its own if need be."""

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from asr.decoding.decode_config import DecodeConfig
from asr.errors import ConfigError
from asr.files import read_lines
from asr.foreign_bytes import quoted, reading, some
from asr.text.normalize import characters, holds_han, normalize
from asr.text.tokenizer import Tokenizer, TokenTable

MOST = 100
"""The largest weight."""
HotwordList = str | Path | Collection[str | tuple[str, float]] | Mapping[str, float]
"""A file, a string of words, a list of them, some or all in pairs with a weight, or a table of words and their weights."""

_HAN = "[㐀-鿿\U00020000-\U0003ffff]"
_COMMAS = "[,，、;；|]"
_MARKS = rf"(?:{_COMMAS}|[｜。！？!?：:…—“”\"「」『』《》〈〉（）()【】\[\]<>]|(?<![A-Za-z])[‘’]|[‘’](?![A-Za-z])|\.(?=\s|$))"
_SPACES = r"(?:(?<!\s)\s+)?"
"""Spaces that may be there, looked at once: where they begin."""
_PARTED = rf"(?:\s+|\s*(?:/|{_COMMAS})\s*)"
_TOGETHER = re.compile(rf"{_HAN}{{2}}{_PARTED}{_HAN}|{_HAN}{_PARTED}{_HAN}{{2}}")
"""What parts words, where a line has one; 张 三 is a name that is written with a space."""
_BETWEEN = re.compile(
    rf"{_SPACES}{_MARKS}\s*|(?<={_HAN})\s+(?=[^\W\d])|(?<=\w)\s+(?={_HAN})|(?<={_HAN})\s*/\s*|{_SPACES}/\s*(?={_HAN})"
)
"""What parts the words of a text: punctuation, and spaces and slashes beside Chinese; GPT 4, NEW YORK and TCP/IP are one."""
_LEAST = 0.01
"""Weights nearer to 0 than that are as good as none: they make a character a hundredth likelier."""


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
    """What of the list is hardly meant, with its place: several words on a line, one word with two weights."""

    def with_more(self, others: "Hotwords") -> "Hotwords":
        """These and others; where both have a word, the others' weight."""
        ignored, doubts = self.ignored + others.ignored, self.doubts + others.doubts
        return Hotwords(self.weights | others.weights, self.words | others.words, ignored, doubts)

    def remarks(self, config: DecodeConfig) -> Iterator[str]:
        """A line for what of them will hardly ever come, or changes nothing, and what to do."""
        yield from self.doubts
        if self.ignored:
            yield (
                f"hot words with characters that the model cannot write are left out: {some(self.ignored)};"
                " its tokens.txt lists those that it can"
            )
        if idle := [] if config.correct_names else list(self._idle()):  # which needs no weight
            yield (
                f"hot words whose weight is 0, or nearly so, change nothing: {some(idle)}; give them one such as 2, or"
                " leave them out"
            )
        never = set(config.never_written)
        if ruled_out := [word for tokens, word in self.words.items() if not never.isdisjoint(tokens)]:
            yield (
                f"hot words with tokens that decode.never_written rules out change nothing: {some(ruled_out)};"
                " take the tokens out of it, or leave the words out"
            )

    def _idle(self) -> Iterator[str]:
        """Words without a bonus; within another word one says how much of that one's bonus stays where it breaks off."""
        heard = [tokens for tokens, weight in self.weights.items() if abs(weight) >= _LEAST]
        for tokens, weight in self.weights.items():
            if abs(weight) < _LEAST and not any(_holds(other, tokens) for other in heard):
                yield self.words[tokens]


def read_hotwords(given: HotwordList, tokenizer: Tokenizer, table: TokenTable, weight: float) -> Hotwords:
    """Words and weights of a file, a list or a string.

    A line of a file, or an item of a list, is `word`, or `word weight` with a tab or a space between; in a file `#` begins a
    comment. A number that a space parts from Latin letters or digits belongs to the word; behind a tab it is a weight. A
    string is the name of a file if there is one, or if it looks like one; else a text whose words `split_words` finds.

    weight: bonus per character where none is given. Raises ConfigError with the place.
    """
    weights, words, ignored, doubts = {}, {}, [], []
    seen: dict[tuple[int, ...], tuple[str, float]] = {}
    never = {table.unk, table.eos, *table.never_written}
    for where, word, own in _entries(given):
        tokens = tuple(tokenizer.encode(normalize(word)))
        if never.intersection(tokens) or not tokens:
            ignored.append(word)
            continue
        if _TOGETHER.search(word):
            doubts.append(f"{where}: {quoted(word)} is one hot word, said in a row; several need a line each")
        spread = min(1.0, len(characters(word)) / len(tokens))  # 惊 may be three tokens, bytes
        bonus = weight if own is None else own
        first, before = seen.setdefault(tokens, (where, bonus))
        if before != bonus:
            doubts.append(
                f"{where}: {quoted(word)} has the weight {bonus:g} here, {before:g} at {first}; this one counts: keep one"
            )
        seen[tokens] = where, bonus
        weights[tokens], words[tokens] = spread * bonus, word
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
    items = split_words(given) if isinstance(given, str) else given
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


def split_words(text: str) -> list[str]:
    """The words of a text, in order: parted by lines, punctuation, and spaces beside Chinese: "北京 语音识别，GPT 4"."""
    parts = [part.strip() for line in text.splitlines() for part in _BETWEEN.split(line)]
    return [part for part in parts if part]


def _holds(tokens: tuple[int, ...], part: tuple[int, ...]) -> bool:
    return any(tokens[i : i + len(part)] == part for i in range(len(tokens) - len(part) + 1))


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
