"""Convolutions inside of an encoder's block: a Conformer's module, and the branch and the merge of an E-Branchformer."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from asr.model.layers import ACTIVATIONS, Dropout

NORMS = ("layer", "batch")
GATE_STD = 1e-6
"""Standard deviation of a gate's convolution before training: with biases of one it lets everything pass, so that deep stacks
begin as if they had no gates."""


class ConvolutionModule(nn.Module):
    """Gate, depthwise convolution over time, norm, activation, projection (Gulati et al. 2020, arXiv:2005.08100).

    Padding never reaches a real frame.
    """

    def __init__(
        self, width: int, kernel: int, expansion: int, norm: str, *, eps: float, causal: bool, activation: str
    ):
        super().__init__()
        channels = expansion * width
        self.causal, self.kernel = causal, kernel
        self.gate = nn.Linear(width, 2 * channels)
        self.depthwise = _depthwise(channels, kernel, causal)
        self.norm = nn.LayerNorm(channels, eps=eps) if norm == "layer" else _batch_norm(channels)
        self.activation = ACTIVATIONS[activation]()
        self.out = nn.Linear(channels, width)

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        """x (B, L, D), real (B, L) → (B, L, D)."""
        if self.causal:  # as WeNet has it, zeros go through the gate too: the first frames see its bias ahead of them
            gated = F.glu(self.gate(F.pad(x, (0, 0, self.kernel - 1, 0))), dim=2)
        else:
            gated = F.glu(self.gate(x), dim=2) * real[:, :, None]
        return self.out(self.activation(self._normalised(_over_time(self.depthwise, gated), real)))

    def _normalised(self, x: Tensor, real: Tensor) -> Tensor:
        if isinstance(self.norm, nn.LayerNorm):
            return self.norm(x)
        if not self.training or not self.norm.weight.requires_grad:  # frozen, it keeps its statistics too
            norm = self.norm
            flat = F.batch_norm(
                x.flatten(0, 1), norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps
            )
            return flat.view_as(x)
        normalised = x.new_zeros(x.shape)
        normalised[real] = self.norm(x[real]).to(x.dtype)  # padding is no part of the batch's statistics
        return normalised


class GatingModule(nn.Module):
    """One half of the channels, multiplied with a convolution over time of the other (cgMLP: Sakuma et al. 2022,
    arXiv:2110.03183, as an E-Branchformer has it). Padding never reaches a real frame.
    """

    def __init__(self, width: int, units: int, kernel: int, *, eps: float, causal: bool, dropout: float):
        super().__init__()
        channels = units // 2
        self.causal, self.kernel = causal, kernel
        self.spread = nn.Linear(width, units)
        self.activation = nn.GELU()
        self.norm = nn.LayerNorm(channels, eps=eps)
        self.depthwise = _depthwise(channels, kernel, causal)
        self.dropout = Dropout(dropout)
        self.out = nn.Linear(channels, width)
        nn.init.normal_(self.depthwise.weight, std=GATE_STD)
        nn.init.ones_(self.depthwise.bias)

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        """x (B, L, D), real (B, L) → (B, L, D)."""
        gated, gate = self.activation(self.spread(x)).chunk(2, dim=2)
        if self.causal:  # as Dolphin has it, zeros go through the norm too: the first frames see its bias ahead of them
            gate = self.norm(F.pad(gate, (0, 0, self.kernel - 1, 0)))
        else:
            gate = self.norm(gate) * real[:, :, None]
        return self.out(self.dropout(gated * _over_time(self.depthwise, gate)))


class Merge(nn.Module):
    """Two branches side by side and a convolution over time of them, added and projected. Padding never reaches a real frame."""

    def __init__(self, width: int, kernel: int, *, causal: bool):
        super().__init__()
        self.ahead = kernel - 1 if causal else 0
        self.depthwise = _depthwise(2 * width, kernel, causal)
        self.out = nn.Linear(2 * width, width)

    def forward(self, one: Tensor, other: Tensor, real: Tensor) -> Tensor:
        """Two of (B, L, D), real (B, L) → (B, L, D)."""
        both = torch.cat([one, other], dim=2)
        seen = F.pad(both * real[:, :, None], (0, 0, self.ahead, 0))
        return self.out(both + _over_time(self.depthwise, seen))


def _depthwise(channels: int, kernel: int, causal: bool) -> nn.Conv1d:
    """A convolution of each channel by itself; a causal one is given the frames before the first."""
    return nn.Conv1d(channels, channels, kernel, padding=0 if causal else kernel // 2, groups=channels)


def _over_time(convolution: nn.Conv1d, x: Tensor) -> Tensor:
    """x (B, L, C) → (B, L', C)."""
    return convolution(x.transpose(1, 2)).transpose(1, 2)


def _batch_norm(channels: int) -> nn.BatchNorm1d:
    norm = nn.BatchNorm1d(channels)
    norm.register_buffer("num_batches_tracked", None)  # an integer that only a moving average without momentum needs
    return norm
