"""The hypotheses of a beam search in tensors, and what every way of choosing among them shares.

Dimensions besides those of the model: N hypotheses of an utterance, U tokens so far, C candidates for the next, P scorers.
"""

from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import torch
from torch import Tensor

LIMIT_REACHED = "stopped at the length limit: more text than speech of this length can hold"
LOOPING = "stopped where it repeated itself"


class Chosen(NamedTuple):
    """What goes on after a step: hypothesis n of the b-th utterance left continues what is named here, (B', N') each."""

    utterances: Tensor
    """(B',) which utterances are left, as indices into those before the step."""
    hypotheses: Tensor
    """Which hypothesis before the step is continued."""
    candidates: Tensor
    """Which of its candidates was chosen."""


@dataclass(frozen=True)
class Beam:
    """The hypotheses that go on, of the utterances that are not done."""

    utterances: Tensor
    """(B,) in the numbering of the input."""
    n_ended: Tensor
    """(B,) hypotheses finished so far."""
    last: Tensor
    """(B, N) last tokens."""
    total: Tensor
    """(B, N) weighted scores; -inf for places that are not taken."""
    tokens: Tensor
    """(B, N, U) tokens so far."""
    log_probs: Tensor
    """(B, N, U, P) what each scorer gave them."""
    kept: Tensor
    """(B, N) scores of the finished ones that hold a place in the beam; -inf for no more."""
    best_ended: Tensor
    """(B, U) scores of the best that ended at each step so far; -inf where none did."""


class Ended(NamedTuple):
    """m hypotheses that ended at the same step."""

    utterances: Tensor
    """(m,) in the numbering of the input."""
    tokens: Tensor
    """(m, U)."""
    log_probs: Tensor
    """(m, U, P), with one more for eos where it was reached."""
    totals: Tensor
    """(m,) what it had scored in the beam."""
    warning: str = ""
    """Why it ended without eos."""


def continued(beam: Beam, candidates: Tensor, parts: Tensor, weights: Tensor, M: int) -> tuple[Tensor, ...]:
    """The best M continuations, or all: scores, origins, places among the candidates, tokens, and log-probabilities by scorer."""
    C = parts.shape[2]
    weighted = parts[..., 0] if len(weights) == 1 else (parts * weights).sum(-1)
    sums = (beam.total[:, :, None] + weighted).flatten(1)  # (B, N * C)
    top, flat = sums.topk(min(M, sums.shape[1]), dim=1)
    origin, place = flat // C, flat % C
    token = candidates.flatten(1).gather(1, flat)
    log_probs = torch.cat([take_rows(beam.log_probs, origin), take_rows(parts.flatten(1, 2), flat)[:, :, None]], dim=2)
    return top, origin, place, token, log_probs


def ended_now(beam: Beam, ends: Tensor, continuations: tuple[Tensor, ...]) -> Ended:
    """Those of what `continued` gave that end with its tokens, where `ends` (B, M) is True."""
    top, origin, _, _, log_probs = continuations
    b, rank = ends.nonzero(as_tuple=True)
    return Ended(beam.utterances[b], beam.tokens[b, origin[b, rank]], log_probs[b, rank], top[b, rank])


def going_on(
    beam: Beam, is_eos: Tensor, continuations: tuple[Tensor, ...], N: int, stop_loops: bool, length_bonus: float
) -> tuple[Beam, Tensor, Tensor, Tensor]:
    """The best N of what `continued` gave that do not end, as a beam; origins and places of them, and which are loops."""
    top, origin, place, token, log_probs = continuations
    total, pick = top.masked_fill(is_eos, -torch.inf).topk(min(N, top.shape[1]), dim=1)
    last, origin, place = (x.gather(1, pick) for x in (token, origin, place))
    tokens = torch.cat([take_rows(beam.tokens, origin), last[:, :, None]], dim=2)
    loops = find_loops(tokens) if stop_loops else torch.zeros_like(total, dtype=torch.bool)
    total = (total + length_bonus).masked_fill(loops, -torch.inf)
    new = replace(beam, last=last, total=total, tokens=tokens, log_probs=take_rows(log_probs, pick))
    return new, origin, place, loops


def left_over(beam: Beam, chosen: Chosen) -> tuple[Beam, Chosen]:
    """The beam and what was chosen without the utterances that are done."""
    left = chosen.utterances
    if len(left) == len(beam.utterances):
        return beam, chosen
    beam = Beam(*(getattr(beam, f.name)[left] for f in fields(Beam)))
    return beam, Chosen(left, chosen.hypotheses[left], chosen.candidates[left])


def stopped_early(beam: Beam, stopped: Tensor, loops: Tensor) -> list[Ended]:
    """Hypotheses of utterances that stop before any has ended, as they were before this step."""
    ended = []
    for b in stopped.nonzero()[:, 0].tolist():
        real = beam.total[b] > -torch.inf
        tokens, log_probs = beam.tokens[b, real], beam.log_probs[b, real]
        warning = LOOPING if bool(loops[b].any()) else LIMIT_REACHED
        ended.append(Ended(beam.utterances[b].expand(len(tokens)), tokens, log_probs, beam.total[b, real], warning))
    return ended


LONGEST_LOOP = 8
"""Tokens in the longest piece whose repetition is looked for."""


def find_loops(tokens: Tensor) -> Tensor:
    """(B, N, U) → (B, N): whether the end is a piece of at most LONGEST_LOOP tokens four times over, and 12 tokens at least."""
    U = tokens.shape[2]
    found = torch.zeros(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
    if U % 4:
        return found  # looking at every fourth token is enough to stop it
    for period in range(1, LONGEST_LOOP + 1):
        length = max(4 * period, 12)
        if U >= length:
            end = tokens[:, :, -length:]
            found |= (end[..., period:] == end[..., :-period]).all(-1)
    return found


def take_rows(x: Tensor, index: Tensor) -> Tensor:
    """x (B, N, …), index (B, M) → (B, M, …): row index[b, m] of x[b]. [[1, 0]] swaps two rows, [[0, 0]] doubles the first."""
    if x.shape[1] == 1:
        return x.expand(-1, index.shape[1], *x.shape[2:])
    return x[torch.arange(len(x), device=x.device)[:, None], index]
