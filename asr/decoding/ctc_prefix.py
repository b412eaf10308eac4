"""The CTC head as a scorer: how likely the audio begins with a text (Watanabe et al. 2017, Hybrid CTC/Attention)."""

from typing import NamedTuple

import torch
from torch import Tensor

from asr.decoding.beam import Chosen

NEVER = -1e4
"""Log-probability of what cannot be; finite, so that sums over frames stay finite."""


class _State(NamedTuple):
    """Of each prefix (B, N): log-probabilities that frames up to t, t included, spell it and end …"""

    on_token: Tensor
    """… in its last token: (B, N, L)."""
    on_blank: Tensor
    """… in blank: (B, N, L)."""
    score: Tensor
    """(B, N) log-probability that the audio begins with it."""
    utterances: Tensor
    """(B,) in the numbering of the input."""
    n_tokens: int = 0
    """Length of the prefixes."""
    grown: tuple[Tensor, Tensor, Tensor] | None = None
    """The same three of every candidate, (B, N, C, …)."""


class CtcPrefixScorer:
    """Scores a candidate by how much less likely the audio begins with the longer text. A CandidateScorer.

    The recursion over frames is a cumulative sum in the log domain, so that a step is a few tensor operations.
    """

    def __init__(self, log_probs: Tensor, lengths: Tensor, blank: int, eos: int):
        """log_probs (B, L, V) of the CTC head; lengths (B,), its real frames."""
        real = torch.arange(log_probs.shape[1], device=log_probs.device) < lengths[:, None]
        log_probs = log_probs.double().clamp(min=NEVER).masked_fill(~real[:, :, None], NEVER)
        # Beyond the end there is only blank, for nothing.
        log_probs[:, :, blank] = log_probs[:, :, blank].masked_fill(~real, 0.0)
        self.log_probs = log_probs.transpose(1, 2)  # (B, V, L)
        self.blank, self.eos = log_probs[:, :, blank], eos  # (B, L)

    def start(self, n_utterances: int) -> _State:
        on_blank = self.blank.cumsum(1)[:, None]
        utterances = torch.arange(n_utterances, device=on_blank.device)
        return _State(torch.full_like(on_blank, -torch.inf), on_blank, on_blank[:, :, 0] * 0, utterances)

    def score(self, tokens: Tensor, candidates: Tensor, said: Tensor, state: _State) -> tuple[Tensor, _State]:
        emitted = self.log_probs[state.utterances[:, None, None], candidates]  # (B, N, C, L)
        either = torch.logaddexp(state.on_token, state.on_blank)
        repeats = candidates == tokens[:, :, None]  # the last token again needs a blank between
        before = torch.where(repeats[..., None], state.on_blank[:, :, None], either[:, :, None])
        before = _later(before, -torch.inf if state.n_tokens else 0.0)  # what the frames up to t - 1 spell
        on_token = _spread(before, emitted)
        on_blank = _spread(_later(on_token, -torch.inf), self.blank[state.utterances][:, None, None])
        score = torch.logsumexp(before + emitted, dim=-1)
        score = torch.where(candidates == self.eos, either[:, :, None, -1], score)
        increase = (score - state.score[:, :, None]).nan_to_num(nan=NEVER).clamp(min=NEVER)
        return increase.float(), state._replace(grown=(on_token, on_blank, score))

    def select(self, state: _State, chosen: Chosen) -> _State:
        b = chosen.utterances[:, None]
        on_token, on_blank, score = (x[b, chosen.hypotheses, chosen.candidates] for x in state.grown)
        return _State(on_token, on_blank, score, state.utterances[chosen.utterances], state.n_tokens + 1)


def _later(x: Tensor, first: float) -> Tensor:
    """x one frame later, after `first`."""
    return torch.cat([torch.full_like(x[..., :1], first), x[..., :-1]], dim=-1)


def _spread(entering: Tensor, staying: Tensor) -> Tensor:
    """x[t] = logaddexp(x[t - 1], entering[t]) + staying[t], with x before the first frame impossible."""
    total = staying.cumsum(-1)
    return total + torch.logcumsumexp(entering - (total - staying), dim=-1)
