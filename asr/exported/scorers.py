"""What judges candidates beside the decoder, by NumPy: the CTC head and n-grams, as asr.decoding has them in PyTorch.

N hypotheses of one utterance, C candidates of each, L memory frames.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from asr.decoding.ngram_file import read_ngrams

NEVER, LEAST = -1e4, -1e30
"""As in asr.decoding.ctc_prefix."""
UNKNOWN = -10.0
"""As in asr.decoding.ngram."""


class CandidateScorer(Protocol):
    """Judges some continuations, after the decoder has named them."""

    def start(self) -> Any:
        """The state before the first token."""
        ...

    def score(self, last: np.ndarray, candidates: np.ndarray, said: np.ndarray, state: Any) -> tuple[np.ndarray, Any]:
        """Last tokens (N,), candidates (N, C), what the decoder says of them (N, C) → scores (N, C), and the new state."""
        ...

    def select(self, state: Any, origins: np.ndarray, places: np.ndarray) -> Any:
        """The state of hypotheses (N',) that continue these ones with these of their candidates."""
        ...


@dataclass(frozen=True)
class _Prefixes:
    """What is known of each prefix, as in asr.decoding.ctc_prefix."""

    on_token: np.ndarray
    on_blank: np.ndarray
    score: np.ndarray
    n_tokens: int = 0
    judged: tuple[np.ndarray, ...] = ()


class CtcPrefixes:
    """Scores a candidate by how much less likely the audio begins with the longer text."""

    def __init__(self, log_probs: np.ndarray, blank: int, eos: int):
        """log_probs (L, V) of the CTC head."""
        self.probs = np.exp(log_probs.astype(np.float64)).T  # (V, L)
        self.blank, self.eos = _log(self.probs[blank]), eos

    def start(self) -> _Prefixes:
        on_blank = self.blank.cumsum()[None]
        return _Prefixes(np.full_like(on_blank, -np.inf), on_blank, np.zeros(1))

    def score(
        self, last: np.ndarray, candidates: np.ndarray, said: np.ndarray, state: _Prefixes
    ) -> tuple[np.ndarray, _Prefixes]:
        either = np.logaddexp(state.on_token, state.on_blank)
        first = -np.inf if state.n_tokens else 0.0
        before = _later(
            np.stack([either, state.on_blank]), first
        )  # (2, N, L): the last token again needs a blank between
        largest = before.max(-1, keepdims=True)
        weights = np.exp(before - largest.clip(min=LEAST)).transpose(1, 2, 0)  # (N, L, 2)
        scores = _log(self.probs[candidates] @ weights) + largest.transpose(1, 2, 0)
        repeats = candidates == last[:, None]
        score = np.where(repeats, scores[..., 1], scores[..., 0])
        score = np.where(candidates == self.eos, either[:, -1:], score)
        increase = np.nan_to_num(score - state.score[:, None], nan=NEVER, posinf=NEVER, neginf=NEVER).clip(min=NEVER)
        return increase.astype(np.float32), replace(state, judged=(before, candidates, repeats, score))

    def select(self, state: _Prefixes, origins: np.ndarray, places: np.ndarray) -> _Prefixes:
        before, *judged = state.judged
        token, repeats, score = (x[origins, places] for x in judged)
        on_token = _spread(before[repeats.astype(int), origins], _log(self.probs[token]))
        return _Prefixes(on_token, _spread(_later(on_token, -np.inf), self.blank), score, state.n_tokens + 1)


def found_among(keys: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Where each wanted key stands among rising keys (E,), -1 where it does not."""
    if not len(keys):
        return np.full_like(wanted, -1)
    places = np.searchsorted(keys, wanted).clip(max=len(keys) - 1)
    return np.where(keys[places] == wanted, places, -1)


def _log(probs: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.log(probs).clip(min=NEVER)


def _later(x: np.ndarray, first: float) -> np.ndarray:
    """x one frame later, after `first`."""
    return np.concatenate([np.full_like(x[..., :1], first), x[..., :-1]], axis=-1)


def _spread(entering: np.ndarray, staying: np.ndarray) -> np.ndarray:
    """x[t] = logaddexp(x[t - 1], entering[t]) + staying[t], with x before the first frame impossible."""
    total = np.broadcast_to(staying, entering.shape).cumsum(-1)
    return total + np.logaddexp.accumulate(entering - (total - staying), axis=-1)


class Ngrams:
    """Log-probabilities of candidates after their context, backing off where the model has not seen it."""

    def __init__(self, path: Path, symbols: Sequence[str], eos: int):
        """symbols: the text of each token. Raises AsrError as `read_ngrams` does."""
        held = read_ngrams(path, symbols, eos)
        begin, unknown, self.n_tokens = len(symbols), len(symbols) + 1, len(symbols) + 2
        self.log_prob, self.backoff, levels = held.log_prob, held.backoff, held.levels
        self.order, self.longest = len(levels) - 2, levels[-2]
        self.keys = held.parent[1:].astype(np.int64) * self.n_tokens + held.token[1:]
        self.suffix = np.zeros(len(held.parent), np.int64)
        for first, end in zip(levels[2:], levels[3:], strict=False):
            nodes, words = np.arange(first, end), held.token[first:end].astype(np.int64)
            context = self.suffix[held.parent[first:end]]
            while len(nodes):
                found = self._follow(context, words)
                self.suffix[nodes] = found.clip(min=0)
                shorter = (found < 0) & (context != 0)
                nodes, words, context = nodes[shorter], words[shorter], self.suffix[context[shorter]]
        alone = self._follow(np.zeros(self.n_tokens, np.int64), np.arange(self.n_tokens))
        self.vocabulary = np.where(alone[: len(symbols)] >= 0, np.arange(len(symbols)), unknown)
        self.unknown = float(self.log_prob[alone[unknown]]) if alone[unknown] >= 0 else UNKNOWN
        self.first = max(int(alone[begin]), 0) if self.order > 1 else 0

    def _follow(self, nodes: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        """The node that each edge leads to, -1 where there is none."""
        found = found_among(self.keys, nodes * self.n_tokens + tokens)
        return np.where(found < 0, -1, found + 1)

    def start(self) -> tuple[np.ndarray, np.ndarray | None]:
        return np.array([self.first]), None

    def score(
        self, last: np.ndarray, candidates: np.ndarray, said: np.ndarray, state: tuple
    ) -> tuple[np.ndarray, tuple]:
        context = np.broadcast_to(state[0][:, None], candidates.shape)
        words, found = self.vocabulary[candidates], np.full(candidates.shape, -1)
        score = np.zeros(candidates.shape, np.float32)
        for _ in range(self.order):
            child = self._follow(context, words)
            new = (found < 0) & (child >= 0)
            score = np.where(new, score + self.log_prob[child], score)
            found = np.where(new, child, found)
            score = np.where(found < 0, score + self.backoff[context], score)
            context = self.suffix[context]
        score = np.where(found < 0, score + np.float32(self.unknown), score).astype(np.float32)
        found = found.clip(min=0)
        return score, (state[0], np.where(found >= self.longest, self.suffix[found], found))

    def select(self, state: tuple, origins: np.ndarray, places: np.ndarray) -> tuple:
        return state[1][origins, places], None
