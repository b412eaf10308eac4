"""The convolutional front end: features at 100 frames a second to memory frames at 25, 17 or 12.

Convolutions are not padded, so a memory frame depends on real frames only, however the batch was padded.
"""

import torch
from torch import Tensor, nn

from asr.errors import ConfigError

LAYOUTS = {
    4: ((3, 2), (3, 2)),
    6: ((3, 2), (5, 3)),
    8: ((3, 2), (3, 2), (3, 2)),
}
"""Factor → (kernel, stride) of each convolution, the same in time and frequency."""


def subsampled_length(length, factor: int):
    """Memory frames of `length` frames (an int or a Tensor): for each convolution (length - kernel) // stride + 1, at least 0.

    Examples: factor 4: 7 → 1, 100 → 24. Factor 6: 11 → 1, 100 → 15. Factor 8: 15 → 1, 100 → 11.
    """
    for kernel, stride in LAYOUTS[factor]:
        length = (length - kernel) // stride + 1
        length = length.clamp(min=0) if isinstance(length, Tensor) else max(length, 0)
    return length


def shortest_input(factor: int) -> int:
    """Frames that give exactly one memory frame: 7, 11 and 15."""
    length = 1
    for kernel, stride in reversed(LAYOUTS[factor]):
        length = (length - 1) * stride + kernel
    return length


class Subsampling(nn.Module):
    """Features (B, T, F) → (B, L, D) with L = subsampled_length(T)."""

    def __init__(self, factor: int, n_mels: int, channels: int, width: int):
        super().__init__()
        if factor not in LAYOUTS:
            raise ConfigError(f"model.subsampling must be one of {', '.join(map(str, LAYOUTS))}, is {factor}")
        bins = subsampled_length(n_mels, factor)
        if bins < 1:
            raise ConfigError(f"model.subsampling {factor} leaves nothing of {n_mels} mel bins")
        self.factor = factor
        layers: list[nn.Module] = []
        for i, (kernel, stride) in enumerate(LAYOUTS[factor]):
            layers += [nn.Conv2d(channels if i else 1, channels, kernel, stride), nn.ReLU()]
        self.convolutions = nn.Sequential(*layers)
        self.out = nn.Linear(channels * bins, width)

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        missing = shortest_input(self.factor) - features.shape[1]
        if missing > 0:
            features = torch.nn.functional.pad(features, (0, 0, 0, missing))
        x = self.convolutions(features.unsqueeze(1))  # (B, C, L, bins)
        return self.out(x.transpose(1, 2).flatten(2)), subsampled_length(lengths, self.factor)
