"""Lines drawn from Open-Gram, a word trigram model of many texts, for the embedded model's character model.

    tslminfo -v -p /usr/lib/*/sunpinyin/data/lm_sc.t3g > lm_sc.txt
    python recipes/embedded/opengram.py lm_sc.txt /usr/lib/*/sunpinyin/data/pydict_sc.bin --out opengram.txt

The model (CC BY-SA 3.0, https://sourceforge.net/projects/open-gram/) and the program that prints it are in Debian: sunpinyin-data
and sunpinyin-utils. What is drawn means nothing; which characters follow which is as in the texts that the model was made from.
"""

import argparse
import struct
from pathlib import Path

import numpy as np

from asr.files import atomic_write
from asr.text.normalize import holds_han

END = "。"
"""What a sentence begins behind."""
NOTHING = frozenset("、“”《》‘’")
"""Marks that are left out; at all others, and at unknown words, a line ends."""
SHORTEST = 4
"""Characters of a line."""


class WordModel:
    """A back-off trigram model over V words, to draw from for many texts at once."""

    def __init__(self, printed: Path, words: list[str]):
        """printed: what `tslminfo -v -p` says: sections of (words, probability, back-off weight)."""
        self.words, v = words, len(words)
        single, pairs, triples = _sections(printed)
        self.single, self.single_ends = single[:, 0].astype(np.int64), np.cumsum(single[:, 1])
        self.pairs = (pairs[:, 0] * v + pairs[:, 1]).astype(np.int64)
        self.second, self.third = pairs[:, 1].astype(np.int64), triples[:, 2].astype(np.int64)
        self.pair_ends = np.concatenate([[0], np.cumsum(pairs[:, 2])])
        self.triple_ends = np.concatenate([[0], np.cumsum(triples[:, 3])])
        context = np.searchsorted(self.pairs, (triples[:, 0] * v + triples[:, 1]).astype(np.int64))
        self.triples = context * v + self.third
        self.after_word = np.searchsorted(self.pairs // v, np.arange(v + 1))
        self.after_pair = np.searchsorted(context, np.arange(len(self.pairs) + 1))

    def draw(self, first: np.ndarray, second: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """(N,) the word after each two."""
        v = len(self.words)
        place = np.searchsorted(self.pairs, first * v + second).clip(max=len(self.pairs) - 1)
        known = self.pairs[place] == first * v + second
        drawn = np.full(len(first), -1)
        hit, row = _pick(self.triple_ends, self.after_pair, place, random)
        drawn[known & hit] = self.third[row[known & hit]]
        waiting = np.flatnonzero(drawn < 0)
        while len(waiting):  # backs off; what the longer context has is not drawn from the shorter one
            word = self._after_one(second[waiting], random)
            ok = ~(known[waiting] & _holds(self.triples, place[waiting] * v + word))
            drawn[waiting[ok]] = word[ok]
            waiting = waiting[~ok]
        return drawn

    def _after_one(self, before: np.ndarray, random: np.random.Generator) -> np.ndarray:
        hit, row = _pick(self.pair_ends, self.after_word, before, random)
        word = np.where(hit, self.second[row.clip(max=len(self.second) - 1)], -1)
        waiting = np.flatnonzero(~hit)
        while len(waiting):
            places = np.searchsorted(self.single_ends, random.random(len(waiting)) * self.single_ends[-1], "right")
            single = self.single[places.clip(max=len(self.single) - 1)]
            ok = ~_holds(self.pairs, before[waiting] * len(self.words) + single)
            word[waiting[ok]] = single[ok]
            waiting = waiting[~ok]
        return word


def _pick(ends: np.ndarray, bounds: np.ndarray, contexts: np.ndarray, random: np.random.Generator) -> tuple:
    """For each context whether a word that it has is drawn, by the sums of the probabilities of all rows, and its row."""
    first, last = bounds[contexts], bounds[contexts + 1]
    drawn = ends[first] + random.random(len(contexts))
    row = np.searchsorted(ends, drawn, "right") - 1
    return drawn < ends[last], np.minimum(row, len(ends) - 2)


def _holds(rising: np.ndarray, keys: np.ndarray) -> np.ndarray:
    return rising[np.searchsorted(rising, keys).clip(max=len(rising) - 1)] == keys


def _sections(printed: Path) -> list[np.ndarray]:
    """The n-grams of one, two and three words: numbers of the words, probability, back-off weight where there is one."""
    sections: list[list[list[float]]] = []
    with open(printed, encoding="ascii") as file:
        for line in file:
            if line.startswith("\\"):
                sections.append([])
            else:
                sections[-1].append([float(x) for x in line.split("(")[0].split()])
    return [np.array(rows) for rows in sections[1:]]  # the first is the empty context


def read_words(dictionary: Path) -> list[str]:
    """The words of a SunPinyin dictionary, by number: a count at its beginning, and where the texts begin."""
    data = dictionary.read_bytes()
    count, _, begin, _ = struct.unpack("<4I", data[:16])
    return data[begin:].decode("utf-32-le").split("\0")[:count]


def lines(model: WordModel, texts: int, length: int, seed: int) -> list[str]:
    """What is drawn: `texts` texts of `length` words each, in lines without punctuation."""
    random = np.random.default_rng(seed)
    first = second = np.full(texts, model.words.index(END))
    drawn = []
    for _ in range(length):
        first, second = second, model.draw(first, second, random)
        drawn.append(second)
    written = [word if word and all(map(holds_han, word)) else "" if word in NOTHING else "\n" for word in model.words]
    found = ("".join(written[i] for i in text).split("\n") for text in np.stack(drawn, 1).tolist())
    return [line for text in found for line in text if len(line) >= SHORTEST]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("printed", type=Path, help="what tslminfo prints of the model")
    parser.add_argument("dictionary", type=Path, help="its words")
    parser.add_argument("--out", type=Path, required=True, help="the text to write")
    parser.add_argument("--texts", type=int, default=100_000)
    parser.add_argument("--words", type=int, default=60, help="of each text")
    parser.add_argument("--seed", type=int, default=2)
    options = parser.parse_args(arguments)
    model = WordModel(options.printed, read_words(options.dictionary))
    found = lines(model, options.texts, options.words, options.seed)
    with atomic_write(options.out) as file:
        file.writelines(f"{line}\n" for line in found)
    print(f"{options.out}: {len(found):,} lines, {sum(map(len, found)):,} characters")


if __name__ == "__main__":
    main()
