"""Which model the adapters in a folder belong to.

The folder of an adapted model is a model folder that holds, in the place of model.safetensors,
    adapter.json         the base: its name or path, and the fingerprint of its weights; what has adapters, and of which rank
    adapter.safetensors  the adapters (asr.model.adapters)
Its language model is that of the base, unless it has one of its own.
"""

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path

from asr.config_values import from_dict
from asr.errors import CheckpointError, ConfigError
from asr.files import save_json
from asr.foreign_bytes import json_in, quoted, reading
from asr.model.adapters import LoraConfig
from asr.model_paths import PRETRAINED, cache, fetched

ADAPTER, ADAPTERS = "adapter.json", "adapter.safetensors"
FORMAT = 1
"""The version of adapter.json."""


@dataclass(frozen=True)
class Adapter:
    """What adapter.json says."""

    format_version: int
    """FORMAT, or an earlier one."""
    base: str
    """The model that has been adapted: a name, or a path as seen from the folder."""
    fingerprint: str
    """That of its weights."""
    lora: LoraConfig
    """What has adapters."""


def is_adapted(folder: Path) -> bool:
    """Whether a folder holds adapters, and no whole network."""
    return (folder / ADAPTER).is_file()


def read_adapter(folder: Path) -> Adapter:
    """Raises CheckpointError where adapter.json is damaged."""
    path = folder / ADAPTER
    try:
        with reading(path, CheckpointError):
            adapter = from_dict(Adapter, json_in(path), "")
    except ConfigError as error:
        raise CheckpointError(f"{path}: {error}") from error
    if adapter.format_version != FORMAT:
        raise CheckpointError(f"{path}: has format {adapter.format_version}, this program reads {FORMAT}; update it")
    if not adapter.lora.rank or not adapter.base or "\0" in adapter.base:
        raise CheckpointError(f"{path}: names no base or no rank")
    return adapter


def write_adapter(folder: Path, base: Path, fingerprint: str, lora: LoraConfig) -> None:
    """Makes a folder that of adapters of the model in the folder `base`."""
    adapter = Adapter(FORMAT, base_name(base, folder), fingerprint, lora)
    save_json(folder / ADAPTER, dataclasses.asdict(adapter))


def base_name(base: Path, folder: Path) -> str:
    """What a base is called in adapter.json: its name if it has one everywhere, else the way to it from the folder."""
    base = Path(os.path.abspath(base))
    if base.parent in (PRETRAINED, cache() / "models"):
        return base.name
    try:
        return Path(os.path.relpath(base, folder)).as_posix()
    except ValueError:  # on another drive of Windows
        return base.as_posix()


def base_folder(folder: Path) -> Path:
    """The model folder that the adapters in a folder belong to. Raises CheckpointError where it is not there."""
    base = read_adapter(folder).base
    place = look_for_base(folder, base)
    if place is not None and is_adapted(place):
        raise CheckpointError(
            f"{folder}: its base {place} holds adapters itself; make one model of it with asr model export"
        )
    if place is not None:
        return place
    raise CheckpointError(
        f"{folder}: holds adapters of the model {quoted(base)}, which is not there; put it beside them, or write its path as"
        f' "base" into {folder / ADAPTER}'
    )


def look_for_base(folder: Path, base: str) -> Path | None:
    """Where a base lies: at its path from the folder, under its name beside that, or where models lie that have names."""
    places = [folder / base, folder.resolve().parent / Path(base).name]
    if Path(base).name == base:
        places += [PRETRAINED / base, fetched(base)]
    return next((place for place in places if place.is_dir()), None)


def require_base(folder: Path, base: Path, fingerprint: str) -> None:
    """Raises CheckpointError where the adapters in a folder were made for another base than that of the fingerprint."""
    made_for = read_adapter(folder).fingerprint
    if made_for != fingerprint:
        raise CheckpointError(
            f"{folder}: its adapters were made for weights with the fingerprint {quoted(made_for)}, those of {base} have"
            f" {fingerprint}: another model, or another version of it; put the right one back"
        )
