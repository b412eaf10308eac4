"""The exported decoder as a search asks it: a token more of each of N hypotheses of an utterance."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from asr.errors import Cancelled
from asr.exported.folder import EncoderOutput, ExportedModel

MORE = 8
"""Tokens for which room is made at once."""


@dataclass(frozen=True)
class _State:
    keys: np.ndarray
    """(layers, N, P, …) of the tokens so far, with room for P."""
    values: np.ndarray
    n_tokens: int


class ListeningDecoder:
    """The decoder, listening to an utterance."""

    def __init__(self, model: ExportedModel, heard: EncoderOutput, cancelled: Callable[[], bool]):
        self.model, self.heard, self.cancelled = model, heard, cancelled
        table = model.tokenizer.table
        self.sos, self.eos = table.sos, table.eos
        self.repeated = {1: (heard.keys, heard.values)}

    def start(self) -> _State:
        """The state before the first token: behind the prompt, if there is one."""
        state = self._empty()
        return self._run(np.array([self.model.prompt]), state)[1] if self.model.prompt else state

    def _empty(self) -> _State:
        model = self.model
        inside = (model.width,) if model.whisper else (model.heads, model.width // model.heads)
        nothing = np.zeros((model.layers, 1, 0, *inside), np.float32)
        return _State(nothing, nothing, 0)

    def score(self, tokens: np.ndarray, state: _State) -> tuple[np.ndarray, _State]:
        if self.cancelled():
            raise Cancelled("given up while it was decoded")
        log_probs, state, _ = self._run(tokens[:, None], state)
        return log_probs[:, -1], state

    def select(self, state: _State, origins: np.ndarray) -> _State:
        return replace(state, keys=state.keys[:, origins], values=state.values[:, origins])

    def attention(self, text: Sequence[int]) -> np.ndarray:
        """(heads, U, L): where each token of a text was listened for."""
        tokens = [*self.model.prompt, self.sos, *text][: -1 if text else None]
        _, _, attention = self._run(np.array([tokens]), self._empty())
        return attention[0][:, len(self.model.prompt) :][:, : len(text)]

    def _run(self, tokens: np.ndarray, state: _State) -> tuple[np.ndarray, _State, np.ndarray]:
        N = len(tokens)
        if N not in self.repeated:
            self.repeated[N] = tuple(np.repeat(x, N, axis=1) for x in (self.heard.keys, self.heard.values))
        cross_keys, cross_values = self.repeated[N]
        given = {
            "tokens": tokens.astype(np.int64),
            "in_n_layer_self_k_cache": _with_room(state.keys, state.n_tokens + tokens.shape[1]),
            "in_n_layer_self_v_cache": _with_room(state.values, state.n_tokens + tokens.shape[1]),
            "n_layer_cross_k": cross_keys,
            "n_layer_cross_v": cross_values,
            "offset": np.full(N, state.n_tokens, np.int64),
        }
        log_probs, keys, values, attention = self.model.decoder.run(None, given)
        return log_probs, _State(keys, values, state.n_tokens + tokens.shape[1]), attention


def _with_room(cache: np.ndarray, needed: int) -> np.ndarray:
    """The cache (layers, N, P, …) with room for so many tokens, and some more where it grows: each step copies all of it."""
    if cache.shape[2] >= needed:
        return cache
    more = np.zeros((*cache.shape[:2], needed + MORE - cache.shape[2], *cache.shape[3:]), cache.dtype)
    return np.concatenate([cache, more], axis=2)
