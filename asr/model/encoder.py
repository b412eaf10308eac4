"""Encoders: subsampled features and lengths in, memory and the same lengths out. A new one is a class and a line in ENCODERS."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from asr.errors import ConfigError
from asr.model.layers import Attention, Dropout, FeedForward, length_mask, sinusoids


@dataclass(frozen=True)
class EncoderConfig:
    """The size and kind of the encoder."""

    kind: str = "transformer"
    """A name in ENCODERS."""
    layers: int = 12
    """Number of blocks."""
    width: int = 256
    """Width D of the residual stream; the decoder has the same."""
    heads: int = 4
    """Attention heads H; must divide the width."""
    feed_forward: int = 2048
    """Hidden width of the feed-forward layers."""
    kernel: int = 15
    """Frames a Conformer's convolution sees; odd."""
    dropout: float = 0.1
    """Share of channels dropped in training."""

    def __post_init__(self):
        if self.kind not in ENCODERS:
            raise ConfigError(f"encoder.kind must be one of {', '.join(ENCODERS)}, is {self.kind!r}")
        check_sizes("encoder", self)
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise ConfigError(f"encoder.kernel must be odd, is {self.kernel}")


def check_sizes(section: str, config) -> None:
    """What any stack of Transformer layers needs of its sizes."""
    for name in ("layers", "width", "heads", "feed_forward"):
        if getattr(config, name, 1) < 1:
            raise ConfigError(f"{section}.{name} must be at least 1, is {getattr(config, name)}")
    if not 0 <= config.dropout < 1:
        raise ConfigError(f"{section}.dropout must be from 0 to below 1, is {config.dropout}")
    if hasattr(config, "width"):
        check_heads(section, config.width, config.heads)


def check_heads(section: str, width: int, heads: int) -> None:
    if width % heads or width % 2:
        raise ConfigError(f"{section}: width {width} must be even and a multiple of heads {heads}")


class TransformerBlock(nn.Module):
    """Pre-norm: self-attention, then feed-forward."""

    def __init__(self, config: EncoderConfig):
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.width)
        self.attention = Attention(config.width, config.heads)
        self.feed_forward_norm = nn.LayerNorm(config.width)
        self.feed_forward = FeedForward(config.width, config.feed_forward, config.dropout)
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        """x (B, L, D), real (B, L) → (B, L, D)."""
        y = self.attention_norm(x)
        x = x + self.dropout(self.attention(y, self.attention.keys_values(y), real[:, None, None, :]))
        return x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))


class ConformerBlock(nn.Module):
    """Half feed-forward, self-attention, convolution, half feed-forward, norm (Gulati et al. 2020, arXiv:2005.08100).

    Positions are absolute and the convolution is normalised per frame, so padding cannot leak into it.
    """

    def __init__(self, config: EncoderConfig):
        super().__init__()
        width, hidden, dropout = config.width, config.feed_forward, config.dropout
        self.first_norm = nn.LayerNorm(width)
        self.first_feed_forward = FeedForward(width, hidden, dropout, nn.SiLU)
        self.attention_norm = nn.LayerNorm(width)
        self.attention = Attention(width, config.heads)
        self.convolution_norm = nn.LayerNorm(width)
        self.convolution = ConvolutionModule(width, config.kernel)
        self.second_norm = nn.LayerNorm(width)
        self.second_feed_forward = FeedForward(width, hidden, dropout, nn.SiLU)
        self.out_norm = nn.LayerNorm(width)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        """x (B, L, D), real (B, L) → (B, L, D)."""
        x = x + 0.5 * self.dropout(self.first_feed_forward(self.first_norm(x)))
        y = self.attention_norm(x)
        x = x + self.dropout(self.attention(y, self.attention.keys_values(y), real[:, None, None, :]))
        x = x + self.dropout(self.convolution(self.convolution_norm(x), real))
        x = x + 0.5 * self.dropout(self.second_feed_forward(self.second_norm(x)))
        return self.out_norm(x)


class ConvolutionModule(nn.Module):
    """Gate, depthwise convolution over time, norm, activation, projection."""

    def __init__(self, width: int, kernel: int):
        super().__init__()
        self.gate = nn.Linear(width, 2 * width)
        self.depthwise = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        x = F.glu(self.gate(x), dim=2) * real[:, :, None]  # padding must be zero where the convolution reaches it
        x = self.depthwise(x.transpose(1, 2)).transpose(1, 2)
        return self.out(F.silu(self.norm(x)))


class Encoder(nn.Module):
    """A stack of blocks between the addition of positions and a last norm."""

    def __init__(self, config: EncoderConfig):
        super().__init__()
        self.dropout = Dropout(config.dropout)
        self.blocks = nn.ModuleList(ENCODERS[config.kind](config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """x (B, L, D), lengths (B,) → memory (B, L, D); what lies beyond a length is meaningless."""
        real = length_mask(lengths, x.shape[1])
        x = x * x.shape[2] ** 0.5 + sinusoids(0, x.shape[1], x.shape[2], x)
        x = self.dropout(x)
        for block in self.blocks:
            x = block(x, real)
        return self.norm(x)


ENCODERS = {"transformer": TransformerBlock, "conformer": ConformerBlock}
"""Kind → block."""
