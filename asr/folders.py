"""Folders that are written or replaced as one, and folders that one process has to itself.

The lock of a process goes with it, however it ends. So what it was writing is known to be left over, and the next one that
writes under the same name takes its place.
"""

import contextlib
import ctypes
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from asr.errors import AsrError
from asr.files import is_leftover, is_still, lock, temporary_name, umask

REPLACED = "replaced"
"""Where, inside the folder of what is being written, the old one lies for a moment on systems that cannot exchange two names."""
_AT_FDCWD = -100
_EXCHANGE = 2
"""RENAME_EXCHANGE of Linux, and RENAME_SWAP of macOS."""


@contextmanager
def locked(folder: Path, busy: Callable[[str], AsrError], doing: str) -> Iterator[None]:
    """Makes a folder and keeps a second process out of it. Raises what `busy` makes of a message where one is there.

    `doing`: what the other one is about, for the message: "training".
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY) if os.name == "posix" else None
    try:
        if handle is not None and lock(handle) is False:
            raise busy(f"{folder}: another process is {doing} there; wait for it or choose another --out")
        yield
    finally:
        if handle is not None:
            os.close(handle)


@contextmanager
def whole_folder(out: Path, dropped: Sequence[str] = ()) -> Iterator[Path]:
    """An empty folder to write into, which becomes `out` when the block ends without an error, and goes when it does not.

    What `out` held before is there until then; files of it that the new one does not have are taken over, but for those
    called as in `dropped`, and modes are kept. Killed at any moment, `out` is the old one or the new one (see `put_back`).
    Raises AsrError where another process is at it.
    """
    out = Path(os.path.realpath(out))
    out.parent.mkdir(parents=True, exist_ok=True)
    work = _work(out)
    with _mine(work, out):
        put_back(out)
        _empty(work)
        new = work / out.name
        new.mkdir()
        try:
            yield new
            new.chmod(out.stat().st_mode if out.is_dir() else 0o777 & ~umask())
            _take_over(out, new, dropped)
            _put_in_place(new, out)
        finally:
            if not (work / REPLACED).exists() or out.exists():
                shutil.rmtree(work, ignore_errors=True)


@contextmanager
def renewed(folder: Path, last: str, same: Callable[[], bool], dropped: Sequence[str] = ()) -> Iterator[Path]:
    """Where to write what a folder is to hold: into the folder itself where only `last` changes or is not there yet, else into an
    empty one that takes its place (`whole_folder`), so that no part of the old is found beside a part of the new.

    last: the file that is written last. same: whether all that belongs to it stays the same; what cannot be read does not.
    """
    in_place = folder.exists() and not (folder / last).is_file()
    with contextlib.suppress(AsrError, OSError, ValueError):
        in_place = in_place or (folder.exists() and same())
    with contextlib.nullcontext(folder) if in_place else whole_folder(folder, dropped) as place:
        yield place


def put_back(out: Path) -> bool:
    """Whether `out` is there; put back first if a kill came between two renames, where names cannot be exchanged."""
    old = _work(out) / REPLACED
    if not os.path.exists(out) and os.path.isdir(old):
        with contextlib.suppress(FileNotFoundError):  # by another process just now
            old.rename(out)
    return os.path.exists(out)


def _work(out: Path) -> Path:
    """The folder that holds, under its own name, what is being written."""
    return out.parent / temporary_name(f"{out.name}/")


@contextmanager
def _mine(work: Path, out: Path) -> Iterator[None]:
    """The folder of what is being written, locked; that of a process that has died is taken over."""
    while True:
        work.mkdir(exist_ok=True)
        if os.name != "posix":
            yield
            return
        try:
            handle = os.open(work, os.O_RDONLY)
        except FileNotFoundError:  # removed by the one that was done with it
            continue
        try:
            if lock(handle) is False:
                raise AsrError(f"{out}: another process is writing it; wait for it or choose another name")
            if is_still(handle, work):
                yield
                return
        finally:
            os.close(handle)


def _empty(work: Path) -> None:
    for path in work.iterdir():
        shutil.rmtree(path)


def _take_over(old: Path, new: Path, dropped: Sequence[str]) -> None:
    """Makes files of the old folder that the new one lacks, `dropped` aside, the new one's too; equal names, equal modes."""
    for path in old.iterdir() if old.is_dir() else ():
        if (new / path.name).is_file() and path.is_file():
            (new / path.name).chmod(path.stat().st_mode)
        elif not (new / path.name).exists() and path.name not in dropped and not is_leftover(path):
            _link(path, new / path.name)


def _link(path: Path, target: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.copytree(path, target, symlinks=True, copy_function=_link_file)
    else:
        _link_file(path, target)


def _link_file(source: str | Path, target: str | Path) -> None:
    """A second name of a file; a copy where file systems do not know such."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)


def _put_in_place(new: Path, out: Path) -> None:
    if not out.exists():
        new.rename(out)
    elif not exchange(new, out):
        out.rename(new.parent / REPLACED)
        try:
            new.rename(out)
        except OSError:
            put_back(out)
            raise


def exchange(one: Path, other: Path) -> bool:
    """Gives two files or folders each other's name in one step; False, and nothing done, where the system cannot."""
    library = ctypes.CDLL(None) if os.name == "posix" else None
    names = os.fsencode(one), os.fsencode(other)
    if sys.platform == "darwin" and hasattr(library, "renamex_np"):
        return library.renamex_np(*names, _EXCHANGE) == 0
    if hasattr(library, "renameat2"):
        return library.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _EXCHANGE) == 0
    return False
