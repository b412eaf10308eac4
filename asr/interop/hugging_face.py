"""Folders as Hugging Face has them: weights in one file or several, and what is said of generation."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from asr.errors import CheckpointError
from asr.foreign_bytes import listed, quoted
from asr.interop.checkpoints import Tensors, existing, find_file, read_json, read_pickle, read_safetensors
from asr.interop.foreign import Settings
from asr.text.tokenizer import TokenTable

WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""Where they lie."""


def tensors_of(folder: Path, model: str) -> Tensors:
    """All tensors, of one file or of several, without the prefix that most files have before their names."""
    names: Sequence[str] = WEIGHTS
    indices = [folder / f"{name}.index.json" for name in names]
    index = next((path for path in indices if path.is_file()), None)
    if index and not any((folder / name).is_file() for name in names):
        tensors = _of_several(index)
    else:
        path = find_file(folder, names, f"weights of {model} as Hugging Face has them")
        tensors = Tensors.of(_read(path), path)
    named = {name.removeprefix("model."): tensor for name, tensor in tensors.held.items()}
    if len(named) < len(tensors.held):
        raise CheckpointError(f"{tensors.path}: holds tensors of one name with and without model. before it")
    tensors.held = named
    return tensors


def _of_several(index: Path) -> Tensors:
    """All tensors of the files that an index names, each where it says: others are of files that do not belong together."""
    places = Settings(read_json(index), str(index)).get("weight_map", {}, dict)
    files: dict[str, set[str]] = {}
    for tensor, name in places.items():
        if not isinstance(name, str) or Path(name).name != name or name in ("", ".."):
            raise CheckpointError(f"{index}: names {quoted(name)}, which is no file of weights beside it")
        files.setdefault(name, set()).add(tensor)
    if not files:
        raise CheckpointError(f"{index}: names no files of weights")
    tensors = Tensors(index, {})
    for name in sorted(files):
        path = existing(index.parent / name)
        held = Tensors.of(_read(path), path).held
        if wrong := sorted(held.keys() ^ files[name]):
            raise CheckpointError(
                f"{path}: holds other tensors than {index.name} says ({listed(wrong)}): the files do not belong together; copy"
                " them again"
            )
        tensors.held |= held
    return tensors


def _read(path: Path) -> Any:
    return read_safetensors(path) if path.suffix == ".safetensors" else read_pickle(path)


def generation_settings(folder: Path, *names: str) -> Settings:
    """The settings of generation, which old folders have in config.json; nothing where there is none of the files."""
    path = next((folder / name for name in names if (folder / name).is_file()), None)
    return Settings(read_json(path), str(path)) if path else Settings({}, str(folder))


def suppressed(stated: Settings, table: TokenTable) -> list[int]:
    """Ids of the texts that the toolkit never writes: brackets, notes of music and such. An empty text stays possible."""
    listed = stated.get("suppress_tokens", [], list)
    if not all(type(i) is int and i < len(table) for i in listed):
        raise CheckpointError(f"{stated.where}: suppress_tokens is no list of ids")
    return [i for i in listed if i >= 0 and i not in table.never_written and i != table.eos]
