"""What a telephone line does to a recording: a narrow band, and eight bits a sample (ITU-T G.711, μ-law). For training only."""

import math

import torch
from torch import Tensor

from asr.audio.reading import SAMPLE_RATE

LOW, HIGH = (200.0, 400.0), (3200.0, 3700.0)
"""Hz between which the edges of the band are drawn."""
SLOPE = 100.0
"""Hz over which an edge falls."""
MU = 255.0
STEPS = 128
"""Quantisation steps of each sign."""


def telephone(samples: Tensor, share: float) -> Tensor:
    """A `share` of the utterances (B, S) at 16 kHz as they come out of a telephone line."""
    B, S = samples.shape
    chosen = torch.rand(B, 1, device=samples.device) < share
    low, high = (a + (b - a) * torch.rand(B, 1, device=samples.device) for a, b in (LOW, HIGH))
    narrow = _band(samples, low, high)
    return torch.where(chosen, _band(mu_law(narrow), low, high), samples)


def mu_law(samples: Tensor) -> Tensor:
    """Samples in [-1, 1] as they come back from μ-law with eight bits."""
    compressed = torch.log1p(MU * samples.abs().clamp(max=1)) / math.log1p(MU)
    steps = (compressed * STEPS).round() / STEPS
    return samples.sign() * torch.expm1(steps * math.log1p(MU)) / MU


def _band(samples: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """What lies between `low` and `high` (B, 1) Hz, with edges that fall along half a cosine."""
    S = samples.shape[1]
    hz = torch.fft.rfftfreq(S, 1 / SAMPLE_RATE, device=samples.device)
    gain = _edge((hz - low) / SLOPE) * _edge((high - hz) / SLOPE)
    return torch.fft.irfft(torch.fft.rfft(samples) * gain, n=S)


def _edge(x: Tensor) -> Tensor:
    """0 below -1, 1 above 0."""
    return 0.5 + 0.5 * torch.cos(math.pi * x.clamp(-1, 0))
