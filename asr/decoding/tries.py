"""Many (node, token) → node edges looked up at once, as tensors: what hot words and n-gram models walk along."""

from collections.abc import Mapping

import torch
from torch import Tensor


class Edges:
    """A sparse table of edges. Looking up is a binary search over sorted keys, for any number of edges at once."""

    def __init__(self, edges: Mapping[tuple[int, int], int], n_tokens: int, device: torch.device | str = "cpu"):
        """edges: (node, token) → node."""
        self.n_tokens = n_tokens
        pairs = sorted((node * n_tokens + token, child) for (node, token), child in edges.items())
        self.keys = torch.tensor([key for key, _ in pairs] + [torch.iinfo(torch.long).max], device=device)
        self.children = torch.tensor([child for _, child in pairs] + [-1], device=device)

    def follow(self, nodes: Tensor, tokens: Tensor) -> Tensor:
        """The node that each edge leads to, -1 where there is none; nodes and tokens have the same shape."""
        keys = nodes * self.n_tokens + tokens
        places = torch.searchsorted(self.keys, keys)
        return torch.where(self.keys[places] == keys, self.children[places], -1)
