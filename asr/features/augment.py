"""Changes to normalised features in training: SpecAugment, and speakers that nobody recorded. Never used in evaluation.

All random numbers come from torch's global generator, whose state training saves and restores.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from asr.errors import ConfigError


@dataclass(frozen=True)
class AugmentConfig:
    """How strongly features are changed in training. Masks: SpecAugment (Park et al. 2019, arXiv:1904.08779)."""

    frequency_masks: int = 2
    """Bands of mel bins set to the mean, per utterance."""
    frequency_width: int = 27
    """Widest such band, in bins."""
    time_masks: int = 2
    """Stretches of frames set to the mean, per utterance."""
    time_width: int = 40
    """Longest such stretch, in frames."""
    time_share: float = 0.15
    """No stretch is longer than this share of the utterance, so that short words survive."""
    frequency_warp: float = 0.0
    """Largest relative stretch of the mel axis: 0.1 makes vocal tracts up to 10 % longer or shorter (Jaitly and Hinton 2013)."""
    tempo: float = 0.0
    """Largest relative change of tempo, pitch kept: 0.15 draws from 0.85 to 1.15."""
    volume: float = 0.0
    """Standard deviation of an offset to all log-mel bins, in units of their standard deviation."""

    def __post_init__(self):
        for name in ("frequency_warp", "tempo", "time_share"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"augment.{name} must be from 0 to below 1, is {getattr(self, name)}")
        for name in ("frequency_masks", "frequency_width", "time_masks", "time_width", "volume"):
            if getattr(self, name) < 0:
                raise ConfigError(f"augment.{name} must not be negative, is {getattr(self, name)}")


def augment(features: Tensor, lengths: Tensor, config: AugmentConfig) -> tuple[Tensor, Tensor]:
    """Normalised features (B, T, F) with lengths (B,) → changed features (B, T', F) and their lengths."""
    if config.tempo:
        features, lengths = change_tempo(features, lengths, _uniform(features, config.tempo))
    if config.frequency_warp:
        features = warp_frequency(features, _uniform(features, config.frequency_warp))
    if config.volume:
        features = features + config.volume * torch.randn(len(features), 1, 1, device=features.device)
    features = mask_frequency(features, config.frequency_masks, config.frequency_width)
    features = mask_time(features, lengths, config.time_masks, config.time_width, config.time_share)
    return features, lengths


def _uniform(features: Tensor, spread: float) -> Tensor:
    return 1 + spread * (2 * torch.rand(len(features), device=features.device) - 1)


def change_tempo(features: Tensor, lengths: Tensor, factors: Tensor) -> tuple[Tensor, Tensor]:
    """Utterance b spoken factors[b] times as fast: frame t of the result is frame t · factor of the original."""
    new_lengths = (lengths / factors).floor().long().clamp(min=1)
    t = torch.arange(int(new_lengths.max()), device=features.device)
    source = torch.minimum(t * factors[:, None], (lengths[:, None] - 1).clamp(min=0))  # (B, T')
    return _interpolate(features, source, dim=1), new_lengths


def warp_frequency(features: Tensor, factors: Tensor) -> Tensor:
    """Bin f of the result is bin f · factor of the original; beyond the last bin, the last."""
    f = torch.arange(features.shape[2], device=features.device)
    source = (f * factors[:, None]).clamp(max=features.shape[2] - 1)  # (B, F)
    return _interpolate(features, source, dim=2)


def _interpolate(features: Tensor, source: Tensor, dim: int) -> Tensor:
    """Values of `features` (B, T, F) at the fractional positions `source` (B, positions) along one axis."""
    low = source.floor().long()
    high = (low + 1).clamp(max=features.shape[dim] - 1)
    share = (source - low).unsqueeze(3 - dim)
    shape = list(features.shape)
    shape[dim] = source.shape[1]
    below = features.gather(dim, low.unsqueeze(3 - dim).expand(shape))
    above = features.gather(dim, high.unsqueeze(3 - dim).expand(shape))
    return below + share * (above - below)


def mask_frequency(features: Tensor, n_masks: int, width: int) -> Tensor:
    """Up to `width` neighbouring bins set to 0, the mean, in each of `n_masks` places per utterance."""
    bins = torch.arange(features.shape[2], device=features.device)
    for _ in range(n_masks):
        size = torch.rand(len(features), 1, device=features.device) * (width + 1)
        start = torch.rand_like(size) * (features.shape[2] - size).clamp(min=0)
        hidden = (bins >= start.floor()) & (bins < (start.floor() + size.floor()))
        features = features.masked_fill(hidden[:, None, :], 0.0)
    return features


def mask_time(features: Tensor, lengths: Tensor, n_masks: int, width: int, share: float) -> Tensor:
    """Up to `width` frames, at most `share` of the utterance, set to 0 in each of `n_masks` places."""
    frames = torch.arange(features.shape[1], device=features.device)
    for _ in range(n_masks):
        longest = (lengths * share).clamp(max=width).floor()[:, None]
        size = torch.rand(len(features), 1, device=features.device) * (longest + 1)
        start = torch.rand_like(size) * (lengths[:, None] - size).clamp(min=0)
        hidden = (frames >= start.floor()) & (frames < (start.floor() + size.floor()))
        features = features.masked_fill(hidden[:, :, None], 0.0)
    return features
