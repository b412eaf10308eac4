"""In which form transcripts leave the program."""

from dataclasses import dataclass, field
from typing import TextIO

from asr.errors import ConfigError
from asr.outputs.style import Style
from asr.outputs.writers import SUFFIXES, WRITERS
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
        if self.style.words and self.format not in ("vtt", "tsv"):
            raise ConfigError(
                f"words have times of their own in vtt and tsv (and in json, textgrid always), not in {self.format}"
            )
        if self.style.min_confidence is not None and self.format != "manifest":
            raise ConfigError(f"a least confidence is for manifests, not for {self.format}")

    @property
    def suffix(self) -> str:
        """How names of files end."""
        return SUFFIXES[self.format]

    def check(self) -> None:
        """Raises AsrError now, not after hours, where something is missing that will be needed."""
        if self.finishing.script:
            SCRIPTS[self.finishing.script]("")

    def write(self, transcript: Transcript, file: TextIO) -> None:
        """Finishes the transcript and writes it."""
        WRITERS[self.format](finish(transcript, self.finishing), file, self.style)
