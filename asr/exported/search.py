"""Beam search over the hypotheses of one utterance by NumPy: what asr.decoding.search finds by our own rule and Whisper's.

N hypotheses of U tokens, C candidates of each, P scorers; the decoder is the first of these.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from asr.decoding.decode_config import DecodeConfig
from asr.decoding.hypothesis import DECODER, LIMIT_REACHED, LONGEST_LOOP, LOOPING, Hypothesis
from asr.exported.scorers import CandidateScorer

RULES = ("own", "transformers")
"""Of `decode.rule`, what this search knows."""


class Decoder(Protocol):
    """Log-probabilities of the next token of N hypotheses; state goes in and comes out."""

    sos: int
    eos: int

    def start(self) -> Any:
        """The state before the first token."""
        ...

    def score(self, tokens: np.ndarray, state: Any) -> tuple[np.ndarray, Any]:
        """The last tokens (N,) and the state before them → log-probabilities (N, V) of the next, and the new state."""
        ...

    def select(self, state: Any, origins: np.ndarray) -> Any:
        """The state of hypotheses (N',) that continue these ones."""
        ...


@dataclass(frozen=True)
class _Beam:
    tokens: np.ndarray
    """(N, U)."""
    log_probs: np.ndarray
    """(N, U, P) what each scorer gave them."""
    total: np.ndarray
    """(N,) weighted sums; -inf for what does not go on."""


@dataclass(frozen=True)
class _Best:
    """The best continuations, best first, (M,) each."""

    scores: np.ndarray
    origins: np.ndarray
    places: np.ndarray
    tokens: np.ndarray
    log_probs: np.ndarray
    """(M, U + 1, P)."""


def beam_search(
    decoder: Decoder,
    config: DecodeConfig,
    limit: int,
    others: Mapping[str, tuple[CandidateScorer, float]],
) -> list[Hypothesis]:
    """All hypotheses that the search ends with, best first. limit: tokens of the longest, eos not counted."""
    scorers = [scorer for scorer, _ in others.values()]
    names = [DECODER, *others]
    weights = np.array([1.0, *(weight for _, weight in others.values())], np.float32)
    beam = _Beam(np.zeros((1, 0), int), np.zeros((1, 0, len(weights)), np.float32), np.zeros(1, np.float32))
    last, state, states = np.array([decoder.sos]), decoder.start(), [scorer.start() for scorer in scorers]
    ended: list[tuple[np.ndarray, np.ndarray, str]] = []
    ranks: list[float] = []
    for n_tokens in range(limit + 1):
        scores, state = decoder.score(last, state)
        candidates, parts, states = _judged(scores, last, scorers, states, config=config, eos=decoder.eos)
        best = _continued(beam, candidates, parts, weights, most=2 * config.beam)
        step = _Step(beam, best, config, eos=decoder.eos, room=limit - n_tokens)
        ended += step.ended
        ranks += step.ranks
        enough = step.hopeless(ranks) if config.rule == "transformers" else len(ended) >= config.beam
        if step.done or enough:
            if not ended:
                ended += step.stopped()
            break
        beam = step.beam
        last, state = beam.tokens[:, -1], decoder.select(state, step.origins)
        states = [s.select(held, step.origins, step.places) for s, held in zip(scorers, states, strict=True)]
    return _ranked(ended, names, weights, config)


def _judged(
    scores: np.ndarray,
    last: np.ndarray,
    scorers: Sequence[CandidateScorer],
    states: list,
    *,
    config: DecodeConfig,
    eos: int,
) -> tuple[np.ndarray, np.ndarray, list]:
    """Candidates (N, C), what all scorers say of them (N, C, P), and the new states of all but the decoder."""
    rows = np.arange(len(scores))[:, None]
    if not scorers:
        candidates = _largest(scores, 2 * config.beam)
        return candidates, scores[rows, candidates][..., None], states
    first = scores.copy()
    first[:, eos] = np.inf
    candidates = _largest(first, config.candidates + 1)
    said = scores[rows, candidates]
    judged = [scorer.score(last, candidates, said, state) for scorer, state in zip(scorers, states, strict=True)]
    parts = np.stack([said, *(score for score, _ in judged)], axis=-1)
    return candidates, parts, [state for _, state in judged]


def _largest(x: np.ndarray, most: int) -> np.ndarray:
    """The places of the largest of each row, largest first."""
    most = min(most, x.shape[-1])
    places = np.argpartition(-x, most - 1, axis=-1)[..., :most]
    return np.take_along_axis(places, np.argsort(-np.take_along_axis(x, places, -1), axis=-1, kind="stable"), -1)


def _continued(beam: _Beam, candidates: np.ndarray, parts: np.ndarray, weights: np.ndarray, *, most: int) -> _Best:
    sums = (beam.total[:, None] + parts @ weights).ravel()
    flat = _largest(sums, most)
    origins, places = np.divmod(flat, candidates.shape[1])
    added = parts[origins, places][:, None]
    log_probs = np.concatenate([beam.log_probs[origins], added], axis=1)
    return _Best(sums[flat], origins, places, candidates[origins, places], log_probs)


class _Step:
    """One token more: what has ended, and the beam that goes on."""

    def __init__(self, before: _Beam, best: _Best, config: DecodeConfig, *, eos: int, room: int):
        """room: how many tokens, this one included, may still be taken."""
        self.before, self.config = before, config
        whisper = config.rule == "transformers"
        first = (best.scores > -np.inf) & (np.arange(len(best.scores)) < config.beam)
        ends = first & (best.tokens == eos)
        at_limit = room <= (1 if whisper else 0)
        self.ended = [(before.tokens[best.origins[m]], best.log_probs[m], "") for m in np.flatnonzero(ends)]
        self.U = before.tokens.shape[1] + 1
        self.ranks = [config.rank(float(best.scores[m]), self.U) for m in np.flatnonzero(ends)]
        if whisper and at_limit:
            for m in np.flatnonzero(first & ~ends):
                tokens = np.append(before.tokens[best.origins[m]], best.tokens[m])
                self.ended.append((tokens, best.log_probs[m], LIMIT_REACHED))
        goes_on = np.where(best.tokens == eos, -np.inf, best.scores)
        pick = _largest(goes_on, config.beam)
        self.origins, self.places = best.origins[pick], best.places[pick]
        tokens = np.concatenate([before.tokens[self.origins], best.tokens[pick][:, None]], axis=1)
        self.loops = _loops(tokens) if config.stop_loops else np.zeros(len(tokens), bool)
        total = np.where(self.loops, -np.inf, goes_on[pick] + np.float32(config.length_bonus)).astype(np.float32)
        self.beam = _Beam(tokens, best.log_probs[pick], total)
        self.done = at_limit or not (total > -np.inf).any()

    def hopeless(self, ranks: list[float]) -> bool:
        """Whether nothing that goes on has, at its length, a better rank than the worst of `beam` finished ones."""
        best = sorted(ranks, reverse=True)[: self.config.beam]
        return len(best) == self.config.beam and self.config.rank(float(self.beam.total.max()), self.U) <= best[-1]

    def stopped(self) -> list[tuple[np.ndarray, np.ndarray, str]]:
        """What there was before this step, where nothing has ended."""
        warning = LOOPING if self.loops.any() else LIMIT_REACHED
        real = np.flatnonzero(self.before.total > -np.inf)
        return [(self.before.tokens[n], self.before.log_probs[n], warning) for n in real]


def _loops(tokens: np.ndarray) -> np.ndarray:
    """(N, U) → (N,): as asr.decoding.beam.find_loops."""
    N, U = tokens.shape
    found = np.zeros(N, bool)
    if U % 4:
        return found
    for period in range(1, LONGEST_LOOP + 1):
        length = max(4 * period, 12)
        if U >= length:
            end = tokens[:, -length:]
            found |= (end[:, period:] == end[:, :-period]).all(-1)
    return found


def _ranked(ended: list, names: list[str], weights: np.ndarray, config: DecodeConfig) -> list[Hypothesis]:
    found = []
    for tokens, log_probs, warning in ended:
        sums = log_probs.astype(np.float64).sum(0).tolist()
        total = sum(w * s for w, s in zip(weights.tolist(), sums, strict=True)) + config.length_bonus * len(tokens)
        of_decoder = tuple(log_probs[:, 0].tolist())
        scores = dict(zip(names, sums, strict=True))
        rank = config.rank(total, len(of_decoder))
        warnings = (warning,) if warning else ()
        found.append(Hypothesis(tuple(tokens.tolist()), rank, of_decoder, scores, not warning, warnings))
    return sorted(found, key=lambda h: -h.score)
