"""How transcripts are written, where a format leaves a choice."""

from dataclasses import dataclass

from asr.errors import ConfigError


@dataclass(frozen=True)
class Style:
    """Choices for subtitles, tables and manifests."""

    line_characters: int = 16
    """Characters of a subtitle line at most; only a single longer Latin word goes beyond."""
    lines: int = 2
    """Lines of a subtitle at most."""
    characters_per_second: float = 9.0
    """Reading speed: a subtitle stays as long as its characters take, if the next one lets it."""
    words: bool = False
    """Whether vtt carries the time of each token (karaoke), and tsv has a line for each."""
    min_confidence: float | None = None
    """Manifests leave out segments below it, and those with warnings; None keeps all."""

    def __post_init__(self):
        if self.line_characters < 1 or self.lines < 1:
            raise ConfigError(
                f"subtitles need a line of a character at least, not {self.lines} of {self.line_characters}"
            )
        if not self.characters_per_second > 0:
            raise ConfigError(f"characters per second must be above 0, is {self.characters_per_second:g}")
