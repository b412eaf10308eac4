"""Log-mel filter banks as Kaldi computes them, for a padded batch, on whatever device the samples are on.

Equal to `torchaudio.compliance.kaldi.fbank` with snip_edges; the steps for each frame: remove the mean, pre-emphasis,
povey window, power spectrum, triangular mel filters, natural logarithm.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from asr.audio.reading import SAMPLE_RATE
from asr.errors import ConfigError

POVEY_POWER = 0.85
LOG_FLOOR = torch.finfo(torch.float32).eps


@dataclass(frozen=True)
class FeatureConfig:
    """How samples become features; it travels with the model."""

    sample_rate: int = SAMPLE_RATE
    """Samples per second."""
    n_mels: int = 80
    """Mel bins F."""
    frame_ms: float = 25.0
    """Length of a frame."""
    shift_ms: float = 10.0
    """Distance between the starts of two frames."""
    low_hz: float = 20.0
    """Lower edge of the lowest filter."""
    high_hz: float = 8000.0
    """Upper edge of the highest filter."""
    preemphasis: float = 0.97
    """Each sample less this share of the one before."""
    sample_scale: float = 32768.0
    """Samples in [-1, 1] times this: Kaldi's CMVN statistics and log floor suppose 16-bit integers."""
    dither: float = 0.0
    """Standard deviation of noise added to the scaled samples, in training only."""

    def __post_init__(self):
        if not 0 <= self.low_hz < self.high_hz <= self.sample_rate / 2:
            raise ConfigError(
                f"features.low_hz {self.low_hz:g} and high_hz {self.high_hz:g} must satisfy"
                f" 0 <= low_hz < high_hz <= {self.sample_rate / 2:g} (half the sample rate)"
            )
        if self.sample_rate != SAMPLE_RATE:
            raise ConfigError(f"features.sample_rate must be {SAMPLE_RATE}, the rate all audio is brought to")
        for name in ("n_mels", "frame_ms", "shift_ms", "sample_scale"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"features.{name} must be above 0, is {getattr(self, name)}")
        if self.frame_shift < 1 or self.frame_length < 2:
            raise ConfigError(
                f"features: frames of {self.frame_ms:g} ms every {self.shift_ms:g} ms are shorter than a sample"
            )

    @property
    def frame_length(self) -> int:
        """Samples in a frame."""
        return round(self.sample_rate * self.frame_ms / 1000)

    @property
    def frame_shift(self) -> int:
        """Samples between the starts of two frames."""
        return round(self.sample_rate * self.shift_ms / 1000)


class LogMel(nn.Module):
    """Samples (B, S) and their lengths to log-mel features (B, T, F) and their lengths."""

    def __init__(self, config: FeatureConfig):
        super().__init__()
        self.config = config
        self.fft_size = 1 << (config.frame_length - 1).bit_length()
        window = torch.hann_window(config.frame_length, periodic=False, dtype=torch.float64) ** POVEY_POWER
        self.register_buffer("window", window.float(), persistent=False)
        self.register_buffer("mel", mel_matrix(config, self.fft_size), persistent=False)

    def n_frames(self, n_samples: Tensor) -> Tensor:
        """Whole frames that fit: 1 + (S - frame) // shift, and 0 for less than a frame."""
        frames = 1 + torch.div(n_samples - self.config.frame_length, self.config.frame_shift, rounding_mode="floor")
        return frames.clamp(min=0)

    @torch.no_grad()
    def forward(self, samples: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Samples (B, S) in [-1, 1], lengths (B,) → features (B, T, F), zero behind each length, and lengths (B,)."""
        config = self.config
        if samples.shape[1] < config.frame_length:
            return samples.new_zeros(samples.shape[0], 0, config.n_mels), self.n_frames(lengths)
        with torch.autocast(samples.device.type, enabled=False):
            samples = samples.float() * config.sample_scale
            if self.training and config.dither:
                samples = samples + torch.randn_like(samples) * config.dither
            frames = samples.unfold(1, config.frame_length, config.frame_shift)  # (B, T, frame)
            frames = frames - frames.mean(dim=2, keepdim=True)
            before = torch.cat([frames[..., :1], frames[..., :-1]], dim=2)
            frames = (frames - config.preemphasis * before) * self.window
            power = torch.fft.rfft(frames, n=self.fft_size).abs().square()  # (B, T, fft/2 + 1)
            features = torch.log((power @ self.mel).clamp(min=LOG_FLOOR))
        lengths = self.n_frames(lengths)
        real = torch.arange(features.shape[1], device=features.device) < lengths[:, None]
        return features * real[..., None], lengths


def mel_scale(hz: Tensor | float) -> Tensor:
    """Mel of a frequency by the formula HTK and Kaldi use."""
    return 1127.0 * torch.log1p(torch.as_tensor(hz, dtype=torch.float64) / 700.0)


def mel_matrix(config: FeatureConfig, fft_size: int) -> Tensor:
    """Triangles of height one, equally wide on the mel scale: (fft_size / 2 + 1, F)."""
    low, high = mel_scale(config.low_hz), mel_scale(config.high_hz)
    corners = torch.linspace(0, 1, config.n_mels + 2, dtype=torch.float64) * (high - low) + low
    left, centre, right = corners[:-2], corners[1:-1], corners[2:]
    bins = mel_scale(torch.arange(fft_size // 2 + 1, dtype=torch.float64) * config.sample_rate / fft_size)[:, None]
    rising, falling = (bins - left) / (centre - left), (right - bins) / (right - centre)
    matrix = torch.minimum(rising, falling).clamp(min=0)
    if empty := int((matrix.sum(0) == 0).sum()):
        raise ConfigError(
            f"features.n_mels {config.n_mels}: {empty} filters hold no frequency bin; use fewer mels or longer frames"
        )
    matrix[-1] = 0  # Kaldi leaves the Nyquist bin out
    return matrix.float()


def pad_samples(utterances: Sequence[np.ndarray], shortest: int = 1, multiple: int = 1) -> tuple[Tensor, Tensor]:
    """Arrays (S,) → one tensor (B, S) with zeros behind each, S a multiple of `multiple`, and the lengths (B,).

    An array below `shortest` counts as that long.
    """
    lengths = torch.tensor([max(len(u), shortest) for u in utterances])
    samples = torch.zeros(len(utterances), -(-int(lengths.max()) // multiple) * multiple)
    for row, utterance in zip(samples, utterances, strict=True):
        row[: len(utterance)] = torch.from_numpy(np.asarray(utterance, dtype=np.float32))
    return samples, lengths
