"""In which form transcripts leave the program."""

from dataclasses import dataclass, field, fields, replace
from typing import TextIO

from asr.errors import ConfigError
from asr.extras import brings
from asr.finishing.finishing import Finishing, check, finish
from asr.outputs.style import Style
from asr.outputs.writers import CUES, WRITERS
from asr.text.words import knows_words
from asr.transcript import Transcript


@dataclass(frozen=True)
class Output:
    """A format, its style, and what is done to the text before."""

    format: str = "txt"
    """A name in WRITERS."""
    style: Style = field(default_factory=Style)
    """What the format leaves open."""
    finishing: Finishing = field(default_factory=Finishing)
    """Script, digits, punctuation, style."""

    def __post_init__(self):
        if self.format not in WRITERS:
            raise ConfigError(f"format must be one of {', '.join(WRITERS)}, is {self.format!r}")
        writer = WRITERS[self.format]
        if self.style.words and not writer.words:
            able = ", ".join(name for name, writer in WRITERS.items() if writer.words)
            raise ConfigError(
                f"characters have times of their own in {able} (and in json, textgrid always), not in {self.format}"
            )
        if self.style.word_times and not (writer.words or writer.words_beside):
            able = ", ".join(name for name, writer in WRITERS.items() if writer.words or writer.words_beside)
            raise ConfigError(f"words have times of their own in {able}, not in {self.format}")
        if self.style.txt_lines != "recording" and self.format != "txt":
            raise ConfigError(f"a line for each {self.style.txt_lines} is for txt, not for {self.format}")
        if not set(CUES) & set(writer.style) and any(getattr(self.style, n) != getattr(Style, n) for n in CUES):
            able = ", ".join(name for name, writer in WRITERS.items() if set(CUES) & set(writer.style))
            raise ConfigError(f"lines, speed and end marks of subtitles are for {able}, not for {self.format}")
        if self.style.min_confidence is not None and self.format != "manifest":
            raise ConfigError(f"a least confidence is for manifests, not for {self.format}")

    @property
    def suffix(self) -> str:
        """How names of files end."""
        return WRITERS[self.format].suffix

    @property
    def one_each(self) -> bool:
        """Whether what is written of a recording cannot be followed by that of another one."""
        return WRITERS[self.format].one_each or self.style.txt_lines != "recording"

    @property
    def hint(self) -> str:
        """What would be better if something were installed; empty if nothing."""
        asked = self.style.word_times or WRITERS[self.format].parted
        if not asked or knows_words():
            return ""
        return f"{self.format}: words are not known, every character counts as one: {brings('text')}"

    def check(self) -> None:
        """Raises AsrError now, not after hours, where something is missing that will be needed."""
        check(self.finishing)

    def write(self, transcript: Transcript, file: TextIO) -> None:
        """Finishes the transcript and writes it."""
        WRITERS[self.format].write(finish(transcript, self.finishing), file, self.style)


def outputs_of(formats: str, style: Style, finishing: Finishing) -> list[Output]:
    """An output for each of the formats, which commas part; each has what of the style is for it.

    Raises ConfigError for an unknown format, and for a style that none of them can have.
    """
    names = list(dict.fromkeys(name.strip().lower() for name in formats.split(",")))

    def fitting(name: str) -> Style:
        """What of the style is for it, unless it is for none of them: then it is refused."""
        takes = {one.name: {n for n, w in WRITERS.items() if one.name in w.style} for one in fields(Style)}
        foreign = {key for key, formats in takes.items() if name not in formats and not formats.isdisjoint(names)}
        return replace(style, **{key: getattr(Style, key) for key in foreign})

    return [Output(name, fitting(name), finishing) for name in names]
