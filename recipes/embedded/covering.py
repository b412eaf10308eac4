"""Lines of a large text in which rare characters are not rare.

    python recipes/embedded/covering.py data/embedded-fifth/opengram.txt --tokens asr/pretrained/embedded/tokens.txt \\
        --said data/embedded-fourth/neural.jsonl --number 3000 --out data/embedded-sixth/covering.txt

What a model has hardly met it writes wrong. So of every few lines drawn at random the one is kept whose characters were said
least, on average, in the manifests named and in the lines kept before.
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
    parser.add_argument("texts", type=Path)
    parser.add_argument("--tokens", type=Path, required=True, help="characters the model can write, one a line")
    parser.add_argument("--said", type=Path, nargs="*", default=[], metavar="MANIFEST", help="what is spoken already")
    parser.add_argument("--number", type=int, default=3000)
    parser.add_argument("--drawn", type=int, default=300, help="lines of which one is kept")
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    known = set(read_lines(options.tokens))
    lines = [line for line in read_lines(options.texts) if len(line) in LENGTHS and is_plain(line, known)]
    said = Counter(c for manifest in options.said for u in read_manifest(manifest) for c in normalize(u.text))
    kept = covering(lines, said, options.number, options.drawn, np.random.default_rng(options.seed))
    with atomic_write(options.out) as file:
        file.writelines(f"{line}\n" for line in kept)


def is_plain(line: str, known: set[str]) -> bool:
    """Whether all its characters are known, and no few of them said again and again."""
    return known.issuperset(line) and len(set(line)) > 0.7 * len(line)


def covering(lines: list[str], said: Counter[str], number: int, drawn: int, random: np.random.Generator) -> list[str]:
    """`number` different lines: of each `drawn` the one with the highest mean of 1 / (1 + times said)."""
    said, kept = said.copy(), {}
    while len(kept) < min(number, len(lines) // 2):
        candidates = [lines[i] for i in random.integers(len(lines), size=drawn) if lines[i] not in kept]
        if not candidates:
            continue
        best = max(candidates, key=lambda line: sum(1 / (1 + said[c]) for c in line) / len(line))
        kept[best] = None
        said.update(best)
    return list(kept)


if __name__ == "__main__":
    main()
