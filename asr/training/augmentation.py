"""What training changes of a batch, and then of its features; asr.features.waveforms changes each recording as it is read."""

import torch
import torch.nn.functional as F
from torch import Tensor

from asr.features.augment import AugmentConfig, augment
from asr.features.telephone import telephone
from asr.model.model import ModelConfig, SpeechModel

LENGTHS_AN_OCTAVE = 16
"""Frames are padded to one of so many numbers between a power of two and the next, by 2 % on average: every new shape makes a CPU
generate code again."""


@torch.no_grad()
def augmented_features(
    model: SpeechModel, samples: Tensor, lengths: Tensor, config: AugmentConfig | None, *, views: int = 1
) -> tuple[Tensor, Tensor]:
    """Samples (B, S), lengths (B,) → normalised features (views · B, T, F), changed, and their lengths.

    Row v · B + b is the v-th view of utterance b; without a config all are the same.
    """
    device = samples.device.type
    if config is not None and config.telephone:
        with torch.autocast(device, enabled=False):
            samples = telephone(samples, config.telephone)
    features, lengths = model.features(samples, lengths)
    if config is None:
        return features.repeat(views, 1, 1), lengths.repeat(views)
    with torch.autocast(device, enabled=False):
        features, lengths = augment(features, lengths, config, views=views, unit=model.unit)
    if not model.log_mel.config.window_samples:
        features = F.pad(features, (0, 0, 0, _padding(model.config, features.shape[1])))
    return features, lengths


def _padding(config: ModelConfig, frames: int) -> int:
    """Frames to add, no further than learned positions reach."""
    octave = 1 << max(0, frames.bit_length() - 1)
    padding, places = -frames % max(1, octave // LENGTHS_AN_OCTAVE), config.encoder.places
    return min(padding, max(0, places * config.subsampling.factor - frames)) if places else padding
