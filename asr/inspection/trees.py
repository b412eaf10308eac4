"""The tree of a search, and the names of tokens, as the page takes them."""

import math
from typing import Any

from asr.decoding.search import Hypothesis
from asr.inspection.tree import ALIVE, ENDED, STOPPED, Candidate, Node, Prefix, Tree
from asr.inspection.watching import Searched
from asr.text.byte_pairs import BytePairTokenizer, byte_symbols
from asr.text.tokenizer import Tokenizer

FATES = (ALIVE, ENDED, STOPPED)
SHOWN = 16
"""Texts of each step that the page has, the best; besides, those that lead to what was found."""


class Labels:
    """What tokens are called; it keeps those that were asked for."""

    def __init__(self, tokenizer: Tokenizer):
        self.tokenizer = tokenizer
        self.used: dict[int, str] = {}

    def id(self, token: int) -> int:
        """The token itself, whose name is kept."""
        if token not in self.used:
            self.used[token] = self._name(token)
        return token

    def _name(self, token: int) -> str:
        [text] = self.tokenizer.pieces([token])
        name = self.tokenizer.table.tokens[token]
        if token in self.tokenizer.table.bytes:
            return name
        if "\ufffd" in text and isinstance(self.tokenizer, BytePairTokenizer):  # some bytes of a character
            symbols = byte_symbols()
            return " ".join(f"{symbols.index(c):02X}" for c in name)
        return text.replace(" ", "␣") or name

    def adds(self, path: Prefix) -> str:
        """What the last token of a text adds to what is to be read; a character comes with its last byte."""
        eos = self.tokenizer.table.eos
        if not path or path[-1] == eos:
            return ""
        return self.tokenizer.pieces([*path, eos])[len(path) - 1]


def result_path(tree: Tree, result: Hypothesis) -> Prefix:
    """Where in the tree what was found is; its end, if it has one."""
    ended = (*result.tokens, tree.eos)
    return ended if result.complete and ended in tree.nodes else result.tokens


def tree_data(searched: Searched, labels: Labels) -> dict[str, Any]:
    """The tree and what was found, as lists without names.

    nodes, parents before children: [parent, token, fate, place, chosen by, total, parts, what it adds]. way: from the root to
    the result. candidates, by node: [token, log-probability, parts, place, total, what it adds]. found: [node, score, text,
    scores]. hidden: how many nodes are left out.
    """
    tree = searched.tree
    way = tree.way(result_path(tree, searched.result.hypothesis))
    leaves = [result_path(tree, h) for h in searched.found]
    leading = {path[:length] for path in leaves for length in range(len(path) + 1)}
    kept = [n for n in tree.nodes.values() if n.place < SHOWN or n.path in leading]
    kept = _with_parents(tree, kept)
    numbers = {node.path: i for i, node in enumerate(kept)}
    return {
        "nodes": [_node(node, numbers, labels) for node in kept],
        "candidates": {
            numbers[n.path]: [_candidate(c, n.path, labels) for c in n.candidates] for n in kept if n.candidates
        },
        "way": [numbers[node.path] for node in way],
        "found": [
            [numbers[leaf], round(h.score, 4), labels.tokenizer.decode(h.tokens), _rounded(h.scores)]
            for leaf, h in zip(leaves, searched.found, strict=True)
        ],
        "hidden": len(tree.nodes) - len(kept),
    }


def _with_parents(tree: Tree, nodes: list[Node]) -> list[Node]:
    """Nodes and all that they come from, shorter texts first."""
    paths = {node.path[:length] for node in nodes for length in range(len(node.path) + 1)}
    return [tree.nodes[path] for path in sorted(paths, key=lambda path: (len(path), tree.nodes[path].place))]


def _node(node: Node, numbers: dict[Prefix, int], labels: Labels) -> list:
    parent = numbers[node.parent] if node.path else -1
    token = labels.id(node.path[-1]) if node.path else -1
    scores = [_number(node.chosen_by), _number(node.total), [_number(x) for x in node.parts]]
    return [parent, token, FATES.index(node.fate), node.place, *scores, labels.adds(node.path)]


def _candidate(candidate: Candidate, path: Prefix, labels: Labels) -> list:
    parts = None if candidate.parts is None else [_number(x) for x in candidate.parts]
    total = None if candidate.total is None else _number(candidate.total)
    adds = labels.adds((*path, candidate.token))
    return [labels.id(candidate.token), _number(candidate.log_prob), parts, candidate.place, total, adds]


def _number(x: float) -> float | None:
    """Rounded; None for what JSON cannot say."""
    return round(x, 4) if math.isfinite(x) else None


def _rounded(scores: dict[str, float]) -> dict[str, float | None]:
    return {name: _number(score) for name, score in scores.items()}
