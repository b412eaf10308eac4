"""Where a model computes."""

import os

import torch

from asr.errors import ConfigError


def pick_device(name: str) -> torch.device:
    """`auto` is a GPU where there is one, for each process of torchrun its own; else what PyTorch calls it: cpu, cuda:1."""
    if name == "auto":
        local = int(os.environ.get("LOCAL_RANK", 0))
        return torch.device(f"cuda:{local % torch.cuda.device_count()}" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"device must be auto, cpu or cuda, is {name!r}") from None
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"device must be auto, cpu or cuda, is {name!r}")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"device is {name!r}, but PyTorch finds no GPU here; use cpu or auto")
    return device
