"""The CTC head as a scorer: how likely the audio begins with a text (Watanabe et al. 2017, Hybrid CTC/Attention)."""

from typing import NamedTuple

import torch
from torch import Tensor

from asr.decoding.beam import Chosen

NEVER = -1e4
"""Log-probability of what cannot be; finite, so that sums over frames stay finite."""
LEAST = -1e30
"""Below all log-probabilities, and finite: taken off in the place of -inf, the largest of a prefix that nothing spells."""


class _State(NamedTuple):
    """What is known of each prefix (B, N)."""

    on_token: Tensor
    """(B, N, L) log-probability that the frames up to t, t included, spell it and end in its last token."""
    on_blank: Tensor
    """(B, N, L) log-probability that they spell it and end in blank."""
    score: Tensor
    """(B, N) log-probability that the audio begins with it."""
    utterances: Tensor
    """(B,) in the numbering of the input."""
    n_tokens: int = 0
    """Length of the prefixes."""
    judged: "_Judged | None" = None
    """What was said of its candidates."""


class _Judged(NamedTuple):
    """What was said of the candidates (B, N, C) of all prefixes (B, N)."""

    before: Tensor
    """(2, B, N, L): log-probabilities that the frames before t spell the prefix, in any way or with blank at the end."""
    candidates: Tensor
    """(B, N, C)."""
    repeats: Tensor
    """(B, N, C), True where a candidate is the last token again."""
    score: Tensor
    """(B, N, C) log-probability that the audio begins with the longer prefix."""


class CtcPrefixScorer:
    """Scores a candidate by how much less likely the audio begins with the longer text. A CandidateScorer.

    What a candidate's score takes is a sum of products over frames. The recursion over frames, a cumulative sum in the log
    domain, waits until it is known which candidates go on.
    """

    def __init__(self, log_probs: Tensor, lengths: Tensor, blank: int, eos: int):
        """log_probs (B, L, V) of the CTC head; lengths (B,), its real frames."""
        real = torch.arange(log_probs.shape[1], device=log_probs.device) < lengths[:, None]
        probs = log_probs.double().exp().masked_fill(~real[:, :, None], 0.0)
        # Beyond the end there is only blank, for nothing.
        probs[:, :, blank] = probs[:, :, blank].masked_fill(~real, 1.0)
        self.probs = probs.transpose(1, 2).contiguous()  # (B, V, L)
        self.blank, self.eos = _log(probs[:, :, blank]), eos  # (B, L)

    def start(self, n_utterances: int) -> _State:
        on_blank = self.blank.cumsum(1)[:, None]
        utterances = torch.arange(n_utterances, device=on_blank.device)
        return _State(torch.full_like(on_blank, -torch.inf), on_blank, on_blank[:, :, 0] * 0, utterances)

    def score(self, tokens: Tensor, candidates: Tensor, said: Tensor, state: _State) -> tuple[Tensor, _State]:
        either = torch.logaddexp(state.on_token, state.on_blank)
        # The last token again needs a blank between.
        before = _later(torch.stack([either, state.on_blank]), -torch.inf if state.n_tokens else 0.0)  # (2, B, N, L)
        largest = before.amax(-1, keepdim=True)
        emitted = self.probs[state.utterances[:, None, None], candidates]  # (B, N, C, L)
        sums = emitted @ (before - largest.clamp(min=LEAST)).exp().permute(1, 2, 3, 0)  # (B, N, C, 2)
        scores = _log(sums) + largest.permute(1, 2, 3, 0)
        repeats = candidates == tokens[:, :, None]
        score = torch.where(repeats, scores[..., 1], scores[..., 0])
        score = torch.where(candidates == self.eos, either[:, :, None, -1], score)
        increase = (score - state.score[:, :, None]).nan_to_num(nan=NEVER, posinf=NEVER).clamp(min=NEVER)
        return increase.float(), state._replace(judged=_Judged(before, candidates, repeats, score))

    def select(self, state: _State, chosen: Chosen) -> _State:
        before, *judged = state.judged
        b, utterances = chosen.utterances[:, None], state.utterances[chosen.utterances]
        token, repeats, score = (x[b, chosen.hypotheses, chosen.candidates] for x in judged)
        before = before[repeats.long(), b, chosen.hypotheses]  # (B, N, L)
        on_token = _spread(before, _log(self.probs[utterances[:, None], token]))
        on_blank = _spread(_later(on_token, -torch.inf), self.blank[utterances][:, None])
        return _State(on_token, on_blank, score, utterances, state.n_tokens + 1)


def _log(probs: Tensor) -> Tensor:
    return probs.log().clamp(min=NEVER)


def _later(x: Tensor, first: float) -> Tensor:
    """x one frame later, after `first`."""
    return torch.cat([torch.full_like(x[..., :1], first), x[..., :-1]], dim=-1)


def _spread(entering: Tensor, staying: Tensor) -> Tensor:
    """x[t] = logaddexp(x[t - 1], entering[t]) + staying[t], with x before the first frame impossible."""
    total = staying.cumsum(-1)
    return total + torch.logcumsumexp(entering - (total - staying), dim=-1)
