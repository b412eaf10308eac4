"""What a training run leaves on disk, so that it can be killed at any moment and go on as if it had not been.

state.pt                         everything the next step depends on, replaced as one file
checkpoints/step-00001000…       weights of evaluated steps, for the average
config.json tokens.txt model.safetensors README.md    the best model so far: the run's folder is a model folder
settings.json  log.jsonl         the run's settings; a line of numbers every few steps
quarantine.jsonl                 utterances that were left out, and why
tensorboard/                     the curves of log.jsonl, where they were asked for
"""

import math
from collections.abc import Iterable
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from asr.errors import CheckpointError
from asr.files import atomic_write
from asr.foreign_bytes import listed, quoted, reading, shortened
from asr.model.adapters import kept_tensors, load_kept
from asr.model.folder import read_weights, writing
from asr.model.pickles import load_pickle
from asr.training.train_config import TrainConfig

STATE, CHECKPOINTS = "state.pt", "checkpoints"
NOT_AVERAGED = "checkpoints cannot be averaged; the best model so far is in the run's folder"


@dataclass
class Progress:
    """Where a run is. Changed by the loop, saved with the state."""

    step: int = 0
    """Optimizer steps done."""
    epoch: int = 0
    """Passes over the data that are complete."""
    batch: int = 0
    """Batches of the present epoch that are done."""
    audio_seconds: float = 0.0
    """Audio trained on so far, padding not counted."""
    wall_seconds: float = 0.0
    """Time the run has taken, interruptions not counted."""
    best: list[tuple[float, int]] = field(default_factory=list)
    """(dev CER, step) of the best evaluated checkpoints, best first."""
    evaluated: list[int] = field(default_factory=list)
    """Steps that were evaluated, in order."""
    unusable: int = 0
    """Steps in a row whose gradient was not a number."""
    quarantine: dict[str, int] = field(default_factory=dict)
    """Utterances that later epochs leave out, and the epoch in which that was found."""
    advised: bool = False
    """Whether what to try where attention does not form has been said."""
    unreadable: int = 0
    """How many of them are there because their audio could not be read."""
    loss_scale: float = 2.0**16
    """What losses are multiplied by in float16."""
    scaled_steps: int = 0
    """Steps without overflow since it last changed."""
    changes: list[str] = field(default_factory=list)
    """Settings that have changed since the run began, and at which step."""

    def add_evaluation(self, cer: float, kept: int) -> None:
        """Notes the dev CER of the present step; `kept`: of how many checkpoints. The model of step 0 is none of them."""
        best = sorted([*map(tuple, self.best), (cer, self.step)])
        dropped = [pair for pair in best if pair[1]][kept:]
        self.best = [pair for pair in best if pair not in dropped]
        if self.step:
            self.evaluated.append(self.step)


def save_state(
    folder: Path,
    started_with: dict[str, str],
    progress: Progress,
    model: torch.nn.Module,
    *,
    optimizer: torch.optim.Optimizer,
    moving_average: list[Tensor] = (),
) -> None:
    """Replaces the training state as one file; `started_with` is what must be the same for the run to go on.

    On a full disk the state before stays, and CheckpointError says so.
    """
    state = {
        "started_with": started_with,
        "progress": asdict(progress),
        "model": kept_tensors(model),
        "optimizer": optimizer.state_dict(),
        "parameters": _names(model, optimizer),
        "moving_average": list(moving_average),
    }
    path = folder / STATE
    with writing(path), atomic_write(path, "wb") as file:
        try:
            torch.save(state, file)
        except RuntimeError as error:  # torch hides the file's error behind one of its own
            raise error.__context__ if isinstance(error.__context__, OSError) else error from None


def load_state(folder: Path) -> dict[str, Any] | None:
    """The saved state, or None where the run has not saved one yet."""
    path = folder / STATE
    if not path.exists():
        return None
    with reading(path, CheckpointError, advice="start the run again with --force"):
        return load_pickle(path)


def restore(
    state: dict[str, Any],
    folder: Path,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
) -> Progress:
    """Puts model and optimizer where they were, and returns where the run was.

    Raises CheckpointError where the state is none of this network, or holds what no run saves.
    """
    with reading(folder / STATE, CheckpointError, advice="start the run again with --force"):
        progress = _progress(state["progress"])
        load_kept(model, state["model"])
        restore_optimizer(state, model, optimizer)
    return progress


def _progress(values: dict) -> Progress:
    """Raises ValueError, KeyError or TypeError where a value is of another kind than a run's, or cannot be."""
    progress = Progress(**values)
    for one in fields(Progress):
        value, usual = getattr(progress, one.name), one.default if one.default is not MISSING else one.default_factory()
        kinds = (int, float) if isinstance(usual, float) else type(usual)
        if not isinstance(value, kinds) or (isinstance(value, int | float) and not 0 <= value < math.inf):
            raise ValueError(f"progress.{one.name} is {quoted(value)}")
    best = [(float(cer), step) for cer, step in progress.best]
    if not all(isinstance(step, int) for step in [*progress.evaluated, *(step for _, step in best)]):
        raise ValueError("a step in its progress is no whole number")
    if not all(isinstance(change, str) for change in progress.changes):
        raise ValueError("a change of its settings is no text")
    if not all(isinstance(id, str) and isinstance(epoch, int) for id, epoch in progress.quarantine.items()):
        raise ValueError("its quarantine is no table of utterances and epochs")
    return progress


def restore_optimizer(state: dict[str, Any], model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """The optimizer as it was. It knows parameters by their places: CheckpointError where these have moved since."""
    if state.get("parameters") != _names(model, optimizer):
        raise CheckpointError(
            f"{STATE}: was saved by a version of this program whose network has its parameters in another order;"
            " go on with that version, or start the run again with --force"
        )
    _check_optimizer(state["optimizer"], optimizer)
    optimizer.load_state_dict(state["optimizer"])


def _check_optimizer(saved: dict[str, Any], optimizer: torch.optim.Optimizer) -> None:
    """Raises ValueError, KeyError or TypeError where a saved optimizer would not fit: PyTorch looks at little of it."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for number, values in saved["state"].items():
        for name, value in values.items():
            if isinstance(value, Tensor) and value.ndim and value.shape != parameters[number].shape:
                raise ValueError(f"{shortened(str(name))} of parameter {number} has the shape {tuple(value.shape)}")
    for group, own in zip(saved["param_groups"], optimizer.param_groups, strict=True):
        for name, value in own.items():
            if name != "params" and (type(group[name]) is not type(value) or group[name] != group[name]):
                raise ValueError(f"{name} of its parameters is {quoted(group[name])}")


def _names(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> list[str]:
    """Names of the parameters in the optimizer's order."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return [names[id(parameter)] for group in optimizer.param_groups for parameter in group["params"]]


def averaged_steps(progress: Progress, settings: TrainConfig) -> list[int]:
    """Steps of the evaluated checkpoints that are kept for the average, none where a moving average takes its place."""
    if settings.average_of == "last":
        return progress.evaluated[-settings.average :]
    best = [step for _, step in progress.best if step]
    return best[: settings.average] if settings.average_of == "best" else []


def stopped_early(progress: Progress, settings: TrainConfig) -> bool:
    """True once `patience` evaluations in a row have not been better than the best."""
    if not settings.patience or not progress.best:
        return False
    return sum(step > progress.best[0][1] for step in progress.evaluated) >= settings.patience


def remove_dropped(folder: Path, progress: Progress, settings: TrainConfig) -> None:
    """Deletes checkpoints that are no longer wanted for the average; only once the state that says so is saved."""
    kept = {checkpoint_path(folder, step) for step in averaged_steps(progress, settings)}
    for path in (folder / CHECKPOINTS).glob("step-*.safetensors"):
        if path not in kept:
            path.unlink()


def checkpoint_path(folder: Path, step: int) -> Path:
    return folder / CHECKPOINTS / f"step-{step:08d}.safetensors"


def average_weights(paths: Iterable[Path], damaged: dict[Path, CheckpointError] | None = None) -> dict[str, Tensor]:
    """The mean of the same tensors in several files, summed in float64; each file is read once.

    `damaged` takes those that are not whole, with what is wrong, and they are left out; without it the first raises its
    CheckpointError. Raises CheckpointError where files do not hold the same tensors.
    """
    sums: dict[str, Tensor] = {}
    whole = 0
    for path in paths:
        try:
            weights = read_weights(path)[0]
        except CheckpointError as error:
            if damaged is None:
                raise
            damaged[path] = error
            continue
        with reading(path, CheckpointError, "does not fit the others", NOT_AVERAGED):
            if sums and sums.keys() != weights.keys():
                raise ValueError(f"{listed(sorted(sums.keys() ^ weights.keys()))} is only in one of them")
            sums = {name: sums.get(name, 0) + tensor.double() for name, tensor in weights.items()}
        whole += 1
    return {name: (tensor / whole).float() for name, tensor in sums.items()}
