"""What is kept of a beam search while it is watched: its own numbers, and nothing of it is changed."""

import math

import pytest
import torch

from asr.decoding.decode_config import DecodeConfig
from asr.decoding.rules import RULES
from asr.decoding.search import DECODER, beam_search
from asr.inspection.tree import ALIVE, ENDED, STOPPED, Tree, TreeWatch
from asr.inspection.trees import result_path
from tests.tables import EOS, TableScorer, V, grown, selected


class Opinion:
    """A second scorer, by a table of its own. A CandidateScorer."""

    def __init__(self, seed: int):
        self.table = TableScorer(9, seed)

    def start(self, n_utterances):
        return [(b, [()]) for b in range(n_utterances)]

    def score(self, tokens, candidates, said, state):
        state = grown(state, tokens)
        rows = [
            torch.stack([self.table.row(b, prefix)[line] for prefix, line in zip(prefixes, candidates[i], strict=True)])
            for i, (b, prefixes) in enumerate(state)
        ]
        return torch.stack(rows).clamp(min=-99.0), state

    def select(self, state, chosen):
        return selected(state, chosen)


def searched(scorer, config, limits, others=None):
    """What is found without anybody who looks on, and with one; and what that one has seen."""
    watch = TreeWatch(EOS, likeliest=5)
    return (
        beam_search(scorer, config, limits, others),
        beam_search(scorer, config, limits, others, watch=watch),
        watch.trees,
    )


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("beam", [1, 3])
def test_a_watched_search_finds_the_same_and_every_text_is_in_the_tree(rule, seed, beam):
    config = DecodeConfig(
        beam=beam, nbest=beam, rule=rule, length_bonus=0.3, length_power=0.5, eos_threshold=1.2 * (seed % 2)
    )
    others = {"second": (Opinion(seed + 50), 0.4), "third": (Opinion(seed + 60), 0.2)} if seed > 1 else None
    without, found, trees = searched(TableScorer(3, seed, -1.0 * seed), config, [2, 9, 5], others)
    assert without == found
    for b, nbest in enumerate(found):
        for hypothesis in nbest:
            leaf = trees[b].nodes[result_path(trees[b], hypothesis)]
            assert leaf.fate == (ENDED if hypothesis.complete else STOPPED)
            way = trees[b].way(leaf.path)
            assert [node.path[-1] for node in way[1:]] == [*hypothesis.tokens, *([EOS] if hypothesis.complete else [])]
            if rule != "speechbrain" or hypothesis.complete:  # of others it counts a token that it does not write
                assert [node.parts[0] for node in way[1:]] == pytest.approx(hypothesis.token_log_probs)
                bonus = config.length_bonus * len(hypothesis.tokens)
                own = sum(w * hypothesis.scores[name] for name, w in trees[b].weights.items()) + bonus
                assert leaf.total == pytest.approx(own, abs=1e-4) or not hypothesis.complete


@pytest.mark.parametrize("seed", range(6))
def test_what_the_scorers_add_is_the_sum_by_which_the_beam_chose(seed):
    config = DecodeConfig(beam=3, nbest=3, length_bonus=0.25)
    scorer, weights = TableScorer(2, seed), {DECODER: 1.0, "second": 0.6}
    _, _, trees = searched(scorer, config, [6, 6], {"second": (Opinion(seed), 0.6)})
    for b, tree in trees.items():
        assert tree.weights == weights
        for node in list(tree.nodes.values())[1:]:
            before = tree.nodes[node.parent].total
            added = sum(weight * part for weight, part in zip(weights.values(), node.parts, strict=True))
            assert node.chosen_by == pytest.approx(before + added, abs=1e-5)
            bonus = config.length_bonus if node.fate == ALIVE else 0.0
            assert node.total == pytest.approx(node.chosen_by + bonus, abs=1e-5)
        for node in tree.nodes.values():
            row = scorer.row(b, node.path)
            for c in node.candidates:
                assert c.log_prob == pytest.approx(float(row[c.token]))
                if c.total is not None:
                    added = sum(weight * part for weight, part in zip(weights.values(), c.parts, strict=True))
                    assert c.total == pytest.approx(node.total + added, abs=1e-5)
            said = [c.log_prob for c in node.candidates]
            assert said == sorted(said, reverse=True)
            if node.candidates:  # the likeliest are there, whatever became of them
                assert {c.token for c in node.candidates} >= {
                    i for i in row.topk(V - 1).indices.tolist() if row[i] > -math.inf
                }


class Written(TableScorer):
    """Probabilities written down by prefix."""

    def __init__(self, rows: dict[tuple[int, ...], dict[int, float]]):
        super().__init__(1, 0)
        self.rows = rows

    def row(self, b, prefix):
        row = torch.full((V,), -torch.inf, dtype=torch.float64)
        for token, probability in self.rows[prefix].items():
            row[token] = math.log(probability)
        return row


def test_a_tree_by_hand():
    """Two texts at a time: `4` is given up at once, `2 3` a step later, though `2` was likelier than `3`."""
    rows = {
        (): {2: 0.5, 3: 0.4, 4: 0.1},
        (2,): {2: 0.4, 3: 0.32, EOS: 0.28},
        (3,): {4: 0.9, EOS: 0.1},
        (3, 4): {EOS: 1.0},
        (2, 2): {EOS: 1.0},
    }
    _, [nbest], trees = searched(Written(rows), DecodeConfig(beam=2, nbest=2, length_power=0.0), [5])
    tree: Tree = trees[0]
    assert [h.tokens for h in nbest] == [(3, 4), (2, 2)]
    assert {path: node.fate for path, node in tree.nodes.items()} == {
        **{(): ALIVE, (2,): ALIVE, (3,): ALIVE, (3, 4): ALIVE, (2, 2): ALIVE},
        **{(3, 4, EOS): ENDED, (2, 2, EOS): ENDED},
    }
    assert [(c.token, round(math.exp(c.log_prob), 6), c.place) for c in tree.nodes[()].candidates] == [
        (2, 0.5, 0),
        (3, 0.4, 1),
        (4, 0.1, 2),
    ]
    assert [(c.token, c.place, round(math.exp(c.total), 6)) for c in tree.nodes[(2,)].candidates] == [
        (2, 1, 0.2),
        (3, 2, 0.16),
        (EOS, 3, 0.14),
    ]
    assert math.exp(tree.nodes[3, 4].total) == pytest.approx(0.36)
    assert [(n.path, n.place) for n in tree.nodes.values() if len(n.path) == 2] == [((3, 4), 0), ((2, 2), 1)]


def test_an_end_that_is_held_back_keeps_the_probability_that_the_decoder_gave_it():
    rows = {(): {EOS: 0.5, 2: 0.45, 3: 0.05}, (2,): {EOS: 0.9, 2: 0.1}}
    rows |= {(3,): {EOS: 1.0}, (2, 2): {EOS: 1.0}}
    config = DecodeConfig(beam=1, eos_threshold=0.5, length_power=0.0)
    _, _, trees = searched(Written(rows), config, [5])
    [end] = [c for c in trees[0].nodes[()].candidates if c.token == EOS]
    assert math.exp(end.log_prob) == pytest.approx(0.5)
    assert end.place is None and end.parts in (None, (-math.inf,))
