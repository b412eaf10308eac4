"""What a recognizer finds, and what it tells whoever looks on while it works."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from asr.decoding.hypothesis import Hypothesis
from asr.transcript import Correction, Span

if TYPE_CHECKING:  # those who recognise without PyTorch use what is here, too
    from torch import Tensor

    from asr.decoding.search import Watch
    from asr.model.model import Memory


@dataclass(frozen=True)
class Recognized:
    """One hypothesis with its text."""

    text: str
    """The text of the tokens."""
    hypothesis: Hypothesis
    """The tokens, and how likely they are."""
    hotwords: tuple[tuple[int, str], ...] = ()
    """(place among the tokens, word) of each hot word in it."""
    corrections: tuple[Correction, ...] = ()
    """Hot words that `text` has in the place of what sounds like them; `hypothesis` has what was heard."""
    spans: tuple[Span, ...] = ()
    """Start and end of each token in seconds, where they were asked for: of the best hypothesis only."""
    no_speech: float | None = field(default=None, compare=False)
    """The probability that nobody speaks, of the best hypothesis; None of a model without a head that tells it."""


NOTHING_SAID = Recognized("", Hypothesis((), 0.0, ()))
"""What is recognised where nobody speaks."""


@dataclass(frozen=True, eq=False)
class Decoded:
    """A batch that was searched, for whoever looks on."""

    utterances: Sequence[np.ndarray]
    """Arrays (S,) of samples."""
    memory: Memory
    """What the decoder listened to."""
    log_probs: Tensor | None
    """(B, L, V) of the CTC head, where it was asked."""
    found: list[list[Hypothesis]]
    """All hypotheses of each utterance, best first, ranked anew where something is to do that."""
    results: list[list[Recognized]]
    """What was made of them."""


class Watcher(Protocol):
    """Looks on while a Recognizer works, and changes nothing of it."""

    def search(self) -> Watch:
        """The search of a batch begins: what is to be told of its steps."""
        ...

    def cut(self, samples: np.ndarray, parts: Sequence[np.ndarray], reasons: tuple[str, ...]) -> None:
        """In place of an utterance (S,) its parts are searched; reasons: why what was found for all of it is not trusted."""
        ...

    def decoded(self, watch: Watch, batch: Decoded) -> None:
        """A batch is done whose steps `watch` was told of; those of parts are done before that of the whole."""
        ...
