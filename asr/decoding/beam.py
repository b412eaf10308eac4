"""The hypotheses of a beam search in tensors, and what every way of choosing among them shares.

Dimensions besides those of the model: N hypotheses of an utterance, U tokens so far, C candidates for the next, P scorers.
"""

from dataclasses import dataclass, fields
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from asr.decoding.hypothesis import LIMIT_REACHED, LONGEST_LOOP, LOOPING

BLOCK = 64
"""Numbers of which the largest is looked for at once."""


class SearchSettings(Protocol):
    """What the steps of a search ask of DecodeConfig."""

    beam: int
    stop_loops: bool
    length_bonus: float

    def rank(self, total: Tensor, n_tokens: int) -> Tensor:
        """What hypotheses are ranked by, from their summed scores; n_tokens includes eos."""
        ...


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

    @property
    def empty(self) -> Tensor:
        """(B,) True where no hypothesis goes on."""
        return self.total.amax(1) == -torch.inf


class Ended(NamedTuple):
    """m hypotheses that ended at the same step."""

    utterances: Tensor
    """(m,) in the numbering of the input."""
    tokens: Tensor
    """(m, U)."""
    log_probs: Tensor
    """(m, U, P), with one more for eos where it was reached."""
    warning: str = ""
    """Why it ended without eos."""

    def only(self, rows: list[int]) -> "Ended":
        """Some of them."""
        return Ended(self.utterances[rows], self.tokens[rows], self.log_probs[rows], self.warning)


class Best(NamedTuple):
    """The M best continuations of each utterance, best first, (B, M) each."""

    scores: Tensor
    """Weighted sums; -inf where there are fewer."""
    origins: Tensor
    """Which hypothesis each continues."""
    places: Tensor
    """Which of its candidates."""
    tokens: Tensor
    """The token that is added."""
    log_probs: Tensor
    """(B, M, U + 1, P) what each scorer gave its tokens."""
    is_eos: Tensor
    """True where that token is eos."""

    @property
    def real(self) -> Tensor:
        """True where there is a continuation."""
        return self.scores > -torch.inf


class Step(NamedTuple):
    """What a step makes of a beam."""

    beam: Beam
    """What goes on."""
    chosen: Chosen | None
    """Where it comes from; None where all utterances are done."""
    ended: list[Ended]
    """What has ended."""


def best_continuations(beam: Beam, candidates: Tensor, parts: Tensor, *, weights: Tensor, most: int, eos: int) -> Best:
    """The best continuations, at most so many, by what each scorer says of the candidates: parts (B, N, C, P)."""
    C = parts.shape[2]
    weighted = parts[..., 0] if len(weights) == 1 else (parts * weights).sum(-1)
    sums = (beam.total[:, :, None] + weighted).flatten(1)  # (B, N * C)
    top, flat = sums.topk(min(most, sums.shape[1]), dim=1)
    origin, place = flat // C, flat % C
    token = candidates.flatten(1).gather(1, flat)
    log_probs = torch.cat([take_rows(beam.log_probs, origin), take_rows(parts.flatten(1, 2), flat)[:, :, None]], dim=2)
    return Best(top, origin, place, token, log_probs, token == eos)


def finished(beam: Beam, best: Best, ends: Tensor) -> list[Ended]:
    """The continuations that end with their token, where `ends` (B, M or less) is True: in its order, all as one, or none."""
    b, rank = ends.nonzero(as_tuple=True)
    if not len(b):
        return []
    tokens = beam.tokens[b, best.origins[b, rank]]
    return [Ended(beam.utterances[b], tokens, best.log_probs[b, rank])]


def unfinished(beam: Beam, best: Best, stops: Tensor, n_unwritten: int = 0) -> list[Ended]:
    """The continuations that the length limit stops, where `stops` (B, M) is True; the last `n_unwritten` tokens are left out."""
    if not stops.any():
        return []
    b, rank = stops.nonzero(as_tuple=True)
    tokens = torch.cat([beam.tokens[b, best.origins[b, rank]], best.tokens[b, rank][:, None]], dim=1)
    tokens = tokens[:, : tokens.shape[1] - n_unwritten]
    return [Ended(beam.utterances[b], tokens, best.log_probs[b, rank], LIMIT_REACHED)]


def closed_up(beam: Beam, best: Best, settings: SearchSettings, n_ended: Tensor) -> tuple[Beam, Chosen, Tensor]:
    """The best `beam` continuations that do not end, what they continue, and which of them (B, N) are loops, and dropped."""
    total, pick = best.scores.masked_fill(best.is_eos, -torch.inf).topk(min(settings.beam, best.scores.shape[1]), dim=1)
    last, origins, places = (x.gather(1, pick) for x in (best.tokens, best.origins, best.places))
    tokens = torch.cat([take_rows(beam.tokens, origins), last[:, :, None]], dim=2)
    loops = find_loops(tokens) if settings.stop_loops else torch.zeros_like(total, dtype=torch.bool)
    total = (total + settings.length_bonus).masked_fill(loops, -torch.inf)
    new = Beam(beam.utterances, n_ended, last, total, tokens, take_rows(best.log_probs, pick))
    return new, Chosen(torch.arange(len(pick), device=pick.device), origins, places), loops


def in_their_places(beam: Beam, best: Best, settings: SearchSettings, n_ended: Tensor) -> tuple[Beam, Chosen, Tensor]:
    """What `closed_up` gives, but all continuations keep their places: that of one that ends is empty."""
    tokens = torch.cat([take_rows(beam.tokens, best.origins), best.tokens[:, :, None]], dim=2)
    goes_on = best.real & ~best.is_eos
    loops = find_loops(tokens) & goes_on if settings.stop_loops else torch.zeros_like(goes_on)
    total = (best.scores + settings.length_bonus).masked_fill(~goes_on | loops, -torch.inf)
    new = Beam(beam.utterances, n_ended, best.tokens, total, tokens, best.log_probs)
    return new, Chosen(torch.arange(len(total), device=total.device), best.origins, best.places), loops


def without_done(before: Beam, new: Beam, chosen: Chosen, done: Tensor, *, ended: list[Ended]) -> Step:
    """The step from `before` to `new`, of the utterances that are not done (B,), as some are."""
    left = (~done).nonzero()[:, 0]
    if not len(left):
        return Step(before, None, ended)
    new = Beam(*(getattr(new, f.name)[left] for f in fields(Beam)))
    return Step(new, Chosen(left, chosen.hypotheses[left], chosen.candidates[left]), ended)


def stopped_early(beam: Beam, stopped: Tensor, loops: Tensor) -> list[Ended]:
    """Hypotheses of utterances that stop before any has ended, as they were before this step."""
    ended = []
    for b in stopped.nonzero()[:, 0].tolist():
        real = beam.total[b] > -torch.inf
        tokens, log_probs = beam.tokens[b, real], beam.log_probs[b, real]
        warning = LOOPING if bool(loops[b].any()) else LIMIT_REACHED
        ended.append(Ended(beam.utterances[b].expand(len(tokens)), tokens, log_probs, warning))
    return ended


def find_loops(tokens: Tensor) -> Tensor:
    """(B, N, U) → (B, N): whether the end is a piece of at most LONGEST_LOOP tokens four times over, and 12 tokens at least."""
    U = tokens.shape[2]
    found = torch.zeros(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
    if U % 4:
        return found  # looking at every fourth token is enough to stop it
    same_as_last = tokens[..., -1:] == tokens[..., -1 - LONGEST_LOOP : -1]
    for period, returns in enumerate(same_as_last.flatten(0, 1).any(0).flip(0).tolist(), 1):
        length = max(4 * period, 12)
        if returns and U >= length:
            end = tokens[:, :, -length:]
            found |= (end[..., period:] == end[..., :-period]).all(-1)
    return found


def largest(x: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """The largest numbers of each row (…, V), at most so many, largest first, and their places.

    Of many they are looked for among the blocks with the largest maxima, which no other block's numbers can be above.
    """
    V = x.shape[-1]
    n_blocks = V // BLOCK
    if n_blocks <= 4 * most:
        return x.topk(min(most, V), dim=-1)
    blocks = x[..., : n_blocks * BLOCK].unflatten(-1, (n_blocks, BLOCK))
    best = blocks.amax(-1).topk(most, dim=-1).indices
    places = (best[..., None] * BLOCK + torch.arange(BLOCK, device=x.device)).flatten(-2)
    rest = torch.arange(n_blocks * BLOCK, V, device=x.device).expand(*places.shape[:-1], -1)
    places = torch.cat([places, rest], dim=-1)
    values, order = x.gather(-1, places).topk(most, dim=-1)
    return values, places.gather(-1, order)


def take_rows(x: Tensor, index: Tensor) -> Tensor:
    """x (B, N, …), index (B, M) → (B, M, …): row index[b, m] of x[b]. [[1, 0]] swaps two rows, [[0, 0]] doubles the first."""
    if x.shape[1] == 1:
        return x.expand(-1, index.shape[1], *x.shape[2:])
    return torch.take_along_dim(x, index.view(*index.shape, *[1] * (x.dim() - 2)), dim=1)
