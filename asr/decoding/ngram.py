"""A back-off n-gram model over characters, read from an ARPA file, as a scorer."""

import gzip
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from asr.decoding.search import Chosen
from asr.decoding.tries import Edges
from asr.errors import AsrError

ROOT = 0
LN10 = math.log(10)
UNKNOWN = -10.0
"""Log-probability of a word that the model does not have, where it has no <unk> either."""


class _State(NamedTuple):
    """The longest context of each hypothesis (B, N) that the model has, as a node."""

    nodes: Tensor
    grown: Tensor | None = None
    """The same after each candidate (B, N, C)."""


class NgramScorer:
    """Log-probabilities of candidates after their context, backing off where the model has not seen it. A CandidateScorer.

    Every n-gram is a node of a trie; its back-off node is the n-gram without its first word.
    """

    def __init__(self, path: str | Path, symbols: Sequence[str], eos: int, device: torch.device | str = "cpu"):
        """symbols: the text of each token; tokens whose text the model does not have are its <unk>.

        Raises AsrError with file and line for what is no ARPA file.
        """
        words = {symbol: token for token, symbol in enumerate(symbols)}
        words |= {"</s>": eos, "<s>": len(symbols), "<unk>": len(symbols) + 1}
        edges: dict[tuple[int, int], int] = {}
        log_prob, backoff, suffix, depth = [0.0], [0.0], [ROOT], [0]
        self.order = 0
        for order, where, tokens, probability, weight in _read_arpa(path, words):
            self.order = max(self.order, order)
            parent = _walk(edges, tokens[:-1])
            if parent is None:
                raise AsrError(f"{where}: its context is no n-gram of the model")
            edges[parent, tokens[-1]] = len(log_prob)
            log_prob.append(probability * LN10)
            backoff.append(weight * LN10)
            suffix.append(_longest_suffix(edges, tokens) if order > 1 else ROOT)
            depth.append(order)
        self.edges = Edges(edges, len(symbols) + 2, device)
        unknown = edges.get((ROOT, len(symbols) + 1))
        known = [(ROOT, token) in edges for token in range(len(symbols))]
        self.vocabulary = torch.tensor(
            [token if has else len(symbols) + 1 for token, has in enumerate(known)], device=device
        )
        self.log_prob, self.backoff, self.suffix = (torch.tensor(x, device=device) for x in (log_prob, backoff, suffix))
        self.depth = torch.tensor(depth, device=device)
        self.unknown = UNKNOWN if unknown is None else log_prob[unknown]
        self.first = edges.get((ROOT, len(symbols)), ROOT) if self.order > 1 else ROOT

    def start(self, n_utterances: int) -> _State:
        return _State(torch.full((n_utterances, 1), self.first, device=self.log_prob.device))

    def score(self, tokens: Tensor, candidates: Tensor, said: Tensor, state: _State) -> tuple[Tensor, _State]:
        context = state.nodes[:, :, None].expand_as(candidates)
        words = self.vocabulary[candidates]
        found = torch.full_like(candidates, -1)
        score = torch.zeros(candidates.shape, device=candidates.device)
        for _ in range(self.order):
            child = self.edges.follow(context, words)
            new = (found < 0) & (child >= 0)
            score = torch.where(new, score + self.log_prob[child], score)
            found = torch.where(new, child, found)
            score = torch.where(found < 0, score + self.backoff[context], score)
            context = self.suffix[context]
        score = torch.where(found < 0, score + self.unknown, score)
        found = found.clamp(min=ROOT)
        # Nothing follows an n-gram of the highest order: its context is what is left without the first word.
        following = torch.where(self.depth[found] == self.order, self.suffix[found], found)
        return score, state._replace(grown=following)

    def select(self, state: _State, chosen: Chosen) -> _State:
        return _State(state.grown[chosen.utterances[:, None], chosen.hypotheses, chosen.candidates])


def _walk(edges: dict[tuple[int, int], int], tokens: Sequence[int]) -> int | None:
    node: int | None = ROOT
    for token in tokens:
        node = edges.get((node, token))
        if node is None:
            return None
    return node


def _longest_suffix(edges: dict[tuple[int, int], int], tokens: Sequence[int]) -> int:
    for first in range(1, len(tokens)):
        if (node := _walk(edges, tokens[first:])) is not None:
            return node
    return ROOT


def _read_arpa(path: str | Path, words: dict[str, int]) -> Iterator[tuple[int, str, tuple[int, ...], float, float]]:
    """(order, file:line, tokens, log10 probability, log10 back-off weight) of n-grams whose words all have a token."""
    order = 0
    try:
        opened = gzip.open if str(path).endswith(".gz") else open
        with opened(path, "rt", encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                line = line.strip()
                if line.startswith("\\"):
                    order = int(line[1 : line.index("-grams:")]) if line.endswith("-grams:") else 0
                elif line and order:
                    yield from _entry(line, order, f"{path}:{number}", words)
    except FileNotFoundError:
        raise AsrError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise AsrError(f"{path}: not an ARPA language model ({error})") from error
    if not order and not Path(path).stat().st_size:
        raise AsrError(f"{path}: is empty")


def _entry(line: str, order: int, where: str, words: dict[str, int]) -> Iterator:
    fields = line.split()
    if len(fields) not in (order + 1, order + 2):
        raise AsrError(
            f"{where}: a {order}-gram must be a number, {order} words and perhaps a number, is {line[:60]!r}"
        )
    tokens = tuple(words.get(word, -1) for word in fields[1 : order + 1])
    if -1 not in tokens:
        yield order, where, tokens, float(fields[0]), float(fields[order + 1]) if len(fields) == order + 2 else 0.0
