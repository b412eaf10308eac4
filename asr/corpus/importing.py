"""A table (TSV, CSV), a list of JSON lines or a Kaldi directory as utterances."""

import csv
import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from asr.audio.reading import counted_duration
from asr.corpus.lhotse_cuts import is_cuts, read_cuts
from asr.corpus.manifest import Utterance, json_object
from asr.corpus.rows import end_of, seconds_of, utterance_of
from asr.corpus.tables import COLUMNS, table_reader
from asr.errors import AudioError, ManifestError
from asr.files import read_lines
from asr.foreign_bytes import listed, quoted, reading

JSON_NAMES = COLUMNS | {
    "id": ("id", "key", "utt", "utt_id", "uttid"),
    "audio": ("audio", "wav", "audio_filepath", "path", "source"),
    "text": tuple(dict.fromkeys(("text", "txt", "target", *COLUMNS["text"]))),
    "start": ("start", "offset", "begin", "start_time"),
}
"""Field → names in JSON lines, in order: ours, WeNet's (key, wav, txt), FunASR's (source, target), NeMo's (audio_filepath …),
FireRedASR's (uttid), and those of tables."""

REMEMBERED = 4096
"""Recordings of which it is remembered how long they are."""


@dataclass
class Skipped:
    """What an import left out, for the report."""

    without_text: int = 0
    """Rows whose text is empty."""
    filtered: int = 0
    """Rows that `where` ruled out."""
    broken: list[str] = dataclasses.field(default_factory=list)
    """What is wrong with each row whose audio, or what is said of it, cannot be used."""


@dataclass(frozen=True)
class Row:
    """One row of whatever is imported."""

    line: str
    """File and line, for messages."""
    fields: dict[str, str]
    """Values by our names of the fields; columns that we have no name for keep theirs."""
    columns: dict[str, str]
    """Values by the names in the header."""
    made_id: bool = False
    """Whether it has no id, and that in `fields` is made of what the audio file is called."""

    def column(self, name: str) -> str:
        """A value by the header's name or by ours."""
        if name not in self.columns and name not in self.fields:
            raise ManifestError(f"{self.line}: there is no column {quoted(name)}; there is {listed(self.columns)}")
        return self.columns.get(name, self.fields.get(name, ""))


def import_corpus(
    path: str | Path,
    audio_root: str | Path | None = None,
    where: dict[str, str] | None = None,
    skipped: Skipped | None = None,
) -> Iterator[Utterance]:
    """Utterances of a table with a header (.csv, else TSV), of JSON lines, of a Kaldi directory (wav.scp, text, …), or of cuts.

    `audio_root`: what relative audio paths are relative to; without it, the file's folder, and for a Kaldi directory
    the current one, as Kaldi has it.
    `where`: only rows whose columns have these values. Rows without text, and those whose audio cannot be used, are left out
    and counted in `skipped`; without it the first of the latter raises ManifestError, as what is no table always does.
    """
    path, broken, skipped = Path(path), skipped.broken if skipped else None, skipped or Skipped()
    if is_cuts(path):
        yield from _wanted(read_cuts(path, audio_root or ""), where or {}, skipped)
        return
    if path.is_dir():
        rows = _kaldi_rows(path, broken)
    elif path.exists():
        lines = read_lines(path)
        read = json_rows if holds_json(lines) else table_rows
        rows = read(path, lines=lines, broken=broken)
    else:
        raise ManifestError(f"{path}: no such table or Kaldi directory")
    root = Path(audio_root) if audio_root else (Path() if path.is_dir() else path.parent)
    with reading(path, ManifestError, "cannot be read"):
        yield from _utterances(rows, root, where or {}, skipped, broken=broken)


def _wanted(utterances: Iterator[Utterance], where: dict[str, str], skipped: Skipped) -> Iterator[Utterance]:
    for u in utterances:
        if not all(u.value(name) == value for name, value in where.items()):
            skipped.filtered += 1
        elif not u.text.strip():
            skipped.without_text += 1
        else:
            yield u


def _utterances(
    rows: Iterator[Row], root: Path, where: dict[str, str], skipped: Skipped, *, broken: list[str] | None
) -> Iterator[Utterance]:
    """`broken`: a list for what is wrong with rows; without it the first such row raises ManifestError."""
    seen: dict[str, str] = {}
    durations = lru_cache(REMEMBERED)(_duration_or_error)  # the parts of a recording mostly stand together
    for row in rows:
        if not all(row.column(name) == value for name, value in where.items()):
            skipped.filtered += 1
        elif not row.fields.get("text", "").strip():
            skipped.without_text += 1
        else:
            with told(broken):
                id = _id_of(row, seen)
                with reading(row.line, ManifestError, "cannot be used"):
                    utterance = utterance_of(row.fields | {"id": id}, root, row.line, durations)
                seen[id] = row.line
                yield utterance


def _id_of(row: Row, seen: Mapping[str, str]) -> str:
    """The id that a row gives, or one of our making that no row before has."""
    id = row.fields["id"]
    if row.made_id:
        folder = Path(row.fields.get("audio", "")).parent.name
        names = ("_".join(name.split()) for name in made_ids(id, folder))
        return next(name for name in names if name not in seen)
    if not id or len(id.split()) != 1:
        raise ManifestError(f"{row.line}: id must be a word without spaces, is {quoted(id)}")
    if id in seen:
        raise ManifestError(f"{row.line}: id must be unique, {quoted(id)} is already at {seen[id]}")
    return id


def made_ids(id: str, folder: str) -> Iterator[str]:
    """An id made of a file's name, with its folder's where another row has that, then with numbers."""
    yield id
    if folder:
        yield f"{folder}-{id}"
    yield from (f"{id}-{number}" for number in itertools.count(2))


def _duration_or_error(path: Path, channel: int | None) -> float | None | AudioError:
    """What `counted_duration` returns or raises."""
    try:
        return counted_duration(path, channel)
    except AudioError as error:
        return error
    except (OSError, MemoryError) as error:
        return AudioError(f"{path}: cannot be read ({error})")


@contextmanager
def told(broken: list[str] | None) -> Iterator[None]:
    """A block that looks at one row: with a list a ManifestError goes there, and the next row follows."""
    try:
        yield
    except ManifestError as error:
        if broken is None:
            raise
        broken.append(str(error))


def table_rows(
    path: Path,
    required: Sequence[str] = ("audio", "text"),
    lines: Sequence[str] | None = None,
    columns: Mapping[str, Sequence[str]] = COLUMNS,
    *,
    broken: list[str] | None = None,
) -> Iterator[Row]:
    """Rows of a TSV or CSV; the id is the audio file's name where there is no column for it, and where in
    the file the row begins.

    `lines`: of the file, where they have been read already. `broken`: a list for what is wrong with rows that are left out.
    """
    reader = table_reader(path, read_lines(path) if lines is None else lines)
    rows = _values(reader, path)
    header = [name.strip() for name in next(rows, [])]
    names = _field_names(header, path, required, columns)
    for values in rows:
        line = f"{path}:{reader.line_num}"
        if not any(values):
            continue
        with told(broken):
            if len(values) != len(header):
                raise ManifestError(
                    f"{line}: a row must have {len(header)} columns as the header has, has {len(values)}"
                )
            row = dict(zip(names, values, strict=True))
            yield Row(line, {"id": _made_id(row)} | row, dict(zip(header, values, strict=True)), "id" not in row)


def _values(reader, path: Path) -> Iterator[list[str]]:
    try:
        yield from reader
    except csv.Error as error:
        hint = "; is a quotation mark not closed?" if "unexpected end" in str(error) else ""
        raise ManifestError(f"{path}:{reader.line_num}: {error}{hint}") from error


def _field_names(
    header: list[str], path: Path, required: Sequence[str], columns: Mapping[str, Sequence[str]]
) -> list[str]:
    names, lower = list(header), [name.lower() for name in header]
    if twice := [name for name in names if name and names.count(name) > 1]:
        raise ManifestError(f"{path}:1: the header has {quoted(twice[0])} twice")
    for field, candidates in columns.items():
        found = next((c for c in candidates if c in lower), None)
        if found:
            names[lower.index(found)] = field
        elif field in required:
            raise ManifestError(
                f"{path}:1: no column for {field} ({', '.join(candidates)}); the header has {listed(header) or 'none'}"
            )
    return names


def holds_json(lines: Sequence[str]) -> bool:
    """Whether the first line that is not empty begins a JSON object."""
    return next((line for line in lines if line.strip()), "").lstrip().startswith("{")


def json_rows(
    path: Path,
    lines: Sequence[str],
    required: Sequence[str] = ("audio", "text"),
    *,
    broken: list[str] | None = None,
) -> Iterator[Row]:
    """Rows of JSON lines, whose fields may have the names that other toolkits give them. `broken`: as of `table_rows`."""
    for number, line in enumerate(lines, 1):
        if line.strip():
            with told(broken):
                yield _json_row(line, f"{path}:{number}", required)


def _json_row(line: str, where: str, required: Sequence[str]) -> Row:
    data = json_object(line, where)
    if not all(isinstance(value, str | int | float | None) for value in data.values()):
        raise ManifestError(f"{where}: must be a JSON object of texts and numbers, is {line[:60]!r}")
    row = {name: value for name, value in data.items() if value is not None}
    for field, names in JSON_NAMES.items():
        found = next((name for name in names if name in row), None)
        if found:
            row[field] = str(row.pop(found))
        elif field in required:
            raise ManifestError(
                f"{where}: no field for {field} ({', '.join(names)}); the line has {listed(data) or 'none'}"
            )
    seconds_of(row.get("start") or "0", "start", where)
    if "end" in row:  # WeNet's parts of files: it goes before a duration, which may be the file's
        end_of(row["end"], "end", where)
        row.pop("duration", None)
    return Row(where, {"id": _made_id(row)} | row, {name: str(v) for name, v in data.items()}, "id" not in row)


def _made_id(row: Mapping[str, str]) -> str:
    """What the audio file of a row is called, and where in it the row begins."""
    start = row.get("start", "")
    at_the_start = not start.strip("0. ")
    return Path(row.get("audio", "")).stem + ("" if at_the_start else f"-{start}")


def _kaldi_rows(folder: Path, broken: list[str] | None) -> Iterator[Row]:
    for name in ("wav.scp", "text"):
        if not (folder / name).is_file():
            raise ManifestError(f"{folder}: not a Kaldi directory, {name} is missing")
    files = {}
    for name in ("wav.scp", "utt2spk", "segments"):
        there = (folder / name).is_file()
        files[name] = (
            {id: (line, value) for line, id, value in kaldi_lines(folder / name, broken=broken)} if there else {}
        )
    for line, id, text in kaldi_lines(folder / "text", broken=broken):
        with told(broken):
            _, speaker = files["utt2spk"].get(id, ("", ""))
            row, recording = {"id": id, "text": text, "speaker": speaker}, id
            if files["segments"]:
                if id not in files["segments"]:
                    raise ManifestError(f"{line}: {quoted(id)} is not in {folder / 'segments'}")
                recording, part = _segment(*files["segments"][id])
                row |= part
            if recording not in files["wav.scp"]:
                raise ManifestError(f"{line}: {quoted(recording)} is not in {folder / 'wav.scp'}")
            _, row["audio"] = files["wav.scp"][recording]
            if row["audio"].endswith("|"):
                raise ManifestError(
                    f"{folder / 'wav.scp'}: {quoted(recording)} is a command, not a file; run it and list the files it"
                    " writes"
                )
            yield Row(line, row, row)


def _segment(line: str, text: str) -> tuple[str, dict[str, str]]:
    """The recording and the part of it that a line of Kaldi's segments names; its channel may stand behind the end."""
    fields = text.split()
    if len(fields) not in (3, 4):
        raise ManifestError(
            f"{line}: a segment must be 'id recording start end', has {len(fields) + 1} fields; a channel may follow"
        )
    recording, start, end, *channel = fields
    last = end_of(end, "end", line)
    if last is not None and last <= seconds_of(start, "start", line):
        raise ManifestError(f"{line}: end must be after start, {end} is not after {start}")
    return recording, {"start": start, "end": end} | ({"channel": channel[0]} if channel else {})


def kaldi_lines(
    path: Path, lines: Sequence[str] | None = None, *, broken: list[str] | None = None
) -> Iterator[tuple[str, str, str]]:
    """(file:line, id, rest) of each line of a Kaldi file; `lines` where they have been read already, `broken` as of
    `table_rows`."""
    seen: set[str] = set()
    for number, line in enumerate(read_lines(path) if lines is None else lines, 1):
        if line.strip():
            id, *rest = line.split(maxsplit=1)
            with told(broken):
                if id in seen:
                    raise ManifestError(f"{path}:{number}: id must be unique, {quoted(id)} occurs twice")
                seen.add(id)
                yield f"{path}:{number}", id, rest[0].strip() if rest else ""
