"""A second decoder, which reads texts from their end, judges the hypotheses of the first (U2++, arXiv:2106.05642)."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from asr.decoding.search import DECODER, Hypothesis
from asr.decoding.settings import DecodeConfig

REVERSE = "reverse decoder"
"""Name of the second decoder in Hypothesis.scores."""


def rescore(
    found: list[list[Hypothesis]], log_probs_of: Callable[[Tensor], Tensor], sos: int, eos: int, config: DecodeConfig
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
    return [
        sorted(
            (_reranked(h, said[b, n], config) for n, h in enumerate(nbest)), key=lambda h: (not h.complete, -h.score)
        )
        for b, nbest in enumerate(found)
    ]


def _reranked(hypothesis: Hypothesis, said: Tensor, config: DecodeConfig) -> Hypothesis:
    """said: (U,) what the second decoder gives each token, the last of the text first, and eos behind the first."""
    count = len(hypothesis.token_log_probs)
    reverse = float(said[: len(hypothesis.tokens) + 1].sum())
    total = config.total(hypothesis.score, count)
    change = config.reverse_weight * (reverse - hypothesis.scores[DECODER])
    score = config.rank(total + change, count)
    return replace(hypothesis, score=score, scores=hypothesis.scores | {REVERSE: reverse})
