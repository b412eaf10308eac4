"""Beam search over all hypotheses of a batch of utterances at once. It sees scorers, never the network.

A `Scorer` gives log-probabilities of every next token. `CandidateScorer`s (a language model, a CTC head, hot words) then
judge the best few continuations, each with its weight. Every step is a handful of tensor operations, however many
utterances and hypotheses there are; utterances that are done leave the batch.

Dimensions besides those of the model: C candidates of each hypothesis, P scorers.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from asr.decoding.beam import Beam, Best, Chosen, Ended, Step, best_continuations, largest
from asr.decoding.decode_config import DecodeConfig
from asr.decoding.hypothesis import DECODER, Hypothesis
from asr.decoding.rules import RULES


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
        """Log-probabilities (B, N, C) of candidates (B, N, C) for the next token, and the new state.

        tokens (B, N): the last ones. said (B, N, C): what the main scorer said of the candidates.
        """
        ...

    def select(self, state: Any, chosen: Chosen) -> Any:
        """The state of what was chosen."""
        ...


class Looked(NamedTuple):
    """One step of a search, for whoever looks on."""

    weights: dict[str, float]
    """Scorer → its weight, the main one first: P of them."""
    beam: Beam
    """The hypotheses before the step."""
    scores: Tensor
    """(B, N, V) what the main scorer says of every next token."""
    candidates: Tensor
    """(B, N, C) those that all scorers judged."""
    parts: Tensor
    """(B, N, C, P) what each scorer says of them."""
    best: Best
    """The best continuations by the weighted sum, more of them than go on."""
    step: Step
    """What the rule made of these."""


Watch = Callable[[Looked], None]
"""Is told of every step, and changes nothing in what it is given."""


@torch.inference_mode()
def beam_search(
    scorer: Scorer,
    config: DecodeConfig,
    max_tokens: list[int],
    others: Mapping[str, tuple[CandidateScorer, float]] | None = None,
    *,
    watch: Watch | None = None,
) -> list[list[Hypothesis]]:
    """The `nbest` best hypotheses of each utterance, best first, found with a beam of `beam`; a beam of 1 is greedy.

    max_tokens: the longest hypothesis of each utterance, eos not counted. others: name → scorer and weight. When a
    hypothesis is finished, what that means for the others and when an utterance is done, `config.rule` says. watch: looks on.
    """
    others = {name: pair for name, pair in (others or {}).items() if pair[1] != 0}
    B, device = scorer.n_utterances, scorer.device
    limits = torch.tensor(max_tokens, device=device)
    by_name = {DECODER: 1.0} | {name: weight for name, (_, weight) in others.items()}
    weights = torch.tensor(list(by_name.values()), device=device)
    rule = RULES[config.rule](B, config, device)
    beam = _first_beam(B, scorer.sos, len(weights), device)
    state, states = scorer.start(), [other.start(B) for other, _ in others.values()]
    ended: list[Ended] = []
    for n_tokens in range(max(max_tokens) + 1):
        scores, state = scorer.score(beam.last, state)
        candidates, parts, states = _judge(scores, beam.last, others, states, config, scorer.eos)
        most = rule.looks * config.beam
        best = best_continuations(beam, candidates, parts, weights=weights, most=most, eos=scorer.eos)
        step = rule.step(beam, best, limits[beam.utterances] - n_tokens)
        if watch is not None:
            watch(Looked(by_name, beam, scores, candidates, parts, best, step))
        beam, chosen, now_ended = step
        ended += now_ended
        if chosen is None:
            break
        rule.select(chosen.utterances)
        state = scorer.select(state, chosen)
        states = [other.select(s, chosen) for s, (other, _) in zip(states, others.values(), strict=True)]
    return _nbest(rule.ranked(ended), B, list(by_name), weights.tolist(), config)


def _first_beam(n_utterances: int, sos: int, n_scorers: int, device: torch.device) -> Beam:
    """One hypothesis of each utterance, without a token."""
    B = n_utterances
    return Beam(
        torch.arange(B, device=device),
        torch.zeros(B, dtype=torch.long, device=device),
        torch.full((B, 1), sos, device=device),
        torch.zeros(B, 1, device=device),
        torch.zeros(B, 1, 0, dtype=torch.long, device=device),
        torch.zeros(B, 1, 0, n_scorers, device=device),
    )


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
        values, candidates = largest(scores, 2 * config.beam)
        return candidates, values[..., None], states
    first = scores.index_fill(2, torch.tensor([eos], device=scores.device), torch.inf)
    _, candidates = largest(first, config.candidates + 1)
    said = scores.gather(2, candidates)
    judged = [other.score(last, candidates, said, s) for s, (other, _) in zip(states, others.values(), strict=True)]
    parts = torch.stack([said, *(score.to(said.dtype) for score, _ in judged)], dim=-1)
    return candidates, parts, [state for _, state in judged]


def _nbest(
    ended: list[Ended], n_utterances: int, names: list[str], weights: list[float], config: DecodeConfig
) -> list[list[Hypothesis]]:
    found: list[list[Hypothesis]] = [[] for _ in range(n_utterances)]
    for utterances, tokens, log_probs, warning in ended:
        sums = log_probs.double().sum(1).tolist()
        for b, ids, of_decoder, scores in zip(
            utterances.tolist(), tokens.tolist(), log_probs[..., 0].tolist(), sums, strict=True
        ):
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
