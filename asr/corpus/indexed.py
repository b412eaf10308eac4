"""Manifests of any length: where each line begins, and of what is on it what planning asks for; the rest is read when it is used.

An utterance takes 44 bytes here (asr/corpus/indexing.py makes them).
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from asr.corpus.manifest import Utterance, audio_of, utterance_on
from asr.errors import ManifestError
from asr.foreign_bytes import reading
from asr.stopping import leave_to_parent

BLOCK = 10_000
"""Utterances whose lines are read in one go."""
PART = 50_000
"""Utterances that a process looks at in one go."""
Result = TypeVar("Result")


@dataclass(eq=False)
class IndexedManifest(Sequence[Utterance]):
    """The utterances of one manifest, each read from its line when it is asked for."""

    path: Path
    """The manifest."""
    begins: np.ndarray
    """(N,) first byte of each line that holds something."""
    ends: np.ndarray
    """(N,) the byte behind it."""
    lines: np.ndarray
    """(N,) its number, from 1."""
    durations: np.ndarray
    """(N,) seconds."""
    keys: np.ndarray
    """(N,) a hash of each id."""
    shards: np.ndarray
    """(N,) in which of the manifest's shards it lies, -1 for a file of its own."""
    n_shards: int
    """How many shards there are."""
    fingerprint: str
    """A hash of ids, lengths, channels and texts, in order; not of paths, for a corpus may move."""
    held: bytes | None = None
    """All of it, where that is not much: it may then change meanwhile."""
    _file: Any = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.begins)

    def __getitem__(self, i):
        if isinstance(i, slice):
            return [self[j] for j in range(*i.indices(len(self)))]
        return self._utterance(self._bytes(self.begins[i], self.ends[i]), int(i))

    def __iter__(self) -> Iterator[Utterance]:
        return self.part(0, len(self))

    def part(self, first: int, last: int) -> Iterator[Utterance]:
        """Those from number `first` to before number `last`, read in one go."""
        for begin in range(first, last, BLOCK):
            end = min(begin + BLOCK, last)
            start = int(self.begins[begin])
            data = self._bytes(start, self.ends[end - 1])
            for i in range(begin, end):
                yield self._utterance(data[self.begins[i] - start : self.ends[i] - start], i)

    def _utterance(self, line: bytes, i: int) -> Utterance:
        """Raises ManifestError where the line is another than when the index was made."""
        where = f"{self.path}:{self.lines[i]}"
        try:
            utterance = utterance_on(json.loads(text_of(line)), where, self._named)
            if key_of(utterance.id) == self.keys[i] and utterance.duration == self.durations[i]:
                return utterance
        except (ValueError, KeyError, TypeError, RecursionError):
            pass
        raise ManifestError(f"{where}: has changed since the run was started; put it back as it was")

    def _bytes(self, begin: int, end: int) -> bytes:
        return os.pread(self._opened(), int(end - begin), int(begin)) if self.held is None else self.held[begin:end]

    def _opened(self) -> int:
        """The file, in each process; it stays open, so that it may be replaced meanwhile."""
        if self._file is None:
            with reading(self.path, ManifestError):
                self._file = open(self.path, "rb")  # noqa: SIM115
        return self._file.fileno()

    @cached_property
    def _named(self) -> Callable[[str], Path]:
        return audio_of(self.path.parent)

    def __getstate__(self) -> dict:
        return {name: value for name, value in vars(self).items() if name != "_named"} | {"_file": None}


def text_of(line: bytes) -> str:
    return line.decode("utf-8").lstrip("\ufeff")


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def key_of(id: str) -> int:
    return int.from_bytes(hashlib.blake2b(id.encode(), digest_size=8).digest(), "little")


class Utterances(Sequence[Utterance]):
    """The utterances of several manifests, one manifest after the other; one may come several times."""

    def __init__(self, manifests: Sequence[IndexedManifest]):
        self.manifests = tuple(manifests)
        self.ends = np.cumsum([len(manifest) for manifest in manifests])
        self.durations, self.keys = (
            np.concatenate([getattr(manifest, name) for manifest in manifests] or [[]])
            for name in ("durations", "keys")
        )

    @property
    def shards(self) -> np.ndarray:
        """(N,) the number of the shard of each, -1 for a file of its own; manifests share none."""
        first = np.cumsum([0, *(manifest.n_shards for manifest in self.manifests)])
        shifted = [np.where(m.shards < 0, -1, m.shards + n) for m, n in zip(self.manifests, first, strict=False)]
        return np.concatenate(shifted or [np.empty(0, np.int64)])

    @property
    def fingerprint(self) -> str:
        """A hash of ids, lengths, channels and texts, in order."""
        each = [manifest.fingerprint for manifest in self.manifests]
        return each[0] if len(each) == 1 else hashlib.sha256("\n".join(each).encode()).hexdigest()[:16]

    def __add__(self, other: "Utterances") -> "Utterances":
        return Utterances([*self.manifests, *other.manifests])

    def __len__(self) -> int:
        return len(self.durations)

    def __getitem__(self, i):
        if isinstance(i, slice):
            return [self[j] for j in range(*i.indices(len(self)))]
        i = range(len(self))[i]
        number = int(np.searchsorted(self.ends, i, side="right"))
        manifest = self.manifests[number]
        return manifest[i - int(self.ends[number]) + len(manifest)]

    def __iter__(self) -> Iterator[Utterance]:
        return (utterance for manifest in self.manifests for utterance in manifest)

    def sample(self, most: int) -> list[Utterance]:
        """So many of them at most, evenly spread."""
        return self[:: max(1, -(-len(self) // most))]

    def only(self, which: np.ndarray) -> "Chosen":
        """Those for which `which` (N,) is true."""
        return Chosen(self, np.flatnonzero(which))

    def numbered(self, ids: Iterable[str]) -> np.ndarray:
        """The numbers of the utterances that have one of some ids."""
        return np.flatnonzero(np.isin(self.keys, np.array([key_of(id) for id in ids], np.uint64)))

    def each_part(self, work: Callable[[Iterable[Utterance]], Result], jobs: int | None = None) -> Iterator[Result]:
        """What becomes of all utterances, in parts of at most PART; where there are several parts, in processes."""
        parts = [(m, n, min(n + PART, len(m))) for m in self.manifests for n in range(0, len(m), PART)]
        jobs = min(jobs or cores(), len(parts))
        if jobs < 2 or len(self) <= PART:
            yield from (_part(work, *part) for part in parts)
            return
        with ProcessPoolExecutor(jobs, initializer=_in_a_process, initargs=(self, work)) as pool:
            numbers = {id(manifest): number for number, manifest in enumerate(self.manifests)}
            yield from pool.map(_given_part, *zip(*((numbers[id(m)], *ends) for m, *ends in parts), strict=True))

    def each_lot(
        self, work: Callable[[int, "Chosen"], Result], lots: Sequence[np.ndarray], jobs: int = 1
    ) -> Iterator[Result]:
        """What becomes of each lot of utterances, given by their numbers: work(number of the lot, its utterances)."""
        if jobs < 2:
            yield from (work(number, Chosen(self, lot)) for number, lot in enumerate(lots))
            return
        with ProcessPoolExecutor(jobs, initializer=_in_a_process, initargs=(self, work)) as pool:
            yield from pool.map(_given_lot, range(len(lots)), lots)


def _part(work: Callable[[Iterable[Utterance]], Result], manifest: IndexedManifest, first: int, last: int) -> Result:
    return work(manifest.part(first, last))


_given: tuple = ()
"""In a process of a pool: all utterances, and what is done with their parts; sent once and not with each part."""


def _in_a_process(*given: Any) -> None:
    global _given
    leave_to_parent()
    _given = given


def _given_part(number: int, first: int, last: int) -> Any:
    utterances, work = _given
    return _part(work, utterances.manifests[number], first, last)


def _given_lot(number: int, lot: np.ndarray) -> Any:
    utterances, work = _given
    return work(number, Chosen(utterances, lot))


@dataclass(frozen=True, eq=False)
class Chosen(Sequence[Utterance]):
    """Some of many utterances."""

    of: Utterances
    """All of them."""
    numbers: np.ndarray
    """(N,) which ones."""

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, i):
        return [self.of[j] for j in self.numbers[i]] if isinstance(i, slice) else self.of[self.numbers[i]]

    @property
    def seconds(self) -> float:
        """Audio of all of them."""
        return float(self.of.durations[self.numbers].sum())


def first_repeated(utterances: Sequence[Utterance], keys: np.ndarray) -> tuple[int, int] | None:
    """Numbers of the first utterance whose id an earlier one has, and of the earliest that has it; None where all differ.

    `keys` (N,): hashes of the ids, which are compared themselves where these are equal.
    """
    order = np.argsort(keys, kind="stable")
    in_order = keys[order]
    for later in np.sort(order[1:][in_order[1:] == in_order[:-1]]):
        first, last = (int(np.searchsorted(in_order, keys[later], side)) for side in ("left", "right"))
        for earlier in order[first:last]:
            if earlier < later and utterances[earlier].id == utterances[later].id:
                return int(later), int(earlier)
    return None
