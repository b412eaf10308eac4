"""A model and its tokenizer, put to work: arrays of samples to n-best lists of texts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from asr.decoding.search import Chosen, Hypothesis, beam_search
from asr.decoding.settings import DecodeConfig
from asr.features.fbank import pad_samples
from asr.model.decoder import DecoderState
from asr.model.model import Memory, SpeechModel
from asr.text.tokenizer import Tokenizer, TokenTable


class NetworkScorer:
    """The decoder of a model, listening to the memory of B utterances. A Scorer."""

    def __init__(self, model: SpeechModel, memory: Memory, table: TokenTable, temperature: float = 1.0):
        self.model, self.memory, self.temperature = model, memory, temperature
        self.sos, self.eos = table.sos, table.eos
        self.n_utterances, self.device = len(memory.lengths), memory.values.device
        never = [table.blank, table.unk, table.sos]  # not text: they cannot stand in a transcript
        self.allowed = torch.zeros(len(table), device=self.device)
        self.allowed[never] = -torch.inf

    def start(self) -> DecoderState:
        return self.model.decoder.start(self.memory.values, self.memory.mask)

    def score(self, tokens: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        logits, state = self.model.decoder(tokens[:, :, None], state)
        logits = logits[:, :, 0].float()
        if self.temperature != 1:
            logits = logits / self.temperature
        return logits.log_softmax(-1) + self.allowed, state

    def select(self, state: DecoderState, chosen: Chosen) -> DecoderState:
        return state.select(chosen.utterances, chosen.hypotheses)


@dataclass(frozen=True)
class Recognized:
    """One hypothesis with its text."""

    text: str
    """The text of the tokens."""
    hypothesis: Hypothesis
    """The tokens, and how likely they are."""


class Recognizer:
    """Decodes many utterances in batches of similar length, and gives the results in the order of the input."""

    def __init__(self, model: SpeechModel, tokenizer: Tokenizer, config: DecodeConfig | None = None):
        self.model, self.tokenizer = model, tokenizer
        self.config = config or DecodeConfig()

    @property
    def device(self) -> torch.device:
        return self.model.cmvn.mean.device

    @torch.inference_mode()
    def recognize(self, utterances: Sequence[np.ndarray]) -> list[list[Recognized]]:
        """Arrays (S,) of 16 kHz samples → per utterance its n-best list. The model is put in evaluation mode meanwhile."""
        training = self.model.training
        self.model.eval()
        try:
            results: list[list[Recognized]] = [[] for _ in utterances]
            for batch in self._batches([len(u) for u in utterances]):
                for i, nbest in zip(batch, self._recognize_batch([utterances[i] for i in batch]), strict=True):
                    results[i] = nbest
            return results
        finally:
            self.model.train(training)

    def _batches(self, lengths: list[int]) -> list[list[int]]:
        """Indices in groups whose padded length is at most `batch_seconds`, longest first."""
        budget = self.config.batch_seconds * self.model.log_mel.config.sample_rate
        batches: list[list[int]] = []
        for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
            if batches and lengths[batches[-1][0]] * (len(batches[-1]) + 1) <= budget:
                batches[-1].append(i)
            else:
                batches.append([i])
        return batches

    def _recognize_batch(self, utterances: list[np.ndarray]) -> list[list[Recognized]]:
        samples, lengths = pad_samples(utterances, self.model.shortest_samples)
        memory = self.model.encode(samples.to(self.device), lengths.to(self.device))
        scorer = NetworkScorer(self.model, memory, self.tokenizer.table, self.config.temperature)
        rate = self.model.log_mel.config.sample_rate
        limits = [self.config.max_tokens(len(u) / rate) for u in utterances]
        return [
            [Recognized(self.tokenizer.decode(h.tokens), h) for h in nbest]
            for nbest in beam_search(scorer, self.config, limits)
        ]
