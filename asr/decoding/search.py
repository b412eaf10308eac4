"""Searching for the best token sequence. A search sees a Scorer, never the network.

A new search is a function (scorer, config, max_tokens) → n-best lists, and a line in SEARCHES.
"""

from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from asr.errors import ConfigError


@dataclass(frozen=True)
class DecodeConfig:
    """How token sequences are searched."""

    beam: int = 4
    """Hypotheses kept per utterance; 1 is greedy."""
    nbest: int = 1
    """Hypotheses returned per utterance; at most the beam."""
    length_power: float = 1.0
    """A hypothesis is ranked by its log-probability over (tokens, eos included) ** length_power; 0 is the plain sum."""
    max_chars_per_second: float = 10.0
    """No hypothesis is longer than this times the seconds of audio, plus two: nobody speaks faster."""
    batch_seconds: float = 120.0
    """Audio decoded in one batch, padding included."""

    def __post_init__(self):
        for name in ("beam", "nbest"):
            if getattr(self, name) < 1:
                raise ConfigError(f"decode.{name} must be at least 1, is {getattr(self, name)}")
        if self.nbest > self.beam:
            raise ConfigError(f"decode.nbest {self.nbest} cannot be more than decode.beam {self.beam}")
        for name in ("max_chars_per_second", "batch_seconds"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"decode.{name} must be above 0, is {getattr(self, name)}")

    def max_tokens(self, seconds: float) -> int:
        """The longest hypothesis for so much audio, eos not counted."""
        return int(seconds * self.max_chars_per_second) + 2


@dataclass(frozen=True)
class Hypothesis:
    """One candidate transcription of one utterance."""

    tokens: tuple[int, ...]
    """Ids without sos and eos."""
    score: float
    """What it is ranked by: total log-probability, normalised for length."""
    token_log_probs: tuple[float, ...]
    """Log-probability of each token, and of eos last where it was reached."""
    scores: dict[str, float] = field(default_factory=dict)
    """Total log-probability by scorer."""
    complete: bool = True
    """False where the length limit came before eos."""
    warnings: tuple[str, ...] = ()
    """What a reader should know before trusting it."""


class Scorer(Protocol):
    """Next-token log-probabilities for B utterances with N hypotheses each. State goes in and comes out."""

    sos: int
    eos: int
    n_utterances: int

    def start(self) -> Any:
        """The state before the first token."""
        ...

    def score(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        """The last tokens (B, N) and the state before them → log-probabilities (B, N, V) of the next, and the new state."""
        ...

    def reorder(self, state: Any, index: Tensor) -> Any:
        """The state in which hypothesis n of utterance b continues what was hypothesis index[b, n]."""
        ...


def greedy_search(scorer: Scorer, config: DecodeConfig, max_tokens: list[int]) -> list[list[Hypothesis]]:
    """Always the likeliest token. One hypothesis an utterance, at most max_tokens[b] long."""
    B = scorer.n_utterances
    state, last = scorer.start(), torch.full((B, 1), scorer.sos)
    tokens: list[list[int]] = [[] for _ in range(B)]
    log_probs: list[list[float]] = [[] for _ in range(B)]
    running, complete = set(range(B)), [False] * B
    for step in range(max(max_tokens) + 1):
        scores, state = scorer.score(last, state)
        best, last = (x.cpu() for x in scores.max(dim=2))
        for b in tuple(running):
            token = int(last[b, 0])
            if token != scorer.eos and step == max_tokens[b]:
                running.remove(b)  # the limit: only eos could have been added
                continue
            log_probs[b].append(float(best[b, 0]))
            if token == scorer.eos:
                complete[b] = True
                running.remove(b)
            else:
                tokens[b].append(token)
        if not running:
            break
    return [[_hypothesis(tokens[b], log_probs[b], complete[b], config)] for b in range(B)]


def beam_search(scorer: Scorer, config: DecodeConfig, max_tokens: list[int]) -> list[list[Hypothesis]]:
    """The `nbest` best complete hypotheses found while `beam` unfinished ones are kept, best first.

    At each step the best 2 * beam continuations of an utterance are looked at: those that end and rank among the first
    `beam` are finished, and the best `beam` that do not end go on. An utterance is done when `beam` hypotheses are
    finished, or at its length limit, where the unfinished are returned only if none finished.
    """
    B, N, device = scorer.n_utterances, config.beam, torch.device("cpu")
    state, last = scorer.start(), torch.full((B, 1), scorer.sos)
    total = torch.zeros(B, 1)
    prefixes: list[list[tuple[list[int], list[float]]]] = [[([], [])] for _ in range(B)]
    finished: list[list[Hypothesis]] = [[] for _ in range(B)]
    done = [False] * B
    for step in range(max(max_tokens) + 1):
        scores, state = scorer.score(last, state)
        scores = scores.to(device, torch.float32)
        V = scores.shape[2]
        sums = (total[:, :, None] + scores).flatten(1)  # (B, N * V)
        top, flat = sums.topk(min(2 * N, sums.shape[1]), dim=1)
        origin, token = flat // V, flat % V
        last = torch.full((B, N), scorer.eos)
        index = torch.zeros(B, N, dtype=torch.long)
        total = torch.full((B, N), -torch.inf)
        for b in range(B):
            if done[b]:
                continue
            grown: list[tuple[list[int], list[float]]] = []
            for rank in range(top.shape[1]):
                value, n, t = float(top[b, rank]), int(origin[b, rank]), int(token[b, rank])
                if value == -torch.inf or len(grown) == N:
                    break
                tokens, log_probs = prefixes[b][n]
                log_probs = [*log_probs, float(scores[b, n, t])]
                if t == scorer.eos:
                    if rank < N:
                        finished[b].append(_hypothesis(tokens, log_probs, True, config))
                    continue
                last[b, len(grown)], index[b, len(grown)], total[b, len(grown)] = t, n, value
                grown.append(([*tokens, t], log_probs))
            if len(finished[b]) >= N or step == max_tokens[b] or not grown:
                done[b] = True
                if not finished[b]:
                    finished[b] = [_hypothesis(*prefix, False, config) for prefix in prefixes[b]]
            prefixes[b] = grown
        if all(done):
            break
        state = scorer.reorder(state, index)
    return [sorted(f, key=lambda h: -h.score)[: config.nbest] for f in finished]


def _hypothesis(tokens: list[int], log_probs: list[float], complete: bool, config: DecodeConfig) -> Hypothesis:
    total = sum(log_probs)
    score = total / max(1, len(log_probs)) ** config.length_power
    warnings = () if complete else ("stopped at the length limit: more text than speech of this length can hold",)
    return Hypothesis(tuple(tokens), score, tuple(log_probs), {"decoder": total}, complete, warnings)


SEARCHES = {"greedy": greedy_search, "beam": beam_search}
"""Name → search."""


def search(scorer: Scorer, config: DecodeConfig, max_tokens: list[int]) -> list[list[Hypothesis]]:
    """The search the config asks for."""
    return SEARCHES["greedy" if config.beam == 1 else "beam"](scorer, config, max_tokens)
