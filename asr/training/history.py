"""What a run has written down of itself, read back."""

import json
from dataclasses import dataclass
from pathlib import Path

from asr.errors import CheckpointError
from asr.model.folder import WEIGHTS, read_header
from asr.model.formats import upgraded
from asr.training.start import LOG, QUARANTINE, SETTINGS


@dataclass(frozen=True)
class History:
    """A run so far. Each list holds dicts with `step`, in order."""

    folder: Path
    """Where it is."""
    settings: dict[str, object]
    """Every setting by its full name: `train.max_steps`."""
    losses: list[dict]
    """Loss, accuracy, learning rate, gradient, hours of audio, seconds of time."""
    evaluations: list[dict]
    """CER of the dev manifests."""
    health: list[dict]
    """What the health meter saw; see asr/training/health.py."""
    quarantined: int
    """Utterances that were left out on the way."""
    origin: dict[str, str]
    """The header of the model in the folder; empty before the first evaluation."""

    @property
    def best(self) -> dict | None:
        """The evaluation with the lowest CER."""
        return min(self.evaluations, key=lambda line: line["dev_cer"], default=None)


def read_history(folder: str | Path) -> History:
    """Raises CheckpointError for a folder that holds no run."""
    folder = Path(folder)
    try:
        settings = upgraded(json.loads((folder / SETTINGS).read_text(encoding="utf-8")))
        text = (folder / LOG).read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]  # a kill may cut the last line short
        lines = [json.loads(line) for line in whole.splitlines()]
    except FileNotFoundError as error:
        raise CheckpointError(f"{folder}: holds no training run ({Path(error.filename).name} is missing)") from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{folder}: its {LOG} or {SETTINGS} cannot be read ({error})") from error
    quarantine = folder / QUARANTINE
    return History(
        folder,
        dict(_flat(settings, "")),
        [line for line in lines if "loss" in line],
        [line for line in lines if "dev_cer" in line],
        [{"step": line["step"], "epoch": line["epoch"]} | line["health"] for line in lines if "health" in line],
        len(quarantine.read_text(encoding="utf-8").splitlines()) if quarantine.exists() else 0,
        read_header(folder / WEIGHTS) if (folder / WEIGHTS).exists() else {},
    )


def _flat(values: dict, prefix: str):
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
