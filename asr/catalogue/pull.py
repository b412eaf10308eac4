"""`asr model pull`: a published model, fetched once, verified, imported, and kept in the user's cache.

$XDG_CACHE_HOME/mandarin-asr/       ~/.cache/mandarin-asr/ by default
  models/NAME/                      an ordinary model folder; it appears whole or not at all
  models/.asr-….tmp                 an import under way, or what a killed one left
  downloads/NAME/HUB/…              the toolkit's files, while they are needed; FILE.part: not whole yet
  downloads/NAME/unpacked/…         the files of an archive among them, during the import
  NAME.lock                         held by the process that is pulling
"""

import gzip
import shutil
import sys
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from asr.catalogue.download import PART, Remote, download, look_up
from asr.catalogue.hubs import HUBS
from asr.catalogue.published import published
from asr.catalogue.published_model import NOT_RUN, PublishedFile, PublishedModel
from asr.errors import DownloadError
from asr.folders import put_back, whole_folder
from asr.model_paths import cache, fetched

CONFIG = "config.json"
"""What every model folder holds."""
MODEL_SHARE = 1.1
"""Disk that an imported model takes, at most, for each byte of its checkpoint."""
ARCHIVE, UNPACKED = ".tar.gz", "unpacked"
UNPACKED_SHARE = 4
"""An archive of weights does not grow by more than this when it is unpacked."""

Say = Callable[[str], None]


def cached(name: str) -> Path | None:
    """The folder of a model that was pulled before."""
    folder = fetched(name)
    return folder if put_back(folder) and (folder / CONFIG).is_file() else None


def origin(model: PublishedModel, hub: str) -> str:
    """Repository and revision of a model on a hub."""
    repository = model.repositories[hub]
    return f"{repository.name}, revision {repository.revision or HUBS[hub].branch}"


def pull(name: str, hub: str = "", say: Say = print, force: bool = False) -> Path:
    """The model's folder in the cache; fetched, checked and imported first if it is not there, or with `force`.

    `hub`: one of HUBS; by default the first one that has the model. Raises DownloadError where something cannot be
    had, and what the importer raises. Whatever happens, no part of a model takes the place of a whole one.
    """
    model = published(name)
    hub = hub or next(iter(model.repositories))
    if hub not in model.repositories:
        raise DownloadError(f"{name}: is not on {_title(hub)}, as far as we know, but on {_titles(model)}")
    folder = fetched(name)
    if not force and cached(name):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _alone(name, say):
        if not force and cached(name):  # by the process that we have waited for
            return folder
        source = cache() / "downloads" / name / hub
        if force:
            HUBS[hub].require_online(name)
            for file in model.files:
                (source / file.path).unlink(missing_ok=True)
        try:
            _fetch(model, hub, source, folder, say)
            _import(model, hub, source, folder, say)
        except KeyboardInterrupt:
            say(f"{name}: stopped; what has arrived is kept, and the same command goes on from there")
            raise
        shutil.rmtree(source.parent, ignore_errors=True)
    say(f"{name}: ready. asr transcribe --model {name} …")
    return folder


def remove(name: str) -> int:
    """Deletes a pulled model, and what is left of its download; returns the bytes that were freed."""
    published(name)
    folders = fetched(name), cache() / "downloads" / name
    freed = sum(_bytes(path) for folder in folders for path in folder.rglob("*") if path.is_file())
    if freed:
        with _alone(name, lambda line: None):
            for folder in folders:
                shutil.rmtree(folder, ignore_errors=True)
    return freed


def _fetch(model: PublishedModel, hub: str, source: Path, folder: Path, say: Say) -> None:
    """All files of a model into `source`; says before what, how much, from where, and under which licence."""
    repository, token = model.repositories[hub], HUBS[hub].token()
    missing = [file for file in model.files if not (source / file.path).is_file()]
    if missing:
        HUBS[hub].require_online(model.name)
    urls = {file: HUBS[hub].url(repository, file.path) for file in missing}
    try:
        remotes = {file: _expected(file, urls[file], token) for file in missing}
    except DownloadError as error:
        raise DownloadError(f"{error}. {_elsewhere(model, hub)}") from error
    total = sum(remote.size for remote in remotes.values())
    if missing:
        known = all(remote.size for remote in remotes.values())
        size = _human(total) if known else model.download or f"at least {_human(total)}"
        here = sum(_bytes(path) for path in source.rglob(f"*{PART}"))
        size += f", {_human(here)} of which are here," if here else ""
        say(f"{model.name}: {model.title}")
        say(f"  fetching {size} from {_title(hub)}, {repository.name}; licence: {model.licence}; into {folder}")
        if not model.run:
            say(f"  {NOT_RUN}: look at a transcript before you rely on it")
    _check_space(model, source, remotes)
    with _shown(total) as show:
        done = 0
        for file in missing:
            target = source / file.path
            download(urls[file], target, remotes[file], token, progress=lambda n, before=done: show(before + n))
            done += _bytes(target)


def _expected(file: PublishedFile, url: str, token: str) -> Remote:
    """What the table says of a file goes before what the hub says; where they differ, nothing is fetched."""
    stated = look_up(url, token)
    for ours, theirs in ((file.size, stated.size), (file.sha256, stated.sha256)):
        if ours and theirs and ours != theirs:
            raise DownloadError(f"{url}: was changed: {theirs} is stated there, {ours} is expected")
    return Remote(file.size or stated.size, file.sha256 or stated.sha256)


def _import(model: PublishedModel, hub: str, source: Path, folder: Path, say: Say) -> None:
    """The checkpoint in `source` as a model folder, put in its place whole."""
    from asr.interop.importing import import_model
    from asr.model.companions import belonging

    say(f"{model.name}: importing")
    unpacked = source.parent / UNPACKED
    shutil.rmtree(unpacked, ignore_errors=True)  # of a killed import
    try:
        notes = {"source": f"{origin(model, hub)}, {_title(hub)}", "licence": model.licence}
        checkpoint = _unpacked(model, source, unpacked)
        with whole_folder(folder, belonging(folder)) as new:
            imported = import_model(model.toolkit, checkpoint, new, notes, dtype=model.dtype)
    except Exception:
        say(f"{model.name}: cannot be imported. What was fetched stays in {source}; --force fetches it again")
        raise
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)
    for line in (*imported.remarks, *(f"warning: {doubt}" for doubt in imported.doubts)):
        say(f"{model.name}: {line}")


def _unpacked(model: PublishedModel, source: Path, out: Path) -> Path:
    """The folder with the checkpoint; an archive's regular files are unpacked into `out`, and nothing else of it."""
    for file in model.files:
        if not file.path.endswith(ARCHIVE):
            continue
        room = UNPACKED_SHARE * _bytes(source / file.path)
        try:
            with gzip.open(source / file.path) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
                for member in archive:
                    target = out / member.name
                    if not member.isfile() or not target.resolve().is_relative_to(out.resolve()):
                        continue
                    room -= member.size
                    if room < 0:
                        raise DownloadError(f"{source / file.path}: unpacks to far more than weights would; refused")
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with open(target, "wb") as copy:
                        shutil.copyfileobj(archive.extractfile(member), copy)
                while stream.read(1 << 20):  # to the end, where gzip's checksum stands
                    pass
        except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
            raise DownloadError(f"{source / file.path}: cannot be unpacked ({error})") from error
    if not out.is_dir():
        return source
    inside = list(out.iterdir())
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else out


def _check_space(model: PublishedModel, source: Path, remotes: dict[PublishedFile, Remote]) -> None:
    """Refuses a download that would fill the disk, before it begins; files of unknown size count as nothing."""
    whole, parts = 0, 0
    for path in source.rglob("*"):
        if path.is_file():
            whole, parts = (whole, parts + _bytes(path)) if path.suffix == PART else (whole + _bytes(path), parts)
    missing = sum(remote.size for remote in remotes.values())
    unpacked = any(file.path.endswith(ARCHIVE) for file in model.files)
    needed = missing - parts + (whole + missing) * (MODEL_SHARE + unpacked)
    free = shutil.disk_usage(cache()).free
    if needed > free:
        raise DownloadError(
            f"{model.name}: needs {_human(needed)} on the disk of {cache()}, for the download and the model made of it;"
            f" {_human(free)} are free. XDG_CACHE_HOME can name another folder"
        )


@contextmanager
def _alone(name: str, say: Say) -> Iterator[None]:
    """One process at a time pulls a model; another one waits, and finds it done."""
    lock = FileLock(cache() / f"{name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"{name}: another process is pulling it; waiting")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _shown(total: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal; elsewhere nothing."""
    if not total or not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    columns = BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=total)
        yield lambda done: bar.update(task, completed=done)


def _elsewhere(model: PublishedModel, hub: str) -> str:
    """What to do where a hub cannot be reached."""
    others = [other for other in model.repositories if other != hub]
    other = f"`asr model pull {model.name} --from {others[0]}` tries another hub; " if others else ""
    return (
        f"{other}{HUBS[hub].variable} names a mirror; without a network, fetch the files of"
        f" {model.repositories[hub].name} elsewhere and `asr model import {model.toolkit} FOLDER --out FOLDER`"
    )


def _title(hub: str) -> str:
    return HUBS[hub].title if hub in HUBS else hub


def _titles(model: PublishedModel) -> str:
    return " and ".join(f"{_title(hub)} ({hub})" for hub in model.repositories)


def _bytes(path: Path) -> int:
    return path.stat().st_size


def _human(size: float) -> str:
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.{2 if unit == 'GB' else 0}f} {unit}"
    return f"{size:.0f} bytes"
