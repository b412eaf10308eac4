"""Punctuated text as training takes it: lines of units and tags, none that holds a sentence of the development set."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from opencc import OpenCC
from pypinyin import Style, lazy_pinyin

from asr.punctuation.features import LONGEST_WORD, Array, Vocabulary
from asr.punctuation.marks import tagged
from asr.text.normalize import is_han
from asr.text.units import units

DEV = "dev.txt"
"""The file of the folder that chooses: nothing is learnt from it."""
RAREST = 3
"""How often a character must occur to be in the vocabulary."""
_SENTENCE_END = re.compile("[。？！…]+")


@dataclass(frozen=True)
class Line:
    """One line of text."""

    ids: Array
    codes: Array
    tags: Array


def read_lines(path: Path) -> list[str]:
    """The lines of a file that hold something."""
    with path.open(encoding="utf-8") as file:
        return [line.strip() for line in file if line.strip()]


def sentences(line: str) -> set[str]:
    """The sentences of a line, without marks."""
    return {"".join(unit.text for unit in units(part)) for part in _SENTENCE_END.split(line)} - {""}


def training_texts(folder: Path) -> list[list[str]]:
    """The lines of each file of the folder in their order, without those that hold a sentence of the development set."""
    held_out = set().union(*(sentences(line) for line in read_lines(folder / DEV)))
    files = [path for path in sorted(folder.glob("*.txt")) if path.name != DEV]
    return [[line for line in read_lines(path) if not sentences(line) & held_out] for path in files]


def vocabulary_of(lines: Iterable[str], words: Iterable[str] = ()) -> Vocabulary:
    """The characters that occur often enough, most frequent first, with their sounds and traditional forms; of the words
    those of two and more such characters."""
    counts = Counter(character for line in lines for character in line if is_han(character))
    characters = "".join(character for character, count in counts.most_common() if count >= RAREST)
    syllables = [lazy_pinyin(character, style=Style.NORMAL)[0] for character in characters]
    number = {syllable: i for i, syllable in enumerate(sorted(set(syllables)), start=1)}
    known = set(characters)
    kept = tuple(word for word in words if 1 < len(word) <= LONGEST_WORD and known.issuperset(word))
    return Vocabulary(characters, tuple(number[syllable] for syllable in syllables), variants_of(known), kept)


def variants_of(known: set[str]) -> str:
    """Traditional characters, each followed by the simplified one that is known."""
    convert = OpenCC("t2s").convert
    ranges = [*range(0x3400, 0x4DC0), *range(0x4E00, 0xA000)]
    pairs = [(character, convert(character)) for character in map(chr, ranges) if character not in known]
    return "".join(variant + character for variant, character in pairs if character in known)


def encoded(vocabulary: Vocabulary, texts: Iterable[str]) -> list[Line]:
    """Lines as the network takes them."""
    found = []
    for text in texts:
        words, tags = tagged(text)
        if words:
            found.append(Line(*vocabulary.encode(words), np.array(tags, dtype=np.int64)))
    return found
