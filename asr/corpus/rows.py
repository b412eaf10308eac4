"""Which part of which recording a row of a table names, as an utterance: every field is a text here, and may be wrong."""

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path

from asr.audio.reading import audio_duration
from asr.corpus.manifest import LAST_CHANNEL, LONGEST, Utterance
from asr.errors import AudioError, ManifestError
from asr.foreign_bytes import quoted

KNOWN = {field.name for field in fields(Utterance)} - {"extra", "where"} | {"end"}
"""Fields that are no extra ones."""
TO_THE_END = -1.0
"""As an end or a duration, Kaldi's and others' way to write that the recording's end is meant."""
Durations = Callable[[Path, int | None], float | None | AudioError]
"""Seconds of a recording that has this channel, None where only reading all of it would tell, or why it cannot be read."""


def utterance_of(row: Mapping[str, str], root: Path, line: str, durations: Durations) -> Utterance:
    """The utterance of a row's fields. Raises ManifestError where the audio is missing, is none, or lacks that part.

    `root`: what relative paths are relative to. `line`: file and line, for messages.
    """
    if not row["audio"].strip():
        raise ManifestError(f"{line}: audio must be a file, is empty")
    audio = _named(root, row["audio"])
    if not audio.is_file():
        raise ManifestError(
            f"{line}: audio must be a file, {audio} is not there; does --audio-root point to the right folder?"
        )
    start, channel = seconds_of(row.get("start") or "0", "start", line), channel_of(row.get("channel"), line)
    duration = end_of(row.get("duration"), "duration", line)
    end = end_of(row.get("end"), "end", line)
    if duration is None and end is not None:
        duration = end - start
    length = durations(audio, channel)
    if isinstance(length, AudioError):
        raise ManifestError(f"{line}: {length}")
    if duration is None:
        duration = (_by_reading(audio, line) if length is None else length) - start
    if duration <= 0:
        raise ManifestError(f"{line}: duration must be above 0 seconds, is {duration:.3f}")
    utterance = Utterance(
        row["id"],
        audio,
        duration,
        row["text"],
        start,
        row.get("speaker", ""),
        channel=channel,
        source=row.get("source", ""),
        extra={name: value for name, value in row.items() if name not in KNOWN and value not in ("", None)},
        where=line,
    )
    if length is not None and length < start + utterance.shortest:
        raise ManifestError(
            f"{line}: must end within its recording, ends at {start + duration:.2f} s; {audio} has {length:.2f} s"
        )
    return utterance


def _named(root: Path, name: str) -> Path:
    """The file of a name, also of one written on Windows, or whose accents are composed otherwise than in the file's: archives
    of a Mac hold them apart."""
    for form in (None, "NFC", "NFD"):
        for spelled in (name, name.replace("\\", "/")):
            audio = (root / (unicodedata.normalize(form, spelled) if form else spelled)).resolve()
            if audio.is_file():
                return audio
    return (root / name).resolve()


def _by_reading(audio: Path, line: str) -> float:
    try:
        return audio_duration(audio)
    except (AudioError, OSError, MemoryError) as error:
        raise ManifestError(f"{line}: {error}") from error


def seconds_of(text: str, name: str, line: str) -> float:
    """A number of seconds, 0 or more."""
    value = _number(text)
    if not 0 <= value < LONGEST:
        raise ManifestError(f"{line}: {name} must be a number of seconds, is {quoted(text)}")
    return value


def end_of(text: str | None, name: str, line: str) -> float | None:
    """An end or a duration in seconds; None where the recording's end is meant: nothing, or -1."""
    return None if not text or _number(text) == TO_THE_END else seconds_of(text, name, line)


def channel_of(text: str | None, line: str) -> int | None:
    """A channel, counted from 0; spreadsheets write 1.0."""
    if not text:
        return None
    value = _number(text)
    if not 0 <= value <= LAST_CHANNEL or value != int(value):
        raise ManifestError(
            f"{line}: channel must be a whole number up to {LAST_CHANNEL}, counted from 0, is {quoted(text)}"
        )
    return int(value)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
