"""Hot words as a trie of their tokens with failure links (Aho and Corasick 1975), as arrays that any search can walk along."""

from collections.abc import Mapping, Sequence

import numpy as np

ROOT = 0


class HotwordTrie:
    """Where each token leads, and what it earns: arrays by node, of which the first is the root.

    Each token of a word gets a bonus, which is taken back if the word breaks off. A word that is said again right behind itself
    gets none the second time.
    """

    def __init__(self, words: Mapping[Sequence[int], float], n_tokens: int):
        """words: token sequence → bonus for each of its tokens. n_tokens: of the table."""
        edges: dict[tuple[int, int], int] = {}
        bonus, ends, parents, depth = [0.0], [False], [(ROOT, -1)], [0]

        def grow(node: int, word: Sequence[int], weight: float) -> int:
            for token in word:
                if (node, token) not in edges:
                    edges[node, token] = len(bonus)
                    bonus.append(weight)
                    ends.append(False)
                    parents.append((node, token))
                    depth.append(depth[node] + 1)
                node = edges[node, token]
                bonus[node] = max(bonus[node], weight)
            ends[node] = True
            return node

        once = {tuple(word): grow(ROOT, word, weight) for word, weight in words.items()}
        for word, end in once.items():  # said again right behind itself it gets nothing, or it would be written twice
            if (end, word[0]) not in edges:
                again = grow(end, word, 0.0)
                edges.setdefault((again, word[0]), edges[end, word[0]])
        by_depth = sorted(range(1, len(bonus)), key=depth.__getitem__)
        fails, total, steps = [ROOT] * len(bonus), [0.0] * len(bonus), [0] * len(bonus)
        for node in by_depth:
            parent, token = parents[node]
            total[node] = total[parent] + bonus[node]
            fail = fails[parent]
            while fail != ROOT and (fail, token) not in edges:
                fail = fails[fail]
            fails[node] = edges.get((fail, token), ROOT) if parent != ROOT else ROOT
            steps[node] = steps[fails[node]] + 1
        pairs = sorted((node * n_tokens + token, child) for (node, token), child in edges.items())
        self.n_tokens, self.longest, self.steps = n_tokens, max(depth), max(steps)
        """Tokens of the table, and of the longest way from the root; failure links from any node to the root at most."""
        self.keys, self.children = np.array(pairs, np.int64).reshape(-1, 2).T.copy()
        """(E,) node · n_tokens + token of each edge, rising, and the node that it leads to."""
        self.fails, self.depth = np.array(fails), np.array(depth)
        """(nodes,) the node of the longest end of what leads to a node that is a way from the root, too; its length."""
        self.bonus, self.total = np.array(bonus, np.float32), np.array(total, np.float32)
        """(nodes,) what its token gets, and all on the way to it."""
        self.kept = np.zeros((len(bonus), self.longest + 1), np.float32)
        """(nodes, tokens + 1): of the bonus up to a node, what words that begin within the first tokens have earned."""
        earned: list[tuple[tuple[int, int], ...]] = [()] * len(bonus)  # where words lie in what leads to a node
        for node in by_depth:
            earned[node], end = earned[parents[node][0]], node
            while end != ROOT:
                earned[node] += ((depth[node] - depth[end], depth[node]),) if ends[end] else ()
                end = fails[end]
            if earned[node]:
                self.kept[node] = _kept(earned[node], _path(node, parents, total), self.longest)


def _path(node: int, parents: Sequence[tuple[int, int]], total: Sequence[float]) -> list[float]:
    """The bonus up to each node on the way to this one, the root's first."""
    found = [total[node]]
    while node != ROOT:
        node = parents[node][0]
        found.insert(0, total[node])
    return found


def _kept(spans: Sequence[tuple[int, int]], total: Sequence[float], longest: int) -> np.ndarray:
    """(longest + 1,) what the spans that begin before each place cover of a bonus; `total` up to each place."""
    kept, covered = np.zeros(longest + 1, np.float32), 0
    for start, end in sorted(spans):
        if end > covered:
            kept[start + 1 :] += total[end] - total[max(start, covered)]
            covered = end
    return kept


def occurrences(tokens: Sequence[int], words: Mapping[tuple[int, ...], float]) -> list[tuple[int, tuple[int, ...]]]:
    """(place, word) of every hot word in a text, the longest at each place, from left to right without overlap."""
    found, place = [], 0
    lengths = sorted({len(word) for word in words}, reverse=True)
    while place < len(tokens):
        parts = (tuple(tokens[place : place + length]) for length in lengths)
        word = next((part for part in parts if part in words), None)
        if word:
            found.append((place, word))
        place += len(word) if word else 1
    return found
