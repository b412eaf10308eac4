"""Transcripts as files. A new format is a function `write_x(transcript, file, style)` and a line in WRITERS."""

import dataclasses
import io
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from asr.errors import AsrError
from asr.files import write_file
from asr.outputs.style import Style
from asr.outputs.subtitles import write_ass, write_lrc, write_srt, write_vtt
from asr.outputs.textgrid import write_textgrid
from asr.printable import readable_path
from asr.text.words import in_words
from asr.transcript import Segment, Transcript, TranscriptToken, Turn, joined, merged

PARAGRAPH = 2.0
"""Seconds of pause that part paragraphs, but inside a sentence."""
WITHIN, ENDS = ("，", "、", "："), ("。", "？", "！", "……")
"""Marks behind which a sentence goes on, and ends."""
LONG_PARAGRAPH = 200
"""Tokens behind which the next end of a sentence ends a paragraph, too."""


def write_txt(transcript: Transcript, file: TextIO, style: Style) -> None:
    """The text on one line, or a line for each segment or paragraph that holds text.

    Where channels were transcribed apart, each line has its number in front; a recording is a line for each. Where it is known
    who speaks, a line has their name in front; a recording is a line for each turn.
    """
    if style.txt_lines == "recording" and not transcript.speakers:
        lines = list(transcript.by_channel().values())
    else:
        apart = {"paragraph": _parts_paragraphs, "segment": lambda before, segment: True}
        lines = _together(transcript, apart.get(style.txt_lines, lambda before, segment: False))
    for segments in lines or [[]]:
        text = joined(token for segment in segments for token in segment.tokens)
        talker = segments[0].talker if segments else ""
        file.write(f"{talker}: {text}\n" if talker else f"{text}\n")


def _together(transcript: Transcript, apart: Callable[[list[Segment], Segment], bool]) -> list[list[Segment]]:
    """Segments that hold text, those of a talker together that are not `apart` from those before, in order of time."""
    found: list[list[Segment]] = []
    for segments in transcript.by_channel().values():
        group: list[Segment] = []
        for segment in (s for s in segments if s.tokens):
            if not group or group[-1].talker != segment.talker or apart(group, segment):
                group = []
                found.append(group)
            group.append(segment)
    return sorted(found, key=lambda segments: segments[0].start)


def _parts_paragraphs(before: list[Segment], segment: Segment) -> bool:
    last = before[-1].tokens[-1]
    long = sum(len(each.tokens) for each in before) >= LONG_PARAGRAPH
    paused = segment.tokens[0].start - last.end >= PARAGRAPH
    return (paused and not last.mark.endswith(WITHIN)) or (long and last.mark.endswith(ENDS))


def write_json(transcript: Transcript, file: TextIO, style: Style) -> None:
    """All that is known, as one line of JSON: `raw` is the text before finishing. The same input gives the same bytes.

    With `word_times` each segment has `words` beside its tokens. Where it was asked who speaks, segments and tokens have a
    speaker, and there are turns, and overlaps, in which several speak.
    """
    data = {"text": transcript.text} | dataclasses.asdict(transcript) | {"audio": readable_path(transcript.audio)}
    id, turns = data.pop("id"), data.pop("turns")
    data = ({"id": id} if id else {}) | data
    if turns:
        data |= {"turns": turns, "overlaps": [{"start": a, "end": b} for a, b in transcript.overlaps]}
    for segment, values in zip(transcript.segments, data["segments"], strict=True):
        values["text"], values["confidence"] = segment.text, _rounded(segment.confidence)
        if transcript.speakers:
            values["speaker"] = segment.speaker
        else:
            for token in values["tokens"]:
                del token["speaker"]
        if style.word_times:
            values["words"] = [
                {"text": w.text, "start": w.start, "end": w.end, "confidence": w.confidence} for w in _words_of(segment)
            ]
    file.write(json.dumps(data, ensure_ascii=False, allow_nan=False) + "\n")


def write_tsv(transcript: Transcript, file: TextIO, style: Style) -> None:
    """A table with a header: start, end, channel, confidence and text of each segment that holds text, of each token, or word.

    Where it was asked who speaks, the speaker stands behind the channel.
    """
    named = bool(transcript.speakers)
    file.write("\t".join(["start", "end", "channel", *["speaker"] * named, "confidence", "text"]) + "\n")
    for segment in transcript.segments:
        units = _words_of(segment) if style.word_times else segment.tokens
        rows = [(t.start, t.end, t.confidence, t.text + t.mark) for t in units]
        if rows and not style.timed:
            rows = [(rows[0][0], rows[-1][1], segment.confidence, segment.text)]
        for start, end, confidence, text in rows:
            talker = "" if segment.channel is None else str(segment.channel)
            talker += f"\t{segment.speaker}" if named else ""
            file.write(f"{start:.3f}\t{end:.3f}\t{talker}\t{confidence:.4f}\t{text}\n")


def _words_of(segment: Segment) -> list[TranscriptToken]:
    """The words of a segment, each as one token, its marks apart but for those within it."""
    words = in_words(segment.tokens)
    return [merged(word, joined(word).removesuffix(word[-1].mark)) for word in words]


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
            "id": f"{readable_path(name)}{channel}-{round(segment.start * 1000):08}",
            "audio": readable_path(os.path.abspath(transcript.audio)),
            "start": round(segment.start, 3),
            "duration": round(segment.end - segment.start, 3),
            "text": segment.raw,
            "source": transcript.model,
            "confidence": _rounded(segment.confidence),
        }
        if segment.channel is not None:
            line["channel"] = segment.channel
        if segment.speaker:
            line["speaker"] = segment.speaker
        file.write(json.dumps(line, ensure_ascii=False) + "\n")


def write_rttm(transcript: Transcript, file: TextIO, style: Style) -> None:
    """A line for each turn: `SPEAKER recording 1 start duration <NA> <NA> speaker <NA> <NA>`, names without spaces.

    Raises AsrError where it was not asked who speaks.
    """
    turns = transcript.turns or [
        Turn(s.tokens[0].start, s.tokens[-1].end, s.speaker) for s in transcript.segments if s.speaker
    ]
    if not turns and any(segment.tokens for segment in transcript.segments):
        raise AsrError(f"{transcript.audio}: RTTM says who speaks when, which was not asked: --speakers")
    name = re.sub(r"\s+", "_", readable_path(transcript.id or Path(transcript.audio).stem)) or "recording"
    for turn in turns:
        who, seconds = re.sub(r"\s+", "_", turn.speaker), turn.end - turn.start
        file.write(f"SPEAKER {name} 1 {turn.start:.3f} {seconds:.3f} <NA> <NA> {who} <NA> <NA>\n")


def _trusted(segment: Segment, least: float | None) -> bool:
    return least is None or (not segment.warnings and segment.confidence is not None and segment.confidence >= least)


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
    style: tuple[str, ...] = ()
    """What of a Style its files depend on."""
    served: bool = False
    """Whether the server writes it, too."""
    parted: bool = False
    """Whether it asks where words begin and end, to break lines there."""

    @property
    def words(self) -> bool:
        """Whether tokens or words may have times of their own in it."""
        return "words" in self.style

    @property
    def words_beside(self) -> bool:
        """Whether words may have times beside those of the tokens, which are in it anyway."""
        return "word_times" in self.style and not self.words


CUES = ("line_characters", "lines", "characters_per_second", "longest", "end_marks")
"""What of a Style subtitles depend on."""
TIMES = ("words", "word_times")
"""What of a Style files depend on that may hold the times of tokens or words."""
WRITERS: dict[str, Writer] = {
    "txt": Writer(write_txt, ".txt", style=("txt_lines",)),
    "json": Writer(write_json, ".json", "all there is", style=("word_times",)),
    "srt": Writer(write_srt, ".srt", one_each=True, served=True, parted=True, style=CUES),
    "vtt": Writer(write_vtt, ".vtt", one_each=True, served=True, parted=True, style=(*CUES, *TIMES)),
    "lrc": Writer(write_lrc, ".lrc", "lyrics", one_each=True, parted=True, style=(*CUES, *TIMES)),
    "ass": Writer(write_ass, ".ass", one_each=True, parted=True, style=(*CUES, *TIMES)),
    "tsv": Writer(write_tsv, ".tsv", one_each=True, served=True, style=TIMES),
    "textgrid": Writer(write_textgrid, ".TextGrid", "Praat", one_each=True, served=True, style=("word_times",)),
    "rttm": Writer(write_rttm, ".rttm", "who speaks when", served=True),
    "manifest": Writer(write_manifest, ".jsonl", "to train on", style=("min_confidence",)),
}
"""Format → writer."""


def formats_in_words() -> str:
    """All formats, for people: `txt, json (all there is), …, manifest (to train on)`."""
    return ", ".join(f"{name} ({writer.about})" if writer.about else name for name, writer in WRITERS.items())


def format_of(path: str | Path) -> str:
    """The format that the end of a name tells; empty where it tells none."""
    return next((n for n, writer in WRITERS.items() if str(path).lower().endswith(writer.suffix.lower())), "")


def names_a_file(out: Path) -> bool:
    """Whether a name is one file's: of one that is there, or, where nothing is, one that ends as files of a format do."""
    return not out.is_dir() and (out.exists() or bool(format_of(out)))


def looks_like_a_file(out: Path) -> bool:
    """Whether a name that is no file's ends as one: talk.xyz, and not results.2, results.v2, nor a folder that is there."""
    suffix = out.suffix.removeprefix(".")
    return not out.exists() and bool(suffix) and not re.fullmatch(r"[vV]?\d+", suffix)


def write(transcript: Transcript, path: str | Path, format: str = "", style: Style | None = None) -> None:
    """Writes a transcript to a file, whole or not at all. Without a format, the end of the name tells it.

    `format`: one of those that `asr transcribe --format` takes; `style`: what these leave open, such as the length of lines.
    Raises AsrError for an unknown format. Example: `asr.write(transcript, "talk.srt")`
    """
    chosen = format or format_of(path)
    _require_format(chosen, f"{path}: ")
    text = render(transcript, chosen, style)
    write_file(path, text)


def render(transcript: Transcript, format: str = "txt", style: Style | None = None) -> str:
    """What a file of a format would hold, as a text. `format` and `style` are those of `write`; raises AsrError as it does.

    Example: `asr.render(transcript, "srt")`
    """
    if not isinstance(transcript, Transcript):
        raise AsrError(
            f"what is written is a Transcript, such as transcribe returns, not a {type(transcript).__name__}"
        )
    _require_format(format)
    file = io.StringIO()
    WRITERS[format.lower()].write(transcript, file, style or Style())
    return file.getvalue()


def _require_format(format: str, of: str = "") -> None:
    if format.lower() not in WRITERS:
        raise AsrError(f"{of}the format must be one of {', '.join(WRITERS)}, is {format or 'not told by its name'}")
