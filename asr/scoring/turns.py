"""Who speaks when, and what, in whatever form it stands in a file: RTTM, STM, CTM, TextGrid or JSON, or a folder of such.

- RTTM: `SPEAKER recording channel start duration <NA> <NA> speaker …`: times alone;
- STM: segments with their speaker. CTM: words; it names no speaker, so each of its channels is one;
- TextGrid: a tier for each speaker. Beside an RTTM of the same name, as in AISHELL-4, it says what, and that one when;
- JSON: a transcript of ours, or a document with segments that have a speaker (WhisperX, OpenAI's diarized_json), one in a
  file or one a line; or, in lines or a list, segments with recording, speaker and times: manifests, meeteval's SegLST.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asr.corpus.importing import JSON_NAMES
from asr.errors import ManifestError
from asr.files import read_lines
from asr.foreign_bytes import json_value, quoted, reading
from asr.scoring.diarization import SpokenTurn
from asr.scoring.documents import audio_id, json_or_none
from asr.scoring.readers import visible
from asr.scoring.textgrids import is_text_grid, turns_of_text_grid
from asr.scoring.timed import IGNORED, read_parts, timed_form
from asr.transcript import Span

RTTM_KINDS = ("SPEAKER", "SPKR-INFO", "LEXEME", "NON-LEX", "NON-SPEECH", "NOSCORE", "SEGMENT", "A/P", "SU", "FILLER")
"""What a line of an RTTM may begin with, and be left out for; only the first is a turn."""
RECORDINGS = ("session_id", "recording", "recording_id")
TEXTS = (*JSON_NAMES["text"], "words")
"""Fields that may hold what is said; `words` is SegLST's, and elsewhere a list beside the text (WhisperX, `--word-times`)."""
COMMENT = ";"
"""How lines begin that say nothing; of an STM and a CTM there are two of them."""
LOOKED_AT = 1 << 16
"""Bytes of a file that tell whether it is RTTM."""
LATEST = 1e7
"""Seconds; no moment of a recording is later."""


@dataclass
class Conversation:
    """One recording."""

    turns: list[SpokenTurn] = field(default_factory=list)
    """Who speaks when."""
    texts: list[SpokenTurn] | None = None
    """What is said, where a file tells that in other turns."""
    ignored: list[Span] = field(default_factory=list)
    """What is not to be scored."""

    @property
    def spoken(self) -> list[SpokenTurn]:
        """The turns with text, in order of time."""
        turns = self.turns if self.texts is None else self.texts
        return sorted((turn for turn in turns if turn.text is not None), key=lambda turn: turn.start)

    @property
    def tells_texts(self) -> bool:
        """Whether texts are known, be it that nothing is said."""
        return self.texts is not None or bool(self.spoken)

    def add(self, other: "Conversation") -> None:
        """More of it."""
        self.turns += other.turns
        self.ignored += other.ignored
        if other.texts is not None:
            self.texts = (self.texts or []) + other.texts

    def join(self, other: "Conversation") -> None:
        """What another file tells: more, or, where one tells times alone and the other texts, who speaks when, and what."""
        if not (self.turns and other.turns) or bool(self.spoken) == bool(other.spoken):
            self.add(other)
            return
        times, texts = (self, other) if other.spoken else (other, self)
        self.turns, self.texts, self.ignored = times.turns, texts.spoken, self.ignored + other.ignored


Conversations = dict[str, Conversation]
"""Recording → what is known of it."""


def read_turns(path: str | Path) -> Conversations:
    """The recordings of a file, or of a folder of files. Raises ManifestError for what is none of the forms above."""
    path = Path(path)
    found: Conversations = {}
    files = [file for file in visible(path) if file.is_file()] if path.is_dir() else [path]
    for file in files:
        lines = read_lines(file)
        here: Conversations = {}
        with reading(file, ManifestError, "cannot be read"):
            for recording, conversation in _read(file, lines):
                here.setdefault(recording, Conversation()).add(conversation)
        for recording, conversation in here.items():
            if recording in found:
                found[recording].join(conversation)
            else:
                found[recording] = conversation
    if not found:
        raise ManifestError(f"{path}: holds nobody who speaks")
    return found


def is_rttm(path: str | Path) -> bool:
    """Whether a file, or the first one of a folder, says who speaks when and nothing else; only its beginning is looked at.

    False for a pipe: what is looked at there is gone.
    """
    path = Path(path)
    if path.is_dir():
        path = next((file for file in visible(path) if file.is_file()), path)
    if not path.is_file():
        return False
    with suppress(OSError), open(path, "rb") as file:
        return _are_rttm(file.read(LOOKED_AT).decode("utf-8", "ignore").splitlines()[:50])
    return False


def _are_rttm(lines: Sequence[str]) -> bool:
    rows = [line.split() for line in lines if line.strip() and not line.startswith(COMMENT)]
    return bool(rows) and all(row[0] in RTTM_KINDS and len(row) >= 8 for row in rows)


def _read(path: Path, lines: Sequence[str]) -> Iterator[tuple[str, Conversation]]:
    filled = [line for line in lines if line.strip() and not line.startswith(COMMENT)]
    if not filled:  # nobody speaks in it, as a file for each recording can say
        return
    if filled[0].lstrip()[0] in "{[" and (records := _records(path, lines)) is not None:
        for where, data in records:
            yield _of_json(path, where, data)
    elif _are_rttm(lines):
        for number, line in enumerate(lines, 1):
            if line.split()[:1] == ["SPEAKER"]:
                yield _of_rttm(f"{path}:{number}", line.split())
    elif is_text_grid(filled[0]):
        yield path.stem, Conversation(turns_of_text_grid("\n".join(lines), str(path)))
    elif form := timed_form(path, filled):
        yield from _of_parts(path, lines, form)
    else:
        raise ManifestError(
            f"{path}: says nowhere who speaks when; give RTTM, STM, CTM, TextGrid, or JSON with speakers and times"
        )


def _of_rttm(where: str, row: Sequence[str]) -> tuple[str, Conversation]:
    start = _seconds(row[3], "the start", where)
    end = start + _seconds(row[4], "the duration", where)
    return row[1], Conversation([SpokenTurn(start, end, row[7])])


def _of_parts(path: Path, lines: Sequence[str], form: str) -> Iterator[tuple[str, Conversation]]:
    for part in read_parts(path, lines, form):
        if part.text == IGNORED:
            yield part.recording, Conversation(ignored=[(part.start, part.end)])
        else:
            speaker = part.speaker if form == "stm" else part.channel
            yield part.recording, Conversation([SpokenTurn(part.start, part.end, speaker, part.text)])


def _records(path: Path, lines: Sequence[str]) -> list[tuple[str, Any]] | None:
    """(file:line, object) of what a file of JSON holds: a document, a list, or an object a line; None where it is none."""
    whole = json_or_none("\n".join(lines))
    if isinstance(whole, dict):
        return [(str(path), whole)]
    if isinstance(whole, list):
        return [(f"{path}: item {number}", item) for number, item in enumerate(whole, 1)]
    if not lines[0].lstrip().startswith("{"):
        return None
    rows = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            with reading(path, ManifestError, "not JSON") as place:
                place.line = number
                rows.append((f"{path}:{number}", json_value(line)))
    return rows


def _of_json(path: Path, where: str, data: Any) -> tuple[str, Conversation]:
    """A transcript with all its segments, or a single segment, which names its recording itself."""
    if not isinstance(data, dict):
        raise ManifestError(f"{where}: must be a JSON object, is {quoted(data)}")
    segments = data.get("segments")
    if not isinstance(segments, list):
        named = next((str(data[name]) for name in RECORDINGS if data.get(name)), "") or _audio(data)
        if not named:
            raise ManifestError(f"{where}: names no recording ({', '.join((*RECORDINGS, *JSON_NAMES['audio']))})")
        return named, Conversation([_turn(data, where)])
    texts = [turn for n, segment in enumerate(segments, 1) if (turn := _part(segment, f"{where}: segment {n}"))]
    turns = data.get("turns")
    if not isinstance(turns, list) or not turns:
        return _named(data, path), Conversation(texts)
    return _named(data, path), Conversation(
        [_turn(turn, f"{where}: turn {n}") for n, turn in enumerate(turns, 1)], texts
    )


def _audio(data: Mapping[str, Any]) -> str:
    return audio_id({name: data[name] for name in JSON_NAMES["audio"] if name in data})


def _named(data: Mapping[str, Any], path: Path) -> str:
    """The recording of a transcript: its id, its audio, or the name of the file."""
    return str(data.get("id") or "") or _audio(data) or path.stem


def _part(segment: Any, where: str) -> SpokenTurn | None:
    """A segment; None for one in which nothing was recognised."""
    text = segment.get("text") if isinstance(segment, dict) else None
    return _turn(segment, where) if not isinstance(text, str) or text.strip() else None


def _turn(data: Any, where: str) -> SpokenTurn:
    if not isinstance(data, dict):
        raise ManifestError(f"{where}: must be a JSON object, is {quoted(data)}")

    def first(names: Sequence[str]) -> Any:
        return next((data[name] for name in names if data.get(name) is not None), None)

    speaker = first(JSON_NAMES["speaker"])
    if speaker is None or speaker == "":
        speaker = first(JSON_NAMES["channel"])  # where each was transcribed for itself
    if not isinstance(speaker, str | int):
        raise ManifestError(f"{where}: has no speaker ({', '.join(JSON_NAMES['speaker'])})")
    start = _seconds(first(JSON_NAMES["start"]) or 0.0, "the start", where)
    end = first(JSON_NAMES["end"])
    if end is None:
        end = start + _seconds(first(JSON_NAMES["duration"]), "the duration, where there is no end,", where)
    text = first(TEXTS)
    if not isinstance(text, str | None):
        raise ManifestError(f"{where}: the text must be a text, is {quoted(text)}")
    return SpokenTurn(start, max(start, _seconds(end, "the end", where)), str(speaker), text)


def _seconds(value: Any, what: str, where: str) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = math.nan
    if not 0 <= seconds <= LATEST:
        raise ManifestError(f"{where}: {what} must be seconds, 0 or more, is {quoted(value)}")
    return seconds
