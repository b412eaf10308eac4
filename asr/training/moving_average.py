"""A moving average of a model's weights over the steps of its training (Polyak and Juditsky 1992)."""

from typing import Any

import torch
from torch import Tensor, nn

from asr.errors import CheckpointError
from asr.foreign_bytes import reading
from asr.training.checkpoint import STATE
from asr.training.optimizer import learning
from asr.training.train_config import TrainConfig


def start_following(model: nn.Module, settings: TrainConfig, state: dict[str, Any] | None) -> list[Tensor]:
    """The average so far, a tensor for each that learns: a saved state's, or the model's own; empty where none is wanted."""
    if settings.average_of != "ema":
        return []
    if state is None:
        return [p.detach().clone() for p in learning(model)]
    with reading(STATE, CheckpointError, "its moving average is not that of this network"):
        pairs = list(zip(state["moving_average"], learning(model), strict=True))
        if any(saved.shape != p.shape for saved, p in pairs):
            raise ValueError("of other shapes")
        return [saved.to(p.device, p.dtype) for saved, p in pairs]


@torch.no_grad()
def follow(average: list[Tensor], model: nn.Module, settings: TrainConfig, step: int) -> None:
    """Moves the average towards the weights after step 1, 2, …; faster in the first steps, which it should forget."""
    if average:
        decay = min(settings.ema_decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(average, [p.detach() for p in learning(model)], 1 - decay)


@torch.no_grad()
def take_over(model: nn.Module, average: list[Tensor]) -> None:
    """Puts the average in the place of the weights."""
    for parameter, mean in zip(learning(model), average, strict=True):
        parameter.copy_(mean)
