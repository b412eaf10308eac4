"""How transcripts are written, where a format leaves a choice."""

from dataclasses import dataclass

from asr.errors import ConfigError

TXT_LINES = ("recording", "segment", "paragraph")
"""What a line of txt can be."""


@dataclass(frozen=True)
class Style:
    """Choices for texts, subtitles, tables and manifests."""

    line_characters: int = 16
    """Characters of a subtitle line at most; only a single longer Latin word goes beyond."""
    lines: int = 2
    """Lines of a subtitle at most."""
    characters_per_second: float = 9.0
    """Reading speed: a subtitle stays as long as its characters take, if the next one lets it."""
    words: bool = False
    """Whether vtt, lrc and ass carry the time of each token (karaoke), and tsv has a line for each."""
    min_confidence: float | None = None
    """Manifests leave out segments below it, and those with warnings; None keeps all."""
    longest: float = 7.0
    """Seconds that a subtitle is shown at most."""
    end_marks: bool = False
    """Whether punctuation stays at the end of a subtitle."""
    word_times: bool = False
    """As `words`, for each word of a dictionary in place of each token; json and textgrid have words beside tokens."""
    txt_lines: str = "recording"
    """What txt has a line for: `recording`, `segment`, or `paragraph`, segments without a long pause between them."""

    @property
    def timed(self) -> bool:
        """Whether something smaller than a line has a time."""
        return self.words or self.word_times

    def __post_init__(self):
        if self.line_characters < 1 or self.lines < 1:
            raise ConfigError(
                f"subtitles need a line of a character at least, not {self.lines} of {self.line_characters}"
            )
        if not self.characters_per_second > 0:
            raise ConfigError(f"characters per second must be above 0, is {self.characters_per_second:g}")
        if not self.longest >= 1:
            raise ConfigError(f"a subtitle needs a second at least, not {self.longest:g}")
        if self.txt_lines not in TXT_LINES:
            raise ConfigError(f"a line of txt can be a {' or '.join(TXT_LINES)}, not {self.txt_lines!r}")
        if self.words and self.word_times:
            raise ConfigError("times are those of characters or those of words, not of both")
