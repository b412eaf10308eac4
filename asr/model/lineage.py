"""What a model came from, in words: kept in the header of its weights, from model to model."""

from pathlib import Path

from asr.errors import CheckpointError
from asr.foreign_bytes import json_value, reading, shortened
from asr.model.folder import read_header, weights_file

FROM = "from"
"""The key of the header under which stands which model another one was made of."""
LONGEST = 300
"""Characters of a line of ancestors."""


def came_from(header: dict[str, str]) -> str:
    """What the header of a model's weights says of where it came from."""
    stated = ", ".join(f"{name} {header[name]}" for name in ("source", "licence") if header.get(name))
    if header.get(FROM):
        return header[FROM]
    if "toolkit" in header:
        return f"a {header['toolkit']} checkpoint, {stated or 'source and licence not stated at its import'}"
    if initial := _initial_model(header):
        return f"trained on from a model called {Path(initial).name}"
    trained = "trained from random weights" if "settings" in header else "not stated"
    return f"{trained}, {stated}" if stated else trained


def lineage(folder: Path) -> str:
    """A model in a few words: its name, its step, and what it came from itself."""
    header = read_header(weights_file(folder))
    step = f"step {header['step']}; " if "step" in header else ""
    return shortened(f"{folder.resolve().name} ({step}{came_from(header)})", LONGEST)


def _initial_model(header: dict[str, str]) -> str:
    """The model that training began with, by the settings in a header; of models that do not say it in words."""
    try:
        with reading("settings", CheckpointError):
            initial = json_value(header.get("settings", "{}"))["train"]["initial_model"]
            return initial if isinstance(initial, str) else ""
    except CheckpointError:
        return ""
