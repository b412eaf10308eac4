"""The searches, driven by a table of numbers: they never see a network."""

import itertools
import math

import pytest
import torch

from asr.decoding.search import DecodeConfig, Hypothesis, beam_search, greedy_search, search
from asr.errors import ConfigError

SOS, EOS, V = 0, 1, 5


class TableScorer:
    """Log-probabilities that depend on the utterance and on all tokens so far, through a seeded table."""

    sos, eos = SOS, EOS

    def __init__(self, n_utterances: int, seed: int, eos_bonus: float = 0.0):
        self.n_utterances, self.seed, self.eos_bonus = n_utterances, seed, eos_bonus

    def row(self, b: int, prefix: tuple[int, ...]) -> torch.Tensor:
        generator = torch.Generator().manual_seed(hash((self.seed, b, prefix)) % 2**31)
        logits = torch.randn(V, generator=generator, dtype=torch.float64) * 2
        logits[SOS] = -torch.inf
        logits[EOS] += self.eos_bonus
        return logits.log_softmax(0)

    def start(self):
        return [[()] for _ in range(self.n_utterances)]

    def score(self, tokens, state):
        state = [[(*p, int(t)) for p, t in zip(row, ts, strict=True)] for row, ts in zip(state, tokens, strict=True)]
        scores = [torch.stack([self.row(b, p[1:]) for p in row]) for b, row in enumerate(state)]
        return torch.stack(scores), state

    def reorder(self, state, index):
        return [[row[int(i)] for i in line] for row, line in zip(state, index, strict=True)]


class OneOf(TableScorer):
    """A single utterance out of a table of several."""

    def __init__(self, table: TableScorer, b: int):
        super().__init__(1, table.seed, table.eos_bonus)
        self.b = b

    def row(self, b, prefix):
        return super().row(self.b, prefix)


def best_by_exhaustion(scorer: TableScorer, b: int, limit: int, power: float) -> tuple[float, tuple[int, ...]]:
    """The best of all token sequences of at most `limit` tokens that end."""
    found = []
    for length in range(limit + 1):
        for tokens in itertools.product([t for t in range(V) if t not in (SOS, EOS)], repeat=length):
            whole = (*tokens, EOS)
            total = sum(float(scorer.row(b, whole[:i])[t]) for i, t in enumerate(whole))
            found.append((total / len(whole) ** power, tokens))
    return max(found)


@pytest.mark.parametrize("power", [0.0, 1.0])
@pytest.mark.parametrize("seed", range(10))
def test_a_beam_wide_enough_finds_the_best_of_all(seed, power):
    scorer, limit = TableScorer(1, seed), 4
    width = sum(3**n for n in range(limit + 1)) + 1
    [hypothesis], *_ = beam_search(scorer, DecodeConfig(beam=width, length_power=power), [limit])
    score, tokens = best_by_exhaustion(scorer, 0, limit, power)
    assert hypothesis.tokens == tokens and hypothesis.score == pytest.approx(score, abs=1e-5)


@pytest.mark.parametrize("seed", range(20))
def test_beam_one_equals_greedy(seed):
    config, limits = DecodeConfig(beam=1), [3, 12, 7]
    greedy = greedy_search(TableScorer(3, seed, 0.5), config, limits)
    beam = beam_search(TableScorer(3, seed, 0.5), config, limits)
    assert [[h.tokens for h in n] for n in greedy] == [[h.tokens for h in n] for n in beam]
    assert [[h.complete for h in n] for n in greedy] == [[h.complete for h in n] for n in beam]
    assert greedy[0][0].score == pytest.approx(beam[0][0].score, abs=1e-5)


@pytest.mark.parametrize("seed", range(10))
def test_a_batch_gives_what_each_utterance_gives_alone(seed):
    scorer, config, limits = TableScorer(4, seed), DecodeConfig(beam=3, nbest=3), [2, 9, 5, 12]
    together = beam_search(scorer, config, limits)
    for b, limit in enumerate(limits):
        alone = beam_search(OneOf(scorer, b), config, [limit])[0]
        assert [h.tokens for h in together[b]] == [h.tokens for h in alone]


@pytest.mark.parametrize("seed", range(10))
def test_nbest_is_sorted_and_unique_and_adds_up(seed):
    config = DecodeConfig(beam=6, nbest=6)
    for nbest in beam_search(TableScorer(2, seed, 1.0), config, [8, 8]):
        assert [h.score for h in nbest] == sorted((h.score for h in nbest), reverse=True)
        assert len({h.tokens for h in nbest}) == len(nbest) > 1
        for h in nbest:
            assert len(h.token_log_probs) == len(h.tokens) + h.complete
            assert h.score == pytest.approx(sum(h.token_log_probs) / len(h.token_log_probs))
            assert h.scores == {"decoder": pytest.approx(sum(h.token_log_probs))}


@pytest.mark.parametrize("beam", [1, 3])
def test_no_hypothesis_is_longer_than_its_limit(beam):
    scorer = TableScorer(2, 1, eos_bonus=-math.inf)
    for limit, [hypothesis] in zip([3, 6], search(scorer, DecodeConfig(beam=beam), [3, 6]), strict=True):
        assert len(hypothesis.tokens) == limit and not hypothesis.complete
        assert hypothesis.warnings == ("stopped at the length limit: more text than speech of this length can hold",)


@pytest.mark.parametrize("beam", [1, 3])
def test_an_immediate_end_is_an_empty_hypothesis(beam):
    [[hypothesis]] = search(TableScorer(1, 1, eos_bonus=50.0), DecodeConfig(beam=beam), [5])
    assert hypothesis.tokens == () and hypothesis.complete and isinstance(hypothesis, Hypothesis)


def test_length_limit_follows_the_audio():
    assert [DecodeConfig().max_tokens(seconds) for seconds in (0.0, 0.55, 3.0)] == [2, 7, 32]


def test_impossible_settings_are_refused():
    with pytest.raises(ConfigError, match="decode.beam must be at least 1, is 0"):
        DecodeConfig(beam=0)
    with pytest.raises(ConfigError, match="decode.nbest 5 cannot be more than decode.beam 4"):
        DecodeConfig(nbest=5)
