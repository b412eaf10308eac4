"""The convolutional front end: features at 100 frames a second to memory frames at 50, 25, 17 or 12.

Convolutions are not padded, so a memory frame depends on real frames only, however the batch was padded; where a model was
trained with reflected edges, or with zeros beyond them, each utterance has them at its own end.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from asr.config_checks import check_names
from asr.errors import ConfigError
from asr.features.utterance import length_mask, reflected
from asr.model.sizes import MOST_SIZES, check_size

LAYOUTS = {
    1: ((3, 1), (3, 1)),
    2: ((3, 2), (3, 1)),
    4: ((3, 2), (3, 2)),
    6: ((3, 2), (5, 3)),
    8: ((3, 2), (3, 2), (3, 2)),
}
"""Factor → (kernel, stride) of each convolution, the same in time and frequency."""
OVER_TIME = {1: ((3, 1), (3, 1)), 2: ((3, 1), (3, 2)), 4: ((3, 2), (3, 2))}
"""Factor → (kernel, stride) of each convolution over time alone."""

ACTIVATIONS = {"relu": nn.ReLU, "leaky_relu": nn.LeakyReLU, "gelu": nn.GELU, "swish": nn.SiLU}
"""Name → activation behind a convolution."""


class Convolution(NamedTuple):
    """One convolution, the same in time and frequency."""

    channels: int
    kernel: int
    stride: int


@dataclass(frozen=True)
class ConvolutionBlock:
    """Convolutions of one kind, one behind the other."""

    channels: int
    """Channels of each."""
    kernel: int = 3
    """Frames and bins that each sees."""
    stride: int = 1
    """Step of the last of them; the others have 1."""
    layers: int = 1
    """How many there are."""
    shortcut: bool = False
    """Whether the block's input, through a convolution of width one and a norm, is added to its output."""

    def __post_init__(self):
        for name in ("channels", "kernel", "stride", "layers"):
            check_size(f"subsampling.blocks: {name}", getattr(self, name))

    @property
    def convolutions(self) -> list[Convolution]:
        """Each of them."""
        plain = [Convolution(self.channels, self.kernel, 1)] * (self.layers - 1)
        return [*plain, Convolution(self.channels, self.kernel, self.stride)]


@dataclass(frozen=True)
class SubsamplingConfig:
    """The convolutions between the features and the encoder."""

    factor: int = 4
    """Frames per memory frame: 1, 2, 4, 6 or 8, or the product of the strides of `blocks`."""
    channels: int = 64
    """Channels of the convolutions."""
    last_channels: int = 0
    """Channels of the last convolution; 0: as many as of the others."""
    reflect: bool = False
    """Whether the convolutions see reflected frames and bins, half a kernel of them, beyond the edges."""
    norm: bool = False
    """Whether a layer norm over channels and bins follows each convolution."""
    activation: str = ""
    """relu, leaky_relu, gelu or swish behind each convolution; empty: relu without norm, leaky_relu with it."""
    extra_frames: int = 0
    """Frames of zeros added behind each utterance, so that its last frames make memory frames, too."""
    blocks: tuple[ConvolutionBlock, ...] = ()
    """The convolutions one by one, in place of the usual ones and of `channels`, for models that have others."""
    over_time: bool = False
    """Whether the convolutions are over time alone, mel bins being their channels, gelu behind each (Whisper). `channels` do
    not matter then: there are as many as the encoder is wide."""
    zeros: bool = False
    """Whether the convolutions see zeros, half a kernel of them, beyond the edges (NeMo)."""
    separable: bool = False
    """Whether each convolution but the first is one of each channel by itself, and one of width one behind it (NeMo's
    dw_striding)."""

    def __post_init__(self):
        layouts = OVER_TIME if self.over_time else LAYOUTS
        if not self.blocks and self.factor not in layouts:
            raise ConfigError(f"subsampling.factor must be one of {', '.join(map(str, layouts))}, is {self.factor}")
        if self.over_time and (self.blocks or self.norm or self.reflect or self.extra_frames):
            raise ConfigError("subsampling.over_time has no blocks, norms, reflected edges or extra frames")
        if self.over_time and (self.zeros or self.separable):
            raise ConfigError(
                "subsampling.over_time has zeros beyond the edges as it is, and no separable convolutions"
            )
        if self.zeros and (self.reflect or self.extra_frames):
            raise ConfigError("subsampling.zeros beyond the edges are in the place of reflected edges and extra frames")
        if (product := math.prod(block.stride for block in self.blocks)) != self.factor and self.blocks:
            raise ConfigError(f"subsampling.factor {self.factor} must be the product of the blocks' strides, {product}")
        if any(b.shortcut and (not self.norm or b.kernel > 1 and not self.reflect) for b in self.blocks):
            raise ConfigError(
                "subsampling.blocks: a shortcut needs a norm, and reflected edges where kernels are wider than 1"
            )
        check_size("subsampling.channels", min(self.channels, self.last_channels or self.channels))
        check_size("subsampling.last_channels", max(self.channels, self.last_channels))
        check_size("subsampling.blocks: layers", sum(block.layers for block in self.blocks) or 1)
        if not 0 <= self.extra_frames <= MOST_SIZES["frames"]:
            raise ConfigError(
                f"subsampling.extra_frames must be from 0 to {MOST_SIZES['frames']}, is {self.extra_frames}"
            )
        if self.activation:
            check_names("subsampling", self, activation=ACTIVATIONS)

    @property
    def all_blocks(self) -> list[ConvolutionBlock]:
        """The convolutions, block by block: `blocks`, or the usual ones of the factor."""
        if self.blocks:
            return list(self.blocks)
        layout = (OVER_TIME if self.over_time else LAYOUTS)[self.factor]
        channels = [self.channels] * (len(layout) - 1) + [self.last_channels or self.channels]
        return [ConvolutionBlock(c, kernel, stride) for c, (kernel, stride) in zip(channels, layout, strict=True)]

    @property
    def convolutions(self) -> list[Convolution]:
        """All convolutions, one behind the other."""
        return [convolution for block in self.all_blocks for convolution in block.convolutions]

    def edge(self, kernel: int) -> int:
        """Frames added on each side, reflected ones or zeros."""
        return kernel // 2 if self.reflect or self.zeros or self.over_time else 0

    def length(self, frames):
        """Memory frames of so many frames (an int or a Tensor): for each convolution (length - kernel) // stride + 1, at least 0.

        Examples: factor 4: 7 → 1, 100 → 24. Factor 6: 11 → 1, 100 → 15. Factor 8: 15 → 1, 100 → 11.
        """
        length = frames + self.extra_frames
        for convolution in self.convolutions:
            length = self.after(length, convolution)
        return length

    def after(self, length, convolution: Convolution):
        """Frames or bins behind one convolution."""
        _, kernel, stride = convolution
        length = (length + 2 * self.edge(kernel) - kernel) // stride + 1
        return length.clamp(min=0) if isinstance(length, Tensor) else max(length, 0)

    @property
    def shortest_input(self) -> int:
        """Frames that give exactly one memory frame: 7, 11 and 15 for the factors 4, 6 and 8."""
        length = 1
        for _, kernel, stride in reversed(self.convolutions):
            length = max(1, (length - 1) * stride + kernel - 2 * self.edge(kernel))
        return max(1, length - self.extra_frames)

    @property
    def first_centre(self) -> float:
        """The place, in frames from the first, around which the first memory frame sees: 3 for the factor 4."""
        centre, step = 0.0, 1
        for _, kernel, stride in self.convolutions:
            centre, step = centre + ((kernel - 1) / 2 - self.edge(kernel)) * step, step * stride
        return centre


class Subsampling(nn.Module):
    """Features (B, T, F) → (B, L, D) with L = SubsamplingConfig.length(T)."""

    def __init__(self, config: SubsamplingConfig, n_mels: int, width: int):
        super().__init__()
        self.config = config
        bins, channels = n_mels, 1
        activation = config.activation or ("leaky_relu" if config.norm else "relu")
        layers: list[nn.Module] = []
        norms: list[nn.Module] = []
        shortcuts: list[nn.Module] = []
        for block in config.all_blocks:
            outer = channels
            for convolution in block.convolutions:
                if config.reflect and bins <= config.edge(convolution.kernel):
                    raise ConfigError(f"subsampling.factor {config.factor} leaves nothing of {n_mels} mel bins")
                build = _separable if config.separable and layers else nn.Conv2d
                layers += [build(channels, *convolution), ACTIVATIONS[activation]()]
                bins, channels = config.after(bins, convolution), convolution.channels
                if bins < 1:
                    raise ConfigError(f"subsampling.factor {config.factor} leaves nothing of {n_mels} mel bins")
                norms.append(nn.LayerNorm((channels, bins)) if config.norm else nn.Identity())
            shortcuts.append(_Shortcut(outer, channels, block.stride, bins) if block.shortcut else nn.Identity())
        self.convolutions = nn.Sequential(*layers)
        self.norms = nn.ModuleList(norms)
        self.shortcuts = nn.ModuleList(shortcuts)
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
        x, i = features.unsqueeze(1), 0  # (B, C, T, F)
        if not torch.compiler.is_compiling():  # an exporter of graphs of any length trips over it
            # channels lie side by side, as oneDNN and cuDNN want them: 226 ms for 319 of a training step on a CPU
            x = x.to(memory_format=torch.channels_last)
        for block, shortcut in zip(config.all_blocks, self.shortcuts, strict=True):
            before = x
            for _, kernel, stride in block.convolutions:
                x, lengths = _with_edges(x, lengths, config.edge(kernel), zeros=config.zeros)
                x, lengths = self.convolutions[2 * i](x), (lengths - kernel) // stride + 1
                if config.norm:
                    x = _over_channels_and_bins(self.norms[i], x)
                x, i = self.convolutions[2 * i + 1](x), i + 1
            if block.shortcut:
                x = x + shortcut(before)
        return self.out(x.transpose(1, 2).flatten(2)), memory_lengths


def _separable(channels: int, wanted: int, kernel: int, stride: int) -> nn.Sequential:
    """A convolution of each channel by itself, and one of width one that mixes them."""
    return nn.Sequential(nn.Conv2d(channels, channels, kernel, stride, groups=channels), nn.Conv2d(channels, wanted, 1))


def _with_edges(x: Tensor, lengths: Tensor, edge: int, *, zeros: bool) -> tuple[Tensor, Tensor]:
    """x (B, C, T, F) with `edge` frames, reflected ones or zeros, around each utterance, and as many bins on both sides."""
    if not edge:
        return x, lengths
    if zeros:
        x = x * length_mask(lengths, x.shape[2])[:, None, :, None]
        return F.pad(x, (edge, edge, edge, edge)), lengths + 2 * edge
    places = torch.arange(-edge, x.shape[2] + edge, device=x.device)
    rows = reflected(places, lengths)[:, None, :, None].expand(-1, x.shape[1], -1, x.shape[3])
    return F.pad(x.gather(2, rows), (edge, edge, 0, 0), mode="reflect"), lengths + 2 * edge


class SubsamplingOverTime(nn.Module):
    """Features (B, T, F) → (B, L, D) by convolutions whose input channels are the mel bins, zeros beyond the edges (Whisper)."""

    def __init__(self, config: SubsamplingConfig, n_mels: int, width: int):
        super().__init__()
        self.config = config
        self.convolutions = nn.ModuleList(
            nn.Conv1d(width if i else n_mels, width, kernel, stride, padding=config.edge(kernel))
            for i, (_, kernel, stride) in enumerate(config.convolutions)
        )
        self.activation = ACTIVATIONS[config.activation or "gelu"]()

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, T, F), lengths (B,) → (B, L, D) and the memory frames of each."""
        x = features.transpose(1, 2)
        if not x.shape[2]:
            x = F.pad(x, (0, 1))
        for layer, convolution in zip(self.convolutions, self.config.convolutions, strict=True):
            # zeros behind each utterance, however the batch is padded
            x = x * length_mask(lengths, x.shape[2])[:, None]
            x, lengths = self.activation(layer(x)), self.config.after(lengths, convolution)
        # channels side by side: each block adds to them and normalises them
        return x.transpose(1, 2).contiguous(), lengths


class _Shortcut(nn.Module):
    """A block's input brought to the shape of its output."""

    def __init__(self, channels: int, wanted: int, stride: int, bins: int):
        super().__init__()
        self.convolution = nn.Conv2d(channels, wanted, 1, stride)
        self.norm = nn.LayerNorm((wanted, bins))

    def forward(self, x: Tensor) -> Tensor:
        """x (B, C, T, F) → (B, C', T', F')."""
        return _over_channels_and_bins(self.norm, self.convolution(x))


def _over_channels_and_bins(norm: nn.Module, x: Tensor) -> Tensor:
    """x (B, C, T, F), each frame normalised."""
    return norm(x.transpose(1, 2)).transpose(1, 2)
