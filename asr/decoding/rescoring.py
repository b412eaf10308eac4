"""What the search found, ranked anew by what only whole texts can be asked.

A second decoder reads texts from their end (U2++, arXiv:2106.05642); the coverage penalty asks how much of the audio a text
was not read off (Wu et al. 2016, arXiv:1609.08144, equation 14); a large language model says how likely they are.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from asr.decoding.decode_config import DecodeConfig
from asr.decoding.search import DECODER, Hypothesis
from asr.text.units import units

REVERSE = "reverse decoder"
"""Name of the second decoder in Hypothesis.scores."""
COVERAGE = "coverage"
LARGE_LM = "large lm"
LEAST_COVERED = 1e-4
"""A frame that no token was read off counts as if it had been read this much: its logarithm must be finite."""


def rescore(
    found: list[list[Hypothesis]], log_probs_of: Callable[[Tensor], Tensor], sos: int, eos: int, *, config: DecodeConfig
) -> list[list[Hypothesis]]:
    """Each utterance's hypotheses ranked anew: the first decoder's score counts 1 - reverse_weight, the second's reverse_weight.

    log_probs_of: texts (B, N, U), sos first and last token next, → (B, N, U, V). Hypotheses without eos stay last.
    """
    most = max(map(len, found))
    texts = [[eos, *h.tokens] for nbest in found for h in nbest + [nbest[-1]] * (most - len(nbest))]
    reversed_texts = pad_sequence([torch.tensor(text).flip(0) for text in texts], batch_first=True, padding_value=eos)
    targets = reversed_texts.unflatten(0, (len(found), most))  # (B, N, U), eos behind
    inputs = torch.cat([torch.full_like(targets[..., :1], sos), targets[..., :-1]], dim=2)
    said = log_probs_of(inputs).cpu().gather(3, targets[..., None])[..., 0].double()
    return [_sorted([_reranked(h, said[b, n], config) for n, h in enumerate(nbest)]) for b, nbest in enumerate(found)]


def penalise_uncovered(
    found: list[list[Hypothesis]], attended_by: Callable[[list[Hypothesis]], Tensor], config: DecodeConfig
) -> list[list[Hypothesis]]:
    """Each utterance's hypotheses with coverage_weight times the logarithm of each frame's share of attention, at most 1, added.

    attended_by: one hypothesis of each utterance → (B, U, L), where each token, and eos, was listened for; -1 where
    nothing is, behind the text and behind the audio.
    """
    ranked: list[list[Hypothesis]] = [[] for _ in found]
    for n in range(max(map(len, found))):
        attended = attended_by([nbest[min(n, len(nbest) - 1)] for nbest in found])
        for b, nbest in enumerate(found):
            if n < len(nbest):
                frames = attended[b][:, attended[b][0] >= 0]
                covered = frames[: len(nbest[n].token_log_probs)].clamp(min=0).sum(0).clamp(LEAST_COVERED, 1)
                penalty = float(covered.double().log().sum())
                ranked[b].append(_with(nbest[n], COVERAGE, penalty, config.coverage_weight * penalty, config))
    return [_sorted(nbest) for nbest in ranked]


def prefer_likely_texts(
    found: list[list[Hypothesis]],
    text_of: Callable[[Sequence[int]], str],
    nats_of: Callable[[Sequence[str]], Sequence[float]],
    config: DecodeConfig,
) -> list[list[Hypothesis]]:
    """Each utterance's hypotheses with large_lm_weight times what a language model makes of their texts added.

    text_of: tokens → their text. nats_of: texts → the log-probability of each, with its end. Every unit (a Han character, a
    Latin word, the end) lowers that; it gets back what one costs on average in the texts of its utterance, so that neither
    short texts nor long ones are preferred, whatever the model.
    """
    texts = [[text_of(h.tokens) for h in nbest] for nbest in found]
    distinct = sorted({text for of_utterance in texts for text in of_utterance})
    nats = dict(zip(distinct, nats_of(distinct), strict=True))
    ranked = []
    for nbest, of_utterance in zip(found, texts, strict=True):
        said, sizes = [nats[text] for text in of_utterance], [1 + len(list(units(text))) for text in of_utterance]
        cost = -sum(said) / sum(sizes)
        judged = [
            _with(h, LARGE_LM, score, config.large_lm_weight * (score + cost * size), config)
            for h, score, size in zip(nbest, said, sizes, strict=True)
        ]
        ranked.append(_sorted(judged))
    return ranked


def _sorted(nbest: list[Hypothesis]) -> list[Hypothesis]:
    """Best first; hypotheses without eos stay last."""
    return sorted(nbest, key=lambda h: (not h.complete, -h.score))


def _reranked(hypothesis: Hypothesis, said: Tensor, config: DecodeConfig) -> Hypothesis:
    """said: (U,) what the second decoder gives each token, the last of the text first, and eos behind the first."""
    reverse = float(said[: len(hypothesis.tokens) + 1].sum())
    change = config.reverse_weight * (reverse - hypothesis.scores[DECODER])
    return _with(hypothesis, REVERSE, reverse, change, config)


def _with(hypothesis: Hypothesis, name: str, score: float, change: float, config: DecodeConfig) -> Hypothesis:
    """With one more score, and its total changed by so much."""
    count = len(hypothesis.token_log_probs)
    rank = config.rank(config.total(hypothesis.score, count) + change, count)
    return replace(hypothesis, score=rank, scores=hypothesis.scores | {name: score})
