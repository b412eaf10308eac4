"""Lines of large texts in which rare characters, or pairs of characters, are not rare.

    python recipes/embedded/covering.py data/embedded-fifth/opengram.txt --tokens asr/pretrained/embedded/tokens.txt \\
        --said data/embedded-fourth/neural.jsonl --number 3000 --out data/embedded-sixth/covering.txt

What a model has hardly met it writes wrong. So of every few lines drawn at random the one is kept whose characters were said
least, on average, in the manifests named and in the lines kept before. With --order 2 it is pairs of neighbours that count, and
with --power 0.5 each is worth the root of how often the texts have it, so that in the end it is said about that often.
"""

import argparse
from collections import Counter
from pathlib import Path

import numpy as np
from neural import LENGTHS

from asr.corpus.manifest import read_manifest
from asr.files import atomic_write, read_lines
from asr.text.normalize import normalize


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", type=Path, nargs="+")
    parser.add_argument("--tokens", type=Path, required=True, help="characters the model can write, one a line")
    parser.add_argument("--said", type=Path, nargs="*", default=[], metavar="MANIFEST", help="what is spoken already")
    parser.add_argument("--number", type=int, default=3000)
    parser.add_argument("--drawn", type=int, default=300, help="lines of which one is kept")
    parser.add_argument(
        "--lengths",
        type=int,
        nargs=2,
        default=(LENGTHS[0], LENGTHS[-1]),
        metavar=("LEAST", "MOST"),
        help="in characters",
    )
    parser.add_argument("--order", type=int, default=1, help="characters of what is to be covered")
    parser.add_argument(
        "--power", type=float, default=0, help="of how often the texts have it: its worth; 0: all the same"
    )
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    known = set(read_lines(options.tokens))
    spoken = [normalize(u.text) for manifest in options.said for u in read_manifest(manifest)]
    already = set(spoken)
    texts = (normalize(line) for path in options.texts for line in read_lines(path))
    least, most = options.lengths
    if least < options.order:
        parser.error("--lengths: LEAST must be at least --order")
    lines = [line for line in texts if least <= len(line) <= most and is_plain(line, known) and line not in already]
    worth = Worth(lines, options.order, options.power)
    said = Counter(gram for text in spoken for gram in worth.grams(text))
    kept = covering(lines, said, worth, options.number, options.drawn, np.random.default_rng(options.seed))
    with atomic_write(options.out) as file:
        file.writelines(f"{line}\n" for line in kept)
    print(f"{options.out}: {len(kept):,} of {len(set(lines)):,} lines")


def is_plain(line: str, known: set[str]) -> bool:
    """Whether all its characters are known, and no few of them said again and again."""
    return known.issuperset(line) and len(set(line)) > 0.7 * len(line)


class Worth:
    """How much it is worth to say a line: the mean, over what it is made of, of frequency ** power / (1 + times said)."""

    def __init__(self, lines: list[str], order: int, power: float):
        self.order = order
        self.frequency = Counter(gram for line in lines for gram in self.grams(line)) if power else {}
        self.power = power

    def grams(self, line: str) -> list[str]:
        return [line[i : i + self.order] for i in range(len(line) - self.order + 1)]

    def __call__(self, line: str, said: Counter[str]) -> float:
        grams = self.grams(line)
        return sum(self.frequency.get(gram, 1) ** self.power / (1 + said[gram]) for gram in grams) / len(grams)


def covering(
    lines: list[str], said: Counter[str], worth: Worth, number: int, drawn: int, random: np.random.Generator
) -> list[str]:
    """`number` different lines: of each `drawn` the one that is worth most, given what was said and kept before."""
    said, kept = said.copy(), {}
    number = min(number, len(set(lines)) // 2)
    while len(kept) < number:
        candidates = [lines[i] for i in random.integers(len(lines), size=drawn) if lines[i] not in kept]
        if not candidates:
            continue
        best = max(candidates, key=lambda line: worth(line, said))
        kept[best] = None
        said.update(worth.grams(best))
    return list(kept)


if __name__ == "__main__":
    main()
