"""The CTC prefix score against brute force over all alignments."""

import itertools
import math
from collections.abc import Iterator

import pytest
import torch

from asr.decoding.beam import Chosen
from asr.decoding.ctc_prefix import NEVER, CtcPrefixScorer
from asr.decoding.decode_config import DecodeConfig
from asr.decoding.search import beam_search
from tests.tables import TableScorer

BLANK, SOS, EOS, V = 0, 1, 2, 5
TOKENS = (3, 4)


def head(lengths: list[int], seed: int) -> torch.Tensor:
    """Log-probabilities (B, L, V) of a CTC head that never emits sos or eos."""
    logits = torch.randn(len(lengths), max(lengths), V, generator=torch.Generator().manual_seed(seed)).double() * 2
    logits[:, :, [SOS, EOS]] = -torch.inf
    return logits.log_softmax(-1)


def collapsed(path: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(token for token, _ in itertools.groupby(path) if token != BLANK)


def probability(log_probs: torch.Tensor, accept) -> float:
    """Sum over all alignments (L,) of those whose text is accepted."""
    total = 0.0
    for path in itertools.product((BLANK, *TOKENS), repeat=len(log_probs)):
        if accept(collapsed(path)):
            total += math.exp(sum(float(log_probs[t, token]) for t, token in enumerate(path)))
    return total


class Uniform(TableScorer):
    """A decoder to which all tokens, and the end, are one."""

    eos = EOS

    def row(self, b, prefix):
        return torch.tensor([-torch.inf, -torch.inf, 0.0, 0.0, 0.0])


def increases(scorer: CtcPrefixScorer, tokens: list[int]) -> Iterator[tuple[float, float]]:
    """What each of the tokens costs after those before it, and what the end would cost there."""
    state, last, zero = scorer.start(1), SOS, torch.zeros(1, 1, dtype=torch.long)
    for token in tokens:
        said, state = scorer.score(torch.tensor([[last]]), torch.tensor([[[token, EOS]]]), None, state)
        yield tuple(said[0, 0].tolist())
        state, last = scorer.select(state, Chosen(zero[0], zero, zero)), token


@pytest.mark.parametrize("seed", range(5))
def test_every_prefix_and_every_whole_text_against_brute_force(seed):
    lengths = [5, 3]
    log_probs = head(lengths, seed)
    scorer = CtcPrefixScorer(log_probs, torch.tensor(lengths), BLANK, EOS)
    candidates = torch.tensor([*TOKENS, EOS])

    def descend(state, last: int, prefix: tuple[int, ...], so_far: torch.Tensor) -> None:
        scores, state = scorer.score(torch.full((2, 1), last), candidates.expand(2, 1, 3), None, state)
        for c, token in enumerate(candidates.tolist()):
            for b, length in enumerate(lengths):
                real = log_probs[b, :length]
                if token == EOS:
                    expected = probability(real, lambda text: text == prefix)
                else:
                    longer = (*prefix, token)
                    expected = probability(real, lambda text, longer=longer: text[: len(longer)] == longer)
                assert math.exp(float(so_far[b] + scores[b, 0, c])) == pytest.approx(expected, abs=1e-6)
            if token != EOS and len(prefix) < 2:
                chosen = Chosen(torch.arange(2), torch.zeros(2, 1, dtype=torch.long), torch.full((2, 1), c))
                descend(scorer.select(state, chosen), token, (*prefix, token), so_far + scores[:, 0, c].double())

    descend(scorer.start(2), SOS, (), torch.zeros(2, dtype=torch.double))


def test_padding_changes_nothing():
    log_probs = head([6, 4], 1)
    alone = CtcPrefixScorer(log_probs[1:, :4], torch.tensor([4]), BLANK, EOS)
    together = CtcPrefixScorer(log_probs, torch.tensor([6, 4]), BLANK, EOS)
    candidates = torch.tensor([[[3, 4, EOS]]])
    first, _ = alone.score(torch.tensor([[SOS]]), candidates, None, alone.start(1))
    both, _ = together.score(torch.tensor([[SOS], [SOS]]), candidates.expand(2, 1, 3), None, together.start(2))
    assert torch.allclose(first[0], both[1], atol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_in_a_search_it_scores_whole_texts(seed):
    """The total of every complete hypothesis is the CTC log-probability of its text, by PyTorch's CTC loss."""
    lengths = [7, 4]
    log_probs = head(lengths, seed)

    scorer = CtcPrefixScorer(log_probs, torch.tensor(lengths), BLANK, EOS)
    found = beam_search(Uniform(2, 0), DecodeConfig(beam=8, nbest=8, length_power=0), [5, 3], {"ctc": (scorer, 1.0)})
    for b, nbest in enumerate(found):
        assert len(nbest) > 3
        for h in nbest:
            loss = torch.nn.functional.ctc_loss(
                log_probs[b, : lengths[b], None], torch.tensor([h.tokens]), [lengths[b]], [len(h.tokens)], BLANK, "sum"
            )
            if loss < 50:
                assert h.scores["ctc"] == pytest.approx(-float(loss), abs=1e-4)


def test_what_cannot_be_costs_the_same_at_each_step():
    """One frame holds one token: each further one, and an end after it, cannot be."""
    scorer = CtcPrefixScorer(head([1], 0), torch.tensor([1]), BLANK, EOS)
    for step, (of_token, of_end) in enumerate(increases(scorer, [3, 4, 3, EOS, 4])):
        if step:
            assert of_token == NEVER
        if step > 1:
            assert of_end == NEVER


@pytest.mark.parametrize("rule", ["own", "espnet", "wenet", "speechbrain"])
@pytest.mark.parametrize("frames", [1, 2])
def test_a_beam_wider_than_what_is_possible_finds_all_of_it(frames, rule):
    log_probs = head([frames], 0)

    scorer = CtcPrefixScorer(log_probs, torch.tensor([frames]), BLANK, EOS)
    config = DecodeConfig(beam=20, nbest=20, length_power=0, rule=rule)
    [nbest] = beam_search(Uniform(1, 0), config, [12], {"ctc": (scorer, 1.0)})
    possible = {h.tokens: h.scores["ctc"] for h in nbest if h.scores["ctc"] > -100}
    texts = {collapsed(path) for path in itertools.product((BLANK, *TOKENS), repeat=frames)}
    assert possible.keys() == texts
    for text, score in possible.items():
        assert score == pytest.approx(
            math.log(probability(log_probs[0], lambda found, text=text: found == text)), abs=1e-4
        )


def test_a_long_text_over_long_audio():
    """Half a minute in frames of 60 ms, a hundred tokens: probabilities far below what a float can hold."""
    L, U, V = 500, 100, 30
    random = torch.Generator().manual_seed(1)
    log_probs = (8 * torch.randn(1, L, V, generator=random)).log_softmax(-1)
    text = torch.randint(3, V, (U,), generator=random)
    scorer = CtcPrefixScorer(log_probs, torch.tensor([L]), BLANK, EOS)
    total = sum(of_token for of_token, _ in increases(scorer, [*text.tolist(), EOS]))
    loss = torch.nn.functional.ctc_loss(log_probs.transpose(0, 1).double(), text[None], [L], [U], BLANK, "sum")
    assert loss > 750 and total == pytest.approx(-loss.item(), rel=1e-5)
