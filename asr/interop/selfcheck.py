"""Is a model what it seems? Features of speech must be normal, the decoder must come to an end and must be sure of something."""

import math
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from asr.audio.reading import SAMPLE_RATE, read_samples
from asr.features.fbank import DECIBELS
from asr.model.model import SpeechModel
from asr.text.tokenizer import TokenTable

SPEECH = Path(__file__).with_name("speech.flac")
"""今天天气很好, spoken by a synthesiser."""
LOUD = 26.0
"""Decibels below the loudest frame: quieter ones are pauses, which a synthesiser leaves without any sound."""
LARGEST_MEAN = 1.5
"""Deviations that the mean of normalised features may be away from 0: speakers and rooms differ, scales differ by more."""
DEVIATIONS = (0.4, 2.5)
"""Between these the deviation of normalised features is that of speech."""
TOKENS_PER_SECOND = 12
"""No one speaks faster; a decoder that goes on has not found the end."""
LONGEST = 30.0
"""Seconds of the recording that are heard: its beginning."""
UNSURE = 0.9
"""Share of the largest entropy; a decoder above it chooses blindly."""
INT16 = 2 * math.log(32768.0)
"""What samples in the range of 16-bit integers add to the logarithm of their power."""
MISTAKES = {
    "the statistics are of samples in the range of 16-bit integers, the features of samples in [-1, 1]": (1.0, INT16),
    "the statistics are of samples in [-1, 1], the features of samples in the range of 16-bit integers": (1.0, -INT16),
    "the statistics are of decibels, the features natural logarithms": (10 / math.log(10), 0.0),
    "the statistics are of natural logarithms, the features decibels": (math.log(10) / 10, 0.0),
    "the statistics are of base-10 logarithms, the features natural ones": (1 / math.log(10), 0.0),
}
"""What may have gone wrong → factor and summand that would make the raw features right."""


@torch.inference_mode()
def check_model(model: SpeechModel, table: TokenTable, audio: str | Path = SPEECH) -> Iterator[str]:
    """Doubts about a model in evaluation mode, in words, none where all is well, by what it makes of a recording of speech."""
    heard = model.longest_samples or round(LONGEST * SAMPLE_RATE)
    samples = torch.from_numpy(read_samples(audio))[None, :heard].to(model.cmvn.mean.device)
    lengths = torch.tensor([samples.shape[1]], device=samples.device)
    raw, n_frames = model.log_mel(samples, lengths)
    if not model.longest_samples:  # Whisper's, in a window, are not normalised by statistics
        yield from _doubts_of_features(raw, model)
    memory = model.encode_features(model.cmvn(raw), n_frames)
    limit = math.ceil(samples.shape[1] / SAMPLE_RATE * TOKENS_PER_SECOND)
    limit = min(limit, model.decoder.longest_text or limit)
    ended, entropy = _greedy(model, memory.values, memory.mask, table, limit)
    if not ended:
        yield (
            f"the decoder did not come to an end within {limit} tokens for"
            f" {samples.shape[1] / SAMPLE_RATE:.1f} s of speech: is the id of <eos> ({table.eos}) right?"
        )
    if entropy > UNSURE * math.log(len(table)):
        yield (
            f"the decoder chooses blindly: an entropy of {entropy:.2f} out of {math.log(len(table)):.2f} nats;"
            " are the weights and the token table of one model?"
        )


def _doubts_of_features(raw: Tensor, model: SpeechModel) -> Iterator[str]:
    energy = raw.mean(2) * (1 if model.log_mel.config.decibels else DECIBELS)
    raw = raw[energy > energy.max() - LOUD]
    mean, deviation = _moments(model.cmvn(raw))
    if _normal(mean, deviation):
        return
    found = f"normalised features of speech have mean {mean:.2f} and deviation {deviation:.2f}, not about 0 and 1"
    for mistake, (factor, summand) in MISTAKES.items():
        if _normal(*_moments(model.cmvn(raw * factor + summand))):
            yield f"{found}: it seems that {mistake}"
            return
    yield f"{found}: are the statistics those of this model?"


def _moments(features: Tensor) -> tuple[float, float]:
    return float(features.mean()), float(features.std())


def _normal(mean: float, deviation: float) -> bool:
    return abs(mean) < LARGEST_MEAN and DEVIATIONS[0] < deviation < DEVIATIONS[1]


def _greedy(model: SpeechModel, memory: Tensor, mask: Tensor, table: TokenTable, limit: int) -> tuple[bool, float]:
    """Whether the likeliest tokens reach eos, and the mean entropy of what they were chosen from, in nats."""
    tokens, entropies = [table.sos], []
    for _ in range(limit + 1):
        text = torch.tensor([[tokens]], device=memory.device)
        logits, _ = model.decoder(text, model.decoder.start(memory, mask))
        log_probs = logits[0, 0, -1].float().log_softmax(-1)
        entropies.append(float(-(log_probs.exp() * log_probs).sum()))
        tokens.append(int(log_probs.argmax()))
        if tokens[-1] == table.eos:
            return True, sum(entropies) / len(entropies)
    return False, sum(entropies) / len(entropies)
