"""Words that are likely to come: each of their characters gets a bonus, which is taken back if the word breaks off.

A word that is said again right behind itself gets none the second time.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from asr.decoding.beam import Chosen
from asr.decoding.tries import Edges

ROOT = 0


class _State(NamedTuple):
    """Where each hypothesis (B, N) is in the trie: the longest end of it that a hot word begins with."""

    nodes: Tensor
    grown: Tensor | None = None
    """(B, N, C) where it is after each candidate."""


class HotwordScorer:
    """A trie of token sequences with failure links (Aho and Corasick 1975). A CandidateScorer."""

    def __init__(
        self,
        words: Mapping[Sequence[int], float],
        n_tokens: int,
        eos: int,
        margin: float = 3.0,
        *,
        device: torch.device | str = "cpu",
    ):
        """words: token sequence → bonus for each of its tokens.

        margin: a token gets its bonus only where the main scorer holds it at most this much less likely than the best.
        """
        self.margin = margin
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
        self.edges, self.eos = Edges.of(edges, n_tokens, device), eos
        self.fails, self.longest = torch.tensor(fails, device=device), max(depth)
        self.steps = max(steps)
        """From any node to the root by failure links."""
        self.bonus, self.total = torch.tensor(bonus, device=device), torch.tensor(total, device=device)
        self.depth = torch.tensor(depth, device=device)
        kept = torch.zeros(len(bonus), self.longest + 1)
        earned: list[tuple[tuple[int, int], ...]] = [()] * len(bonus)  # where words lie in what leads to a node
        for node in by_depth:
            earned[node], end = earned[parents[node][0]], node
            while end != ROOT:
                earned[node] += ((depth[node] - depth[end], depth[node]),) if ends[end] else ()
                end = fails[end]
            if earned[node]:
                kept[node] = _kept(earned[node], _path(node, parents, total), self.longest)
        self.kept = kept.to(device)
        """(nodes, tokens + 1): of the bonus up to a node, what words that begin within the first tokens have earned."""

    def start(self, n_utterances: int) -> _State:
        return _State(torch.zeros(n_utterances, 1, dtype=torch.long, device=self.fails.device))

    def score(self, tokens: Tensor, candidates: Tensor, said: Tensor, state: _State) -> tuple[Tensor, _State]:
        here = state.nodes[:, :, None].expand_as(candidates)
        heard = said >= said.amax(2, keepdim=True) - self.margin  # what the audio rules out no bonus brings in
        direct = self.edges.follow(here, candidates)
        there, from_node = direct, here
        for _ in range(self.steps):
            from_node = self.fails[from_node]
            there = torch.where(there < 0, self.edges.follow(from_node, candidates), there)
        there = torch.where(heard, there, ROOT).clamp(min=ROOT)  # or nothing found, not even from the root
        direct = torch.where(heard, direct, -1)
        left_behind = (self.depth[here] + 1 - self.depth[there]).clamp(max=self.longest)
        broken_off = self.total[there] + self.kept[here, left_behind] - self.total[here]
        score = torch.where(direct >= 0, self.bonus[there], broken_off)
        score = torch.where(candidates == self.eos, self.kept[here, self.longest] - self.total[here], score)
        return score, state._replace(grown=there)

    def select(self, state: _State, chosen: Chosen) -> _State:
        return _State(state.grown[chosen.utterances[:, None], chosen.hypotheses, chosen.candidates])


def _path(node: int, parents: Sequence[tuple[int, int]], total: Sequence[float]) -> list[float]:
    """The bonus up to each node on the way to this one, the root's first."""
    found = [total[node]]
    while node != ROOT:
        node = parents[node][0]
        found.insert(0, total[node])
    return found


def _kept(spans: Sequence[tuple[int, int]], total: Sequence[float], longest: int) -> Tensor:
    """(longest + 1,) what the spans that begin before each place cover of a bonus; `total` up to each place."""
    kept, covered = torch.zeros(longest + 1), 0
    for start, end in sorted(spans):
        if end > covered:
            kept[start + 1 :] += total[end] - total[max(start, covered)]
            covered = end
    return kept


def occurrences(tokens: Sequence[int], words: Mapping[Sequence[int], float]) -> list[tuple[int, Sequence[int]]]:
    """(place, word) of every hot word in a text, the longest at each place, from left to right without overlap."""
    found, place = [], 0
    by_length = sorted(words, key=len, reverse=True)
    while place < len(tokens):
        word = next((w for w in by_length if tuple(tokens[place : place + len(w)]) == tuple(w)), None)
        if word:
            found.append((place, word))
        place += len(word) if word else 1
    return found
