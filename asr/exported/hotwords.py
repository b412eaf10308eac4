"""Words that are likely to come: what hypotheses earn by them, in NumPy (asr.decoding.hotwords has the same in PyTorch)."""

from collections.abc import Mapping, Sequence

import numpy as np

from asr.decoding.hotword_trie import ROOT, HotwordTrie
from asr.exported.scorers import found_among

State = tuple[np.ndarray, np.ndarray | None]
"""The node (N,) that each hypothesis has come to, and (N, C) the one after each of its candidates."""


class HotwordBonus:
    """Walks along a HotwordTrie. A CandidateScorer."""

    def __init__(self, words: Mapping[Sequence[int], float], n_tokens: int, eos: int, margin: float = 3.0):
        """words: token sequence → bonus for each of its tokens.

        margin: a token gets its bonus only where the decoder holds it at most this much less likely than the best.
        """
        self.trie, self.eos, self.margin = HotwordTrie(words, n_tokens), eos, margin

    def start(self) -> State:
        return np.zeros(1, np.int64), None

    def score(
        self, last: np.ndarray, candidates: np.ndarray, said: np.ndarray, state: State
    ) -> tuple[np.ndarray, State]:
        trie, here = self.trie, np.broadcast_to(state[0][:, None], candidates.shape)
        # what the audio rules out no bonus brings in
        heard = said >= said.max(1, keepdims=True) - np.float32(self.margin)
        direct = self._follow(here, candidates)
        there, from_node = direct, here
        for _ in range(trie.steps):
            from_node = trie.fails[from_node]
            there = np.where(there < 0, self._follow(from_node, candidates), there)
        there = np.where(heard, there, ROOT).clip(min=ROOT)  # or nothing found, not even from the root
        left_behind = (trie.depth[here] + 1 - trie.depth[there]).clip(max=trie.longest)
        broken_off = trie.total[there] + trie.kept[here, left_behind] - trie.total[here]
        score = np.where(heard & (direct >= 0), trie.bonus[there], broken_off)
        score = np.where(candidates == self.eos, trie.kept[here, trie.longest] - trie.total[here], score)
        return score, (state[0], there)

    def select(self, state: State, origins: np.ndarray, places: np.ndarray) -> State:
        return state[1][origins, places], None

    def _follow(self, nodes: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        found = found_among(self.trie.keys, nodes * self.trie.n_tokens + tokens)
        return np.where(found < 0, -1, self.trie.children[found])
