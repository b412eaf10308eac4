"""Beam search over all hypotheses of a batch of utterances at once. It sees scorers, never the network.

A `Scorer` gives log-probabilities of every next token. `CandidateScorer`s (a language model, a CTC head, hot words) then
judge the best few continuations, each with its weight. Every step is a handful of tensor operations, however many
utterances and hypotheses there are; utterances that are done leave the batch.

Dimensions besides those of the model: C candidates of each hypothesis, P scorers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from asr.decoding.settings import DecodeConfig

LIMIT_REACHED = "stopped at the length limit: more text than speech of this length can hold"
LOOPING = "stopped where it repeated itself"
DECODER = "decoder"
"""Name of the main scorer in Hypothesis.scores."""


@dataclass(frozen=True)
class Hypothesis:
    """One candidate transcription of one utterance."""

    tokens: tuple[int, ...]
    """Ids without sos and eos."""
    score: float
    """What it is ranked by: weighted log-probabilities, normalised for length."""
    token_log_probs: tuple[float, ...]
    """The decoder's log-probability of each token, and of eos last where it was reached."""
    scores: dict[str, float] = field(default_factory=dict)
    """Total log-probability by scorer, before its weight."""
    complete: bool = True
    """False where the length limit came before eos."""
    warnings: tuple[str, ...] = ()
    """What a reader should know before trusting it."""


class Chosen(NamedTuple):
    """What goes on after a step: hypothesis n of the b-th utterance left continues what is named here, (B', N') each."""

    utterances: Tensor
    """(B',) which utterances are left, as indices into those before the step."""
    hypotheses: Tensor
    """Which hypothesis before the step is continued."""
    candidates: Tensor
    """Which of its candidates was chosen."""


class Scorer(Protocol):
    """Log-probabilities of the next token, for B utterances with N hypotheses each. State goes in and comes out."""

    sos: int
    eos: int
    n_utterances: int
    device: torch.device

    def start(self) -> Any:
        """The state before the first token."""
        ...

    def score(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        """The last tokens (B, N) and the state before them → log-probabilities (B, N, V) of the next, and the new state."""
        ...

    def select(self, state: Any, chosen: Chosen) -> Any:
        """The state of what was chosen."""
        ...


class CandidateScorer(Protocol):
    """Judges some continuations only, after the main scorer has named them."""

    def start(self, n_utterances: int) -> Any:
        """The state before the first token."""
        ...

    def score(self, tokens: Tensor, candidates: Tensor, said: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Last tokens (B, N), candidates (B, N, C) for the next and what the main scorer said of them (B, N, C)

        → log-probabilities (B, N, C), and the new state.
        """
        ...

    def select(self, state: Any, chosen: Chosen) -> Any:
        """The state of what was chosen."""
        ...


@dataclass(frozen=True)
class _Beam:
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


class _Ended(NamedTuple):
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


@torch.inference_mode()
def beam_search(
    scorer: Scorer,
    config: DecodeConfig,
    max_tokens: list[int],
    others: Mapping[str, tuple[CandidateScorer, float]] | None = None,
) -> list[list[Hypothesis]]:
    """The `nbest` best complete hypotheses found while `beam` unfinished ones are kept, best first; a beam of 1 is greedy.

    max_tokens: the longest hypothesis of each utterance, eos not counted. others: name → scorer and weight.
    At each step the best 2 * beam continuations of an utterance are looked at: those that end and rank among the first
    `beam` are finished, and the best `beam` that do not end go on. An utterance is done when `beam` hypotheses are
    finished, or at its length limit, where the unfinished are returned only if none finished.
    """
    others = {name: pair for name, pair in (others or {}).items() if pair[1] != 0}
    B, device = scorer.n_utterances, scorer.device
    limits = torch.tensor(max_tokens, device=device)
    weights = torch.tensor([1.0, *(weight for _, weight in others.values())], device=device)
    beam = _Beam(
        torch.arange(B, device=device),
        torch.zeros(B, dtype=torch.long, device=device),
        torch.full((B, 1), scorer.sos, device=device),
        torch.zeros(B, 1, device=device),
        torch.zeros(B, 1, 0, dtype=torch.long, device=device),
        torch.zeros(B, 1, 0, len(weights), device=device),
        torch.full((B, config.beam), -torch.inf, device=device),
        torch.zeros(B, 0, device=device),
    )
    state, states = scorer.start(), [other.start(B) for other, _ in others.values()]
    ended: list[_Ended] = []
    gone: set[tuple[int, float]] = set()
    for step in range(max(max_tokens) + 1):
        scores, state = scorer.score(beam.last, state)
        candidates, parts, states = _judge(scores, beam.last, others, states, config, scorer.eos)
        judged = (beam, candidates, parts, weights, config, scorer.eos)
        if config.rule == "own":
            beam, chosen, finished = _step(*judged, limits == step)
        else:
            beam, chosen, finished = _step_by_rule(*judged, limits <= step + 1, gone)
        ended += finished
        if chosen is None:
            break
        state = scorer.select(state, chosen)
        states = [other.select(s, chosen) for s, (other, _) in zip(states, others.values(), strict=True)]
    return _nbest(ended, B, [DECODER, *others], weights.tolist(), config, gone)


def _judge(
    scores: Tensor, last: Tensor, others: Mapping, states: list, config: DecodeConfig, eos: int
) -> tuple[Tensor, Tensor, list]:
    """Candidates (B, N, C), and what all scorers say of them (B, N, C, P); new states."""
    if config.eos_threshold:
        rest = scores.index_fill(2, torch.tensor([eos], device=scores.device), -torch.inf).amax(2)
        early = scores[..., eos] <= config.eos_threshold * rest
        scores = scores.clone()
        scores[..., eos] = scores[..., eos].masked_fill(early, -torch.inf)
    if not others:  # none but the best 2 * beam of each hypothesis can be among the best of all
        values, candidates = scores.topk(min(2 * config.beam, scores.shape[2]), dim=2)
        return candidates, values[..., None], states
    first = scores.index_fill(2, torch.tensor([eos], device=scores.device), torch.inf)
    candidates = first.topk(min(config.candidates + 1, scores.shape[2]), dim=2).indices
    said = scores.gather(2, candidates)
    judged = [other.score(last, candidates, said, s) for s, (other, _) in zip(states, others.values(), strict=True)]
    parts = torch.stack([said, *(score.to(said.dtype) for score, _ in judged)], dim=-1)
    return candidates, parts, [state for _, state in judged]


def _step(
    beam: _Beam,
    candidates: Tensor,
    parts: Tensor,
    weights: Tensor,
    config: DecodeConfig,
    eos: int,
    at_limit: Tensor,
) -> tuple[_Beam, Chosen | None, list[_Ended]]:
    """One token more. `at_limit` (B of the input,): utterances that may take none but eos. No Chosen: all are done."""
    N = config.beam
    top, origin, place, token, log_probs = _continued(beam, candidates, parts, weights, 2 * N)
    is_eos, ended = token == eos, []
    ends = is_eos & (top > -torch.inf)
    ends[:, N:] = False
    if ends.any():
        b, rank = ends.nonzero(as_tuple=True)
        ended.append(_Ended(beam.utterances[b], beam.tokens[b, origin[b, rank]], log_probs[b, rank], top[b, rank]))
    n_ended = beam.n_ended + ends.sum(1)

    total, pick = top.masked_fill(is_eos, -torch.inf).topk(min(N, top.shape[1]), dim=1)
    last, origin, place = (x.gather(1, pick) for x in (token, origin, place))
    tokens = torch.cat([_take(beam.tokens, origin), last[:, :, None]], dim=2)
    loops = _loops(tokens) if config.stop_loops else torch.zeros_like(total, dtype=torch.bool)
    total = (total + config.length_bonus).masked_fill(loops, -torch.inf)

    done = (n_ended >= N) | at_limit[beam.utterances] | (total == -torch.inf).all(1)
    ended += _stopped(beam, done & (n_ended == 0), loops)
    left = (~done).nonzero()[:, 0]
    if not len(left):
        return beam, None, ended
    new = _Beam(beam.utterances, n_ended, last, total, tokens, _take(log_probs, pick), beam.kept, beam.best_ended)
    return *_left_over(new, Chosen(left, origin, place)), ended


def _continued(beam: _Beam, candidates: Tensor, parts: Tensor, weights: Tensor, M: int) -> tuple[Tensor, ...]:
    """The best M continuations, or all: scores, origins, places among the candidates, tokens, and log-probabilities by scorer."""
    C = parts.shape[2]
    weighted = parts[..., 0] if len(weights) == 1 else (parts * weights).sum(-1)
    sums = (beam.total[:, :, None] + weighted).flatten(1)  # (B, N * C)
    top, flat = sums.topk(min(M, sums.shape[1]), dim=1)
    origin, place = flat // C, flat % C
    token = candidates.flatten(1).gather(1, flat)
    log_probs = torch.cat([_take(beam.log_probs, origin), _take(parts.flatten(1, 2), flat)[:, :, None]], dim=2)
    return top, origin, place, token, log_probs


def _left_over(beam: _Beam, chosen: Chosen) -> tuple[_Beam, Chosen]:
    """The beam and what was chosen without the utterances that are done."""
    left = chosen.utterances
    if len(left) == len(beam.utterances):
        return beam, chosen
    beam = _Beam(*(getattr(beam, f.name)[left] for f in fields(_Beam)))
    return beam, Chosen(left, chosen.hypotheses[left], chosen.candidates[left])


def _step_by_rule(
    beam: _Beam,
    candidates: Tensor,
    parts: Tensor,
    weights: Tensor,
    config: DecodeConfig,
    eos: int,
    at_limit: Tensor,
    gone: set[tuple[int, float]],
) -> tuple[_Beam, Chosen | None, list[_Ended]]:
    """`_step` as other toolkits do it: only the best `beam` continuations count, those that end among them.

    `at_limit`: utterances that take no token after this one; what has not ended then counts as it is. `gone` is given
    the utterance and the score of those that had ended and lost their places.
    """
    N, rule = config.beam, config.rule
    top, origin, place, last, log_probs = _continued(beam, candidates, parts, weights, N)
    kept = beam.kept
    if rule == "wenet":
        lowest = torch.cat([kept, top], dim=1).topk(N, dim=1).values[:, -1:]
        for b, n in ((kept > -torch.inf) & (kept < lowest)).nonzero().tolist():
            gone.add((int(beam.utterances[b]), float(kept[b, n])))
        top, kept = top.masked_fill(top < lowest, -torch.inf), kept.masked_fill(kept < lowest, -torch.inf)
    real = top > -torch.inf
    ends = (last == eos) & real
    kept = torch.cat([kept, top.masked_fill(~ends, -torch.inf)], dim=1).topk(N, dim=1).values
    best_ended = torch.cat([beam.best_ended, top.masked_fill(~ends, -torch.inf).amax(1, keepdim=True)], dim=1)
    if rule == "speechbrain":
        ends &= beam.n_ended[:, None] + ends.cumsum(1) <= N
    n_ended = beam.n_ended + ends.sum(1)
    b, rank = ends.nonzero(as_tuple=True)
    ended = [_Ended(beam.utterances[b], beam.tokens[b, origin[b, rank]], log_probs[b, rank], top[b, rank])]

    tokens = torch.cat([_take(beam.tokens, origin), last[:, :, None]], dim=2)
    goes_on = real & (last != eos)
    loops = _loops(tokens) & goes_on if config.stop_loops else torch.zeros_like(goes_on)
    total = (top + config.length_bonus).masked_fill(~goes_on | loops, -torch.inf)
    new = _Beam(beam.utterances, n_ended, last, total, tokens, log_probs, kept, best_ended)
    at_limit = at_limit[beam.utterances]
    done = at_limit | (total == -torch.inf).all(1)
    if rule == "speechbrain":
        done |= n_ended >= N
    if rule == "espnet":
        done |= _end_detected(best_ended)
    unfinished = (done & at_limit)[:, None] & (total > -torch.inf)
    if rule == "speechbrain":
        unfinished &= n_ended[:, None] + unfinished.cumsum(1) <= N
    b, rank = unfinished.nonzero(as_tuple=True)
    ended.append(_Ended(beam.utterances[b], tokens[b, rank], log_probs[b, rank], total[b, rank], LIMIT_REACHED))
    ended += _stopped(beam, done & (n_ended == 0) & ~unfinished.any(1), loops)
    left = (~done).nonzero()[:, 0]
    if not len(left):
        return beam, None, ended
    return *_left_over(new, Chosen(left, origin, place)), ended


def _end_detected(best_ended: Tensor) -> Tensor:
    """(B, U) → (B,): in each of three steps something ended, and nothing near the best (Watanabe et al. 2017, equation 50).

    Of ESPnet's own reckoning: the steps are the third last to the fifth last, and far is 10 nats.
    """
    U = best_ended.shape[1]
    if U < 5:
        return torch.zeros(len(best_ended), dtype=torch.bool, device=best_ended.device)
    three = best_ended[:, U - 5 : U - 2]
    far = three - best_ended.amax(1, keepdim=True) < -10
    return (far & (three > -torch.inf)).all(1)


def _stopped(beam: _Beam, stopped: Tensor, loops: Tensor) -> list[_Ended]:
    """Hypotheses of utterances that stop before any has ended, as they were before this step."""
    ended = []
    for b in stopped.nonzero()[:, 0].tolist():
        real = beam.total[b] > -torch.inf
        tokens, log_probs = beam.tokens[b, real], beam.log_probs[b, real]
        warning = LOOPING if bool(loops[b].any()) else LIMIT_REACHED
        ended.append(_Ended(beam.utterances[b].expand(len(tokens)), tokens, log_probs, beam.total[b, real], warning))
    return ended


LONGEST_LOOP = 8
"""Tokens in the longest piece whose repetition is looked for."""


def _loops(tokens: Tensor) -> Tensor:
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


def _take(x: Tensor, index: Tensor) -> Tensor:
    """x (B, N, …), index (B, M) → (B, M, …): row index[b, m] of x[b]. [[1, 0]] swaps two rows, [[0, 0]] doubles the first."""
    if x.shape[1] == 1:
        return x.expand(-1, index.shape[1], *x.shape[2:])
    return x[torch.arange(len(x), device=x.device)[:, None], index]


def _nbest(
    ended: list[_Ended],
    n_utterances: int,
    names: list[str],
    weights: list[float],
    config: DecodeConfig,
    gone: set[tuple[int, float]],
) -> list[list[Hypothesis]]:
    found: list[list[Hypothesis]] = [[] for _ in range(n_utterances)]
    for utterances, tokens, log_probs, totals, warning in ended:
        sums = log_probs.double().sum(1).tolist()
        rows = zip(utterances.tolist(), tokens.tolist(), log_probs[..., 0].tolist(), sums, totals.tolist(), strict=True)
        for b, ids, of_decoder, scores, in_beam in rows:
            if not warning and (b, in_beam) in gone:
                continue  # better ones took its place
            total = sum(w * s for w, s in zip(weights, scores, strict=True)) + config.length_bonus * len(ids)
            found[b].append(
                Hypothesis(
                    tuple(ids),
                    config.rank(total, len(of_decoder)),
                    tuple(of_decoder),
                    dict(zip(names, scores, strict=True)),
                    not warning,
                    (warning,) if warning else (),
                )
            )
    return [sorted(hypotheses, key=lambda h: -h.score)[: config.nbest] for hypotheses in found]
