"""What the network sees of a text: of each unit its character, its sound, and the pairs and triples around it, hashed.

The sound (the syllable without its tone) is what survives when a recogniser writes a homophone. Pairs and triples are too
many for a table of their own each, so they share a fixed number of rows by a hash.
"""

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from asr.text.normalize import is_han

SPECIAL = 6
PAD, BEGIN, END, RARE, LATIN, NUMBER = range(SPECIAL)
"""Ids below those of characters: padding, the edges of a text, a character that is not in the vocabulary, words, numbers."""
NO_SOUND = 0
"""The sound of what has none."""
PAIRS, TRIPLES, SOUND_PAIRS = 1 << 16, 24576, 24576
"""Rows of the hashed tables."""
LONGEST_WORD = 4
"""Characters of a word that has a row of its own."""
NO_WORD = 0
"""The row of a place where no such word starts, or ends."""
PAUSES = (0.05, 0.1, 0.2, 0.3, 0.45, 0.65, 0.9, 1.3)
"""Bounds of the classes of pauses, seconds. Class 0 is an unknown pause, 1 is one below the first bound."""
_DIGIT = re.compile(r"\d")

Array = np.ndarray


@dataclass(frozen=True)
class Vocabulary:
    """The characters that the network knows, and how each sounds."""

    characters: str
    """Each once; its place and SPECIAL make its id."""
    sounds: tuple[int, ...]
    """Of each character the number of its syllable, from 1; NO_SOUND where it has none."""
    variants: str = ""
    """Characters written otherwise (traditional ones) and the known one of each, in turn: 們们."""
    words: tuple[str, ...] = ()
    """Words of two to LONGEST_WORD of the characters, each once; a word's place and 1 make its row."""

    @cached_property
    def ids(self) -> dict[str, int]:
        """Character → id, variants included."""
        found = {character: SPECIAL + i for i, character in enumerate(self.characters)}
        for variant, character in zip(self.variants[::2], self.variants[1::2], strict=True):
            found.setdefault(variant, found[character])
        return found

    @cached_property
    def sound_of(self) -> Array:
        """Id → sound, (ids,)."""
        return np.array([NO_SOUND] * SPECIAL + list(self.sounds), dtype=np.int64)

    @cached_property
    def code_of(self) -> Array:
        """Id → what is hashed, (ids,)."""
        return np.array([*range(SPECIAL), *map(ord, self.characters)], dtype=np.uint64)

    @cached_property
    def _rows_of_words(self) -> tuple[Array, Array]:
        """Keys of the words, sorted, and the row of each; the last key is above all others."""
        keys = np.array([self._key([self.ids[c] for c in word]) for word in self.words] + [np.iinfo(np.int64).max])
        order = np.argsort(keys)
        return keys[order], np.append(np.arange(1, len(self.words) + 1), NO_WORD)[order]

    def _key(self, ids: Sequence[Any]) -> Any:
        """Ids of characters, one behind the other, as one number; of many words if each is an array."""
        key = 0
        for i in ids:
            key = key * len(self.sound_of) + i
        return key

    def words_in(self, ids: Array) -> tuple[Array, Array]:
        """The row of the longest word that starts at each unit, and of the longest that ends there, both (U,)."""
        keys, rows = self._rows_of_words
        starting, ending = np.zeros((2, len(ids)), dtype=np.int64)
        for length in range(2, LONGEST_WORD + 1):
            places = len(ids) - length + 1
            if places < 1:
                break
            wanted = self._key([ids[i : i + places] for i in range(length)])
            at = np.searchsorted(keys, wanted)
            first = np.flatnonzero(keys[at] == wanted)
            starting[first] = ending[first + length - 1] = rows[at[first]]
        return starting, ending

    def encode(self, texts: Sequence[str]) -> tuple[Array, Array]:
        """Ids and codes of units, both (U,)."""
        ids = np.array([self._id(text) for text in texts], dtype=np.int64)
        codes = self.code_of[ids]
        for i in np.flatnonzero((ids >= RARE) & (ids < SPECIAL)):
            codes[i] = zlib.crc32(texts[i].lower().encode())
        return ids, codes

    def _id(self, text: str) -> int:
        known = self.ids.get(text)
        if known is not None:
            return known
        if len(text) == 1 and is_han(text):
            return RARE
        return NUMBER if _DIGIT.search(text) else LATIN


@dataclass(frozen=True)
class Inputs:
    """The features of one text with its two edges: U units make U + 2 places. All (U + 2,)."""

    characters: Array
    sounds: Array
    pairs: Array
    """Hash of this and the next unit."""
    triples: Array
    """Hash of the unit before, this and the next."""
    sound_pairs: Array
    """Hash of the sound of this and the next unit."""
    starting: Array
    """The row of the longest word that starts at a unit."""
    ending: Array
    """The row of the longest word that ends at a unit."""
    pauses: Array
    """Class of the pause behind a unit."""


def inputs(ids: Array, codes: Array, vocabulary: Vocabulary, pauses: Array | None = None) -> Inputs:
    """Features from ids and codes (U,) and classes of pauses (U,), which are unknown if not given."""
    ids = np.concatenate([[BEGIN], ids, [END]])
    codes = np.concatenate([[BEGIN], codes, [END]]).astype(np.uint64)
    sounds = vocabulary.sound_of[ids]
    before = np.concatenate([[np.uint64(PAD)], codes[:-1]])
    after = np.concatenate([codes[1:], [np.uint64(PAD)]])
    spoken = np.where(sounds == NO_SOUND, codes + np.uint64(1000), sounds.astype(np.uint64))
    next_spoken = np.concatenate([spoken[1:], [np.uint64(PAD)]])
    starting, ending = vocabulary.words_in(ids)
    classes = np.zeros(len(ids), dtype=np.int64)
    if pauses is not None:
        classes[1:-1] = pauses
    return Inputs(
        characters=ids,
        sounds=sounds,
        pairs=_hashed(codes, after, PAIRS),
        triples=_hashed(_mixed(before, codes), after, TRIPLES),
        sound_pairs=_hashed(spoken, next_spoken, SOUND_PAIRS),
        starting=starting,
        ending=ending,
        pauses=classes,
    )


def pause_classes(seconds: Sequence[float]) -> Array:
    """The class of each pause."""
    return np.searchsorted(PAUSES, np.asarray(seconds, dtype=float), side="right").astype(np.int64) + 1


def _mixed(first: Array, second: Array) -> Array:
    """Two arrays of uint64 as one that depends on both and on their order."""
    mixed = (first * np.uint64(0x9E3779B97F4A7C15)) ^ (second * np.uint64(0xC2B2AE3D27D4EB4F))
    mixed ^= mixed >> np.uint64(29)
    return mixed * np.uint64(0xBF58476D1CE4E5B9)


def _hashed(first: Array, second: Array, rows: int) -> Array:
    return ((_mixed(first, second) >> np.uint64(32)) % np.uint64(rows)).astype(np.int64)
