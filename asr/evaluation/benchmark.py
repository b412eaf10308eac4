"""`asr benchmark`: where the time of decoding goes on this machine, and how much of the machine is used."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from asr.audio.reading import SAMPLE_RATE
from asr.catalogue.opening import Decoding, open_decoding
from asr.decoding.decode_config import DecodeConfig
from asr.decoding.search import beam_search
from asr.model.device import matrix_peak, now, peak_memory
from asr.model.model import SpeechModel
from asr.recognition.guards import cut_to_fit
from asr.recognition.recognizer import Recognizer

LONGEST_TIMED = 30
"""Seconds of a recording: nothing is cut at pauses here."""


@dataclass(frozen=True)
class Timing:
    """One round over all utterances, in seconds."""

    encoder: float
    search: float
    tokens: int
    """Tokens of the best hypotheses, eos included."""


@dataclass(frozen=True)
class Benchmark:
    """Where the time of decoding went."""

    model: str
    """Its name."""
    beam: int
    """Hypotheses kept in the search."""
    recordings: int
    """How many were decoded together; longer ones than the model hears at once count as several."""
    seconds: float
    """Seconds of audio."""
    encoder: float
    """Seconds that a round spends in features and encoder, the median."""
    search: float
    """Seconds that a round spends in the search, the median."""
    tokens: int
    """Tokens of the best hypotheses, eos included."""
    memory: int
    """Bytes at most."""
    peak: float
    """Operations a second of a large matrix product on this machine."""
    used: float
    """Share of that peak which the search reached."""


def benchmark(decoding: Decoding, audio: Sequence[np.ndarray], *, rounds: int = 3) -> Benchmark:
    """Decodes these arrays (S,) in batches, `rounds` times after one that is not counted."""
    opened = open_decoding(decoding)
    model, config, recognizer = opened.loaded.model, opened.settings, opened.recognizer()
    seconds = sum(map(len, audio)) / SAMPLE_RATE
    parts = [part for samples in audio for part in cut_to_fit(samples, SAMPLE_RATE, model.longest_samples)]
    timings = [_round(recognizer, parts, config) for _ in range(rounds + 1)][1:]
    encoder, search = (
        float(np.median(column)) for column in zip(*((t.encoder, t.search) for t in timings), strict=True)
    )
    tokens, device = timings[0].tokens, recognizer.device
    peak = matrix_peak(device, getattr(model.decoder.out, "dtype", model.dtype))  # in what the decoder multiplies in
    operations = 2 * _weights_per_token(model, len(opened.loaded.tokenizer.table)) * tokens * config.beam
    return Benchmark(
        opened.loaded.name,
        config.beam,
        len(parts),
        seconds,
        encoder,
        search,
        tokens,
        peak_memory(device),
        peak,
        operations / search / peak,
    )


@torch.inference_mode()
def _round(recognizer: Recognizer, audio: list[np.ndarray], config: DecodeConfig) -> Timing:
    encoding = searching = 0.0
    tokens = 0
    device = recognizer.device
    for batch in recognizer.batches([len(samples) for samples in audio]):
        utterances = [audio[i] for i in batch]
        started = now(device)
        memory = recognizer.encode(utterances)
        encoded = now(device)
        scorer, limits = recognizer.scorer(memory), recognizer.limits(utterances)
        found = beam_search(scorer, config, limits, recognizer.others(memory, recognizer.ctc_log_probs(memory)))
        searching += now(device) - encoded
        encoding += encoded - started
        tokens += sum(len(nbest[0].token_log_probs) for nbest in found)
    return Timing(encoding, searching, tokens)


def _weights_per_token(model: SpeechModel, vocabulary: int) -> int:
    """Weights of the decoder that every token of every hypothesis is multiplied with."""
    width, decoder = model.decoder_width, model.config.decoder
    return decoder.layers * (6 * width**2 + 2 * width * decoder.feed_forward) + width * vocabulary
