"""Estimating a character n-gram model from plain text, written as an ARPA file."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from asr.errors import ConfigError
from asr.files import atomic_write

Gram = tuple[str, ...]
BEGIN, END, UNKNOWN = "<s>", "</s>", "<unk>"


def train_ngram(sentences: Iterable[Sequence[str]], out: str | Path, order: int = 3, prune: int = 1) -> int:
    """Writes interpolated Kneser-Ney estimates (Chen and Goodman 1999, one discount per order); returns how many n-grams.

    sentences: symbols of each. prune: n-grams of three words or more that occur this often at most are left out.
    """
    if order < 1:
        raise ConfigError(f"order must be at least 1, is {order}")
    counts = _counts(sentences, order)
    if not counts[0]:
        raise ConfigError("no text to estimate a language model from")
    probabilities: dict[Gram, float] = {}
    backoffs: dict[Gram, float] = {}
    for n in range(1, order + 1):
        _estimate(n, counts, prune if n > 2 else 0, probabilities, backoffs)
    _write(out, order, probabilities, backoffs)
    return len(probabilities)


def _counts(sentences: Iterable[Sequence[str]], order: int) -> list[Counter[Gram]]:
    """Counts of the highest order; below it, of how many different words come before (Kneser and Ney 1995)."""
    seen: list[Counter[Gram]] = [Counter() for _ in range(order)]
    for sentence in sentences:
        words = (BEGIN, *sentence, END)
        for n in range(1, order + 1):
            seen[n - 1].update(words[i : i + n] for i in range(len(words) - n + 1))
    del seen[0][BEGIN,]
    for n in range(order - 1, 0, -1):
        before = Counter(gram[1:] for gram in seen[n])
        for gram in seen[n - 1]:
            if gram[0] != BEGIN:  # nothing comes before the beginning: its own count stands
                seen[n - 1][gram] = before[gram]
    return seen


def _estimate(
    n: int,
    counts: list[Counter[Gram]],
    prune: int,
    probabilities: dict[Gram, float],
    backoffs: dict[Gram, float],
) -> None:
    """Adds the n-grams of one order; the order below must be there already."""
    found = counts[n - 1]
    kept = {gram: count for gram, count in found.items() if count > prune and _has_context(gram, probabilities)}
    ones, twos = (sum(count == k for count in found.values()) for k in (1, 2))
    discount = min(0.9, ones / (ones + 2 * twos)) if ones else 0.5
    totals: dict[Gram, int] = defaultdict(int)
    for gram, count in found.items():
        totals[gram[:-1]] += count
    given: dict[Gram, float] = defaultdict(
        float
    )  # what the kept n-grams of a context take; the rest is for the order below
    for gram, count in kept.items():
        given[gram[:-1]] += (count - discount) / totals[gram[:-1]]
    words = len(counts[0]) + 1  # <unk> is one of them
    for gram, count in kept.items():
        below = probabilities[gram[1:]] if n > 1 else 1 / words
        probabilities[gram] = (count - discount) / totals[gram[:-1]] + (1 - given[gram[:-1]]) * below
    if n == 1:
        probabilities[UNKNOWN,] = (1 - given[()]) / words
    else:
        backoffs |= {context: 1 - mass for context, mass in given.items()}


def _has_context(gram: Gram, probabilities: dict[Gram, float]) -> bool:
    """Whether the n-gram without its last word, and without its first, are in the model."""
    return len(gram) == 1 or (gram[1:] in probabilities and (gram[:-1] in probabilities or gram[:-1] == (BEGIN,)))


def _write(out: str | Path, order: int, probabilities: dict[Gram, float], backoffs: dict[Gram, float]) -> None:
    by_order = [sorted(gram for gram in probabilities if len(gram) == n) for n in range(1, order + 1)]
    by_order[0].insert(0, (BEGIN,))
    with atomic_write(out) as file:
        file.write("\\data\\\n" + "".join(f"ngram {n}={len(grams)}\n" for n, grams in enumerate(by_order, 1)))
        for n, grams in enumerate(by_order, 1):
            file.write(f"\n\\{n}-grams:\n")
            for gram in grams:
                weight = f"\t{math.log10(backoffs[gram]):.6f}" if backoffs.get(gram, 0) > 0 else ""
                probability = math.log10(probabilities[gram]) if gram in probabilities else -99
                file.write(f"{probability:.6f}\t{' '.join(gram)}{weight}\n")
        file.write("\n\\end\\\n")
