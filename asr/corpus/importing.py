"""A table (TSV, CSV), a list of JSON lines or a Kaldi directory as utterances."""

import csv
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from asr.audio.reading import audio_duration
from asr.corpus.manifest import LAST_CHANNEL, LONGEST, Utterance, json_object
from asr.errors import AudioError, ManifestError
from asr.files import read_lines
from asr.foreign_bytes import listed, quoted, reading

COLUMNS = {
    "id": ("id", "utterance", "utt"),
    "audio": ("audio", "path", "wav", "file", "filename"),
    "text": ("text", "sentence", "transcript", "transcription", "reference", "ref", "hypothesis", "hyp"),
    "duration": ("duration", "seconds"),
    "start": ("start",),
    "end": ("end",),
    "speaker": ("speaker", "client_id", "spk"),
    "source": ("source",),
    "channel": ("channel",),
}
"""Field → names of the column it may stand in, in any case, tried in this order (Common Voice's among them)."""

JSON_NAMES = COLUMNS | {
    "id": ("id", "key", "utt"),
    "audio": ("audio", "wav", "audio_filepath", "path", "source"),
    "text": ("text", "txt", "target"),
    "start": ("start", "offset"),
}
"""Field → names in JSON lines, in order: ours, WeNet's (key, wav, txt), FunASR's (source, target), NeMo's (audio_filepath …)."""


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
    """Utterances of a table with a header (.csv, else TSV), of JSON lines, or of a Kaldi directory (wav.scp, text, …).

    `audio_root`: what relative audio paths are relative to; without it, the file's folder, and for a Kaldi directory
    the current one, as Kaldi has it.
    `where`: only rows whose columns have these values. Rows without text, and those whose audio cannot be used, are left out
    and counted in `skipped`; without it the first of the latter raises ManifestError, as what is no table always does.
    """
    path, strict, skipped = Path(path), skipped is None, skipped or Skipped()
    if path.is_dir():
        rows = _kaldi_rows(path)
    elif path.is_file():
        lines = read_lines(path)
        rows = json_rows(path, lines) if holds_json(lines) else table_rows(path, lines=lines)
    else:
        raise ManifestError(f"{path}: no such table or Kaldi directory")
    root = Path(audio_root) if audio_root else (Path() if path.is_dir() else path.parent)
    with reading(path, ManifestError, "cannot be read"):
        yield from _utterances(rows, root, where or {}, skipped, strict=strict)


def _utterances(
    rows: Iterator[Row], root: Path, where: dict[str, str], skipped: Skipped, *, strict: bool
) -> Iterator[Utterance]:
    seen: dict[str, str] = {}
    for row in rows:
        if not all(row.column(name) == value for name, value in where.items()):
            skipped.filtered += 1
        elif not row.fields.get("text", "").strip():
            skipped.without_text += 1
        else:
            id = row.fields["id"]
            if not id or len(id.split()) != 1:
                raise ManifestError(f"{row.line}: id must be a word without spaces, is {quoted(id)}")
            if id in seen:
                raise ManifestError(f"{row.line}: id must be unique, {quoted(id)} is already at {seen[id]}")
            seen[id] = row.line
            try:
                with reading(row.line, ManifestError, "cannot be used"):
                    utterance = _utterance(row.fields, root, row.line)
            except ManifestError as error:
                if strict:
                    raise
                skipped.broken.append(str(error))
            else:
                yield utterance


def _utterance(row: dict[str, str], root: Path, line: str) -> Utterance:
    audio = (root / row["audio"]).resolve()
    if not audio.is_file():
        raise ManifestError(
            f"{line}: audio must be a file, {audio} is not there; does --audio-root point to the right folder?"
        )
    start = _seconds(row.get("start") or "0", "start", line)
    if row.get("duration"):
        duration = _seconds(row["duration"], "duration", line)
    elif row.get("end"):
        duration = _seconds(row["end"], "end", line) - start
    else:
        try:
            duration = audio_duration(audio) - start
        except (AudioError, OSError, MemoryError) as error:
            raise ManifestError(f"{line}: {error}") from error
    if duration <= 0:
        raise ManifestError(f"{line}: duration must be above 0 seconds, is {duration:.3f}")
    extra = {k: v for k, v in row.items() if k not in COLUMNS and v not in ("", None)}
    return Utterance(
        row["id"],
        audio,
        duration,
        row["text"],
        start,
        row.get("speaker", ""),
        source=row.get("source", ""),
        channel=_channel(row.get("channel"), line),
        extra=extra,
        where=line,
    )


def _channel(text: str | None, line: str) -> int | None:
    if not text:
        return None
    if not text.isdecimal() or len(text) > 5 or int(text) > LAST_CHANNEL:
        raise ManifestError(f"{line}: channel must be a whole number up to {LAST_CHANNEL}, is {quoted(text)}")
    return int(text)


def _seconds(text: str, name: str, line: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 <= value < LONGEST:
        raise ManifestError(f"{line}: {name} must be a number of seconds, is {quoted(text)}")
    return value


def table_rows(
    path: Path,
    required: Sequence[str] = ("audio", "text"),
    lines: Sequence[str] | None = None,
    columns: Mapping[str, Sequence[str]] = COLUMNS,
) -> Iterator[Row]:
    """Rows of a TSV, or of a CSV by its name; the id is the audio file's name where there is no column for it.

    `lines`: of the file, where they have been read already.
    """
    reader = table_reader(path, read_lines(path) if lines is None else lines)
    rows = _values(reader, path)
    header = [name.strip() for name in next(rows, [])]
    names = _field_names(header, path, required, columns)
    for values in rows:
        line = f"{path}:{reader.line_num}"
        if not any(values):
            continue
        if len(values) != len(header):
            raise ManifestError(f"{line}: a row must have {len(header)} columns as the header has, has {len(values)}")
        row = dict(zip(names, values, strict=True))
        row.setdefault("id", Path(row.get("audio", "")).stem)
        yield Row(line, row, dict(zip(header, values, strict=True)))


def table_reader(path: Path, lines: Sequence[str]):
    """A reader of the lines of a TSV, or of a CSV by its name."""
    ended = (line + "\n" for line in lines)
    if path.suffix.lower() == ".csv":
        return csv.reader(ended, strict=True, skipinitialspace=True)
    return csv.reader(ended, delimiter="\t", quoting=csv.QUOTE_NONE)


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


def json_rows(path: Path, lines: Sequence[str], required: Sequence[str] = ("audio", "text")) -> Iterator[Row]:
    """Rows of JSON lines, whose fields may have the names that other toolkits give them."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
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
        start = _seconds(row.get("start") or "0", "start", where)
        if "end" in row:  # WeNet's parts of files: it goes before a duration, which may be the file's
            _seconds(row["end"], "end", where)
            row.pop("duration", None)
        part = f"-{row['start']}" if start else ""
        row.setdefault("id", Path(row["audio"]).stem + part)
        yield Row(where, row, {name: str(value) for name, value in data.items()})


def _kaldi_rows(folder: Path) -> Iterator[Row]:
    for name in ("wav.scp", "text"):
        if not (folder / name).is_file():
            raise ManifestError(f"{folder}: not a Kaldi directory, {name} is missing")
    recordings = {id: value for _, id, value in kaldi_lines(folder / "wav.scp")}
    speakers = {id: value for _, id, value in kaldi_lines(folder / "utt2spk")} if (folder / "utt2spk").is_file() else {}
    segments = {}
    if (folder / "segments").is_file():
        segments = {id: (line, value.split()) for line, id, value in kaldi_lines(folder / "segments")}
    for line, id, text in kaldi_lines(folder / "text"):
        row = {"id": id, "text": text, "speaker": speakers.get(id, "")}
        recording = id
        if segments:
            if id not in segments:
                raise ManifestError(f"{line}: {quoted(id)} is not in {folder / 'segments'}")
            segment_line, fields = segments[id]
            if len(fields) != 3:
                raise ManifestError(
                    f"{segment_line}: a segment must be 'id recording start end', has {len(fields) + 1} fields"
                )
            recording, start, end = fields
            seconds = _seconds(end, "end", segment_line) - _seconds(start, "start", segment_line)
            if seconds <= 0:
                raise ManifestError(f"{segment_line}: end must be after start, {end} is not after {start}")
            row |= {"start": start, "duration": str(seconds)}
        if recording not in recordings:
            raise ManifestError(f"{line}: {quoted(recording)} is not in {folder / 'wav.scp'}")
        if recordings[recording].endswith("|"):
            raise ManifestError(
                f"{folder / 'wav.scp'}: {quoted(recording)} is a command, not a file; run it and list the files it writes"
            )
        row["audio"] = recordings[recording]
        yield Row(line, row, row)


def kaldi_lines(path: Path, lines: Sequence[str] | None = None) -> Iterator[tuple[str, str, str]]:
    """(file:line, id, rest) of each line of a Kaldi file; `lines` where they have been read already."""
    seen: set[str] = set()
    for number, line in enumerate(read_lines(path) if lines is None else lines, 1):
        if line.strip():
            id, *rest = line.split(maxsplit=1)
            if id in seen:
                raise ManifestError(f"{path}:{number}: id must be unique, {quoted(id)} occurs twice")
            seen.add(id)
            yield f"{path}:{number}", id, rest[0].strip() if rest else ""
