"""What a transcription is: plain data, known to every other part. Times are seconds from the start of the recording."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Segment:
    """One stretch of a recording and what was said in it."""

    start: float
    """Where the stretch begins."""
    end: float
    """Where it ends."""
    text: str
    """The recognised text; empty where nothing was recognised."""
    score: float | None = None
    """What the search ranks by: log-probability over tokens, eos included; None where nothing was decoded."""
    warnings: tuple[str, ...] = ()
    """What a reader should know before trusting the text."""
    hotwords: tuple[str, ...] = ()
    """Hot words that are in the text, in order."""
    channel: int | None = None
    """The channel, counted from 0, where each was transcribed for itself; None for the average of all."""


@dataclass(frozen=True)
class Transcript:
    """All segments of one recording, in order of time."""

    audio: str
    """The path, or a name for audio that had none."""
    duration: float
    """Length of the recording."""
    segments: tuple[Segment, ...]
    """Stretches of at most a few tens of seconds, without overlap."""
    model: str
    """Name of the model folder."""
    warnings: tuple[str, ...] = ()
    """What concerns the recording as a whole."""
    settings: dict = field(default_factory=dict)
    """The decoding settings that were used."""

    @property
    def text(self) -> str:
        """The segments' texts, joined as Mandarin is written; a space only between two Latin words."""
        joined = ""
        for segment in self.segments:
            if (
                joined[-1:].isascii()
                and joined[-1:].isalnum()
                and segment.text[:1].isascii()
                and segment.text[:1].isalnum()
            ):
                joined += " "
            joined += segment.text
        return joined
