"""Transcripts as files. A new format is a function `write_x(transcript, file, style)` and a line in WRITERS."""

import dataclasses
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from asr.errors import AsrError
from asr.files import atomic_write
from asr.outputs.style import Style
from asr.outputs.subtitles import write_srt, write_vtt
from asr.outputs.textgrid import write_textgrid
from asr.transcript import Segment, Transcript, joined


def write_txt(transcript: Transcript, file: TextIO, style: Style) -> None:
    """The text on one line; where channels were transcribed apart, a line for each, its number in front."""
    for channel, segments in transcript.by_channel().items():
        text = joined(token for segment in segments for token in segment.tokens)
        file.write(f"{text}\n" if channel is None else f"{channel}: {text}\n")


def write_json(transcript: Transcript, file: TextIO, style: Style) -> None:
    """All that is known, as one line of JSON: `raw` is the text before finishing. The same input gives the same bytes."""
    data = {"text": transcript.text} | dataclasses.asdict(transcript) | {"audio": _unicode(transcript.audio)}
    id = data.pop("id")
    data = ({"id": id} if id else {}) | data
    for segment, values in zip(transcript.segments, data["segments"], strict=True):
        values["text"], values["confidence"] = segment.text, _rounded(segment.confidence)
    file.write(json.dumps(data, ensure_ascii=False, allow_nan=False) + "\n")


def write_tsv(transcript: Transcript, file: TextIO, style: Style) -> None:
    """A table with a header: start, end, channel, confidence and text of each segment that holds text, or of each token."""
    file.write("start\tend\tchannel\tconfidence\ttext\n")
    for segment in transcript.segments:
        rows = [(t.start, t.end, t.confidence, t.text + t.mark) for t in segment.tokens]
        if rows and not style.words:
            rows = [(rows[0][0], rows[-1][1], segment.confidence, segment.text)]
        for start, end, confidence, text in rows:
            channel = "" if segment.channel is None else segment.channel
            file.write(f"{start:.3f}\t{end:.3f}\t{channel}\t{confidence:.4f}\t{text}\n")


def write_manifest(transcript: Transcript, file: TextIO, style: Style) -> None:
    """A JSONL manifest to train on, an utterance for each segment that holds text, as the model wrote it.

    Audio paths are absolute. Raises AsrError for audio that is not a file.
    """
    if not os.path.isfile(transcript.audio):
        raise AsrError(f"{transcript.audio}: a manifest names files that can be read again; this is none")
    name = re.sub(r"[\s/\\]+", "-", transcript.id or transcript.audio.lstrip("./\\"))
    for segment in transcript.segments:
        if not segment.tokens or not _trusted(segment, style.min_confidence):
            continue
        channel = "" if segment.channel is None else f"-{segment.channel}"
        line = {
            "id": f"{_unicode(name)}{channel}-{round(segment.start * 1000):08}",
            "audio": _unicode(os.path.abspath(transcript.audio)),
            "start": round(segment.start, 3),
            "duration": round(segment.end - segment.start, 3),
            "text": segment.raw,
            "source": transcript.model,
            "confidence": _rounded(segment.confidence),
        }
        if segment.channel is not None:
            line["channel"] = segment.channel
        file.write(json.dumps(line, ensure_ascii=False) + "\n")


def _trusted(segment: Segment, least: float | None) -> bool:
    return least is None or (not segment.warnings and segment.confidence is not None and segment.confidence >= least)


def _unicode(name: str) -> str:
    """The name of a file; bytes of it that are no UTF-8 (those of a name in GBK) as \\xb2."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _rounded(confidence: float | None) -> float | None:
    return None if confidence is None else round(confidence, 4)


@dataclass(frozen=True)
class Writer:
    """A format, and what its files can hold."""

    write: Callable[[Transcript, TextIO, Style], None]
    """Writes a transcript into an open file."""
    suffix: str
    """How names of its files end."""
    about: str = ""
    """A word for people, where the name does not say enough."""
    one_each: bool = False
    """Whether it is a document of one recording: two cannot follow each other, as lines of the others can."""
    words: bool = False
    """Whether words may have times of their own in it."""
    served: bool = False
    """Whether the server writes it, too."""


WRITERS: dict[str, Writer] = {
    "txt": Writer(write_txt, ".txt"),
    "json": Writer(write_json, ".json", "all there is"),
    "srt": Writer(write_srt, ".srt", one_each=True, served=True),
    "vtt": Writer(write_vtt, ".vtt", one_each=True, words=True, served=True),
    "tsv": Writer(write_tsv, ".tsv", one_each=True, words=True, served=True),
    "textgrid": Writer(write_textgrid, ".TextGrid", "Praat", one_each=True, served=True),
    "manifest": Writer(write_manifest, ".jsonl", "to train on"),
}
"""Format → writer."""


def formats_in_words() -> str:
    """All formats, for people: `txt, json (all there is), … or manifest (to train on)`."""
    names = [f"{name} ({writer.about})" if writer.about else name for name, writer in WRITERS.items()]
    return f"{', '.join(names[:-1])} or {names[-1]}"


def format_of(path: str | Path) -> str:
    """The format that the end of a name tells; empty where it tells none."""
    return next((n for n, writer in WRITERS.items() if str(path).lower().endswith(writer.suffix.lower())), "")


def write(transcript: Transcript, path: str | Path, format: str = "", style: Style | None = None) -> None:
    """Writes a transcript to a file, whole or not at all. Without a format, the end of the name tells it."""
    chosen = format or format_of(path)
    if chosen not in WRITERS:
        raise AsrError(f"{path}: the format must be one of {', '.join(WRITERS)}, is {chosen or 'not told by its name'}")
    with atomic_write(path) as file:
        WRITERS[chosen].write(transcript, file, style or Style())
