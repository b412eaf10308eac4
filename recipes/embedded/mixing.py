"""Two n-gram models as one: the mean of their probabilities, with weights (linear interpolation, Jelinek and Mercer 1980).

    python recipes/embedded/mixing.py a.arpa b.arpa --share 0.5 --out both.arpa

Every n-gram of either has the mixed probability; what neither has backs off, with weights that make the probabilities after each
context add up to 1. A word that one of them lacks is unknown to it.
"""

import argparse
import math
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from asr.files import atomic_write

Gram = tuple[str, ...]
BEGIN, UNKNOWN = ("<s>",), ("<unk>",)


@dataclass(frozen=True)
class Model:
    """A back-off model."""

    probability: dict[Gram, float]
    backoff: dict[Gram, float]

    def of(self, gram: Gram) -> float:
        """The probability of the last word after the others."""
        weight = 1.0
        while gram not in self.probability and len(gram) > 1:
            weight *= self.backoff.get(gram[:-1], 1.0)
            gram = gram[1:]
        return weight * self.probability.get(gram, self.probability[UNKNOWN])


def read(path: Path) -> Model:
    """A model from an ARPA file as `asr train-lm` writes it."""
    model = Model({}, {})
    with open(path, encoding="utf-8") as file:
        for line in file:
            probability, tab, rest = line.rstrip("\n").partition("\t")
            if tab:
                words, _, weight = rest.partition("\t")
                gram = tuple(words.split(" "))
                model.probability[gram] = 10 ** float(probability)
                if weight:
                    model.backoff[gram] = 10 ** float(weight)
    return model


def mixed(a: Model, b: Model, share: float) -> Model:
    """`share` of the first and the rest of the second."""
    grams = (a.probability.keys() | b.probability.keys()) - {BEGIN}
    probability = {gram: share * a.of(gram) + (1 - share) * b.of(gram) for gram in grams}
    said: dict[Gram, float] = defaultdict(float)
    below: dict[Gram, float] = defaultdict(float)
    for gram in grams:
        if len(gram) > 1:
            said[gram[:-1]] += probability[gram]
            below[gram[:-1]] += probability[gram[1:]]
    return Model(
        probability, {context: max(1 - said[context], 1e-9) / max(1 - below[context], 1e-9) for context in said}
    )


def write(model: Model, path: Path) -> None:
    """As an ARPA file; what is not said itself, <s>, has the probability 0."""
    grams = sorted([BEGIN, *model.probability], key=lambda gram: (len(gram), gram))
    orders = range(1, len(grams[-1]) + 1)
    by_order = {n: [gram for gram in grams if len(gram) == n] for n in orders}
    with atomic_write(path) as file:
        file.write("\\data\\\n" + "".join(f"ngram {n}={len(by_order[n])}\n" for n in orders))
        for n in orders:
            file.write(f"\n\\{n}-grams:\n")
            for gram in by_order[n]:
                probability = math.log10(model.probability[gram]) if gram in model.probability else -99
                weight = f"\t{math.log10(model.backoff[gram]):.6f}" if gram in model.backoff else ""
                file.write(f"{probability:.6f}\t{' '.join(gram)}{weight}\n")
        file.write("\n\\end\\\n")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs=2, metavar="ARPA")
    parser.add_argument("--share", type=float, default=0.5, help="of the first")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    model = mixed(*map(read, options.models), options.share)
    write(model, options.out)
    print(f"{options.out}: {len(model.probability):,} n-grams")


if __name__ == "__main__":
    main()
