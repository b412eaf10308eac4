"""Estimating a character n-gram model from plain text, written as an ARPA file."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np

from asr.errors import ConfigError
from asr.files import atomic_write

BEGIN, END, UNKNOWN = "<s>", "</s>", "<unk>"


@dataclass
class _Level:
    """The n-grams of one length that occur, G of them, sorted."""

    prefix: np.ndarray
    """(G,) which n-gram of the level below each one is without its last word."""
    suffix: np.ndarray
    """(G,) which one it is without its first word."""
    word: np.ndarray
    """(G,) its last word."""
    begins: np.ndarray
    """(G,) whether its first word is <s>."""
    occurs: np.ndarray
    """(G,) how often."""
    count: np.ndarray
    """(G,) the same; below the highest order, how many different words come before (Kneser and Ney 1995)."""
    kept: np.ndarray = field(init=False)
    """(G,) whether it is in the model."""
    probability: np.ndarray = field(init=False)
    """(G,) of the last word after the others."""
    backoff: np.ndarray = field(init=False)
    """(G,) what is left for words that never follow; 0 where none is kept that does."""

    def __post_init__(self):
        self.kept, self.probability, self.backoff = np.ones(len(self.word), bool), *np.zeros((2, len(self.word)))


def train_ngram(
    sentences: Iterable[Sequence[str]], out: str | Path, order: int = 3, prune: int = 1, *, size: int = 0
) -> int:
    """Writes interpolated Kneser-Ney estimates (Chen and Goodman 1999, one discount per order); returns how many n-grams.

    sentences: symbols of each. prune: n-grams of three words or more that occur this often at most are left out. size: so many
    n-grams at most, single words among them, are in the model, those without which it would be the most different.
    Raises ConfigError for an order or a size that cannot be.
    """
    if order < 1:
        raise ConfigError(f"order must be at least 1, is {order}")
    words, text = _numbered(sentences)
    if not len(text):
        raise ConfigError("no text to estimate a language model from")
    levels = _levels(text, words, order)
    unknown = _estimate_words(levels[0])
    for n, (below, level) in enumerate(pairwise(levels), 2):
        level.kept = level.occurs > (prune if n > 2 else 0)
        _estimate(level, below)
    if size:
        _keep(levels, size)
    _write(out, levels, words, unknown)
    return sum(int(level.kept.sum()) for level in levels)  # <s> is not said, <unk> is


def _numbered(sentences: Iterable[Sequence[str]]) -> tuple[list[str], np.ndarray]:
    """Every word that occurs, sorted, and the text as their numbers, with <s> before and </s> after each sentence."""
    numbers: dict[str, int] = {BEGIN: 0, END: 1}
    text = array("q")
    for sentence in sentences:
        text.append(0)
        text.extend(numbers.setdefault(word, len(numbers)) for word in sentence)
        text.append(1)
    words = sorted(numbers)
    place = np.empty(len(words), np.int64)
    place[[numbers[word] for word in words]] = np.arange(len(words))
    return words, place[np.frombuffer(text, np.int64)]


def _levels(text: np.ndarray, words: list[str], order: int) -> list[_Level]:
    """What occurs in a text, by length; nothing goes on behind </s>."""
    begin, end = words.index(BEGIN), words.index(END)
    levels: list[_Level] = []
    starts = np.arange(len(text))  # where n words follow in one sentence
    which = np.zeros(len(text) + 1, np.int64)  # what the n - 1 words from each place on are, in the level below
    for n in range(1, order + 1):
        if n > 1:
            starts = starts[text[starts + n - 2] != end]
        keys, first, inverse, count = np.unique(
            which[starts] * len(words) + text[starts + n - 1],
            return_index=True,
            return_inverse=True,
            return_counts=True,
        )
        prefix, word = keys // len(words), keys % len(words)
        suffix = which[starts[first] + 1]
        begins = levels[-1].begins[prefix] if n > 1 else word == begin
        if n > 1:
            before = np.bincount(suffix, minlength=len(levels[-1].count))
            levels[-1].count = np.where(levels[-1].begins, levels[-1].count, before)  # nothing comes before <s>
        levels.append(_Level(prefix, suffix, word, begins, count, count))
        which[starts] = inverse
    levels[0].count[levels[0].begins] = 0  # <s> is never said
    return levels


def _estimate_words(level: _Level) -> float:
    """Fills in the single words; returns the probability of one that does not occur, which all others get as well."""
    share = np.maximum(level.count - _discount(level.count), 0) / level.count.sum()
    unknown = (1 - share.sum()) / len(level.count)  # <unk> is one of them, <s> is not
    level.probability = np.where(level.begins, 0, share + unknown)
    return float(unknown)


def _estimate(level: _Level, below: _Level) -> None:
    """Fills in the n-grams of two words or more; the level below must be there already."""
    contexts = len(below.count)
    level.kept &= below.kept[level.suffix] & below.kept[level.prefix]
    share = (level.count - _discount(level.count)) / np.bincount(level.prefix, level.count, contexts)[level.prefix]
    left = 1 - np.bincount(level.prefix[level.kept], share[level.kept], contexts)
    _back_off(level, below, left)
    level.probability = share + left[level.prefix] * below.probability[level.suffix]


def _back_off(level: _Level, below: _Level, left: np.ndarray) -> None:
    """Leaves so much after each context that something kept follows, nothing after the others."""
    below.backoff = np.where(np.bincount(level.prefix[level.kept], minlength=len(left)) > 0, left, 0)


def _keep(levels: list[_Level], size: int) -> None:
    """Keeps `size` n-grams at most, single words among them, with their probabilities; other words share what is left.

    An n-gram is worth as much as the most that begins with it, ends with it, or is it, so what those need is there.
    """
    room = size - len(levels[0].word)
    if room < 0:
        raise ConfigError(f"size must be at least {len(levels[0].word)}, the single words, is {size}")
    worth = [np.zeros(len(levels[0].word)), *(_worth(level, below) for below, level in pairwise(levels))]
    for level, of_it, below in zip(levels[:0:-1], worth[:0:-1], worth[-2::-1], strict=True):
        for part in (level.prefix, level.suffix):
            np.maximum.at(below, part[level.kept], of_it[level.kept])
    longer = np.concatenate([of_it[level.kept] for level, of_it in zip(levels[1:], worth[1:], strict=True)] or [[]])
    if len(longer) <= room:
        return
    least = np.sort(longer)[::-1][room]
    for (below, level), of_it in zip(pairwise(levels), worth[1:], strict=True):
        level.kept &= of_it > least
        rest, rest_lower = _rests(level, below)
        _back_off(level, below, rest / rest_lower)


def _worth(level: _Level, below: _Level) -> np.ndarray:
    """(G,) how different the model would be without each n-gram: the relative entropy of the two (Stolcke 1998), times words.

    Contexts are weighed by how often they occur, not by what the shorter n-grams say of them, which Kneser and Ney made for
    another purpose (Chelba et al. 2010).
    """
    lower = below.probability[level.suffix]
    rest, rest_lower = (x[level.prefix] for x in _rests(level, below))
    before, after = np.log(rest / rest_lower), np.log((rest + level.probability) / (rest_lower + lower))
    changes = level.probability * (np.log(level.probability / lower) - after) - rest * (after - before)
    return below.occurs[level.prefix] * changes


def _rests(level: _Level, below: _Level) -> tuple[np.ndarray, np.ndarray]:
    """After each context: the probability of all words that no kept n-gram is about, in this level and in the one below."""
    kept, contexts, tiny = level.kept, len(below.count), np.finfo(float).tiny
    said = (level.probability, below.probability[level.suffix])
    first, second = (1 - np.bincount(level.prefix[kept], x[kept], contexts) for x in said)
    return np.maximum(first, tiny), np.maximum(second, tiny)


def _discount(count: np.ndarray) -> float:
    ones, twos = (int((count == k).sum()) for k in (1, 2))
    return min(0.9, ones / (ones + 2 * twos)) if ones else 0.5


def _write(out: str | Path, levels: list[_Level], words: list[str], unknown: float) -> None:
    numbers = [int(level.kept.sum()) + (n == 0) for n, level in enumerate(levels)]
    with atomic_write(out) as file:
        file.write("\\data\\\n" + "".join(f"ngram {n}={number}\n" for n, number in enumerate(numbers, 1)))
        grams, place = (
            [""],
            np.zeros(1, np.int64),
        )  # what is written of the level below, and where each of its n-grams is there
        for n, level in enumerate(levels, 1):
            file.write(f"\n\\{n}-grams:\n" + (f"{np.log10(unknown):.6f}\t{UNKNOWN}\n" if n == 1 else ""))
            prefixes, last = place[level.prefix[level.kept]].tolist(), level.word[level.kept].tolist()
            grams = [f"{grams[i]} {words[j]}".lstrip(" ") for i, j in zip(prefixes, last, strict=True)]
            place = level.kept.cumsum() - 1
            file.writelines(_lines(level, grams))
        file.write("\n\\end\\\n")


def _lines(level: _Level, grams: list[str]) -> Iterator[str]:
    """What an ARPA file says of each n-gram: log10 of the probability, the words, log10 of the back-off weight."""
    with np.errstate(divide="ignore"):
        probability, backoff = (np.log10(x[level.kept]).tolist() for x in (level.probability, level.backoff))
    for gram, said, left in zip(grams, probability, backoff, strict=True):
        weight = f"\t{left:.6f}" if left > -np.inf else ""
        yield f"{max(said, -99):.6f}\t{gram}{weight}\n"
