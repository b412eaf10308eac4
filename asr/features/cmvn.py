"""Global mean and variance normalisation (CMVN): statistics of the training features, stored inside the model."""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from asr.errors import ConfigError
from asr.files import atomic_write
from asr.foreign_bytes import json_in, reading

VARIANCE_FLOOR = 1e-10


@dataclass(frozen=True)
class CmvnStats:
    """Statistics per mel bin."""

    mean: tuple[float, ...]
    """Mean of each bin."""
    std: tuple[float, ...]
    """Standard deviation of each bin."""
    n_frames: int
    """Frames they were taken over."""

    def save(self, path: str | Path) -> None:
        with atomic_write(path) as file:
            json.dump({"mean": self.mean, "std": self.std, "n_frames": self.n_frames}, file)

    @classmethod
    def load(cls, path: str | Path) -> "CmvnStats":
        with reading(path, ConfigError, "not CMVN statistics as `asr corpus cmvn` writes them"):
            data = json_in(path)
            stats = cls(tuple(map(float, data["mean"])), tuple(map(float, data["std"])), int(data["n_frames"]))
            if len(stats.mean) != len(stats.std) or not all(0 < s < math.inf for s in stats.std):
                raise ValueError("std must hold a positive number for each mean")
            if not all(map(math.isfinite, stats.mean)):
                raise ValueError("mean must hold finite numbers")
            return stats


def compute_cmvn(features: Iterable[Tensor]) -> CmvnStats:
    """Statistics over the frames of many utterances (T, F); sums in float64, so that length does not matter."""
    total = squares = torch.zeros(1, dtype=torch.float64)
    n_frames = 0
    for frames in features:
        frames = frames.double()
        total = total + frames.sum(0)
        squares = squares + frames.square().sum(0)
        n_frames += len(frames)
    if n_frames == 0:
        raise ConfigError("no frame of audio to compute CMVN statistics from")
    mean = total / n_frames
    std = (squares / n_frames - mean.square()).clamp(min=VARIANCE_FLOOR).sqrt()
    return CmvnStats(tuple(mean.tolist()), tuple(std.tolist()), n_frames)


class Cmvn(nn.Module):
    """Features (B, T, F) less the mean, over the standard deviation. An identity until `set` is called."""

    def __init__(self, n_mels: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_mels))
        self.register_buffer("inverse_std", torch.ones(n_mels))

    def set(self, stats: CmvnStats) -> None:
        if len(stats.mean) != len(self.mean):
            raise ConfigError(f"CMVN statistics have {len(stats.mean)} bins, the model's features {len(self.mean)}")
        self.mean.copy_(torch.tensor(stats.mean, dtype=torch.float64))
        self.inverse_std.copy_(1 / torch.tensor(stats.std, dtype=torch.float64))

    def forward(self, features: Tensor) -> Tensor:
        return (features - self.mean) * self.inverse_std
