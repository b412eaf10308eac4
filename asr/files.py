"""Writing files so that nothing is ever half there, and reading lists."""

import errno
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from asr.errors import ManifestError
from asr.foreign_bytes import reading

PREFIX = ".asr-"
"""How the names of our temporary files begin."""


@contextmanager
def atomic_write(path: str | Path, mode: str = "w") -> Iterator[IO]:
    """An open file that takes the name `path` only when the block ends without an error.

    Until then, and for ever if the block fails, whatever stood under `path` stays as it was. What `path` links to is
    replaced, not the link; a device or pipe is written to as it is.
    """
    path = Path(path)
    encoding = None if "b" in mode else "utf-8"
    special = path.is_absolute() and path.parts[1:2] in (("dev",), ("proc",)) and path.parts[:3] != ("/", "dev", "shm")
    if special or (path.exists() and not path.is_file()):
        with open(path, mode, encoding=encoding) as file:
            yield file
        return
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=PREFIX, suffix=".tmp")
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error  # not the temporary name
    try:
        with os.fdopen(handle, mode, encoding=encoding) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def is_of_the_name(error: OSError) -> bool:
    """Whether another name would help: it is too long, or a file is where a folder is to be made, or the other way round."""
    in_the_way = isinstance(error, FileExistsError | IsADirectoryError | NotADirectoryError)
    return in_the_way or error.errno == errno.ENAMETOOLONG


def require_writable(folder: Path) -> None:
    """Makes a folder for results. Raises OSError now, and not after the work, where no file can be written into it."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(folder)) from error  # not the temporary name


def read_lines(path: str | Path) -> list[str]:
    """The lines of a UTF-8 text file, with or without BOM. Raises ManifestError where it cannot be read."""
    with reading(path, ManifestError):
        data = Path(path).read_bytes()
        if b"\0" in data[:1000]:
            raise ManifestError(f"{path}: is no text in UTF-8, perhaps audio, or text in UTF-16")
        try:
            return split_lines(data.decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            raise ManifestError(
                f"{path}:{line}: not UTF-8 ({error.reason} at byte {error.start});"
                " if it is GBK, `iconv -f GB18030 -t UTF-8` converts it"
            ) from error


def split_lines(text: str) -> list[str]:
    """Lines end with LF, CRLF or CR: str.splitlines would also cut at U+2028 and other characters a text may hold."""
    return text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n")


def is_leftover(path: Path) -> bool:
    """Whether a name is one of our temporary files'."""
    return path.name.startswith(PREFIX) and path.name.endswith(".tmp")


def remove_leftovers(folder: str | Path, older_than: float = 0.0) -> None:
    """Deletes what a process that was killed while writing left in a folder; where others may be writing, only old files.

    `older_than`: seconds since the file was last written.
    """
    for path in filter(is_leftover, Path(folder).glob("*")):
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime >= older_than:
                path.unlink()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
