"""Models written out as tables, for searches that never see a network."""

import torch

SOS, EOS, V = 0, 1, 5


class TableScorer:
    """Log-probabilities that depend on the utterance and on all tokens so far, through a seeded table."""

    sos, eos, device = SOS, EOS, torch.device("cpu")

    def __init__(self, n_utterances: int, seed: int, eos_bonus: float = 0.0):
        self.n_utterances, self.seed, self.eos_bonus = n_utterances, seed, eos_bonus

    def row(self, b: int, prefix: tuple[int, ...]) -> torch.Tensor:
        generator = torch.Generator().manual_seed(hash((self.seed, b, prefix)) % 2**31)
        logits = torch.randn(V, generator=generator, dtype=torch.float64) * 2
        logits[SOS] = -torch.inf
        logits[EOS] += self.eos_bonus
        return logits.log_softmax(0)

    def start(self):
        return [(b, [()]) for b in range(self.n_utterances)]

    def score(self, tokens, state):
        state = grown(state, tokens)
        return torch.stack([torch.stack([self.row(b, p[1:]) for p in prefixes]) for b, prefixes in state]), state

    def select(self, state, chosen):
        return selected(state, chosen)


def grown(state, tokens):
    """A state of (utterance, prefixes) with one token more for each."""
    return [
        (b, [(*p, int(t)) for p, t in zip(prefixes, line, strict=True)])
        for (b, prefixes), line in zip(state, tokens, strict=True)
    ]


def selected(state, chosen):
    kept = [state[b] for b in chosen.utterances]
    return [(b, [prefixes[i] for i in line]) for (b, prefixes), line in zip(kept, chosen.hypotheses, strict=True)]


class OneOf(TableScorer):
    """A single utterance out of a table of several."""

    def __init__(self, table: TableScorer, b: int):
        super().__init__(1, table.seed, table.eos_bonus)
        self.b = b

    def row(self, b, prefix):
        return super().row(self.b, prefix)
