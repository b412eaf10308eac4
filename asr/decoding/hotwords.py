"""Words that are likely to come: what hypotheses earn by them, in PyTorch (asr.exported.hotwords has the same in NumPy)."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from asr.decoding.beam import Chosen
from asr.decoding.hotword_trie import ROOT, HotwordTrie
from asr.decoding.tries import Edges, Walk


class HotwordScorer:
    """Walks along a HotwordTrie: a hypothesis is at the longest end of it that a hot word begins with. A CandidateScorer."""

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
        self.eos, self.margin = eos, margin
        trie = HotwordTrie(words, n_tokens)

        def on_device(array) -> Tensor:
            return torch.from_numpy(array).to(device)

        self.edges = Edges(on_device(trie.keys), on_device(trie.children), n_tokens)
        self.fails, self.depth, self.bonus = on_device(trie.fails), on_device(trie.depth), on_device(trie.bonus)
        self.total, self.kept = on_device(trie.total), on_device(trie.kept)
        self.longest, self.steps = trie.longest, trie.steps

    def start(self, n_utterances: int) -> Walk:
        return Walk(torch.zeros(n_utterances, 1, dtype=torch.long, device=self.fails.device))

    def score(self, tokens: Tensor, candidates: Tensor, said: Tensor, state: Walk) -> tuple[Tensor, Walk]:
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

    def select(self, state: Walk, chosen: Chosen) -> Walk:
        return state.select(chosen)
