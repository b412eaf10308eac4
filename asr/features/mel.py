"""Mel filter banks as the toolkits build them: matrices (fft_size / 2 + 1, F) that turn a power spectrum into mel energies."""

import math

import torch
from torch import Tensor

SLANEY_LINEAR_HZ = 200.0 / 3
"""Hertz per mel below SLANEY_BREAK_HZ (Slaney's Auditory Toolbox, 1998)."""
SLANEY_BREAK_HZ = 1000.0
SLANEY_LOG_STEP = math.log(6.4) / 27
"""Natural logarithm of the frequency ratio of one mel above the break."""


def mel_scale(hz: Tensor | float) -> Tensor:
    """Mel of a frequency by the formula HTK and Kaldi use."""
    return 1127.0 * torch.log1p(torch.as_tensor(hz, dtype=torch.float64) / 700.0)


def kaldi_filters(n_mels: int, fft_size: int, sample_rate: int, low_hz: float, *, high_hz: float) -> Tensor:
    """Triangles of height one whose sides are straight on the mel scale; nothing of the Nyquist bin.

    In float32 like Kaldi's: published models were trained on its rounding, which loud sounds beside quiet bins magnify.
    """
    low, high = float(mel_scale(low_hz)), float(mel_scale(high_hz))
    step = (high - low) / (n_mels + 1)
    left = low + torch.arange(n_mels) * step
    centre, right = low + torch.arange(1.0, n_mels + 1) * step, low + torch.arange(2.0, n_mels + 2) * step
    mel = (1127.0 * (1.0 + _bins(fft_size, sample_rate).float() / 700.0).log())[:, None]
    matrix = torch.minimum((mel - left) / (centre - left), (right - mel) / (right - centre)).clamp(min=0)
    matrix[-1] = 0
    return matrix


def slaney_filters(n_mels: int, fft_size: int, sample_rate: int, low_hz: float, *, high_hz: float) -> Tensor:
    """Triangles straight in Hz, of equal area, linear in frequency up to 1 kHz and logarithmic above, as librosa builds them."""
    low, high = _slaney_mel(low_hz), _slaney_mel(high_hz)
    corners = _slaney_hz(torch.linspace(low, high, n_mels + 2, dtype=torch.float64))
    return _triangles(_bins(fft_size, sample_rate), corners) * (2 / (corners[2:] - corners[:-2]))


def htk_filters(n_mels: int, fft_size: int, sample_rate: int, low_hz: float, *, high_hz: float) -> Tensor:
    """Triangles straight in Hz, of equal area, at even distances on HTK's mel scale: librosa's with `htk`."""
    corners = torch.linspace(float(mel_scale(low_hz)), float(mel_scale(high_hz)), n_mels + 2, dtype=torch.float64)
    corners = 700 * torch.expm1(corners / 1127)
    return _triangles(_bins(fft_size, sample_rate), corners) * (2 / (corners[2:] - corners[:-2]))


def speechbrain_filters(n_mels: int, fft_size: int, sample_rate: int, low_hz: float, *, high_hz: float) -> Tensor:
    """SpeechBrain's triangles of height one: both sides fall over the distance in Hz to the centre below.

    In float32 and by the formulas of that toolkit: a corner that is off by a thousandth of a Hz weighs in a narrow filter
    where a bin lies near its foot, and decibels magnify it.
    """
    low, high = (2595 * math.log10(1 + hz / 700) for hz in (low_hz, high_hz))
    corners = 700 * (10 ** (torch.linspace(low, high, n_mels + 2) / 2595) - 1)
    centre, width = corners[1:-1], corners[1:-1] - corners[:-2]
    slope = (torch.linspace(0, sample_rate // 2, fft_size // 2 + 1)[:, None] - centre) / width
    return torch.minimum(1 + slope, 1 - slope).clamp(min=0)


FILTERS = {"kaldi": kaldi_filters, "slaney": slaney_filters, "htk": htk_filters, "speechbrain": speechbrain_filters}
"""Name → filters."""


def _bins(fft_size: int, sample_rate: int) -> Tensor:
    """The frequencies of a spectrum in Hz."""
    return torch.arange(fft_size // 2 + 1, dtype=torch.float64) * sample_rate / fft_size


def _triangles(bins: Tensor, corners: Tensor) -> Tensor:
    left, centre, right = corners[:-2], corners[1:-1], corners[2:]
    rising, falling = (bins[:, None] - left) / (centre - left), (right - bins[:, None]) / (right - centre)
    return torch.minimum(rising, falling).clamp(min=0)


def _slaney_mel(hz: float) -> float:
    if hz < SLANEY_BREAK_HZ:
        return hz / SLANEY_LINEAR_HZ
    return SLANEY_BREAK_HZ / SLANEY_LINEAR_HZ + math.log(hz / SLANEY_BREAK_HZ) / SLANEY_LOG_STEP


def _slaney_hz(mel: Tensor) -> Tensor:
    above = mel - SLANEY_BREAK_HZ / SLANEY_LINEAR_HZ
    return torch.where(above < 0, mel * SLANEY_LINEAR_HZ, SLANEY_BREAK_HZ * torch.exp(above * SLANEY_LOG_STEP))
