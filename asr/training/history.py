"""What a run has written down of itself, read back."""

from dataclasses import dataclass
from pathlib import Path

from asr.config_values import LARGEST
from asr.errors import CheckpointError
from asr.foreign_bytes import json_in, json_value, quoted, reading, shortened
from asr.model.folder import read_header, weights_file
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
    notes: list[str]
    """What it says of itself in words: settings that have changed, what it does not look at."""
    quarantined: int
    """Utterances that were left out on the way."""
    origin: dict[str, str]
    """The header of the model in the folder; empty before the first evaluation."""

    @property
    def before(self) -> dict | None:
        """The evaluation of the initial model, before the first step."""
        return next((line for line in self.evaluations if line["step"] == 0), None)

    @property
    def best(self) -> dict | None:
        """The evaluation with the lowest CER."""
        return min(self.evaluations, key=lambda line: line["dev_cer"], default=None)


def read_history(folder: str | Path) -> History:
    """Raises CheckpointError for a folder that holds no run."""
    folder = Path(folder)
    for name in (SETTINGS, LOG):
        if not (folder / name).exists():
            raise CheckpointError(f"{folder}: holds no training run ({name} is missing)")
    with reading(folder / SETTINGS, CheckpointError, "is no table of settings"):
        settings = dict(_flat(upgraded(json_in(folder / SETTINGS)), ""))
    lines = _log(folder / LOG)
    quarantine = folder / QUARANTINE
    return History(
        folder,
        settings,
        [line for line in lines if "loss" in line],
        [line for line in lines if "dev_cer" in line],
        [{"step": line["step"], "epoch": line["epoch"]} | line["health"] for line in lines if "health" in line],
        [str(line["note"]) for line in lines if "note" in line],
        len(quarantine.read_text(encoding="utf-8", errors="replace").splitlines()) if quarantine.is_file() else 0,
        read_header(weights_file(folder)) if weights_file(folder).exists() else {},
    )


NUMBERS = {
    "loss": ("epoch", "loss", "hours", "wall"),
    "dev_cer": ("dev_cer",),
    "health": ("epoch",),
}
"""What a line is told by → numbers that it must have besides its step."""


def _log(path: Path) -> list[dict]:
    """The whole lines of a log; the last one may have been cut short by a kill."""
    with reading(path, CheckpointError, "is no line of a run's log") as place:
        text = path.read_text(encoding="utf-8")
        lines = []
        for place.line, line in enumerate(text[: text.rfind("\n") + 1].splitlines(), 1):
            lines.append(_checked(json_value(line)))
    return lines


def _checked(line: dict) -> dict:
    """Raises ValueError, KeyError or TypeError where a line lacks a number that is drawn, or has something else in its place."""
    if type(line["step"]) is not int or line["step"] < 0:
        raise ValueError(f"its step is {quoted(line['step'])}")
    health = line.get("health", {})
    parts = [(line, name) for mark, names in NUMBERS.items() if mark in line for name in names]
    parts += [(health, name) for name in ("diagonal", "entropy", "gain") if health]
    parts += [(health["by_position"], name) for name in health["by_position"]] if health else []
    parts += [
        (line, name) for name in line if name.startswith("dev_cer") or name in OPTIONAL and line[name] is not None
    ]
    for values, name in parts:
        if not _is_number(values[name]):
            raise ValueError(f"{shortened(str(name))} is {quoted(values[name])}")
    return line


OPTIONAL = ("attention", "ctc", "accuracy", "rate", "gradient")
"""Numbers of a line of losses that may be null or missing."""


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST


def _flat(values: dict, prefix: str):
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
