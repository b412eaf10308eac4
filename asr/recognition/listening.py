"""The decoder of a model as the search and the guards ask it: what comes next, and where tokens were listened for."""

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from asr.decoding.beam import Chosen
from asr.errors import Cancelled
from asr.model.decoder import DecoderState
from asr.model.model import Memory, SpeechModel
from asr.recognition.timing import attention
from asr.stopping import never
from asr.text.tokenizer import TokenTable


class NetworkScorer:
    """The decoder of a model, listening to the memory of B utterances. A Scorer."""

    def __init__(
        self,
        model: SpeechModel,
        memory: Memory,
        table: TokenTable,
        temperature: float = 1.0,
        *,
        never_written: Sequence[int] = (),
        cancelled: Callable[[], bool] = never,
    ):
        self.model, self.memory, self.temperature, self.cancelled = model, memory, temperature, cancelled
        self.table = table
        self._listened: tuple[list[Sequence[int] | None], np.ndarray] | None = None
        self.sos, self.eos = table.sos, table.eos
        self.n_utterances, self.device = len(memory.lengths), memory.values.device
        self.allowed = torch.zeros(len(table), device=self.device)
        self.allowed[[*table.never_written, *never_written]] = -torch.inf

    @cached_property
    def initial(self) -> DecoderState:
        """The state before the first token, with the keys and values of the memory; it may be used again."""
        return self.model.decoder.start(self.memory.values, self.memory.mask)

    def start(self) -> DecoderState:
        return self.initial

    def score(self, tokens: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        if self.cancelled():
            raise Cancelled("given up while it was decoded")
        logits, state = self.model.decoder(tokens[:, :, None], state)
        logits = logits[:, :, 0].float()
        if self.temperature != 1:
            logits = logits / self.temperature
        # in their place: memory for 40 rows of 51,865 anew takes four times as long as computing them
        return torch.log_softmax(logits, -1, out=logits).add_(self.allowed), state

    def select(self, state: DecoderState, chosen: Chosen) -> DecoderState:
        return state.select(chosen.utterances, chosen.hypotheses)

    def listened(self, texts: Sequence[Sequence[int] | None]) -> np.ndarray:
        """(B, heads, U + 1 or more, L): see `attention`. None: of this utterance it is not asked for, and anything is given.

        It is kept for the next time: those who doubt a text, and those who want its times, ask for the same.
        """
        kept = self._listened
        if kept is None or any(text is not None and text != old for text, old in zip(texts, kept[0], strict=True)):
            heads = attention(self.model, self.table, [text or () for text in texts], self.initial)
            self._listened = kept = list(texts), heads
        return kept[1]
