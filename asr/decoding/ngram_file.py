"""N-gram models as files: ARPA text, which every toolkit writes, and a packed form that is there at once."""

import gzip
import itertools
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

import numpy as np

from asr.errors import AsrError
from asr.files import write_file
from asr.foreign_bytes import NOT_FETCHED, is_pointer, listed, reading, shortened
from asr.text.normalize import holds_han
from asr.text.tokenizer import fingerprint

PACKED = ".safetensors"
"""How the names of packed files end."""
LONGEST_LINE = 1 << 20
"""Characters that no line of an ARPA file has."""
LARGEST_SHARE = 100
"""Characters that a byte of a compressed ARPA file never stands for; it is about four."""
MOST_ORDER = 20
"""The longest n-grams."""
LARGEST = 1e4
"""The largest logarithm, either way; SRILM writes -99 for what cannot be."""
ROUNDING = 1e-6
"""What a logarithm may be above 0."""
LN10 = math.log(10)


@dataclass(frozen=True)
class Ngrams:
    """A back-off model as a trie. Node 0 is the empty context, every other node an n-gram; N nodes, by length, then by tokens.

    Tokens beyond the symbols are `<s>` and `<unk>`, in this order.
    """

    parent: np.ndarray
    """(N,) the n-gram without its last token; rising."""
    token: np.ndarray
    """(N,) its last token; -1 for node 0."""
    log_prob: np.ndarray
    """(N,) natural logarithm of the probability of the last token after the others."""
    backoff: np.ndarray
    """(N,) what is added where a longer context is not in the model."""

    @property
    def levels(self) -> list[int]:
        """The first node of each length, node 0 first, and N behind them."""
        firsts = [0, 1]
        while firsts[-1] < len(self.parent):  # a level ends where the parents of the next one begin to be of this level
            firsts.append(int(np.searchsorted(self.parent, firsts[-1])))
        return firsts


def read_ngrams(path: str | Path, symbols: Sequence[str], eos: int) -> Ngrams:
    """A model from an ARPA file (.gz too), or a packed one.

    symbols: the text of each token. Raises AsrError with file and line for what is no ARPA file, and for a packed file of
    another token table.
    """
    if str(path).endswith(PACKED):
        return _unpack(Path(path), symbols)
    words = {symbol: token for token, symbol in enumerate(symbols)}
    words |= {"</s>": eos, "<s>": len(symbols), "<unk>": len(symbols) + 1}
    found = sorted(_read_arpa(path, words), key=lambda entry: (len(entry[0]), entry[0]))
    nodes: dict[tuple[int, ...], int] = {(): 0}
    for tokens, where, _, _ in found:
        if tokens[:-1] not in nodes:
            raise AsrError(f"{where}: its context is no n-gram of the model")
        nodes.setdefault(tokens, len(nodes))
    values = {tokens: (probability, weight) for tokens, _, probability, weight in found} | {(): (0.0, 0.0)}
    log_prob, backoff = (np.array(x, np.float32) * np.float32(LN10) for x in zip(*map(values.get, nodes), strict=True))
    parent = np.array([nodes[tokens[:-1]] for tokens in nodes], np.int64)
    return Ngrams(parent, np.array([-1, *(tokens[-1] for tokens in nodes if tokens)], np.int64), log_prob, backoff)


def with_more_symbols(ngrams: Ngrams, before: int, now: int) -> Ngrams:
    """The same model for a longer list of symbols that begins as the one before: those behind it are unknown to it."""
    return replace(ngrams, token=np.where(ngrams.token >= before, ngrams.token + now - before, ngrams.token))


def words_of(path: Path) -> Iterator[str]:
    """The words of an ARPA file; none of a packed one, which says itself whose tokens it has, nor of anything else."""
    if str(path).endswith(PACKED) or not path.is_file():
        return
    opened = gzip.open if str(path).endswith(".gz") else open
    with opened(path, "rt", encoding="utf-8", errors="replace") as file:
        behind = itertools.dropwhile(lambda line: not line.startswith("\\1-grams:"), file)
        for line in itertools.takewhile(lambda line: not line.startswith("\\2-grams:"), behind):
            yield from line.split()[1:2]


def require_characters(path: Path, symbols: Sequence[str]) -> None:
    """Raises AsrError for an ARPA file that would change nothing: none of its words is a token, or most are words of several
    characters that no token has together."""
    known, own = set(symbols), [word for word in words_of(path) if not re.fullmatch("<.*>", word)]
    han = [word for word in own if holds_han(word)]
    strange = [word for word in han if len(word) > 1 and word not in known]
    if 2 * len(strange) > len(han):
        raise AsrError(
            f"{path}: is a language model of words ({listed(strange)}), the model writes characters, so that it would change"
            " nothing; asr train-lm makes one of characters, from texts with or without spaces"
        )
    if own and known.isdisjoint(own):
        raise AsrError(
            f"{path}: none of its words ({listed(own)}) is a token of the model, so that it would change nothing"
        )


def pack(ngrams: Ngrams, path: Path, symbols: Sequence[str]) -> int:
    """Writes a packed file: probabilities as float16, how many children a node has in place of its parent; returns its bytes."""
    from safetensors.numpy import save

    children = np.bincount(ngrams.parent[1:], minlength=len(ngrams.parent))
    inner = int(np.flatnonzero(children)[-1]) + 1 if children.any() else 1
    arrays = {
        "children": children[:inner].astype(np.uint16),
        "token": ngrams.token[1:].astype(np.uint16),
        "log_prob": ngrams.log_prob.astype(np.float16),
        "backoff": ngrams.backoff[:inner].astype(np.float16),  # nothing follows the others
    }
    write_file(path, save(arrays, {"tokens": fingerprint(symbols)}))
    return path.stat().st_size


def _unpack(path: Path, symbols: Sequence[str]) -> Ngrams:
    from safetensors import safe_open

    with reading(path, AsrError, "damaged or no packed language model", "copy the file again"):
        with safe_open(path, framework="numpy") as file:
            table = (file.metadata() or {}).get("tokens", "unknown")
            children, token, log_prob, backoff = map(file.get_tensor, ("children", "token", "log_prob", "backoff"))
        if table != fingerprint(symbols):
            raise AsrError(
                f"{path}: is for a token table with fingerprint {shortened(table)}, the model's is {fingerprint(symbols)}"
            )
        _check_packed(children, token, log_prob, backoff, len(symbols))
    return Ngrams(
        np.concatenate([np.zeros(1, np.int32), np.repeat(np.arange(len(children), dtype=np.int32), children)]),
        np.concatenate([np.full(1, -1, np.int32), token.astype(np.int32)]),
        log_prob.astype(np.float32),
        np.pad(backoff.astype(np.float32), (0, len(log_prob) - len(backoff))),
    )


def _check_packed(children: np.ndarray, token: np.ndarray, log_prob: np.ndarray, backoff: np.ndarray, n: int) -> None:
    """Raises ValueError where the arrays are not those of one trie over `n` symbols: before anything is made of their size."""
    if any(array.ndim != 1 for array in (children, token, log_prob, backoff)):
        raise ValueError("its arrays have more than one dimension")
    if not (1 <= len(backoff) == len(children) <= len(log_prob) == len(token) + 1):
        raise ValueError(f"its arrays hold {len(children)}, {len(token)}, {len(log_prob)} and {len(backoff)} numbers")
    if children.dtype != np.uint16 or token.dtype != np.uint16 or int(children.sum(dtype=np.int64)) != len(token):
        raise ValueError(f"its nodes have {children.sum(dtype=np.float64):g} children, there are {len(token)}")
    if len(token) and int(token.max()) >= n + 2:
        raise ValueError(f"it holds the token {token.max()} of {n}")
    if (np.cumsum(children, dtype=np.int64) < np.arange(1, len(children) + 1))[:-1].any():
        raise ValueError("a node would come before its parent")
    if not (np.isfinite(log_prob).all() and np.isfinite(backoff).all() and (log_prob <= 0).all()):
        raise ValueError("it holds logarithms that are none of probabilities")


def _read_arpa(path: str | Path, words: dict[str, int]) -> Iterator[tuple[tuple[int, ...], str, float, float]]:
    """(tokens, file:line, log10 probability, log10 back-off weight) of n-grams whose words all have a token.

    Raises AsrError at the end where there are fewer of a length than the head announces.
    """
    order, sections = 0, 0
    left: Counter[int] = Counter()
    opened = gzip.open if str(path).endswith(".gz") else open
    with reading(path, AsrError, "not an ARPA language model") as place, opened(path, "rt", encoding="utf-8") as file:
        for place.line, line in enumerate(_bounded_lines(file, Path(path).stat().st_size), 1):
            line = line.strip()
            if line.startswith("\\"):
                order = _order(line) if line.endswith("-grams:") else 0
                sections += order > 0
            elif not sections and (announced := re.fullmatch(r"ngram\s+(\d{1,2})\s*=\s*(\d{1,18})", line)):
                left[int(announced[1])] += int(announced[2])
            elif line and order:
                left[order] -= 1
                yield from _entry(line, order, str(place), words)
    if not sections:
        if not Path(path).stat().st_size:
            raise AsrError(f"{path}: is empty")
        if is_pointer(path):
            raise AsrError(f"{path}: {NOT_FETCHED}")
        raise AsrError(f"{path}: not an ARPA language model (no line such as \\1-grams: is in it)")
    if lacking := [length for length, n in sorted(left.items()) if n > 0]:
        raise AsrError(
            f"{path}: is cut off or damaged: of its {lacking[0]}-grams there are {left[lacking[0]]:,} fewer than its head says"
        )


def _bounded_lines(file: TextIO, size: int) -> Iterator[str]:
    """The lines of a file of `size` bytes that may be compressed. ValueError where one, or all, are longer than text can be."""
    left = LARGEST_SHARE * size + LONGEST_LINE
    while line := file.readline(LONGEST_LINE):
        left -= len(line)
        if len(line) == LONGEST_LINE or left < 0:
            raise ValueError("it unpacks to a line, or a text, far longer than those of a language model")
        yield line


def _order(line: str) -> int:
    order = int(line[1 : line.index("-grams:")][:10])
    if not 0 < order <= MOST_ORDER:
        raise ValueError(f"n-grams of {order} words; at most {MOST_ORDER} can be read")
    return order


def _entry(line: str, order: int, where: str, words: dict[str, int]) -> Iterator:
    fields = line.split()
    if len(fields) not in (order + 1, order + 2):
        raise AsrError(
            f"{where}: a {order}-gram must be a number, {order} words and perhaps a number, is {line[:60]!r}"
        )
    probability, backoff = float(fields[0]), float(fields[order + 1]) if len(fields) == order + 2 else 0.0
    if not (abs(probability) <= LARGEST and abs(backoff) <= LARGEST):
        raise AsrError(f"{where}: {listed((fields[0], *fields[order + 1 :]))}: no logarithms of probabilities")
    if probability > ROUNDING:
        raise AsrError(f"{where}: {fields[0]} is no logarithm of a probability: those are 0 at most")
    tokens = tuple(words.get(word, -1) for word in fields[1 : order + 1])
    if -1 not in tokens:
        yield tokens, where, probability, backoff
