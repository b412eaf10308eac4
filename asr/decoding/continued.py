"""Texts whose beginning is known: the search goes on from there."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from asr.decoding.beam import Chosen
from asr.decoding.search import Scorer


class ContinuedScorer:
    """A Scorer that leaves each utterance no choice but its known tokens, and then is the one that it is made of."""

    def __init__(self, scorer: Scorer, known: Sequence[Sequence[int]]):
        """known: ids of each utterance, none for one of which nothing is known; with eos behind them they are all of its text."""
        self.scorer = scorer
        self.sos, self.eos = scorer.sos, scorer.eos
        self.n_utterances, self.device = scorer.n_utterances, scorer.device
        rows = [torch.tensor(tokens, dtype=torch.long) for tokens in known]
        self.known = pad_sequence(rows, batch_first=True, padding_value=-1).to(self.device)

    def start(self) -> tuple[Any, int, Tensor]:
        return self.scorer.start(), 0, self.known

    def score(self, tokens: Tensor, state: tuple[Any, int, Tensor]) -> tuple[Tensor, tuple[Any, int, Tensor]]:
        inner, n, known = state
        scores, inner = self.scorer.score(tokens, inner)
        if n < known.shape[1]:
            next_ones = known[:, n, None, None]
            ids = torch.arange(scores.shape[-1], device=self.device)
            scores = scores.masked_fill((next_ones >= 0) & (ids != next_ones), -torch.inf)
        return scores, (inner, n + 1, known)

    def select(self, state: tuple[Any, int, Tensor], chosen: Chosen) -> tuple[Any, int, Tensor]:
        inner, n, known = state
        return self.scorer.select(inner, chosen), n, known[chosen.utterances]


def parted(known: Sequence[int], n: int, eos: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What is known of the texts of an utterance's two parts, where the first holds `n` of the known tokens.

    Where more of them come in the second part, or eos is known to come behind them, the text of the first ends with its own.
    """
    ends = tuple(known[-1:]) == (eos,)
    tokens = tuple(known[:-1] if ends else known)
    first, second = tokens[:n], tokens[n:]
    return first + ((eos,) if second or ends else ()), second + ((eos,) if ends else ())
