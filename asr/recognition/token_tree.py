"""Rows of tokens as a network that says what comes next is asked of them: side by side, or as a tree of their beginnings.

The texts of a beam differ in a few places. In a tree (a trie) each distinct beginning is computed once: its nodes are one row, in
which a mask lets each see nothing but what stands before it, as in the trees of speculative decoding (arXiv:2305.09781).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

import numpy as np
import torch
from torch import Tensor

Row = Sequence[int]


@dataclass(frozen=True)
class Asked:
    """What goes into the network at once, and where it says the tokens of each row."""

    ids: Tensor
    """(B, T)"""
    places: list[list[int]]
    """For each token of a row but its first the place of the one before, in B times T."""
    depths: Tensor | None = None
    """(1, T) how many tokens stand before each; None: as many as are left of it."""
    sees: Tensor | None = None
    """(1, 1, T, T) which ones, and itself; None: all that are left of it."""


def side_by_side(rows: Sequence[Row]) -> Asked:
    """All of each row but its last token. Padding stands behind, where nothing before it looks."""
    longest = max(len(row) - 1 for row in rows)
    ids = torch.tensor([[*row[:-1], *[0] * (longest + 1 - len(row))] for row in rows])
    return Asked(ids, [[b * longest + t for t in range(len(row) - 1)] for b, row in enumerate(rows)])


def as_tree(rows: Sequence[Row]) -> Asked:
    """Each beginning of a row once, but for the rows themselves: nobody asks what comes behind their last tokens."""
    nodes: dict[tuple[int, int], int] = {}  # the node before and a token → the node: those before come first
    places: list[list[int]] = []
    for row in rows:
        node, passed = -1, []
        for token in row[:-1]:
            node = nodes.setdefault((node, token), len(nodes))
            passed.append(node)
        places.append(passed)
    sees = np.eye(len(nodes), dtype=bool)
    for (before, _), node in nodes.items():
        if before >= 0:
            sees[node] |= sees[before]
    depths = torch.from_numpy(sees.sum(1) - 1)
    return Asked(
        torch.tensor([[token for _, token in nodes]]), places, depths[None], torch.from_numpy(sees)[None, None]
    )


def grouped_by_beginning(rows: Sequence[Row], most: int) -> list[list[int]]:
    """Which rows go together: such as begin alike, in trees of so many tokens at most; what is longer is alone."""
    groups: list[list[int]] = []
    size = 0
    for i in sorted(range(len(rows)), key=lambda i: list(rows[i])):
        if groups:
            alike = zip(rows[groups[-1][-1]], rows[i], strict=False)  # in this order no other row is more alike
            size += len(rows[i]) - sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], alike))
        if groups and size <= most:
            groups[-1].append(i)
        else:
            groups.append([i])
            size = len(rows[i])
    return groups
