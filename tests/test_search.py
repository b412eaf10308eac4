"""The searches, driven by a table of numbers: they never see a network."""

import itertools
import math

import pytest
import torch

from asr.decoding.beam import find_loops, largest
from asr.decoding.decode_config import DecodeConfig
from asr.decoding.hypothesis import LONGEST_LOOP
from asr.decoding.search import Hypothesis, beam_search
from asr.errors import ConfigError
from tests.tables import EOS, SOS, OneOf, TableScorer, V, grown, selected


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
@pytest.mark.parametrize("seed", range(100))
def test_a_beam_wide_enough_finds_the_best_of_all(seed, power):
    """200 cases in all."""
    scorer, limit = TableScorer(1, seed), 3
    width = sum(3**n for n in range(limit + 1)) + 1
    [[hypothesis]] = beam_search(scorer, DecodeConfig(beam=width, length_power=power), [limit])
    score, tokens = best_by_exhaustion(scorer, 0, limit, power)
    assert hypothesis.tokens == tokens and hypothesis.score == pytest.approx(score, abs=1e-5)


def greedily(scorer: TableScorer, b: int, limit: int) -> tuple[list[int], bool]:
    """The likeliest token, again and again: (tokens, whether eos came)."""
    tokens: list[int] = []
    while (best := int(scorer.row(b, tuple(tokens)).argmax())) != EOS:
        if len(tokens) == limit:
            return tokens, False
        tokens.append(best)
    return tokens, True


@pytest.mark.parametrize("seed", range(20))
def test_beam_one_is_greedy(seed):
    scorer, limits = TableScorer(3, seed, 0.5), [3, 12, 7]
    found = beam_search(scorer, DecodeConfig(beam=1, stop_loops=False), limits)
    expected = [greedily(scorer, b, limit) for b, limit in enumerate(limits)]
    assert [(list(h.tokens), h.complete) for [h] in found] == expected


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
    for limit, [hypothesis] in zip([3, 6], beam_search(scorer, DecodeConfig(beam=beam), [3, 6]), strict=True):
        assert len(hypothesis.tokens) == limit and not hypothesis.complete
        assert hypothesis.warnings == ("stopped at the length limit: more text than speech of this length can hold",)


@pytest.mark.parametrize("beam", [1, 3])
def test_an_immediate_end_is_an_empty_hypothesis(beam):
    [[hypothesis]] = beam_search(TableScorer(1, 1, eos_bonus=50.0), DecodeConfig(beam=beam), [5])
    assert hypothesis.tokens == () and hypothesis.complete and isinstance(hypothesis, Hypothesis)


class Always(TableScorer):
    """The same tokens in the same order, whatever is asked."""

    def __init__(self, *tokens: int):
        super().__init__(1, 0)
        self.tokens = tokens

    def row(self, b, prefix):
        logits = torch.zeros(V)
        logits[self.tokens[len(prefix) % len(self.tokens)]] = 9.0
        return logits.log_softmax(0)


def test_a_loop_is_stopped_and_said():
    [[hypothesis]] = beam_search(Always(2, 3), DecodeConfig(beam=1), [100])
    assert hypothesis.tokens == (2, 3) * 5 + (2,) and not hypothesis.complete
    assert hypothesis.warnings == ("stopped where it repeated itself",)
    [[hypothesis]] = beam_search(Always(2, 3), DecodeConfig(beam=1, stop_loops=False), [100])
    assert len(hypothesis.tokens) == 100


def test_what_is_no_loop_goes_on():
    """哈哈哈哈哈哈哈哈 is said, and so is a sentence that comes twice."""
    for tokens in ((2,) * 8 + (EOS,), (2, 3, 4, 2, 4, 3, 3) * 2 + (EOS,)):
        [[hypothesis]] = beam_search(Always(*tokens), DecodeConfig(beam=1), [100])
        assert hypothesis.tokens == tokens[:-1] and hypothesis.complete


def test_an_end_that_is_hardly_likely_is_held_back():
    class Undecided(TableScorer):
        def row(self, b, prefix):
            likely = {0: [0.0, 0.40, 0.35, 0.25, 0.0], 1: [0.0, 0.9, 0.05, 0.05, 0.0]}
            return torch.tensor(likely[min(1, len(prefix))]).log()

    for threshold, tokens in ((0.0, ()), (1.5, ()), (0.5, (2,))):
        [[hypothesis]] = beam_search(Undecided(1, 0), DecodeConfig(beam=1, eos_threshold=threshold), [5])
        assert hypothesis.tokens == tokens


@pytest.mark.parametrize("seed", range(10))
def test_length_norms_and_bonus(seed):
    scorer, limit = TableScorer(1, seed, 1.0), 3
    width = 200  # so wide that nothing is dropped
    plain = {
        h.tokens: h for h in beam_search(scorer, DecodeConfig(beam=width, nbest=width, length_power=0), [limit])[0]
    }
    assert len(plain) == 1 + 3 + 9 + 27
    bonus = beam_search(scorer, DecodeConfig(beam=width, nbest=width, length_power=0, length_bonus=0.7), [limit])[0]
    gnmt = beam_search(scorer, DecodeConfig(beam=width, nbest=width, length_power=0.6, gnmt_length=True), [limit])[0]
    for h in bonus:
        assert h.score == pytest.approx(plain[h.tokens].score + 0.7 * len(h.tokens), abs=1e-5)
    for h in gnmt:
        assert h.score == pytest.approx(plain[h.tokens].score / ((5 + len(h.tokens) + 1) / 6) ** 0.6, abs=1e-5)


class Favours:
    """A candidate scorer that likes some tokens after others: its state is all tokens so far."""

    def __init__(self, seed: int):
        self.seed = seed

    def value(self, prefix: tuple[int, ...], token: int) -> float:
        return -(hash((self.seed, prefix, token)) % 1000) / 200

    def start(self, n_utterances):
        return [(b, [()]) for b in range(n_utterances)]

    def score(self, tokens, candidates, said, state):
        state = grown(state, tokens)
        values = [
            [[self.value(p[1:], int(c)) for c in cs] for p, cs in zip(prefixes, rows, strict=True)]
            for (_, prefixes), rows in zip(state, candidates, strict=True)
        ]
        return torch.tensor(values), state

    def select(self, state, chosen):
        return selected(state, chosen)


@pytest.mark.parametrize("seed", range(20))
def test_scorers_add_up_with_their_weights(seed):
    scorer, favours, limit = TableScorer(2, seed, 1.0), Favours(seed), 3
    width = 200  # so wide that nothing is dropped
    config = DecodeConfig(beam=width, nbest=width, length_power=0)
    plain = beam_search(scorer, config, [limit, limit])
    both = beam_search(scorer, config, [limit, limit], {"favours": (favours, 0.3)})
    for alone, together in zip(plain, both, strict=True):
        scores = {h.tokens: h.score for h in alone}
        for h in together:
            whole = (*h.tokens, EOS)
            said = sum(favours.value(whole[:i], t) for i, t in enumerate(whole))
            assert h.scores == {
                "decoder": pytest.approx(scores[h.tokens], abs=1e-4),
                "favours": pytest.approx(said, abs=1e-4),
            }
            assert h.score == pytest.approx(scores[h.tokens] + 0.3 * said, abs=1e-4)
        assert len(together) == len(alone)


@pytest.mark.parametrize("seed", range(10))
def test_a_weight_of_0_changes_nothing(seed):
    config = DecodeConfig(beam=3, nbest=3)
    args = (TableScorer(3, seed), config, [6, 9, 3])
    assert beam_search(*args, {"favours": (Favours(seed), 0.0)}) == beam_search(*args)
    few = DecodeConfig(beam=3, nbest=3, candidates=V)
    silent = beam_search(TableScorer(3, seed), few, [6, 9, 3], {"favours": (Favours(seed), 1e-9)})
    assert [[h.tokens for h in n] for n in silent] == [[h.tokens for h in n] for n in beam_search(*args)]


@pytest.mark.parametrize("seed", range(10))
def test_few_candidates_always_hold_the_end(seed):
    for nbest in beam_search(
        TableScorer(2, seed), DecodeConfig(beam=4, candidates=1), [9, 9], {"favours": (Favours(seed), 0.5)}
    ):
        assert nbest[0].complete


def test_length_limit_follows_the_audio():
    assert [DecodeConfig().max_tokens(seconds) for seconds in (0.0, 0.55, 3.0)] == [2, 7, 32]
    assert DecodeConfig(rule="speechbrain").max_tokens(3.0) == 33


def test_impossible_settings_are_refused():
    with pytest.raises(ConfigError, match="decode.beam must be from 1 to 500, is 0"):
        DecodeConfig(beam=0)
    with pytest.raises(ConfigError, match="decode.nbest 5 cannot be more than decode.beam 4"):
        DecodeConfig(nbest=5)
    with pytest.raises(ConfigError, match="decode.temperature must be above 0, is 0"):
        DecodeConfig(temperature=0)
    with pytest.raises(ConfigError, match="decode.ctc_weight must be 0 or more, is -1"):
        DecodeConfig(ctc_weight=-1)


@pytest.mark.parametrize("shape", [(5,), (1, 3, 64), (2, 5, 900), (1, 5, 6000), (3, 2, 4001)])
@pytest.mark.parametrize("most", [1, 10, 25])
def test_the_largest_are_those_of_sorting_all(shape, most):
    numbers = torch.randn(shape, generator=torch.Generator().manual_seed(most))
    numbers[..., ::3] = -torch.inf
    values, places = largest(numbers, most)
    assert torch.equal(values, numbers.sort(-1, descending=True).values[..., :most])
    assert torch.equal(values, numbers.gather(-1, places))
    assert all(len(set(row)) == len(row) for row in places.reshape(-1, places.shape[-1]).tolist())


def test_loops_are_pieces_of_any_length_four_times_over():
    """Against looking at every length of a piece, token by token."""
    generator = torch.Generator().manual_seed(1)
    for period in range(1, 30):
        length = max(4 * period, 12)
        loop = torch.randint(0, 40, (period,), generator=generator).repeat(12)[-length:]
        broken = loop.clone()
        broken[-1] += 40
        other = torch.randint(0, 40, (length,), generator=generator)
        rows = torch.stack([loop, broken, other])[None]
        rows = torch.cat([rows[..., :1].expand(-1, -1, -length % 4), rows], dim=2)
        assert find_loops(rows).tolist() == [[period <= LONGEST_LOOP, False, False]]
