"""The convolutional front end: features at 100 frames a second to memory frames at 50, 25, 17 or 12.

Convolutions are not padded, so a memory frame depends on real frames only, however the batch was padded; where a model was
trained with reflected edges, each utterance is reflected at its own end.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from asr.errors import ConfigError
from asr.features.fbank import reflected
from asr.model.layers import length_mask

LAYOUTS = {
    1: ((3, 1), (3, 1)),
    2: ((3, 2), (3, 1)),
    4: ((3, 2), (3, 2)),
    6: ((3, 2), (5, 3)),
    8: ((3, 2), (3, 2), (3, 2)),
}
"""Factor → (kernel, stride) of each convolution, the same in time and frequency."""


@dataclass(frozen=True)
class SubsamplingConfig:
    """The convolutions, as ModelConfig names them."""

    factor: int
    """A key of LAYOUTS."""
    channels: int
    """Channels of the convolutions."""
    last_channels: int = 0
    """Channels of the last one; 0: as many as of the others."""
    reflect: bool = False
    """Whether half a kernel of reflected frames and bins is added at each edge."""
    norm: bool = False
    """Whether a layer norm over channels and bins follows each convolution, and LeakyReLU takes the place of ReLU."""
    extra_frames: int = 0
    """Frames of zeros added behind each utterance."""

    def __post_init__(self):
        if self.factor not in LAYOUTS:
            raise ConfigError(f"model.subsampling must be one of {', '.join(map(str, LAYOUTS))}, is {self.factor}")
        if self.channels < 1 or self.last_channels < 0:
            raise ConfigError(f"model.channels must be at least 1, is {min(self.channels, self.last_channels)}")
        if self.extra_frames < 0:
            raise ConfigError(f"model.extra_frames must be 0 or more, is {self.extra_frames}")

    def edge(self, kernel: int) -> int:
        """Reflected frames on each side."""
        return kernel // 2 if self.reflect else 0

    def length(self, frames):
        """Memory frames of so many frames (an int or a Tensor): for each convolution (length - kernel) // stride + 1, at least 0.

        Examples: factor 4: 7 → 1, 100 → 24. Factor 6: 11 → 1, 100 → 15. Factor 8: 15 → 1, 100 → 11.
        """
        return self._halved(frames + self.extra_frames)

    def bins(self, n_mels: int) -> int:
        """What is left of the mel bins."""
        return self._halved(n_mels)

    def _halved(self, length):
        for kernel, stride in LAYOUTS[self.factor]:
            length = (length + 2 * self.edge(kernel) - kernel) // stride + 1
            length = length.clamp(min=0) if isinstance(length, Tensor) else max(length, 0)
        return length

    @property
    def shortest_input(self) -> int:
        """Frames that give exactly one memory frame: 7, 11 and 15 for the factors 4, 6 and 8."""
        length = 1
        for kernel, stride in reversed(LAYOUTS[self.factor]):
            length = (length - 1) * stride + kernel - 2 * self.edge(kernel)
        return max(1, length - self.extra_frames)

    @property
    def first_centre(self) -> float:
        """The place, in frames from the first, around which the first memory frame sees: 3 for the factor 4."""
        centre, step = 0.0, 1
        for kernel, stride in LAYOUTS[self.factor]:
            centre, step = centre + ((kernel - 1) / 2 - self.edge(kernel)) * step, step * stride
        return centre


class Subsampling(nn.Module):
    """Features (B, T, F) → (B, L, D) with L = SubsamplingConfig.length(T)."""

    def __init__(self, config: SubsamplingConfig, n_mels: int, width: int):
        super().__init__()
        self.config = config
        bins, channels = n_mels, 1
        layers: list[nn.Module] = []
        norms: list[nn.Module] = []
        for i, (kernel, stride) in enumerate(LAYOUTS[config.factor]):
            last = i == len(LAYOUTS[config.factor]) - 1
            wanted = config.last_channels if last and config.last_channels else config.channels
            layers += [nn.Conv2d(channels, wanted, kernel, stride), nn.LeakyReLU() if config.norm else nn.ReLU()]
            bins, channels = (bins + 2 * config.edge(kernel) - kernel) // stride + 1, wanted
            if bins < 1:
                raise ConfigError(f"model.subsampling {config.factor} leaves nothing of {n_mels} mel bins")
            norms.append(nn.LayerNorm((channels, bins)) if config.norm else nn.Identity())
        self.convolutions = nn.Sequential(*layers)
        self.norms = nn.ModuleList(norms)
        self.out = nn.Linear(channels * bins, width)

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, T, F), lengths (B,) → (B, L, D) and the memory frames of each."""
        config = self.config
        memory_lengths = config.length(lengths)
        if config.extra_frames:
            features = features * length_mask(lengths, features.shape[1])[..., None]
            features, lengths = F.pad(features, (0, 0, 0, config.extra_frames)), lengths + config.extra_frames
        missing = config.shortest_input + config.extra_frames - features.shape[1]
        if missing > 0:
            features = F.pad(features, (0, 0, 0, missing))
        x = features.unsqueeze(1)  # (B, C, T, F)
        for (kernel, stride), i in zip(LAYOUTS[config.factor], range(0, len(self.convolutions), 2), strict=True):
            x, lengths = self._with_edges(x, lengths, config.edge(kernel))
            x, lengths = self.convolutions[i](x), (lengths - kernel) // stride + 1
            if config.norm:
                x = self.norms[i // 2](x.transpose(1, 2)).transpose(1, 2)
            x = self.convolutions[i + 1](x)
        return self.out(x.transpose(1, 2).flatten(2)), memory_lengths

    @staticmethod
    def _with_edges(x: Tensor, lengths: Tensor, edge: int) -> tuple[Tensor, Tensor]:
        """x (B, C, T, F) with `edge` reflected frames around each utterance and as many bins on both sides."""
        if not edge:
            return x, lengths
        places = torch.arange(-edge, x.shape[2] + edge, device=x.device)
        rows = reflected(places, lengths)[:, None, :, None].expand(-1, x.shape[1], -1, x.shape[3])
        return F.pad(x.gather(2, rows), (edge, edge, 0, 0), mode="reflect"), lengths + 2 * edge
