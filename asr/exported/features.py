"""Log-mel features by NumPy: what asr.features.fbank computes, of one utterance, by a window and filters that were exported."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Features:
    """How samples become features."""

    kind: str
    """kaldi or stft, as of FeatureConfig; so are all that follow."""
    frame_length: int
    frame_shift: int
    n_fft: int
    preemphasis: float
    sample_scale: float
    edges: str
    floor: float
    scale: float
    """What the natural logarithm is multiplied by."""
    range: float
    """What lies further below the loudest is raised to that; 0 is off."""
    window_samples: int
    tail_samples: int

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> "Features":
        return cls(**{name: values[name] for name in cls.__dataclass_fields__})


def log_mel(samples: np.ndarray, features: Features, window: np.ndarray, mel: np.ndarray) -> np.ndarray:
    """Samples (S,) in [-1, 1] → (T, F) in float32."""
    samples = samples.astype(np.float32)
    behind = max(0, features.window_samples - len(samples)) or features.tail_samples
    samples = np.concatenate([samples, np.zeros(behind, np.float32)])
    n_samples = len(samples)
    samples = samples * np.float32(features.sample_scale)
    frames = _kaldi(samples, features) if features.kind == "kaldi" else _centred(samples, features)
    if features.window_samples:
        frames = frames[: features.window_samples // features.frame_shift]
    elif features.kind == "stft":
        frames = frames[: 1 + n_samples // features.frame_shift]
    spectrum = np.fft.rfft(frames * window, n=features.n_fft)
    power = (np.square(spectrum.real) + np.square(spectrum.imag)).astype(np.float32)
    found = np.log(np.maximum(power @ mel, np.float32(features.floor))) * np.float32(features.scale)
    return np.maximum(found, found.max() - np.float32(features.range)) if features.range else found


def _windows(samples: np.ndarray, length: int, shift: int) -> np.ndarray:
    return np.lib.stride_tricks.sliding_window_view(samples, length)[::shift]


def _kaldi(samples: np.ndarray, features: Features) -> np.ndarray:
    """Whole frames (T, frame), their mean removed, pre-emphasised."""
    frames = _windows(samples, features.frame_length, features.frame_shift)
    frames = frames - frames.mean(axis=1, keepdims=True)
    before = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    return frames - np.float32(features.preemphasis) * before


def _centred(samples: np.ndarray, features: Features) -> np.ndarray:
    """Frames (T, fft) around multiples of the shift; beyond the edges samples in reverse, or zeros."""
    half = features.n_fft // 2
    places = np.arange(-half, len(samples) // features.frame_shift * features.frame_shift + features.n_fft - half)
    if features.edges == "zero":
        inside = (places >= 0) & (places < len(samples))
        held = np.where(inside, samples[places.clip(0, len(samples) - 1)], np.float32(0))
    else:
        last = max(len(samples) - 1, 1)
        places = places % (2 * last)
        held = samples[np.minimum(places, 2 * last - places).clip(0, len(samples) - 1)]
    return _windows(held, features.n_fft, features.frame_shift)
