"""Utterances and the JSONL manifests that list them, one JSON object a line.

    {"id": "S1-003", "audio": "wav/S1/003.wav", "duration": 3.21, "text": "今天天气很好", "speaker": "S1"}

`audio` is relative to the manifest's folder. `start` and `duration` (seconds) may name a part of a longer file. With `offset` and
`bytes` it is a shard, a tar file that holds many recordings (asr/corpus/shards.py).
Fields that are not known survive in `extra`.
"""

import io
import json
import os
import re
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path

import numpy as np

from asr.audio.reading import SAMPLE_RATE, read_samples
from asr.errors import AudioError, ManifestError, ShardError
from asr.files import atomic_write, on_disk, read_lines, several_errors
from asr.foreign_bytes import HALF_CHARACTER, listed, quoted, reading, reason


@dataclass(frozen=True)
class Member:
    """A recording inside a tar file."""

    offset: int
    """Its first byte."""
    size: int
    """Bytes."""
    crc32: int | None = None
    """Their checksum; None where the manifest does not say it."""

    @contextmanager
    def opened(self, shard: Path) -> Iterator[Path]:
        """A path to the recording alone.

        Raises ShardError where the shard cannot be read, or no member of this size begins there; AudioError for a recording
        that is damaged or is another one.
        """
        try:
            with open(shard, "rb") as file:
                file.seek(self.offset - tarfile.BLOCKSIZE)
                header, content = file.read(tarfile.BLOCKSIZE), file.read(self.size)
        except OSError as error:
            raise ShardError(f"{shard}: cannot be read ({reason(error)}); put it back, or write it again") from error
        try:
            fits = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape").size == len(content) == self.size
        except tarfile.HeaderError:
            fits = False
        if not fits:
            raise ShardError(
                f"{shard}: no recording of {self.size:,} bytes is at byte {self.offset:,}: the file is cut off, or another than"
                " the manifest was written with; write both again with asr corpus shard"
            )
        if self.crc32 not in (None, zlib.crc32(content)):
            raise AudioError(
                f"{shard}: the recording at byte {self.offset:,} is damaged, or another than the manifest's"
            )
        with on_disk(io.BytesIO(content)) as path:
            yield path


@dataclass(frozen=True)
class Utterance:
    """One piece of speech and what was said."""

    id: str
    """Unique within its manifest."""
    audio: Path
    """The file; resolved, so that it can be opened from anywhere."""
    duration: float
    """Seconds."""
    text: str
    """The transcript as it was given, not normalised."""
    start: float = 0.0
    """Where the utterance begins in the file, in seconds."""
    speaker: str = ""
    """Who speaks; empty where it is not known."""
    channel: int | None = None
    """The channel of the file to use, counted from 0; None averages all."""
    source: str = ""
    """The corpus or collection it is from."""
    extra: dict = field(default_factory=dict)
    """All other fields of the line."""
    where: str = field(default="", compare=False)
    """File and line it was read from, for messages."""
    member: Member | None = None
    """Where in `audio`, then a shard, its recording lies; None where the file is the recording."""

    def read(self) -> np.ndarray:
        """Its audio: (S,) float32 at 16 kHz. Raises AudioError, also where the file ends before the utterance does."""
        try:
            with self.recording() as path:
                samples = read_samples(path, self.start, self.duration, self.channel)
        except AudioError as error:
            raise type(error)(f"{self.where}: {error} ({self.id})") from error
        except (OSError, MemoryError) as error:
            raise AudioError(f"{self.where}: {self.audio}: cannot be read ({error}) ({self.id})") from error
        seconds = len(samples) / SAMPLE_RATE
        if seconds < self.shortest:
            raise AudioError(
                f"{self.where}: duration must be at most what {self.audio} holds, is {self.duration:g} s from"
                f" {self.start:g} s on; there are {seconds:.2f} s ({self.id})"
            )
        return samples

    def recording(self) -> AbstractContextManager[Path]:
        """A path to the recording that it is in. Raises AudioError where its shard is another one."""
        return self.member.opened(self.audio) if self.member else nullcontext(self.audio)

    @property
    def shortest(self) -> float:
        """Seconds that its audio must have at least: not quite its duration, but never nothing."""
        return self.duration - min(TOLERANCE, self.duration / 2)

    def value(self, name: str) -> str:
        """A field or extra field by name, as text: what `--by NAME` groups on."""
        value = getattr(self, name) if name in ("speaker", "channel", "source") else self.extra.get(name)
        return "" if value is None else str(value)


TOLERANCE = 0.5
"""Seconds that a file may be shorter than its utterance says: tables round, and codecs pad."""
LONGEST = 1e9
"""Seconds; more is no length of a recording."""
MOST_BYTES = 1 << 30
"""Of a recording in a shard, which is read as one."""
REMEMBERED = 10_000
"""Names of files; shards are far fewer."""
LAST_CHANNEL = 65535
"""No file has more: formats count them in 16 bits."""
_SUSPECT = re.compile(r"\\u(?:[dD][89a-fA-F]|0000)")
"""What may be one of these, in a line as it stands; most likely two halves that make a character."""
_NO_CHARACTER = re.compile(HALF_CHARACTER.pattern + r"|\\u0000")
"""Half a character, and, as JSON writes it, what ends a path."""
REQUIRED = ("id", "audio", "duration", "text")
MEMBER = ("offset", "bytes", "crc32")
"""Of a line whose audio is a shard; the last may be left out."""
OPTIONAL_TYPES = {"start": (int, float), "speaker": str, "channel": int, "source": str}


def read_manifest(path: str | Path) -> list[Utterance]:
    """All utterances of a manifest. Raises ManifestError with file, line, rule and value for the first line that is wrong."""
    path = Path(path)
    utterances: list[Utterance] = []
    lines_of: dict[str, int] = {}
    named = audio_of(path.parent)
    with reading(path, ManifestError, "cannot be read") as place:
        for place.line, line in enumerate(read_lines(path), 1):
            if not line.strip():
                continue
            where = str(place)
            utterance = utterance_on(checked_line(line, where), where, named)
            if utterance.id in lines_of:
                raise ManifestError(
                    f"{where}: id must be unique, {quoted(utterance.id)} is already on line {lines_of[utterance.id]}"
                )
            lines_of[utterance.id] = place.line
            utterances.append(utterance)
    if not utterances:
        raise ManifestError(f"{path}: holds no utterance")
    return utterances


def write_manifest(path: str | Path, utterances: Iterable[Utterance]) -> int:
    """Writes one line an utterance, audio relative to the manifest's folder; returns how many."""
    folder = Path(path).parent.resolve()
    count = 0
    with atomic_write(path) as file:
        for utterance in utterances:
            file.write(json.dumps(_to_json(utterance, folder), ensure_ascii=False) + "\n")
            count += 1
    return count


def json_object(line: str, where: object) -> dict:
    """The JSON object on a line. Raises ManifestError where there is none."""
    try:
        data = json.loads(line)
    except (ValueError, RecursionError) as error:
        why = getattr(error, "msg", None) or reason(error)
        raise ManifestError(f"{where}: each line must be a JSON object, is {line.strip()[:60]!r} ({why})") from None
    if not isinstance(data, dict):
        raise ManifestError(f"{where}: each line must be a JSON object, is {line.strip()[:60]!r}")
    if _SUSPECT.search(line) and (bad := _NO_CHARACTER.search(json.dumps(data, ensure_ascii=False))):
        raise ManifestError(f"{where}: holds {quoted(bad[0])}, which is no character; correct the line or drop it")
    return data


def checked_line(line: str, where: object) -> dict:
    """The fields of a line. Raises ManifestError where one is missing or wrong; `where`: what the message begins with."""
    data = json_object(line, where)
    for name in REQUIRED:
        if name not in data:
            hint = (
                "; `asr corpus import` makes a manifest of such a list"
                if {"key", "audio_filepath"} & data.keys()
                else ""
            )
            raise ManifestError(
                f"{where}: field {quoted(name)} is missing; the line has {listed(data) or 'no field'}{hint}"
            )
    for name in ("id", "audio", "text"):
        if not isinstance(data[name], str) or (name != "text" and not data[name].strip()):
            rule = "a text" if name == "text" else "a text that is not empty"
            raise ManifestError(f"{where}: {name} must be {rule}, is {quoted(data[name])}")
    if re.search(r"\s", data["id"]):
        raise ManifestError(f"{where}: id must hold no space, is {quoted(data['id'])}")
    for name, types in OPTIONAL_TYPES.items():
        if data.get(name) is not None and (not isinstance(data[name], types) or isinstance(data[name], bool)):
            kind = {"start": "a number", "channel": "a whole number"}.get(name, "a text")
            raise ManifestError(f"{where}: {name} must be {kind}, is {quoted(data[name])}")
    if not 0 <= (data.get("channel") or 0) <= LAST_CHANNEL:
        raise ManifestError(f"{where}: channel must be from 0 to {LAST_CHANNEL}, is {quoted(data['channel'])}")
    _check_seconds(where, "duration", data["duration"], positive=True)
    _check_seconds(where, "start", data.get("start") or 0.0, positive=False)
    _member(data, where)
    return data


def audio_of(folder: Path) -> Callable[[str], Path]:
    """What `audio` names in a manifest of a folder: a whole path. It remembers, for the system is asked about each folder."""
    resolve = cache(Path.resolve)

    @lru_cache(REMEMBERED)
    def named(name: str) -> Path:
        audio = folder / name
        audio = resolve(audio.parent) / audio.name
        return audio.resolve() if audio.is_symlink() else audio

    return named


def utterance_on(data: dict, where: str, named: Callable[[str], Path]) -> Utterance:
    """The utterance on a line that has been checked; `named`: see `audio_of`."""
    known = {name: data[name] for name in OPTIONAL_TYPES if data.get(name) is not None}
    extra = {k: v for k, v in data.items() if k not in REQUIRED and k not in OPTIONAL_TYPES and k not in MEMBER}
    return Utterance(
        data["id"],
        named(data["audio"]),
        float(data["duration"]),
        data["text"],
        member=_member(data, where),
        extra=extra,
        where=where,
        **known,
    )


def fingerprint_line(data: dict) -> str:
    """What tells an utterance, by its fields, from another one, whatever its audio is called."""
    channel = "" if data.get("channel") is None else f"\t{data['channel']}"
    start = 0.0 if data.get("start") is None else data["start"]
    return f"{data['id']}\t{start}\t{float(data['duration'])}{channel}\t{data['text']}\n"


def _member(data: dict, where: object) -> Member | None:
    """What a line says of its place in a shard."""
    offset, size, crc32 = (data.get(name) for name in MEMBER)
    if offset is size is None:
        return None
    whole = all(isinstance(number, int) and not isinstance(number, bool) for number in (offset, size, crc32 or 0))
    if not whole or not tarfile.BLOCKSIZE <= offset < 1 << 60 or not 0 < size <= MOST_BYTES:
        raise ManifestError(
            f"{where}: offset and bytes must be whole numbers that say where in a tar file the audio lies, are"
            f" {quoted(offset)} and {quoted(size)}"
        )
    return Member(offset, size, crc32)


def _check_seconds(where: object, name: str, value: object, positive: bool) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 <= value < LONGEST or (positive and value == 0):
        rule = "above 0" if positive else "0 or more"
        raise ManifestError(f"{where}: {name} must be {rule} seconds, is {quoted(value)}; correct the line or drop it")


def _to_json(utterance: Utterance, folder: Path) -> dict:
    data: dict = {
        "id": utterance.id,
        "audio": Path(os.path.relpath(Path(utterance.audio).resolve(), folder)).as_posix(),
        "duration": round(utterance.duration, 4),
        "text": utterance.text,
    }
    if utterance.start:
        data["start"] = round(utterance.start, 4)
    if utterance.member:
        place = zip(MEMBER, (utterance.member.offset, utterance.member.size, utterance.member.crc32), strict=True)
        data |= {name: value for name, value in place if value is not None}
    for name in ("speaker", "channel", "source"):
        if getattr(utterance, name) not in ("", None):
            data[name] = getattr(utterance, name)
    return data | utterance.extra


def missing_audio(utterances: Iterable[Utterance]) -> dict[Path, str]:
    """Each file that is not there, or is no file, and what is to be said of its first utterance."""
    of_file: dict[Path, Utterance] = {}
    for u in utterances:
        of_file.setdefault(u.audio, u)
    missing = (u for u in of_file.values() if not os.path.isfile(u.audio))
    return {u.audio: f"{u.where}: {u.audio}: no such file ({u.id})" for u in missing}


def check_audio(utterances: Iterable[Utterance]) -> None:
    """Raises AudioError where files are not there, and names them: better at once than in the middle of the work."""
    refuse_missing(list(missing_audio(utterances).values()))


REMEDY = "; put the audio back, or leave them out with asr corpus import MANIFEST --skip-broken --out NEW"


def refuse_missing(errors: Sequence[str]) -> None:
    """Raises AudioError where there are errors of files that are not there."""
    if errors:
        raise AudioError(several_errors(errors, "files are not there", REMEDY))
