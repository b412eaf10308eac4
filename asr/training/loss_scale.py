"""float16 has no small numbers: losses are multiplied, and gradients divided again (Micikevicius et al. 2018, arXiv:1710.03740).

The factor is part of `Progress`: it is saved, and the same in all processes, which see the same sum of gradients.
"""

import torch

from asr.training.checkpoint import Progress
from asr.training.optimizer import learning
from asr.training.train_config import TrainConfig

GROWS_AFTER = 2000
"""Steps without overflow behind which the factor is doubled."""
LARGEST = 2.0**24


def loss_scale(progress: Progress, settings: TrainConfig) -> float:
    """What losses are multiplied by."""
    return progress.loss_scale if settings.precision == "float16" else 1.0


def unscale(model: torch.nn.Module, scale: float) -> None:
    """Divides the gradients."""
    if scale != 1.0:
        torch._foreach_div_([p.grad for p in learning(model) if p.grad is not None], scale)


def after_step(progress: Progress, settings: TrainConfig, finite: bool) -> bool:
    """Changes the factor behind a step; True where a gradient that is not `finite` may be its fault, and not that of the data."""
    if settings.precision != "float16":
        return False
    if not finite:
        too_large = progress.loss_scale > 1.0
        progress.loss_scale, progress.scaled_steps = max(1.0, progress.loss_scale / 2), 0
        return too_large
    progress.scaled_steps += 1
    if progress.scaled_steps >= GROWS_AFTER:
        progress.loss_scale, progress.scaled_steps = min(LARGEST, 2 * progress.loss_scale), 0
    return False
