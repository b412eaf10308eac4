"""Writing files so that nothing is ever half there, and reading lists."""

import codecs
import errno
import hashlib
import io
import json
import os
import stat
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Protocol

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

from asr.errors import ManifestError
from asr.foreign_bytes import NOT_FETCHED, POINTER, reading

PREFIX, SUFFIX = ".asr-", ".tmp"
"""How the names of our temporary files begin and end."""
PART = 2**16
"""Bytes at the beginning, in the middle and at the end of a file by which it is known again."""
_PACKED = {b"\x1f\x8b": "gzip", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
"""How compressed files begin → the program that unpacks them."""
LISTED = 20
"""Lines that a message has at most, behind its first."""


@contextmanager
def atomic_write(path: str | Path, mode: str = "w") -> Iterator[IO]:
    """An open file that takes the name `path` only when the block ends without an error.

    Until then, and for ever if the block fails, whatever stood under `path` stays as it was; its mode is kept. What `path`
    links to is replaced, not the link; a device or pipe is written to as it is. What a process leaves that is killed
    meanwhile goes when `path` is next written.
    """
    path = Path(path)
    encoding = None if "b" in mode else "utf-8"
    if is_special(path) or path.is_dir():
        with naming(path), open(path, mode, encoding=encoding) as file:
            yield file
        return
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = _temporary(path)
    try:
        with naming(path), os.fdopen(handle, mode, encoding=encoding) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if fcntl is not None:  # while it is locked; Windows renames no open file
                _take_name(temporary, path)
        if fcntl is None:
            _take_name(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_file(path: str | Path, content: str | bytes) -> None:
    """Writes a file, a text as UTF-8, whole or not at all: see `atomic_write`."""
    with atomic_write(path, "w" if isinstance(content, str) else "wb") as file:
        file.write(content)


def save_json(path: str | Path, value: object, indent: int = 2) -> None:
    """Writes what JSON can hold, for people to read, too."""
    write_file(path, json.dumps(value, ensure_ascii=False, indent=indent) + "\n")


def is_special(path: Path) -> bool:
    """Whether a path is a device's or a pipe's, also that of a file which a shell has put in its place: /dev/stdout."""
    of_the_system = path.is_absolute() and path.parts[1:2] in (("dev",), ("proc",))
    return (of_the_system and path.parts[:3] != ("/", "dev", "shm")) or (
        path.exists() and not path.is_file() and not path.is_dir()
    )


def _take_name(temporary: Path, path: Path) -> None:
    os.chmod(temporary, path.stat().st_mode & 0o7777 if path.exists() else 0o666 & ~umask())
    os.replace(temporary, path)


def _temporary(path: Path) -> tuple[int, Path]:
    """An empty file beside `path`, open, and its name."""
    with suppress(OSError):
        fixed = path.parent / temporary_name(path.name)
        if (handle := _locked_file(fixed)) is not None:
            return handle, fixed
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=PREFIX, suffix=SUFFIX)
        return handle, Path(name)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error  # not the temporary name


def _locked_file(path: Path) -> int | None:
    """A file that is new, or was left by a process that has ended, empty and locked; None where another process has it."""
    while fcntl is not None:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        free = lock(handle) if os.fstat(handle).st_uid == os.geteuid() else False
        still = is_still(handle, path)  # else it has got its name, or was deleted, since it was opened
        if free and still:
            os.ftruncate(handle, 0)
            return handle
        os.close(handle)
        if free is None:  # a file system without locks
            path.unlink(missing_ok=True)
        if still:
            return None
    return None


def temporary_name(name: str) -> str:
    """What a file is called while it is written, the same each time; short, however long its own name is."""
    return f"{PREFIX}{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}{SUFFIX}"


def lock(handle: int) -> bool | None:
    """Locks an open file or folder until it is closed, or this process ends; False where another process has it locked.

    None where the system knows no locks.
    """
    try:
        if fcntl is not None:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    except BlockingIOError:
        return False
    except OSError:  # a file system without them
        pass
    return None


def is_still(handle: int, path: Path) -> bool:
    """Whether an open file or folder is the one that has the name now."""
    try:
        return os.path.samestat(os.fstat(handle), os.lstat(path))
    except FileNotFoundError:
        return False


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """A block that writes `path`: an OSError that names no file, such as that of a full disk, gets its name."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


class Readable(Protocol):
    """An open file, as far as it is read from."""

    def read(self, n: int = ..., /) -> bytes:
        """At most so many of the bytes that are left; none at the end."""


@contextmanager
def on_disk(source: Readable) -> Iterator[Path]:
    """A path to what is left to read of an open file.

    That of the file itself where it is on disk and nothing of it has been read; else that of a copy, which has no name where
    the system can do that: nothing is left of it even if the process is killed.
    """
    if OPEN_FILES.is_dir() and (number := _unread(source)) is not None:
        yield OPEN_FILES / str(number)
        return
    make: Any = tempfile.TemporaryFile if OPEN_FILES.is_dir() else tempfile.NamedTemporaryFile
    with make(prefix="asr-") as file:
        while block := source.read(2**20):
            with naming(tempfile.gettempdir()):
                file.write(block)
        with naming(tempfile.gettempdir()):
            file.flush()
        yield OPEN_FILES / str(file.fileno()) if OPEN_FILES.is_dir() else Path(file.name)


OPEN_FILES = Path("/proc/self/fd")
"""Linux: names of the files that this process has open."""


def _unread(source: Any) -> int | None:
    """The number of an open file that is a plain one on disk, read from its beginning; None for all others."""
    if isinstance(source, tempfile.SpooledTemporaryFile):
        source.rollover()  # what was in memory so far is written into a file
    elif not isinstance(
        getattr(source, "raw", source), io.FileIO
    ):  # what is decompressed as it is read has a number, too
        return None
    plain = source.readable() and stat.S_ISREG(os.fstat(source.fileno()).st_mode)
    if not plain or source.tell():
        return None
    source.flush()
    return source.fileno()


def several_errors(errors: Sequence[str], what: str, advice: str = "") -> str:
    """One message of several: the first, how many there are and of what kind, what to do, and the others, a line each."""
    first, *others = errors
    more = f"; in all {len(errors):,} {what}" if others else ""
    return f"{first}{more}{advice}" + "".join(
        f"\n  {line}" for line in [*others[:LISTED], *(["…"] if others[LISTED:] else [])]
    )


def another_name_would_help(error: OSError) -> bool:
    """Whether another name would help: it is too long, or a file is where a folder is to be made, or the other way round."""
    in_the_way = isinstance(error, FileExistsError | IsADirectoryError | NotADirectoryError)
    return in_the_way or error.errno == errno.ENAMETOOLONG


def read_lines(path: str | Path) -> list[str]:
    """The lines of a UTF-8 text file, without the BOM that any may begin with. Raises ManifestError where it cannot be read."""
    with reading(path, ManifestError):
        data = Path(path).read_bytes()
        check_text(path, data[:1000])
        try:
            return split_lines(data.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise not_utf8(path, error.object[: error.start].count(b"\n") + 1, error) from error


def check_text(path: str | Path, beginning: bytes) -> None:
    """Raises ManifestError for a file that begins as no text in UTF-8 does."""
    if beginning.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ManifestError(f"{path}: is text in UTF-16; `iconv -f UTF-16 -t UTF-8` converts it")
    if packed := next((program for magic, program in _PACKED.items() if beginning.startswith(magic)), ""):
        raise ManifestError(f"{path}: is compressed; `{packed} -dc` unpacks it")
    if beginning.startswith(POINTER):
        raise ManifestError(f"{path}: {NOT_FETCHED}")
    if b"\0" in beginning:
        raise ManifestError(f"{path}: is no text in UTF-8, perhaps audio, or text in UTF-16")


def not_utf8(path: str | Path, line: int, error: UnicodeDecodeError) -> ManifestError:
    """The error for a line that is not UTF-8."""
    return ManifestError(
        f"{path}:{line}: not UTF-8 ({error.reason} at byte {error.start});"
        " if it is GBK, `iconv -f GB18030 -t UTF-8` converts it"
    )


def split_lines(text: str) -> list[str]:
    """Lines end with LF, CRLF or CR: str.splitlines would also cut at U+2028 and other characters a text may hold.

    A byte order mark at the beginning of a line goes: `cat` leaves them where files begin.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n")
    return [line.lstrip("\ufeff") for line in lines] if "\ufeff" in text else lines


def content_state(path: Path, whole: int = 0) -> str:
    """What changes with what is in a file, not with its name or date: a digest of its size and parts; empty without a file.

    Of at most so many bytes it is a digest of the `whole` file.
    """
    try:
        size = os.path.getsize(path)
        with open(path, "rb") as file:
            digest = hashlib.sha256(str(size).encode())
            if 3 * PART < size <= whole:  # a smaller one is covered by its parts
                digest.update(file.read())
                return digest.hexdigest()[:16]
            for place in sorted({0, max(0, size // 2 - PART // 2), max(0, size - PART)}):
                file.seek(place)
                digest.update(file.read(PART))
    except (OSError, ValueError):  # reading it will say why
        return ""
    return digest.hexdigest()[:16]


def is_leftover(path: Path) -> bool:
    """Whether a name is one of our temporary files'."""
    return path.name.startswith(PREFIX) and path.name.endswith(SUFFIX)


def remove_leftovers(folder: str | Path, older_than: float = 0.0) -> None:
    """Deletes what a process that was killed while writing left in a folder; where others may be writing, only old files.

    `older_than`: seconds since the file was last written.
    """
    for path in filter(is_leftover, Path(folder).glob("*")):
        with suppress(FileNotFoundError):
            if path.is_file() and time.time() - path.stat().st_mtime >= older_than:
                path.unlink()


def umask() -> int:
    """What new files may not be, by the settings of the process."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
