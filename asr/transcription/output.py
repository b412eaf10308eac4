"""In which form transcripts leave the program."""

from dataclasses import dataclass, field, replace
from typing import TextIO

from asr.errors import ConfigError
from asr.outputs.style import Style
from asr.outputs.writers import WRITERS
from asr.text.finishing import SCRIPTS, Finishing, finish
from asr.transcript import Transcript


@dataclass(frozen=True)
class Output:
    """A format, its style, and what is done to the text before."""

    format: str = "txt"
    """A name in WRITERS."""
    style: Style = field(default_factory=Style)
    """What the format leaves open."""
    finishing: Finishing = field(default_factory=Finishing)
    """Script, digits, punctuation."""

    def __post_init__(self):
        if self.format not in WRITERS:
            raise ConfigError(f"format must be one of {', '.join(WRITERS)}, is {self.format!r}")
        if self.style.words and not WRITERS[self.format].words:
            raise ConfigError(
                f"words have times of their own in vtt and tsv (and in json, textgrid always), not in {self.format}"
            )
        if self.style.min_confidence is not None and self.format != "manifest":
            raise ConfigError(f"a least confidence is for manifests, not for {self.format}")

    @property
    def suffix(self) -> str:
        """How names of files end."""
        return WRITERS[self.format].suffix

    def check(self) -> None:
        """Raises AsrError now, not after hours, where something is missing that will be needed."""
        if self.finishing.script:
            SCRIPTS[self.finishing.script]("")

    def write(self, transcript: Transcript, file: TextIO) -> None:
        """Finishes the transcript and writes it."""
        WRITERS[self.format].write(finish(transcript, self.finishing), file, self.style)


def outputs_of(formats: str, style: Style, finishing: Finishing) -> list[Output]:
    """An output for each of the formats, which commas part; each has what of the style is for it.

    Raises ConfigError for an unknown format, and for a style that none of them can have.
    """
    names = list(dict.fromkeys(name.strip() for name in formats.split(",")))

    with_words = {name for name, writer in WRITERS.items() if writer.words}

    def fitting(name: str) -> Style:
        words = style.words and (name in with_words or with_words.isdisjoint(names))
        least = style.min_confidence if name == "manifest" or "manifest" not in names else None
        return replace(style, words=words, min_confidence=least)

    return [Output(name, fitting(name), finishing) for name in names]
