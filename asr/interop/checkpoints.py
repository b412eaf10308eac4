"""Reading what other toolkits wrote, without running any of it: pickles as plain data, YAML with unknown tags as plain data."""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from torch import Tensor

from asr.errors import CheckpointError
from asr.foreign_bytes import NOT_FETCHED, QUOTED, is_pointer, json_value, listed, quoted, reading, shortened
from asr.model.pickles import load_pickle

OTHER_TENSORS = re.compile(r"torch\._utils\._rebuild_\w+|torch\.\w+Storage")
"""What PyTorch makes tensors of, those that are read aside."""
LARGEST_TEXT = 1 << 27
"""Bytes of settings or tokens; the largest tokenizers have twenty million."""


def read_pickle(path: Path) -> Any:
    """What torch.save wrote: tensors and plain data. A pickle that wants anything else is refused, and nothing of it runs."""
    with reading(path, CheckpointError, "damaged or no PyTorch checkpoint", "copy the file again"):
        try:
            return load_pickle(existing(path))
        except UnpicklingError as error:
            wanted = re.search(r"GLOBAL ([\w.]+)|Unsupported (?:class|global|operand) ([\w.]+)", str(error))
            name = next((group for group in wanted.groups() if group), "") if wanted else ""
            if OTHER_TENSORS.match(name):
                raise CheckpointError(
                    f"{path}: holds tensors of a kind that is not read ({shortened(name)}: sparse, complex, quantised or of 8"
                    " bits); ask for float16 or more"
                ) from error
            why = f"it asks for {shortened(name)}" if name else "it holds more than tensors and plain values"
            raise CheckpointError(
                f"{path}: is refused, {why}, which could run code; nothing of it was run. Ask for a file with tensors only"
            ) from error


def read_tensors(path: Path) -> "Tensors":
    """The tensors of a checkpoint that is a plain state dict."""
    return Tensors.of(read_pickle(path), path)


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, which cannot hold anything else."""
    from safetensors.torch import load_file

    with reading(path, CheckpointError, "damaged or not safetensors", "copy the file again"):
        return load_file(existing(path))


def read_yaml(path: Path) -> dict:
    """A YAML file as plain values; a tag, which another program would build an object from, is left as text."""
    from asr.interop.plain_yaml import load_yaml

    with reading(path, CheckpointError, "not YAML"):
        values = load_yaml(read_text(path))
    if not isinstance(values, dict):
        raise CheckpointError(f"{path}: holds no settings")
    return values


def read_json(path: Path) -> Any:
    """The value in a JSON file."""
    with reading(path, CheckpointError, "not JSON"):
        return json_value(read_text(path))


def read_text(path: Path) -> str:
    """All of a text file, line breaks as they stand. Raises ValueError where it is none, or far larger than any."""
    size = existing(path).stat().st_size
    if size > LARGEST_TEXT:
        raise ValueError(f"{size:,} bytes are no settings and no tokens")
    return path.read_bytes().decode("utf-8-sig")


def existing(path: Path) -> Path:
    """The path, or an error that says what lies beside it."""
    if path.is_file():
        return _fetched(path)
    folder = path.parent
    there = listed(sorted(p.name for p in folder.iterdir())) if folder.is_dir() else "no such folder"
    raise CheckpointError(f"{path}: is missing (there is: {there or 'nothing'})")


def find_file(folder: Path, names: Iterable[str], what: str) -> Path:
    """The first of the names, which may be patterns, that is a file in the folder.

    Raises CheckpointError where there is none, or where several match a pattern: nothing says which is meant.
    """
    names = list(names)
    for name in names:
        found = sorted(path for path in folder.glob(name) if path.is_file() and not path.name.startswith("."))
        if len({path.resolve() for path in found}) > 1:  # latest.pt may be a link to another
            raise CheckpointError(
                f"{folder}: holds no {names[0]}, and several that may be its {what} ({listed(path.name for path in found)});"
                f" call the one that is meant {names[0]}"
            )
        if found:
            return _fetched(found[0])
    there = listed(sorted(p.name for p in folder.iterdir())) if folder.is_dir() else "no such folder"
    raise CheckpointError(f"{folder}: holds no {what} ({' or '.join(names)}); there is: {there or 'nothing'}")


def _fetched(path: Path) -> Path:
    if is_pointer(path):
        raise CheckpointError(f"{path}: {NOT_FETCHED}")
    return path


def inside(folder: Path, name: str) -> Path:
    """The path of a file that settings name. Raises CheckpointError for one that is not in the folder."""
    path = folder / name
    if ".." in Path(name).parts or Path(name).is_absolute() or not belongs(path, folder):
        raise CheckpointError(f"{folder}: names the file {quoted(name)}, which is not inside the folder")
    return path


def belongs(path: Path, folder: Path) -> bool:
    """Whether a file is in the folder, links followed. Hugging Face's cache has in `snapshots/…` links to `blobs` beside it."""
    place, folder = path.resolve(), folder.resolve()
    blobs = folder.parent.parent / "blobs"
    return place.is_relative_to(folder) or (folder.parent.name == "snapshots" and place.is_relative_to(blobs))


@dataclass
class Tensors:
    """The tensors of a foreign checkpoint, each of which must be taken, or ignored for a stated reason."""

    path: Path
    """The file, for messages."""
    held: dict[str, Tensor]
    """All tensors by the names that the toolkit gave them."""
    taken: set[str] = field(default_factory=set)
    """Names that were asked for."""
    ignored: dict[str, str] = field(default_factory=dict)
    """Names that are not needed → why."""

    @classmethod
    def of(cls, data: Any, path: Path) -> "Tensors":
        """From a state dict. Raises CheckpointError where it is none, or holds numbers that are none."""
        if not isinstance(data, Mapping) or not data or not all(isinstance(t, Tensor) for t in data.values()):
            kind = f"keys {listed(data)}" if isinstance(data, Mapping) else type(data).__name__
            raise CheckpointError(f"{path}: is no plain table of tensors ({kind}); is it from another toolkit?")
        for name, tensor in data.items():
            if tensor.is_complex() or (tensor.is_floating_point() and tensor.dtype.itemsize < 2):
                raise CheckpointError(
                    f"{path}: {listed([name])} is of type {tensor.dtype}, which cannot be read; ask for float16 or more"
                )
            if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
                raise CheckpointError(
                    f"{path}: {listed([name])} holds values that are not numbers; the file is damaged"
                )
        return cls(path, {str(name): tensor for name, tensor in data.items()})

    def __contains__(self, name: str) -> bool:
        return name in self.held

    def take(self, name: str) -> Tensor:
        """A tensor by its foreign name, in float32. Raises CheckpointError with the nearest names where it is missing."""
        if name not in self.held:
            near = difflib.get_close_matches(name, [held for held in self.held if len(held) <= QUOTED], n=3, cutoff=0.6)
            hint = f"; the nearest are {listed(near)}" if near else ""
            raise CheckpointError(f"{self.path}: {name} is missing{hint}")
        self.taken.add(name)
        tensor = self.held[name]
        if not tensor.is_floating_point():
            raise CheckpointError(
                f"{self.path}: {listed([name])} holds whole numbers; is the file quantised? Ask for the one that is not"
            )
        return tensor.float()

    def ignore(self, pattern: str, reason: str) -> None:
        """Leaves out all tensors whose whole name matches."""
        self.ignored |= {n: reason for n in self.held if re.fullmatch(pattern, n) and n not in self.taken}

    def finish(self) -> None:
        """Raises CheckpointError for tensors that were neither taken nor ignored, with their shapes."""
        rest = [name for name in self.held if name not in self.taken and name not in self.ignored]
        if rest:
            named = listed(f"{name} {tuple(self.held[name].shape)}" for name in rest)
            raise CheckpointError(
                f"{self.path}: holds tensors that this importer knows no place for: {named}."
                " A model without them would compute something else, so it is not imported"
            )
