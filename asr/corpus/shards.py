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
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import soundfile

from asr.audio.reading import SAMPLE_RATE
from asr.corpus.manifest import Member, Utterance, read_manifest, write_manifest
from asr.errors import AsrError, AudioError, ManifestError, UsageError
from asr.files import atomic_write
from asr.foreign_bytes import quoted, reading
from asr.stopping import leave_to_parent

CODECS = {"flac": ("FLAC", "PCM_16", ".flac"), "opus": ("OGG", "OPUS", ".opus"), "wav": ("WAV", "PCM_16", ".wav")}
"""Name → libsndfile's format and kind of samples, and a suffix. FLAC and WAV keep 16 bits of each sample."""

DIGITS = 6
"""Of a shard's number."""
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
    utterances = _unique(u for path in manifests for u in read_manifest(path))
    parts = list(_parts(_shuffled(utterances, sharding.seed), 3600 * sharding.hours))
    paths = [out / f"{name}-{number:0{DIGITS}d}.tar" for number in range(len(parts))]
    _refuse_others(out, name, parts, paths, sharding)
    out.mkdir(parents=True, exist_ok=True)
    broken: list[str] = []
    write = partial(_write_shard, sharding=sharding)
    with ProcessPoolExecutor(jobs, initializer=leave_to_parent) as pool:
        for path, errors in zip(paths, (pool.map if jobs > 1 else map)(write, paths, parts), strict=True):
            broken += errors
            progress(f"{path}: {'not written' if errors and not sharding.skip_broken else 'there'}")
    manifest = out / f"{name}.jsonl"
    if broken and not sharding.skip_broken:
        return Sharded(manifest, len(paths), 0, tuple(broken))
    inside = {u.id: u for path in paths for u in _written(path)}
    n = write_manifest(manifest, (inside[u.id] for u in utterances if u.id in inside))
    return Sharded(manifest, len(paths), n, tuple(broken))


def _unique(utterances: Iterable[Utterance]) -> list[Utterance]:
    by_id: dict[str, Utterance] = {}
    for u in utterances:
        if (other := by_id.setdefault(u.id, u)) is not u:
            raise ManifestError(f"{u.where}: id must be unique, {quoted(u.id)} is already in {other.where}")
    return list(by_id.values())


def _shuffled(utterances: Sequence[Utterance], seed: int | None) -> Sequence[Utterance]:
    return utterances if seed is None else random.Random(seed).sample(utterances, len(utterances))


def _parts(utterances: Sequence[Utterance], seconds: float) -> Iterator[list[Utterance]]:
    """Neighbours of so many seconds together, a little less or one utterance more."""
    part: list[Utterance] = []
    total = 0.0
    for u in utterances:
        if part and total + u.duration / 2 > seconds:
            yield part
            part, total = [], 0.0
        part.append(u)
        total += u.duration
    if part:
        yield part


def _refuse_others(
    out: Path, name: str, parts: Sequence[Sequence[Utterance]], paths: Sequence[Path], sharding: Sharding
) -> None:
    """Raises AsrError where what lies there under the name would not be the same."""
    lines = {_lines_of(path) for path in paths}
    others = [path for path in out.glob(f"{name}-{'[0-9]' * DIGITS}.jsonl") if path not in lines]
    for path, part in zip(paths, parts, strict=True):
        if _lines_of(path).exists() and not _is_of(path, part, sharding):
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


def _lines_of(shard: Path) -> Path:
    return shard.with_suffix(".jsonl")


def _written(shard: Path) -> list[Utterance]:
    """The utterances of a shard that is complete; none where all were broken."""
    lines = _lines_of(shard)
    return read_manifest(lines) if lines.stat().st_size else []


class _Broken(Exception):
    """A shard is not to be written."""


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
