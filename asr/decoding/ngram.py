"""A back-off n-gram model over characters as a scorer."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from asr.decoding.beam import Chosen
from asr.decoding.ngram_file import read_ngrams
from asr.decoding.tries import Edges, Walk

ROOT = 0
BLOCK = 1 << 17
"""N-grams looked at together: what a model of millions takes while it is read does not grow with it."""
UNKNOWN = -10.0
"""Log-probability of a word that the model does not have, where it has no <unk> either."""


class NgramScorer:
    """Log-probabilities of candidates after their context, backing off where the model has not seen it. A CandidateScorer.

    Every n-gram is a node of a trie; its back-off node is the n-gram without its first word. A hypothesis is at the longest
    context that the model has.
    """

    def __init__(self, path: str | Path, symbols: Sequence[str], eos: int, device: torch.device | str = "cpu"):
        """symbols: the text of each token; tokens whose text the model does not have are its <unk>.

        Raises AsrError as `read_ngrams` does.
        """
        self.path = Path(path)
        ngrams = read_ngrams(path, symbols, eos)
        begin, unknown, n_tokens = len(symbols), len(symbols) + 1, len(symbols) + 2
        parent, token, self.log_prob, self.backoff = (
            torch.from_numpy(x).to(device) for x in (ngrams.parent, ngrams.token, ngrams.log_prob, ngrams.backoff)
        )
        levels = ngrams.levels
        self.order, self.longest = len(levels) - 2, levels[-2]  # `longest`: where n-grams of the highest order begin
        # Rising: nodes are sorted as their keys are.
        keys = parent[1:].to(torch.long, copy=True).mul_(n_tokens).add_(token[1:])
        self.edges = Edges(keys, torch.arange(1, len(parent), dtype=torch.int32, device=device), n_tokens)
        self.suffix = self._suffixes(parent, token, levels)
        first = self.edges.follow(
            torch.zeros(n_tokens, dtype=torch.long, device=device), torch.arange(n_tokens, device=device)
        )
        self.vocabulary = torch.where(first[: len(symbols)] >= 0, torch.arange(len(symbols), device=device), unknown)
        self.unknown = float(self.log_prob[first[unknown]]) if first[unknown] >= 0 else UNKNOWN
        self.first = max(int(first[begin]), ROOT) if self.order > 1 else ROOT

    def _suffixes(self, parent: Tensor, token: Tensor, levels: list[int]) -> Tensor:
        """(N,) the longest n-gram of the model that each one ends in, itself apart: int32, for there are millions."""
        suffix = torch.zeros(len(parent), dtype=torch.int32, device=parent.device)  # ROOT
        for level, end in zip(levels[2:], levels[3:], strict=False):
            for first in range(level, end, BLOCK):
                nodes = torch.arange(first, min(first + BLOCK, end), device=parent.device)
                words, context = token[nodes].long(), suffix[parent[nodes].long()].long()
                while len(nodes):
                    found = self.edges.follow(context, words)
                    suffix[nodes] = found.clamp(min=ROOT).int()
                    shorter = (found < 0) & (context != ROOT)
                    nodes, words, context = nodes[shorter], words[shorter], suffix[context[shorter]].long()
        return suffix

    def start(self, n_utterances: int) -> Walk:
        return Walk(torch.full((n_utterances, 1), self.first, device=self.log_prob.device))

    def score(self, tokens: Tensor, candidates: Tensor, said: Tensor, state: Walk) -> tuple[Tensor, Walk]:
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
            context = self.suffix[context].long()
        score = torch.where(found < 0, score + self.unknown, score)
        found = found.clamp(min=ROOT)
        # Nothing follows an n-gram of the highest order: its context is what is left without the first word.
        following = torch.where(found >= self.longest, self.suffix[found].long(), found)
        return score, state._replace(grown=following)

    def select(self, state: Walk, chosen: Chosen) -> Walk:
        return state.select(chosen)
