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
from asr.foreign_bytes import QUOTED, json_in, listed, reading, shortened
from asr.model.pickles import load_pickle


def read_pickle(path: Path) -> Any:
    """What torch.save wrote: tensors and plain data. A pickle that wants anything else is refused, and nothing of it runs."""
    with reading(path, CheckpointError, "damaged or no PyTorch checkpoint", "copy the file again"):
        try:
            return load_pickle(existing(path))
        except UnpicklingError as error:
            wanted = re.search(r"GLOBAL ([\w.]+)|Unsupported (?:class|global|operand) ([\w.]+)", str(error))
            name = next((group for group in wanted.groups() if group), "") if wanted else ""
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
        values = load_yaml(existing(path).read_text(encoding="utf-8"))
    if not isinstance(values, dict):
        raise CheckpointError(f"{path}: holds no settings")
    return values


def read_json(path: Path) -> Any:
    """The value in a JSON file."""
    with reading(path, CheckpointError, "not JSON"):
        return json_in(existing(path))


def existing(path: Path) -> Path:
    """The path, or an error that says what lies beside it."""
    if path.is_file():
        return path
    folder = path.parent
    there = listed(sorted(p.name for p in folder.iterdir())) if folder.is_dir() else "no such folder"
    raise CheckpointError(f"{path}: is missing (there is: {there or 'nothing'})")


def find_file(folder: Path, names: Iterable[str], what: str) -> Path:
    """The first of the names, which may be patterns, that is a file in the folder."""
    names = list(names)
    for name in names:
        for path in sorted(folder.glob(name)):
            if path.is_file():
                return path
    there = listed(sorted(p.name for p in folder.iterdir())) if folder.is_dir() else "no such folder"
    raise CheckpointError(f"{folder}: holds no {what} ({' or '.join(names)}); there is: {there or 'nothing'}")


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
        return tensor.float() if tensor.is_floating_point() else tensor

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
