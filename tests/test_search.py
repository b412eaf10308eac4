"""The searches, driven by a table of numbers: they never see a network."""

import itertools
import math
from dataclasses import replace

import pytest
import torch

from asr.decoding.beam import LIMIT_REACHED
from asr.decoding.search import Hypothesis, beam_search
from asr.decoding.settings import DecodeConfig
from asr.errors import ConfigError

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


class Written(TableScorer):
    """Probabilities written down by prefix; what is not written hardly ever comes."""

    def __init__(self, rows: dict[tuple[int, ...], dict[int, float]]):
        super().__init__(1, 0)
        self.rows = rows

    def row(self, b, prefix):
        row = torch.full((V,), -50.0)
        for token, probability in self.rows.get(prefix, {EOS: 1.0}).items():
            row[token] = math.log(probability)
        return row


def found(rule: str, rows, beam: int, limit: int = 9, **settings) -> list[tuple[int, ...]]:
    config = DecodeConfig(beam=beam, nbest=beam, length_power=0.0, rule=rule, **settings)
    return [h.tokens for h in beam_search(Written(rows), config, [limit])[0]]


EARLY_ENDS = {(): {EOS: 0.4, 2: 0.35, 3: 0.25}, (2,): {EOS: 0.5, 4: 0.5}, (3,): {2: 1.0}, (3, 2): {EOS: 1.0}}
"""The empty text holds one of two places, so that `3` has none; where it gives its place away, `3 2` is found."""


def test_what_is_finished_keeps_its_place_where_wenet_searches():
    assert found("wenet", EARLY_ENDS, 2) == [(), (2,)]
    assert found("own", EARLY_ENDS, 2) == [(), (3, 2)][:2] or found("own", EARLY_ENDS, 2)[0] == ()


def test_better_ones_push_out_what_is_finished_where_wenet_searches():
    rows = {(): {EOS: 0.2, 2: 0.8}, (2,): {3: 0.5, 4: 0.5}, (2, 3): {2: 0.1, 3: 0.1}, (2, 4): {2: 0.1, 3: 0.1}}
    texts = found("wenet", rows, 2)
    assert () not in texts and all(len(text) == 3 for text in texts)
    assert found("espnet", rows, 2)[0] == ()


def test_speechbrain_is_done_when_as_many_as_the_beam_have_ended():
    rows = {(): {EOS: 0.3, 2: 0.7}, (2,): {EOS: 0.1, 3: 0.9}, (2, 3): {EOS: 1.0}}
    assert found("speechbrain", rows, 2) == [(), (2,)]
    assert found("espnet", rows, 2)[0] == (2, 3)


def test_espnet_ends_when_three_lengths_came_to_nothing():
    """After an end of probability 0.9 the rest goes on; ends more than 10 nats below it, three steps long, stop the search."""
    rows = {(): {EOS: 0.9, 2: 1e-6}} | {(2,) * n: {EOS: 0.4, 2: 0.6} for n in range(1, 40)}
    texts = found("espnet", rows, 2, limit=40, stop_loops=False)
    assert texts[0] == () and len(found("wenet", rows, 1, limit=40)) == 1
    config = DecodeConfig(beam=2, nbest=2, length_power=0.0, rule="espnet", stop_loops=False)
    scorer = Counting(rows)
    beam_search(scorer, config, [40])
    assert scorer.steps == 6  # ends of steps 1 to 3 are far below; they are seen when two more steps were taken


class Counting(Written):
    """Counts the steps."""

    steps = 0

    def score(self, tokens, state):
        self.steps += 1
        return super().score(tokens, state)


def test_transformers_goes_on_while_an_unfinished_one_is_better_than_what_ended():
    """Two of low probability end at once: our own rule is done; by rank, `2` (0.7) may still become better, and does."""
    rows = {(): {EOS: 0.2, 2: 0.7}, (2,): {EOS: 0.1, 3: 0.9}, (2, 3): {EOS: 0.9}}
    assert found("own", rows, 2) == [(), (2,)]
    assert found("transformers", rows, 2)[0] == (2, 3)
    scorer = Counting(rows)
    beam_search(scorer, DecodeConfig(beam=2, length_power=0.0, rule="transformers"), [9])
    assert scorer.steps == 3, "nothing unfinished is better after that"


@pytest.mark.parametrize("rule", ["wenet", "espnet", "transformers"])
def test_at_the_limit_the_unfinished_count_as_they_are(rule):
    rows = {(2,) * n: {2: 1.0} for n in range(9)}
    config = DecodeConfig(beam=2, length_power=0.0, rule=rule, stop_loops=False)
    best = beam_search(Written(rows), config, [3])[0][0]
    assert best.tokens == (2, 2, 2) and not best.complete and best.warnings


def test_at_the_limit_speechbrain_takes_the_last_token_for_the_end():
    """It is not written, but its log-probability and its place in the length count.

    A beam of 1 writes all, as the greedy search of that toolkit does.
    """
    rows = {(2,) * n: {2: 0.5, 3: 0.2} for n in range(9)}
    config = DecodeConfig(beam=2, rule="speechbrain", stop_loops=False)
    best = beam_search(Written(rows), config, [3])[0][0]
    assert best.tokens == (2, 2) and best.warnings == (LIMIT_REACHED,) and not best.complete
    assert best.score == pytest.approx(math.log(0.5)) and len(best.token_log_probs) == 3
    greedy = beam_search(Written(rows), replace(config, beam=1), [3])[0][0]
    assert greedy.tokens == (2, 2, 2) and greedy.warnings == (LIMIT_REACHED,)


def test_at_the_limit_what_speechbrain_ended_last_takes_a_second_place():
    """Of the three of step 2 the first ends, takes a second place besides its own, and leaves one for the two others."""
    rows = {(): {2: 0.85, 3: 0.1, 4: 0.05}, (2,): {EOS: 0.5, 4: 0.3, 3: 0.2}}
    config = DecodeConfig(beam=3, nbest=3, length_power=0.0, rule="speechbrain")
    nbest = beam_search(Written(rows), config, [2])[0]
    assert [(h.tokens, h.complete) for h in nbest] == [((2,), True), ((2,), False)]
    assert nbest[1].score == pytest.approx(math.log(0.85 * 0.3))


@pytest.mark.parametrize("rule", ["wenet", "espnet", "speechbrain", "transformers"])
def test_by_any_rule_a_batch_gives_what_each_utterance_gives_alone(rule):
    table = TableScorer(3, 5)
    config = DecodeConfig(beam=3, nbest=3, rule=rule)
    together = beam_search(table, config, [6, 4, 5])
    for b, limit in enumerate((6, 4, 5)):
        alone = beam_search(OneOf(table, b), config, [limit])[0]
        assert [h.tokens for h in alone] == [h.tokens for h in together[b]]


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
