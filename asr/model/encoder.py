"""Encoders: subsampled features and lengths in, memory and the same lengths out. A new one is a class and a line in BLOCKS."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from asr.config_checks import check_above_zero, check_below_one, check_names, check_not_negative
from asr.errors import ConfigError
from asr.features.utterance import length_mask
from asr.foreign_bytes import quoted
from asr.model.convolution import NORMS, ConvolutionModule, GatingModule, Merge
from asr.model.layers import ACTIVATIONS, Attention, Dropout, FeedForward, LearnedPositions, computed, sinusoids
from asr.model.relative import SCORES, RelativeAttention, relative_sinusoids
from asr.model.sizes import check_size

POSITIONS = ("absolute", "none", "learned", *SCORES)


@dataclass(frozen=True)
class EncoderConfig:
    """The size and kind of the encoder."""

    kind: str = "transformer"
    """A name in BLOCKS."""
    layers: int = 12
    """Number of blocks."""
    width: int = 256
    """Width D of the residual stream; the decoder has the same, unless model.decoder_width is another."""
    heads: int = 4
    """Attention heads H; must divide the width."""
    feed_forward: int = 2048
    """Hidden width of the feed-forward layers."""
    kernel: int = 15
    """Frames that the convolution of a Conformer or the gate of an E-Branchformer sees; odd, unless it is causal."""
    dropout: float = 0.1
    """Share of channels dropped in training."""
    positions: str = "absolute"
    """absolute: sinusoids are added to the input. none: nothing is. relative: attention by distance. relative_legacy,
    unshifted, mirrored: what ESPnet before 2021, WeNet and SpeechBrain compute in its place; for their models. learned: a table
    is added, to the input as it is; the others multiply that by sqrt(D) (Whisper)."""
    places: int = 0
    """Memory frames that the table of learned positions has; no audio may have more."""
    activation: str = ""
    """relu, gelu or swish; empty: relu in a Transformer, swish in the others."""
    norm_first: bool = True
    """Whether each part normalises its input (pre-norm), or the sum of its input and output (post-norm)."""
    norm_eps: float = 1e-5
    """Added to the variance in layer norms."""
    last_norm: bool = True
    """Whether there is a layer norm after the last block."""
    last_norm_eps: float = 0.0
    """Added to the variance in that one; 0: norm_eps."""
    macaron: bool = True
    """Whether a Conformer's or an E-Branchformer's block begins with half a feed-forward part, so that the other is one, too."""
    convolution: bool = True
    """Whether a Conformer's block has a convolution and, because of it, a norm at its end."""
    conv_norm: str = "layer"
    """layer or batch: the norm after the depthwise convolution."""
    conv_expansion: int = 1
    """Channels of the depthwise convolution over the width."""
    gate_units: int = 2048
    """Hidden width of an E-Branchformer's gating branch, even: half of it is what the other half is multiplied with."""
    merge_kernel: int = 3
    """Frames that the convolution which merges an E-Branchformer's branches sees; odd, unless it is causal."""
    causal: bool = False
    """Whether the convolutions see past frames only."""

    def __post_init__(self):
        check_names("encoder", self, kind=BLOCKS, positions=POSITIONS, conv_norm=NORMS, activation=("", *ACTIVATIONS))
        check_sizes("encoder", self)
        check_places("encoder", self)
        for name in ("kernel", "merge_kernel"):
            if getattr(self, name) < 1 or (getattr(self, name) % 2 == 0 and not self.causal):
                raise ConfigError(f"encoder.{name} must be odd, is {getattr(self, name)}")
        check_not_negative("encoder", self, "last_norm_eps")
        for name in ("kernel", "conv_expansion", "gate_units", "merge_kernel"):
            check_size(f"encoder.{name}", getattr(self, name))
        if self.gate_units % 2:
            raise ConfigError(f"encoder.gate_units must be even, is {self.gate_units}")
        for name in ("norm_first", "convolution"):
            if self.kind == "e_branchformer" and not getattr(self, name):
                raise ConfigError(f"encoder.{name} = false is not for an e_branchformer, which has no such form")


def check_sizes(section: str, config) -> None:
    """What any stack of Transformer layers needs of its sizes."""
    for name in ("layers", "width", "heads", "feed_forward"):
        check_size(f"{section}.{name}", getattr(config, name, 1))
    check_below_one(section, config, "dropout")
    check_above_zero(section, config, "norm_eps")
    if hasattr(config, "width"):
        check_heads(section, config.width, config.heads)


def check_places(section: str, config) -> None:
    """A table of positions has a size, and nothing else has one."""
    check_size(f"{section}.places", max(1, config.places))
    if (config.places > 0) != (config.positions == "learned"):
        raise ConfigError(
            f"{section}.places is the number of learned positions: {config.places} cannot be where {section}.positions is"
            f" {quoted(config.positions)}"
        )


def check_heads(section: str, width: int, heads: int) -> None:
    if width % heads or width % 2:
        raise ConfigError(f"{section}: width {width} must be even and a multiple of heads {heads}")


class View(NamedTuple):
    """What all blocks share in one pass."""

    real: Tensor
    """(B, L), True where a frame is real."""
    mask: Tensor | None
    """(B, 1, 1, L) the same for attention; None where all are known to be."""
    lengths: Tensor
    """(B,) real frames."""
    relative: Tensor | None
    """(P, D) sinusoids for attention by relative position."""


class Block(nn.Module):
    """What all blocks share: parts with a residual connection and a norm."""

    def __init__(self, config: EncoderConfig, activation: str):
        super().__init__()
        self.norm_first = config.norm_first
        self.activation = config.activation or activation
        self.attention_norm = self._norm(config)
        if config.positions in SCORES:
            self.attention = RelativeAttention(config.width, config.heads, config.positions)
        else:
            self.attention = Attention(config.width, config.heads)
        self.dropout = Dropout(config.dropout)

    @staticmethod
    def _norm(config: EncoderConfig) -> nn.LayerNorm:
        return nn.LayerNorm(config.width, eps=config.norm_eps)

    def _feed_forward(self, config: EncoderConfig) -> FeedForward:
        return FeedForward(config.width, config.feed_forward, config.dropout, self.activation)

    def _add(self, x: Tensor, norm: nn.LayerNorm, part: nn.Module, *given, scale: float = 1.0) -> Tensor:
        """x and what the part makes of it, normalised before or after."""
        if self.norm_first:
            return x.add(self.dropout(part(norm(x), *given)), alpha=scale)
        return norm(x.add(self.dropout(part(x, *given)), alpha=scale))

    def _attend(self, x: Tensor, view: View) -> Tensor:
        if view.relative is None:
            queries, keys_values = self.attention.project(x)
            return self.attention.find(queries, keys_values, view.mask)
        keys_values, mask = self.attention.keys_values(x), view.real[:, None, None, :]
        return self.attention.look(x, keys_values, mask, view.relative, view.lengths)


class TransformerBlock(Block):
    """Self-attention, then feed-forward (Vaswani et al. 2017)."""

    def __init__(self, config: EncoderConfig):
        super().__init__(config, "relu")
        self.feed_forward_norm = self._norm(config)
        self.feed_forward = self._feed_forward(config)

    def forward(self, x: Tensor, view: View) -> Tensor:
        """x (B, L, D) → (B, L, D)."""
        x = self._add(x, self.attention_norm, self._attend, view)
        return self._add(x, self.feed_forward_norm, self.feed_forward)


class ConformerBlock(Block):
    """Half feed-forward, self-attention, convolution, half feed-forward, norm (Gulati et al. 2020, arXiv:2005.08100)."""

    def __init__(self, config: EncoderConfig):
        super().__init__(config, "swish")
        self.macaron, self.convolves = config.macaron, config.convolution
        if self.macaron:
            self.first_norm = self._norm(config)
            self.first_feed_forward = self._feed_forward(config)
        if self.convolves:
            self.convolution_norm = self._norm(config)
            self.convolution = ConvolutionModule(
                config.width,
                config.kernel,
                config.conv_expansion,
                config.conv_norm,
                eps=config.norm_eps,
                causal=config.causal,
                activation=self.activation,
            )
            self.out_norm = self._norm(config)
        self.second_norm = self._norm(config)
        self.second_feed_forward = self._feed_forward(config)

    def forward(self, x: Tensor, view: View) -> Tensor:
        """x (B, L, D) → (B, L, D)."""
        scale = 0.5 if self.macaron else 1.0
        if self.macaron:
            x = self._add(x, self.first_norm, self.first_feed_forward, scale=scale)
        x = self._add(x, self.attention_norm, self._attend, view)
        if self.convolves:
            x = self._add(x, self.convolution_norm, self.convolution, view.real)
        x = self._add(x, self.second_norm, self.second_feed_forward, scale=scale)
        return self.out_norm(x) if self.convolves else x


class EBranchformerBlock(Block):
    """Half feed-forward, self-attention beside a gating branch, their merge, half feed-forward, norm (Kim et al. 2022,
    arXiv:2210.00077)."""

    def __init__(self, config: EncoderConfig):
        super().__init__(config, "swish")
        self.macaron = config.macaron
        if self.macaron:
            self.first_norm = self._norm(config)
            self.first_feed_forward = self._feed_forward(config)
        self.gating_norm = self._norm(config)
        self.gating = GatingModule(
            config.width,
            config.gate_units,
            config.kernel,
            eps=config.norm_eps,
            causal=config.causal,
            dropout=config.dropout,
        )
        self.merge = Merge(config.width, config.merge_kernel, causal=config.causal)
        self.second_norm = self._norm(config)
        self.second_feed_forward = self._feed_forward(config)
        self.out_norm = self._norm(config)

    def forward(self, x: Tensor, view: View) -> Tensor:
        """x (B, L, D) → (B, L, D)."""
        scale = 0.5 if self.macaron else 1.0
        if self.macaron:
            x = self._add(x, self.first_norm, self.first_feed_forward, scale=scale)
        wide = self.dropout(self._attend(self.attention_norm(x), view))
        near = self.dropout(self.gating(self.gating_norm(x), view.real))
        x = x + self.dropout(self.merge(wide, near, view.real))
        return self.out_norm(self._add(x, self.second_norm, self.second_feed_forward, scale=scale))


class Encoder(nn.Module):
    """A stack of blocks; before it the input is scaled or not and, unless attention sees them, positions are added."""

    def __init__(self, config: EncoderConfig):
        super().__init__()
        self.positions = config.positions
        self.recomputes = False
        if config.places:
            self.places = LearnedPositions(config.places, config.width, "memory frames")
        self.dropout = Dropout(config.dropout)
        self.blocks = nn.ModuleList(BLOCKS[config.kind](config) for _ in range(config.layers))
        eps = config.last_norm_eps or config.norm_eps
        self.norm = nn.LayerNorm(config.width, eps=eps) if config.last_norm else nn.Identity()

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """x (B, L, D), lengths (B,) → memory (B, L, D); what lies beyond a length is meaningless."""
        L, D = x.shape[1:]
        relative = None
        x = x + self.places(0, L) if self.positions == "learned" else x * D**0.5
        if self.positions == "absolute":
            x = x + sinusoids(0, L, D, x)
        elif self.positions in SCORES:
            relative = relative_sinusoids(self.positions, L, D, x)
        x = self.dropout(x)
        real = length_mask(lengths, L)
        # A mask takes a pass over all scores. It is not asked for in training, nor of a GPU, which would have to be waited for.
        asked = x.is_cpu and not torch.is_grad_enabled() and not torch.compiler.is_compiling()
        whole = asked and bool(real.all())
        view = View(real, None if whole else real[:, None, None, :], lengths, relative)
        for block in self.blocks:
            x = computed(block, x, view, again=self.recomputes)
        return self.norm(x)


BLOCKS = {"transformer": TransformerBlock, "conformer": ConformerBlock, "e_branchformer": EBranchformerBlock}
"""Kind → block."""
