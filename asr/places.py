"""Where results are to go: what cannot be written there is refused before the work, and not after it."""

import errno
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from asr.errors import AsrError
from asr.files import is_special


def require_file(path: Path, force: bool = False, inputs: Sequence[Path] = ()) -> None:
    """Raises AsrError where a file of this name would take the place of an input, of a folder, or without `force` of any file;
    OSError where it could not be written. Devices and pipes are written to as they are."""
    _refuse_inputs(path, inputs)
    if path.is_dir():
        raise AsrError(f"{path}: is a folder; give the name of a file")
    if is_special(path):
        if not os.access(path, os.W_OK):
            number = errno.EACCES if path.exists() else errno.ENOENT
            raise OSError(number, os.strerror(number), str(path))
        return
    _refuse_existing(path, force)
    _try(Path(os.path.realpath(path)).parent, path)


def require_folder(path: Path, force: bool = False, inputs: Sequence[Path] = ()) -> None:
    """Raises AsrError where files in a folder of this name would take the place of an input, of a file, or without `force` of
    anything; OSError where none could be written there. The folder is not made."""
    _refuse_inputs(path, inputs)
    if path.exists() and not path.is_dir():
        raise AsrError(f"{path}: is a file; give the name of a folder")
    _refuse_existing(path, force)
    _try(path, path)


def require_writable(folder: Path) -> None:
    """Makes a folder for results. Raises OSError where no file can be written into it."""
    folder.mkdir(parents=True, exist_ok=True)
    _try(folder, folder)


def require_replaceable(folder: Path) -> None:
    """Raises OSError where no folder can take this name, as `whole_folder` makes one beside what is there."""
    _try(Path(os.path.realpath(folder)).parent, folder)


def _try(folder: Path, path: Path) -> None:
    """Raises OSError, which names `path`, where nothing can be written into a folder, or, where that is to be made, into the
    nearest one above that is there."""
    folder = Path(os.path.realpath(folder))
    above = next(one for one in (folder, *folder.parents) if one.exists())
    try:
        with tempfile.TemporaryFile(dir=above):
            pass
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error  # not the temporary name


def _refuse_inputs(path: Path, inputs: Sequence[Path]) -> None:
    if path.resolve() in [one.resolve() for one in inputs]:
        raise AsrError(f"{path}: is an input; choose another name")


def _refuse_existing(path: Path, force: bool) -> None:
    if path.exists() and not force:
        raise AsrError(f"{path}: is there already; choose another name, or --force to overwrite it")
