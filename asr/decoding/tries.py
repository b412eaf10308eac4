"""Many (node, token) → node edges looked up at once, as tensors: what hot words and n-gram models walk along."""

from typing import NamedTuple

import torch
from torch import Tensor

from asr.decoding.beam import Chosen


class Edges:
    """A sparse table of edges. Looking up is a binary search over sorted keys, for any number of edges at once."""

    def __init__(self, keys: Tensor, children: Tensor, n_tokens: int):
        """keys (E,): node · n_tokens + token, rising; children (E,), int32 or int64: the node that each leads to."""
        self.n_tokens = n_tokens
        self.keys = torch.cat([keys, keys.new_tensor([torch.iinfo(torch.long).max])])
        self.children = torch.cat([children, children.new_tensor([-1])])

    def follow(self, nodes: Tensor, tokens: Tensor) -> Tensor:
        """The node that each edge leads to, -1 where there is none; nodes and tokens have the same shape."""
        keys = nodes * self.n_tokens + tokens
        places = torch.searchsorted(self.keys, keys)
        return torch.where(self.keys[places] == keys, self.children[places].long(), -1)


class Walk(NamedTuple):
    """Where in a trie the hypotheses of a batch are. The state of a CandidateScorer."""

    nodes: Tensor
    """(B, N) the node of each hypothesis."""
    grown: Tensor | None = None
    """(B, N, C) the node after each candidate."""

    def select(self, chosen: Chosen) -> "Walk":
        """Of the longer hypotheses that were chosen."""
        return Walk(self.grown[chosen.utterances[:, None], chosen.hypotheses, chosen.candidates])
