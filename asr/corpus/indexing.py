"""The index of a manifest: made by looking at every line, in processes where there are many, and kept beside a long one."""

import hashlib
import json
import re
import stat
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from asr.corpus.indexed import IndexedManifest, cores, first_repeated, key_of, text_of
from asr.corpus.manifest import checked_line, fingerprint_line
from asr.errors import ManifestError
from asr.files import atomic_write, check_text, content_state, not_utf8
from asr.foreign_bytes import quoted, reading
from asr.stopping import leave_to_parent

VERSION = 1
"""Of the index's form."""
SUFFIX = ".index"
KEPT = 100_000
"""Lines from which on an index is kept: to make it takes seconds."""
HELD = 64 << 20
"""Bytes of a manifest that is kept in memory as it is: some 300,000 lines."""
CHUNK = 32 << 20
"""Bytes of a manifest that a process looks at in one go."""
LINE = re.compile(rb"[^\r\n]+")
ARRAYS = ("begins", "ends", "lines", "durations", "keys", "shards")


def open_manifest(path: str | Path, jobs: int | None = None) -> IndexedManifest:
    """A manifest and its index, the one that is kept where it still fits. Raises ManifestError as `read_manifest` does.

    jobs: processes that look at a long one; by default one for each core.
    """
    path = Path(path)
    manifest = _indexed(path, jobs)
    if manifest.ends[-1] <= HELD:
        with reading(path, ManifestError, "cannot be read"):
            manifest.held = path.read_bytes()
    return manifest


def _indexed(path: Path, jobs: int | None) -> IndexedManifest:
    kept = path.parent / (path.name + SUFFIX)  # the folder one is in has no name
    if kept.exists() and (manifest := _kept(path, kept)):
        return manifest
    manifest = _made(path, jobs or cores())
    if len(manifest) >= KEPT:
        with suppress(OSError):  # a folder that is not to be written in: the index is made again each time
            _keep(manifest, kept)
    return manifest


def _state(path: Path) -> str:
    """What tells a manifest from one that has been changed."""
    return f"{VERSION} {path.stat().st_mtime_ns} {content_state(path)}"


def _kept(path: Path, index: Path) -> IndexedManifest | None:
    with suppress(Exception):  # whatever is in it: it is made again
        with np.load(index, allow_pickle=False) as arrays:
            said = json.loads(str(arrays["said"]))
            if said.pop("state") == _state(path):
                return IndexedManifest(path, *(arrays[name] for name in ARRAYS), **said)
    return None


def _keep(manifest: IndexedManifest, index: Path) -> None:
    said = {"state": _state(manifest.path), "n_shards": manifest.n_shards, "fingerprint": manifest.fingerprint}
    with atomic_write(index, "wb") as file:
        np.savez(file, said=json.dumps(said), **{name: getattr(manifest, name) for name in ARRAYS})


@dataclass
class _Scanned:
    """What a part of a manifest holds."""

    arrays: dict[str, np.ndarray]
    said: bytes
    """What its fingerprint is of."""
    shards: list[str]
    """Names of the shards that it names, in the order of their numbers there."""
    n_lines: int


def _made(path: Path, jobs: int) -> IndexedManifest:
    with reading(path, ManifestError, "cannot be read"):
        pieces = list(pairwise(_cuts(path)))
    jobs = min(jobs, len(pieces))
    if jobs < 2:
        return _joined(path, [partial(_scan, path, *piece) for piece in pieces])
    with ProcessPoolExecutor(jobs, initializer=leave_to_parent) as pool:
        return _joined(path, [partial(_awaited, pool.submit(_scan, path, *piece), path, *piece) for piece in pieces])


def _awaited(future: Future, path: Path, start: int, end: int, first_line: int) -> "_Scanned":
    """What a process has found, which did not know the number of its first line."""
    try:
        scanned = future.result()
    except ManifestError:
        return _scan(path, start, end, first_line)  # which says in which line
    scanned.arrays["lines"] += first_line - 1
    return scanned


def _cuts(path: Path) -> list[int]:
    """Where a manifest can be cut, behind the ends of lines."""
    cuts, found = [0], path.stat()
    if stat.S_ISFIFO(found.st_mode):
        raise ManifestError(f"{path}: is a pipe; this manifest is read more than once, and must be a file")
    size = found.st_size
    with open(path, "rb") as file:
        check_text(path, file.read(1000))
        while cuts[-1] + CHUNK < size:
            file.seek(cuts[-1] + CHUNK)
            file.readline()
            cuts.append(file.tell())
    return [*cuts, size] if cuts[-1] < size else cuts


def _scan(path: Path, start: int, end: int, first_line: int = 1) -> _Scanned:
    """Looks at each line of a part of a manifest. `first_line`: the number of the part's first, for messages."""
    begins, ends, lines, durations, keys, shards = [], [], [], [], [], []
    said: list[str] = []
    numbers: dict[str, int] = {}
    with reading(path, ManifestError, "cannot be read") as place, open(path, "rb") as file:
        file.seek(start)
        data, behind = file.read(end - start), 0
        place.line = first_line
        for match in LINE.finditer(data):
            place.line += _line_ends(data[behind : match.start()])
            behind = match.end()
            try:
                line = text_of(match[0])
            except UnicodeDecodeError as error:
                raise not_utf8(path, place.line, error) from error
            if not line.strip():
                continue
            fields = checked_line(line, place)
            begins.append(start + match.start())
            ends.append(start + behind)
            lines.append(place.line)
            durations.append(fields["duration"])
            keys.append(key_of(fields["id"]))
            in_shard = fields.get("offset") is not None
            shards.append(numbers.setdefault(fields["audio"], len(numbers)) if in_shard else -1)
            said.append(fingerprint_line(fields))
    n_lines = place.line - first_line + _line_ends(data[behind:])
    whole = (np.array(values, np.int64) for values in (begins, ends, lines))
    found = (*whole, np.array(durations, np.float64), np.array(keys, np.uint64), np.array(shards, np.int32))
    return _Scanned(dict(zip(ARRAYS, found, strict=True)), "".join(said).encode(), list(numbers), n_lines)


def _line_ends(gap: bytes) -> int:
    """How many lines end in what is between two that hold something."""
    return 1 if gap == b"\n" else gap.replace(b"\r\n", b"\n").replace(b"\r", b"\n").count(b"\n")


def _joined(path: Path, parts: Iterable[Callable[[int], _Scanned]]) -> IndexedManifest:
    """The index of a manifest out of those of its parts. Raises ManifestError for the first line that is wrong."""
    digest, numbers, found, n_lines = hashlib.sha256(), {}, [], 0
    for part in parts:
        scanned = part(n_lines + 1)
        digest.update(scanned.said)
        of_whole = np.array([*(numbers.setdefault(name, len(numbers)) for name in scanned.shards), -1], np.int32)
        scanned.arrays["shards"] = of_whole[scanned.arrays["shards"]]
        found.append(scanned.arrays)
        n_lines += scanned.n_lines
    if not sum(len(arrays["begins"]) for arrays in found):
        raise ManifestError(f"{path}: holds no utterance")
    arrays = {name: np.concatenate([arrays[name] for arrays in found]) for name in ARRAYS}
    manifest = IndexedManifest(path, **arrays, n_shards=len(numbers), fingerprint=digest.hexdigest()[:16])
    _require_unique(manifest)
    return manifest


def _require_unique(manifest: IndexedManifest) -> None:
    """Raises ManifestError where two lines have an id."""
    if pair := first_repeated(manifest, manifest.keys):
        later, earlier = pair
        again = manifest[later]
        raise ManifestError(
            f"{again.where}: id must be unique, {quoted(again.id)} is already on line {manifest.lines[earlier]}"
        )
