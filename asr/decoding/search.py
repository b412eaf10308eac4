"""Beam search over all hypotheses of a batch of utterances at once. It sees scorers, never the network.

A `Scorer` gives log-probabilities of every next token. `CandidateScorer`s (a language model, a CTC head, hot words) then
judge the best few continuations, each with its weight. Every step is a handful of tensor operations, however many
utterances and hypotheses there are; utterances that are done leave the batch.

Dimensions besides those of the model: C candidates of each hypothesis, P scorers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from asr.decoding.beam import Beam, Chosen, Ended, continued, ended_now, going_on, left_over, stopped_early
from asr.decoding.settings import DecodeConfig
from asr.decoding.toolkit_rules import step_by_rule, step_of_transformers

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
    beam = Beam(
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
    ended: list[Ended] = []
    gone: set[tuple[int, float]] = set()
    for step in range(max(max_tokens) + 1):
        scores, state = scorer.score(beam.last, state)
        candidates, parts, states = _judge(scores, beam.last, others, states, config, scorer.eos)
        judged = (beam, candidates, parts, weights, config, scorer.eos)
        if config.rule == "own":
            beam, chosen, finished = _step(*judged, limits == step)
        elif config.rule == "transformers":
            beam, chosen, finished = step_of_transformers(*judged, limits <= step + 1)
        else:
            beam, chosen, finished = step_by_rule(*judged, limits <= step + 1, gone)
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
    beam: Beam,
    candidates: Tensor,
    parts: Tensor,
    weights: Tensor,
    config: DecodeConfig,
    eos: int,
    at_limit: Tensor,
) -> tuple[Beam, Chosen | None, list[Ended]]:
    """One token more. `at_limit` (B of the input,): utterances that may take none but eos. No Chosen: all are done."""
    N = config.beam
    top, _, _, token, _ = continuations = continued(beam, candidates, parts, weights, 2 * N)
    is_eos = token == eos
    ends = is_eos & (top > -torch.inf)
    ends[:, N:] = False
    ended = [ended_now(beam, ends, continuations)] if ends.any() else []
    n_ended = beam.n_ended + ends.sum(1)
    new, origin, place, loops = going_on(beam, is_eos, continuations, N, config.stop_loops, config.length_bonus)

    done = (n_ended >= N) | at_limit[beam.utterances] | (new.total == -torch.inf).all(1)
    ended += stopped_early(beam, done & (n_ended == 0), loops)
    left = (~done).nonzero()[:, 0]
    if not len(left):
        return beam, None, ended
    return *left_over(replace(new, n_ended=n_ended), Chosen(left, origin, place)), ended


def _nbest(
    ended: list[Ended],
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
