"""Where a model comes from, in a few words that stay with its weights: data, settings, batch, versions, commit."""

import json
import math
import platform
import subprocess
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import load_file, save

from asr.errors import CheckpointError
from asr.files import write_file
from asr.foreign_bytes import reading
from asr.model.folder import HEADER, read_header, weights_file, writing
from asr.model.lineage import FROM, lineage
from asr.training.checkpoint import Progress
from asr.training.config import Config
from asr.training.train_config import TrainConfig
from asr.version import VERSION


def origin(config: Config, data: str, tokens: str) -> dict[str, str]:
    """For the header of the weights; `data` and `tokens` are fingerprints. `settings` holds all of them as JSON."""
    train = config.train
    return (
        _ancestor(train)
        | {
            "data": data,
            "table": tokens,
            "batch": f"{config.data.batch_seconds * train.accumulate:g} s of audio a step",
            "versions": f"asr {VERSION}, torch {torch.__version__}, Python {platform.python_version()}",
            "seed": str(train.seed),
            "settings": json.dumps(asdict(config), ensure_ascii=False, sort_keys=True),
        }
        | commit()
    )


def _ancestor(train: TrainConfig) -> dict[str, str]:
    """What a run has gone on from, in words, if its weights are there."""
    folder = Path(train.initial_model)
    if not train.initial_model or not weights_file(folder).is_file():
        return {}
    initial = lineage(folder)
    adapted = f"low-rank adapters of rank {train.lora.rank} on {initial}"
    return {FROM: adapted if train.lora.rank else f"trained on from {initial}"}


def changes_of(progress: Progress) -> dict[str, str]:
    """For the header of the weights: which settings of the run have changed since it began."""
    return {"changed": "; ".join(progress.changes)} if progress.changes else {}


def add_to_header(path: Path, more: dict[str, str]) -> None:
    """Says more in the header of weights that stay as they are."""
    tensors, header = load_file(path), read_header(path) | more
    with writing(path):
        write_file(path, save(tensors, {HEADER: json.dumps(header, sort_keys=True)}))


def stored_cer(folder: Path) -> float:
    """Dev CER of the model that a run's folder holds; infinite where there is none. Raises CheckpointError for a damaged one."""
    path = weights_file(folder)
    if not path.exists():
        return math.inf
    with reading(path, CheckpointError, "its header has no dev CER"):
        try:
            return float(read_header(path).get("dev_cer", math.inf))
        except CheckpointError as error:
            raise CheckpointError(
                f"{error}; or delete it, and the run keeps the next model that it finds best"
            ) from error


def kept(folder: Path) -> str:
    """Which of a run's models its folder holds, in words."""
    header = read_header(weights_file(folder))
    step, averaged = header.get("step", "?"), header.get("averaged", "").split()
    if step == "0":
        what = "the initial model as it was: nothing later was better"
    elif header.get("averaged", "").startswith("every step"):
        what = f"the moving average of its weights up to step {step}"
    elif len(averaged) > 1:
        what = f"the average of steps {', '.join(sorted(averaged, key=int))}"
    else:
        what = f"the model of step {averaged[0] if averaged else step}"
    return what + (f", dev CER {100 * float(header['dev_cer']):.2f} %" if "dev_cer" in header else "")


def commit() -> dict[str, str]:
    """The commit of the program's own repository, and whether files differ from it; nothing where it is installed without."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return {}
    try:
        found = _git(root, "rev-parse", "--short=12", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return {}
    return {"commit": found + (" with changes" if changed else "")}


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True, timeout=10
    ).stdout.strip()
