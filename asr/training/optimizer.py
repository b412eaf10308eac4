"""What learns, and how fast: the optimizer, rates of single parts, parts that stay, and new parts that learn first."""

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import nn

from asr.errors import ConfigError
from asr.model.adapters import is_adapter, is_of
from asr.model.folder import read_shapes, whole_weights
from asr.model.model import SpeechModel
from asr.training.checkpoint import Progress
from asr.training.sharding import first_rows, stacks
from asr.training.train_config import TrainConfig

COMPILER = "inductor"
"""torch.compile's own."""


def make_optimizer(model: nn.Module, settings: TrainConfig) -> torch.optim.Optimizer:
    """AdamW; biases, norms and the embedding do not decay. Frozen parts are no longer asked for gradients.

    Raises ConfigError for a part that the model does not have.
    """
    names = [name for name, _ in model.named_parameters()]
    for setting, parts in (("rates", settings.rates), ("frozen", settings.frozen)):
        for part in parts:
            if not any(is_of(name, part) for name in names):
                known = ", ".join(sorted({name.split(".")[0] for name in names}))
                raise ConfigError(
                    f"train.{setting}: the model has no part {part!r}; it has {known}, and what is in them"
                )
    groups: dict[tuple[float, float], dict] = {}
    for name, parameter in model.named_parameters():
        if _longest(name, settings.frozen):
            parameter.requires_grad_(False)
        if not parameter.requires_grad:  # nor does a model learn beside its adapters
            continue
        spared = parameter.ndim < 2 or name == "decoder.embedding.weight"
        factor, decay = rate_factor(name, settings), 0.0 if spared else settings.weight_decay
        group = groups.setdefault((factor, decay), {"params": [], "weight_decay": decay, "factor": factor})
        group["params"].append(parameter)
    if not groups:
        raise ConfigError("train.frozen: nothing is left to be trained")
    ordered = sorted(groups.values(), key=lambda group: (-group["factor"], -group["weight_decay"]))
    return torch.optim.AdamW(ordered, settings.learning_rate, (settings.beta1, settings.beta2), fused=True)


def ready_to_train(model: SpeechModel, settings: TrainConfig, device: torch.device) -> None:
    """Puts the model on a device, its blocks computed as the settings have them."""
    model.to(device).train()
    decoders = [decoder for decoder in (model.decoder, model.reverse_decoder) if decoder is not None]
    for part in (model.encoder, *decoders):
        part.recomputes = settings.activation_checkpointing
    if settings.compile:
        for block in (block for stack in stacks(model) for block in stack):
            block.compile(dynamic=True, backend=COMPILER)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """The learning rate of a step, for each group multiplied by its own factor."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("factor", 1.0)


def rate_factor(name: str, settings: TrainConfig) -> float:
    """What the learning rate of a tensor is multiplied by."""
    part = _longest(name, settings.rates)
    return settings.rates[part] if part else 1.0


def _longest(name: str, parts: Iterable[str]) -> str:
    """The longest part that a tensor is of; empty where there is none."""
    return max((part for part in parts if is_of(name, part)), key=len, default="")


def known_at_first(model: nn.Module, settings: TrainConfig, progress: Progress) -> dict[str, int | None]:
    """What the initial model had, as `known_rows` tells it; empty where all may learn, or where nothing is new."""
    if not settings.initial_model or progress.step >= settings.new_only_steps:
        return {}
    known = known_rows(model, Path(settings.initial_model))
    return {} if all(rows is None for rows in known.values()) else known


def hold_known(
    optimizer: torch.optim.Optimizer,
    model: nn.Module,
    known: dict[str, int | None],
    settings: TrainConfig,
    *,
    progress: Progress,
) -> None:
    """Keeps what is `known` as it is for `new_only_steps`."""
    if not known:
        return
    parameters = dict(model.named_parameters())

    def hold(*_) -> None:
        if progress.step >= settings.new_only_steps:
            return
        for name, rows in known.items():
            if rows is None:
                parameters[name].grad = None  # AdamW passes over it, decay included
            elif parameters[name].grad is not None:
                first_rows(parameters[name].grad, rows).zero_()

    optimizer.register_step_pre_hook(hold)


def known_rows(model: nn.Module, folder: Path) -> dict[str, int | None]:
    """How many rows of each parameter the initial model had; None: all of them. What it did not have at all has 0."""
    shapes = read_shapes(whole_weights(folder))
    known: dict[str, int | None] = {}
    for name, parameter in model.named_parameters():
        rows = shapes[name][0] if name in shapes else 0
        known[name] = None if rows == len(parameter) or is_adapter(name) else rows
    return known


def learning(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that are not frozen."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]
