"""What a recognizer did with the pieces of a recording: which audio was searched as one, and what the search looked at."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from asr.decoding.search import Hypothesis, Watch
from asr.inspection.tree import Tree, TreeWatch
from asr.model.model import Memory
from asr.recognition.recognized import Decoded, Recognized


@dataclass(frozen=True, eq=False)
class Searched:
    """Audio that was searched as one."""

    samples: np.ndarray
    """(S,) at 16 kHz."""
    first: int
    """Place of its first sample in the piece that was to be recognised."""
    memory: Memory
    """What the decoder listened to, of this utterance alone."""
    log_probs: Tensor | None
    """(L, V) of the CTC head, where there is one that was asked."""
    tree: Tree
    """All that the search had in its beam."""
    found: tuple[Hypothesis, ...]
    """All texts that counted in the end, best first."""
    result: Recognized
    """What was made of the first."""
    reasons: tuple[str, ...] = ()
    """Why the text of the whole piece was not trusted, where this is a part of it."""


class Searches:
    """A Watcher that keeps all searches whose texts became the result."""

    def __init__(self, eos: int, likeliest: int = 5):
        """eos: its id. likeliest: how many of the decoder's likeliest tokens are kept of each text of the beam."""
        self.eos, self.likeliest = eos, likeliest
        self._cut: dict[int, tuple[Sequence[np.ndarray], tuple[str, ...]]] = {}
        self._done: dict[int, Searched] = {}
        self._kept: list[np.ndarray] = []  # arrays are known by where they are, which holds as long as they are there

    def search(self) -> TreeWatch:
        """As of a Watcher."""
        return TreeWatch(self.eos, self.likeliest)

    def cut(self, samples: np.ndarray, parts: Sequence[np.ndarray], reasons: tuple[str, ...]) -> None:
        """As of a Watcher."""
        self._cut[id(samples)] = parts, reasons
        self._kept.append(samples)

    def decoded(self, watch: Watch, batch: Decoded) -> None:
        """As of a Watcher."""
        assert isinstance(watch, TreeWatch)
        for b, samples in enumerate(batch.utterances):
            log_probs = None if batch.log_probs is None else batch.log_probs[b]
            parts = batch.memory.rows([b]), log_probs, watch.trees[b], tuple(batch.found[b])
            self._done[id(samples)] = Searched(samples, 0, *parts, batch.results[b][0])
            self._kept.append(samples)

    def of(self, samples: np.ndarray, first: int = 0, reasons: tuple[str, ...] = ()) -> Iterator[Searched]:
        """The searches that gave the text of this audio, in order of time."""
        if id(samples) not in self._cut:
            done = self._done[id(samples)]
            shared = done.samples, first, done.memory, done.log_probs, done.tree, done.found, done.result
            yield Searched(*shared, reasons)
            return
        parts, why = self._cut[id(samples)]
        for part in parts:
            yield from self.of(part, first, reasons or why)
            first += len(part)
