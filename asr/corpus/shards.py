"""A corpus in a few large tar files in the place of a file for each utterance: copied, listed and opened as few.

    NAME-000000.tar    KEY.flac, KEY.txt and KEY.json for each utterance, one after another, as webdataset and WeNet read them
    NAME-000000.jsonl  the lines of the manifest for this shard: a shard that has them is complete
    NAME.jsonl         the manifest of all, in the order in which they were: `audio` names the shard, `offset` and `bytes` say
                       where in it the recording lies, `crc32` is its checksum

Each utterance can be read without what is before it, so that a run goes on anywhere at once.
"""

import io
import json
import random
import re
import tarfile
import zlib
from array import array
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import soundfile

from asr.audio.reading import SAMPLE_RATE
from asr.corpus.indexed import Chosen, Utterances, first_repeated
from asr.corpus.indexing import open_manifest
from asr.corpus.manifest import Member, Utterance, read_manifest, write_manifest
from asr.errors import AsrError, AudioError, ManifestError, UsageError
from asr.files import atomic_write
from asr.foreign_bytes import quoted, reading
from asr.places import require_file, require_writable

CODECS = {"flac": ("FLAC", "PCM_16", ".flac"), "opus": ("OGG", "OPUS", ".opus"), "wav": ("WAV", "PCM_16", ".wav")}
"""Name → libsndfile's format and kind of samples, and a suffix. FLAC and WAV keep 16 bits of each sample."""

DIGITS = 6
"""Of a shard's number."""
LINES = 200_000
"""Of the whole manifest that are put together in one go: some 70 MB."""
LONGEST_KEY = 64
"""Characters of an id that the names of its members show: they stand in a tar header of a fixed size."""


@dataclass(frozen=True)
class Sharding:
    """How a corpus is cut into shards."""

    hours: float = 1.0
    """Audio in a shard; about 60 MB an hour as FLAC, 12 as Opus."""
    codec: str = "flac"
    """One of CODECS."""
    seed: int | None = 1
    """Of the order in which utterances lie, so that neighbours differ in speaker; None keeps that of the manifests."""
    skip_broken: bool = False
    """Whether utterances whose audio cannot be read are left out."""

    @property
    def suffix(self) -> str:
        """Of recordings."""
        return CODECS[self.codec][2]

    def __post_init__(self):
        if self.codec not in CODECS:
            raise UsageError(f"codec must be one of {', '.join(CODECS)}, is {quoted(self.codec)}")
        if not self.hours > 0:
            raise UsageError(f"hours must be above 0, is {self.hours:g}")


@dataclass(frozen=True)
class Sharded:
    """What became of it."""

    manifest: Path
    """That of all shards; not written where something is broken that was not to be skipped."""
    shards: int
    """How many tar files there are."""
    utterances: int
    """How many utterances are in them."""
    broken: tuple[str, ...]
    """What could not be read, a line each."""


def write_shards(
    manifests: Sequence[str | Path],
    out: str | Path,
    sharding: Sharding = Sharding(),
    *,
    name: str = "",
    jobs: int = 1,
    progress: Callable[[str], None] = lambda line: None,
) -> Sharded:
    """Writes the utterances of some manifests into shards in a folder. The same call goes on where it was interrupted.

    `name`: of manifest and shards, that of the first manifest by default. `jobs`: processes. Raises ManifestError where two
    utterances have an id, AsrError where the folder holds shards of other utterances under the name.
    """
    out, name = Path(out), name or Path(manifests[0]).stem
    utterances, lots = plan_shards(manifests, sharding)
    paths = [_shard(out / name, number) for number in range(len(lots))]
    _refuse_others(out, name, [Chosen(utterances, lot) for lot in lots], paths, sharding)
    manifest = out / f"{name}.jsonl"
    require_writable(out)
    require_file(manifest, force=True, inputs=list(map(Path, manifests)))
    broken: list[str] = []
    write = partial(_write_numbered, out / name, sharding)
    for path, errors in zip(paths, utterances.each_lot(write, lots, jobs), strict=True):
        broken += errors
        progress(f"{path}: {'not written' if errors and not sharding.skip_broken else 'there'}")
    if broken and not sharding.skip_broken:
        return Sharded(manifest, len(paths), 0, tuple(broken))
    inside = [_inside(path, Chosen(utterances, lot)) for path, lot in zip(paths, lots, strict=True)]
    return Sharded(manifest, len(paths), _join_lines(manifest, paths, inside), tuple(broken))


def plan_shards(manifests: Sequence[str | Path], sharding: Sharding) -> tuple[Utterances, list[np.ndarray]]:
    """The utterances of some manifests, and for each shard the numbers of those in it, in their order there.

    Raises ManifestError where two utterances have an id.
    """
    utterances = Utterances([open_manifest(path) for path in manifests])
    if pair := first_repeated(utterances, utterances.keys):
        again, first = (utterances[number] for number in pair)
        raise ManifestError(f"{again.where}: id must be unique, {quoted(again.id)} is already in {first.where}")
    order = _order(len(utterances), sharding.seed)
    return utterances, np.split(order, _cuts(utterances.durations[order], 3600 * sharding.hours))


def _order(n: int, seed: int | None) -> np.ndarray:
    """(n,) the numbers from 0 on as random.Random(seed).sample would draw them, which shuffles from the end."""
    order = array("q", range(n))
    if seed is not None:
        random.Random(seed).shuffle(order)
        order.reverse()
    return np.frombuffer(order, np.int64)


def _cuts(durations: np.ndarray, seconds: float) -> list[int]:
    """Where neighbours are cut so that so many seconds lie together, a little less or one utterance more."""
    cuts, total, begin = [], 0.0, 0
    for n, duration in enumerate(durations):
        if n > begin and total + duration / 2 > seconds:
            cuts.append(n)
            total, begin = 0.0, n
        total += duration
    return cuts


def _refuse_others(
    out: Path, name: str, lots: Sequence[Sequence[Utterance]], paths: Sequence[Path], sharding: Sharding
) -> None:
    """Raises AsrError where what lies there under the name would not be the same."""
    lines = {_lines_of(path) for path in paths}
    others = [path for path in out.glob(f"{name}-{'[0-9]' * DIGITS}.jsonl") if path not in lines]
    for path, lot in zip(paths, lots, strict=True):
        if _lines_of(path).exists() and not _is_of(path, lot, sharding):
            others.append(_lines_of(path))
    if others:
        raise AsrError(
            f"{min(others)}: is of a shard of other utterances, or cut otherwise; choose another --out or --name"
        )


def _is_of(shard: Path, utterances: Sequence[Utterance], sharding: Sharding) -> bool:
    """Whether a shard that is there holds these utterances, in this codec."""
    there = [_said(u) for u in _written(shard)]
    wanted = [_said(u) for u in utterances]
    if sharding.skip_broken:
        left = set(there)
        wanted = [said for said in wanted if said in left]
    return shard.exists() and there == wanted and (not there or _first_name(shard).endswith(sharding.suffix))


def _first_name(shard: Path) -> str:
    with reading(shard, AsrError, "no tar file"), tarfile.open(shard) as tar:
        return tar.next().name


def _said(u: Utterance) -> tuple[str, str, str]:
    return u.id, u.text, u.speaker


def _shard(stem: Path, number: int) -> Path:
    return stem.with_name(f"{stem.name}-{number:0{DIGITS}d}.tar")


def _lines_of(shard: Path) -> Path:
    return shard.with_suffix(".jsonl")


def _written(shard: Path) -> list[Utterance]:
    """The utterances of a shard that is complete; none where all were broken."""
    lines = _lines_of(shard)
    return read_manifest(lines) if lines.stat().st_size else []


def _inside(shard: Path, lot: Chosen) -> np.ndarray:
    """The numbers of those utterances of a shard that are in it, in their order there."""
    ids = {u.id for u in _written(shard)}
    return lot.numbers if len(ids) == len(lot) else np.array([n for n in lot.numbers if lot.of[n].id in ids], np.int64)


def _join_lines(manifest: Path, shards: Sequence[Path], inside: Sequence[np.ndarray]) -> int:
    """Writes the lines of all shards in the order of the utterances' numbers, some at a time; returns how many."""
    with atomic_write(manifest, "wb") as file:
        for first in range(0, 1 + max((int(numbers.max(initial=0)) for numbers in inside), default=0), LINES):
            lines = [b""] * LINES
            for shard, numbers in zip(shards, inside, strict=True):
                here = np.flatnonzero((numbers >= first) & (numbers < first + LINES))
                of_shard = _lines_of(shard).read_bytes().splitlines(keepends=True) if len(here) else []
                for place in here:
                    lines[numbers[place] - first] = of_shard[place]
            file.writelines(lines)
    return sum(map(len, inside))


class _Broken(Exception):
    """A shard is not to be written."""


def _write_numbered(stem: Path, sharding: Sharding, number: int, utterances: Sequence[Utterance]) -> list[str]:
    return _write_shard(_shard(stem, number), utterances, sharding)


def _write_shard(path: Path, utterances: Sequence[Utterance], sharding: Sharding) -> list[str]:
    """What of a shard could not be read; the shard is written unless it is there."""
    if _lines_of(path).exists():
        return []
    inside: list[Utterance] = []
    broken: list[str] = []
    with suppress(_Broken):
        with atomic_write(path, "wb") as file, tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for u in utterances:
                try:
                    inside.append(_added(tar, path, u, len(inside), sharding))
                except AudioError as error:
                    broken.append(str(error))
            if broken and not sharding.skip_broken:
                raise _Broken
        write_manifest(_lines_of(path), inside)
    return broken


def _added(tar: tarfile.TarFile, shard: Path, u: Utterance, number: int, sharding: Sharding) -> Utterance:
    """An utterance, put into a tar file that will be called `shard`: as it is there."""
    encoded = io.BytesIO()
    file_format, kind, _ = CODECS[sharding.codec]
    soundfile.write(encoded, u.read(), SAMPLE_RATE, format=file_format, subtype=kind)
    recording = encoded.getvalue()
    key = f"{number:06d}-{re.sub(r'[^A-Za-z0-9_-]', '_', u.id)[:LONGEST_KEY]}"
    offset = _put(tar, key + sharding.suffix, recording)
    _put(tar, f"{key}.txt", u.text.encode())
    said = {"id": u.id, "text": u.text, "duration": u.duration, "speaker": u.speaker, "source": u.source, **u.extra}
    _put(tar, f"{key}.json", json.dumps(said, ensure_ascii=False).encode())
    return replace(
        u, audio=shard, member=Member(offset, len(recording), zlib.crc32(recording)), start=0.0, channel=None
    )


def _put(tar: tarfile.TarFile, name: str, content: bytes) -> int:
    """Adds a file, and returns where its first byte is."""
    header = tarfile.TarInfo(name)
    header.size = len(content)
    tar.addfile(header, io.BytesIO(content))
    return tar.offset - -(-len(content) // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
