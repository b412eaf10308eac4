"""What a transcription is: plain data, known to every other part. Times are seconds from the start of the recording.

One list of tokens is the only truth about what was said: texts derive from it, and finishing (numbers, script,
punctuation) makes a new list whose spans are those of the old one. What the model wrote before that stays in `raw`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from unicodedata import east_asian_width

Span = tuple[float, float]
"""Start and end, in seconds."""


@dataclass(frozen=True)
class TranscriptToken:
    """One Han character, Latin word or number, and where it was said."""

    text: str
    """Its characters."""
    start: float
    """Where it begins."""
    end: float
    """Where it ends: not before `start`, and not after the next token's start."""
    confidence: float
    """From 0 to 1: the probability that the decoder gave it, knowing the tokens before it."""
    source: tuple[int, int]
    """First and last of the model's tokens that it stands for, counted from the segment's first."""
    mark: str = ""
    """Punctuation behind it."""
    speaker: str = ""
    """Who says it; empty where that was not asked."""


@dataclass(frozen=True)
class Turn:
    """A stretch in which somebody speaks; those of two people may lie over each other."""

    start: float
    """Where it begins."""
    end: float
    """Where it ends."""
    speaker: str
    """Who it is."""


@dataclass(frozen=True)
class Correction:
    """A hot word that was written in the place of what sounds like it."""

    place: int
    """Its first token, counted from the segment's first."""
    heard: str
    """What the model wrote."""
    written: str
    """The hot word."""


@dataclass(frozen=True)
class Segment:
    """One stretch of a recording and what was said in it."""

    start: float
    """Where the stretch begins."""
    end: float
    """Where it ends."""
    tokens: tuple[TranscriptToken, ...] = ()
    """What was recognised, in order of time; none where nothing was."""
    raw: str = ""
    """The text as the model wrote it; finishing leaves it alone."""
    score: float | None = None
    """What the search ranks by: log-probability over tokens, eos included; None where nothing was decoded."""
    warnings: tuple[str, ...] = ()
    """What a reader should know before trusting the text."""
    hotwords: tuple[str, ...] = ()
    """Hot words that are in the text, in order."""
    channel: int | None = None
    """The channel, counted from 0, where each was transcribed for itself; None for the average of all."""
    corrections: tuple[Correction, ...] = ()
    """Hot words that replaced what sounds like them, in order, where that was asked for."""
    no_speech: float | None = None
    """The probability that nobody speaks in it, by the model's no-speech head; None of a model that has none."""

    def __str__(self) -> str:
        return self.text

    @property
    def text(self) -> str:
        """The tokens' text."""
        return joined(self.tokens)

    @property
    def speaker(self) -> str:
        """Who says it: a segment ends where another one speaks. Empty where that was not asked, or nothing was recognised."""
        return self.tokens[0].speaker if self.tokens else ""

    @property
    def talker(self) -> str:
        """What outputs call the speaker, or else the channel; empty for neither."""
        return self.speaker or ("" if self.channel is None else str(self.channel))

    @property
    def confidence(self) -> float | None:
        """The mean of its tokens' confidence; None without tokens."""
        return sum(token.confidence for token in self.tokens) / len(self.tokens) if self.tokens else None


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
    settings: dict[str, Any] = field(default_factory=dict)
    """The decoding settings that were used."""
    id: str = ""
    """Its id in the list that named it; empty without one."""
    turns: tuple[Turn, ...] = ()
    """Who speaks when, in order of time, also where nothing was recognised; none where that was not asked."""

    def __str__(self) -> str:
        return self.text

    @property
    def text(self) -> str:
        """The segments' texts, joined as Mandarin is written."""
        return joined(token for segment in self.segments for token in segment.tokens)

    @property
    def all_warnings(self) -> list[str]:
        """Those of the recording, then those of its segments, each once."""
        return list(dict.fromkeys([*self.warnings, *(w for segment in self.segments for w in segment.warnings)]))

    def by_channel(self) -> dict[int | None, "tuple[Segment, ...]"]:
        """The segments of each channel; of None where channels were averaged, also if there are no segments."""
        channels = sorted({segment.channel for segment in self.segments}, key=lambda channel: channel or 0) or [None]
        return {channel: tuple(s for s in self.segments if s.channel == channel) for channel in channels}

    @property
    def speakers(self) -> list[str]:
        """Who speaks, as they appear; none where that was not asked."""
        found = [turn.speaker for turn in self.turns] or [segment.speaker for segment in self.segments]
        return [speaker for speaker in dict.fromkeys(found) if speaker]

    def by_talker(self) -> dict[str, "tuple[Segment, ...]"]:
        """The segments of each speaker, or, where that was not asked, of each channel; of "" where channels were averaged."""
        if not self.speakers:
            return {("" if c is None else str(c)): segments for c, segments in self.by_channel().items()}
        return {talker: tuple(s for s in self.segments if s.speaker == talker) for talker in self.speakers}

    @property
    def overlaps(self) -> list[tuple[float, float]]:
        """(start, end) of where two or more speak at the same time; what each of them says there is not told apart."""
        moments = sorted([(turn.start, 1) for turn in self.turns] + [(turn.end, -1) for turn in self.turns])
        found: list[tuple[float, float]] = []
        speaking, begun = 0, 0.0
        for moment, change in moments:
            if speaking + change == 2 and change == 1:
                begun = moment
            elif speaking == 2 and change == -1 and moment > begun:
                found.append((begun, moment))
            speaking += change
        return found


def joined(tokens: Iterable[TranscriptToken]) -> str:
    """The text of tokens as Mandarin is written: a space only between two that are not Chinese (`HELLO WORLD`, `A 4`)."""
    text = ""
    for token in tokens:
        text += (" " if parted(text, token.text) else "") + token.text + token.mark
    return text


def in_clauses(tokens: Iterable[TranscriptToken]) -> tuple[str, list[int]]:
    """The text of tokens with a line break in place of marks, beyond which no word or number goes; where each token begins."""
    text, starts = "", []
    for token in tokens:
        text += " " if parted(text, token.text) else ""
        starts.append(len(text))
        text += token.text + ("\n" if token.mark else "")
    return text, starts


def parted(text: str, following: str) -> bool:
    """Whether a space stands between a text and what follows."""
    return bool(text) and not _is_wide(text[-1]) and not _is_wide(following[0])


def _is_wide(character: str) -> bool:
    return east_asian_width(character) in "WF"


def merged(tokens: Sequence[TranscriptToken], text: str) -> TranscriptToken:
    """One token in the place of several, as sure as they are on average."""
    first, last = tokens[0], tokens[-1]
    confidence = round(sum(token.confidence for token in tokens) / len(tokens), 4)
    source = (first.source[0], last.source[1])
    return TranscriptToken(text, first.start, last.end, confidence, source, last.mark, first.speaker)
