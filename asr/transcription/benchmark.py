"""`asr benchmark`: where the time of decoding goes on this machine, and how much of the machine is used."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from asr.decoding.guards import cut_to_fit
from asr.decoding.recognizer import Recognizer, encode
from asr.decoding.search import beam_search
from asr.decoding.settings import DecodeConfig
from asr.model.device import peak_memory
from asr.model.model import SpeechModel
from asr.transcription.models import find_model, language_model, open_model
from asr.transcription.settings import decode_settings

LONGEST_TIMED = 30
"""Seconds of a recording: nothing is cut at pauses here."""


@dataclass(frozen=True)
class Timing:
    """One round over all utterances, in seconds."""

    encoder: float
    search: float
    tokens: int
    """Tokens of the best hypotheses, eos included."""


def benchmark(
    model: str | Path,
    audio: list[np.ndarray],
    overrides: list[str],
    beam: int | None,
    device: str,
    precision: str,
    rounds: int,
    lm: str | Path | None = None,
) -> Iterator[str]:
    """Decodes these arrays (S,) in batches, `rounds` times after one that is not counted; yields what was found, line by line.

    `lm`: a language model in the place of the model's own, as in `asr.load`.
    """
    folder = find_model(model)
    config = decode_settings(folder, overrides, beam=beam)
    loaded = open_model(folder, device, precision, config.beam == 1)
    recognizer = Recognizer(loaded.model, loaded.tokenizer, config, language_model(folder, loaded, config, lm))
    rate = loaded.model.log_mel.config.sample_rate
    seconds = sum(map(len, audio)) / rate
    audio = [part for samples in audio for part in cut_to_fit(samples, rate, loaded.model.longest_samples)]
    timings = [_round(recognizer, audio, config) for _ in range(rounds + 1)][1:]
    encoder, search = (
        float(np.median(column)) for column in zip(*((t.encoder, t.search) for t in timings), strict=True)
    )
    tokens = timings[0].tokens
    peak = _peak_flops(loaded.model)
    used = 2 * _weights_per_token(loaded.model, len(loaded.tokenizer.table)) * tokens * config.beam / search
    yield f"model     {loaded.name}, beam {config.beam}, quantize {precision}, {torch.get_num_threads()} threads"
    yield f"audio     {len(audio)} recordings, {seconds:.1f} s, {rounds} rounds, medians"
    yield f"encoder   {encoder:.3f} s, RTF {encoder / seconds:.5f}"
    yield f"search    {search:.3f} s, RTF {search / seconds:.5f}, {tokens / search:.0f} tokens per second"
    yield f"together  {encoder + search:.3f} s, RTF {(encoder + search) / seconds:.5f}"
    yield f"memory    {peak_memory(loaded.model.cmvn.mean.device) / 1e6:.0f} MB at most"
    yield f"machine   {peak / 1e9:.1f} GFLOP/s measured multiplying matrices; the search reached {100 * used / peak:.1f} % of it"


@torch.inference_mode()
def _round(recognizer: Recognizer, audio: list[np.ndarray], config: DecodeConfig) -> Timing:
    encoding = searching = 0.0
    tokens = 0
    model = recognizer.model
    for batch in recognizer.batches([len(samples) for samples in audio]):
        utterances = [audio[i] for i in batch]
        started = _now(model)
        memory = encode(model, utterances)
        encoded = _now(model)
        scorer, limits = recognizer.scorer(memory), recognizer.limits(utterances)
        found = beam_search(scorer, config, limits, recognizer.others(memory, recognizer.ctc_log_probs(memory)))
        searching += _now(model) - encoded
        encoding += encoded - started
        tokens += sum(len(nbest[0].token_log_probs) for nbest in found)
    return Timing(encoding, searching, tokens)


def _now(model: SpeechModel) -> float:
    if model.cmvn.mean.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter()


def _weights_per_token(model: SpeechModel, vocabulary: int) -> int:
    """Weights of the decoder that every token of every hypothesis is multiplied with."""
    width, decoder = model.config.encoder.width, model.config.decoder
    return decoder.layers * (6 * width**2 + 2 * width * decoder.feed_forward) + width * vocabulary


def _peak_flops(model: SpeechModel, size: int = 2048) -> float:
    """Operations per second of a large matrix product where the model is, in what its decoder multiplies in: the best of five."""
    a = torch.randn(size, size, device=model.cmvn.mean.device, dtype=getattr(model.decoder.out, "dtype", model.dtype))
    best = 0.0
    for _ in range(6):
        started = _now(model)
        a @ a
        best = max(best, 2 * size**3 / (_now(model) - started))
    return best
