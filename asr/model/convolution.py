"""The convolution module of a Conformer (Gulati et al. 2020, arXiv:2005.08100)."""

import torch.nn.functional as F
from torch import Tensor, nn

from asr.model.layers import ACTIVATIONS

NORMS = ("layer", "batch")


class ConvolutionModule(nn.Module):
    """Gate, depthwise convolution over time, norm, activation, projection. Padding never reaches a real frame."""

    def __init__(
        self, width: int, kernel: int, expansion: int, norm: str, *, eps: float, causal: bool, activation: str
    ):
        super().__init__()
        channels = expansion * width
        self.causal, self.kernel = causal, kernel
        self.gate = nn.Linear(width, 2 * channels)
        self.depthwise = nn.Conv1d(channels, channels, kernel, padding=0 if causal else kernel // 2, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=eps) if norm == "layer" else _batch_norm(channels)
        self.activation = ACTIVATIONS[activation]()
        self.out = nn.Linear(channels, width)

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        """x (B, L, D), real (B, L) → (B, L, D)."""
        if self.causal:  # as WeNet has it, zeros go through the gate too: the first frames see its bias ahead of them
            gated = F.glu(self.gate(F.pad(x, (0, 0, self.kernel - 1, 0))), dim=2)
        else:
            gated = F.glu(self.gate(x), dim=2) * real[:, :, None]
        convolved = self.depthwise(gated.transpose(1, 2)).transpose(1, 2)
        return self.out(self.activation(self._normalised(convolved, real)))

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


def _batch_norm(channels: int) -> nn.BatchNorm1d:
    norm = nn.BatchNorm1d(channels)
    norm.register_buffer("num_batches_tracked", None)  # an integer that only a moving average without momentum needs
    return norm
