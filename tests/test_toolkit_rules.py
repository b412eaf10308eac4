"""Beam search by the rules of other toolkits, on models written out as tables."""

import math
from dataclasses import replace

import pytest
import torch

from asr.decoding.beam import LIMIT_REACHED
from asr.decoding.decode_config import DecodeConfig
from asr.decoding.rules import RULES
from asr.decoding.search import beam_search
from tests.tables import EOS, OneOf, TableScorer, V


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


class Scored(Written):
    """Log-probabilities written down by prefix, so that sums of them are exact."""

    def row(self, b, prefix):
        row = torch.full((V,), -50.0)
        for token, log_prob in self.rows.get(prefix, {}).items():
            row[token] = log_prob
        return row


def test_of_two_that_scored_the_same_only_the_one_pushed_out_is_lost():
    """The empty text ends with -3 and loses its place to two of -1.5 and -2; later `2 3` ends with the same -3, and stays."""
    rows = {
        (): {EOS: -3.0, 2: -1.0},
        (2,): {3: -0.5, 4: -1.0},
        (2, 3): {EOS: -1.5},
        (2, 4): {2: -0.5},
        (2, 4, 2): {EOS: 0.0},
    }
    config = DecodeConfig(beam=2, nbest=2, length_power=0.0, rule="wenet")
    nbest = beam_search(Scored(rows), config, [9])[0]
    assert [(h.tokens, h.score) for h in nbest] == [((2, 4, 2), -2.5), ((2, 3), -3.0)]


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


@pytest.mark.parametrize("rule", RULES)
def test_by_any_rule_a_batch_gives_what_each_utterance_gives_alone(rule):
    table = TableScorer(3, 5)
    config = DecodeConfig(beam=3, nbest=3, rule=rule)
    together = beam_search(table, config, [6, 4, 5])
    for b, limit in enumerate((6, 4, 5)):
        alone = beam_search(OneOf(table, b), config, [limit])[0]
        assert [h.tokens for h in alone] == [h.tokens for h in together[b]]
