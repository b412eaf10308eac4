"""What of a stream of samples is to be decoded, and when: what was heard since the last pause, again and again.

At the next pause the utterance is over, and is decoded once more with the full search. What two decodings in a row
begin with is settled.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from asr.audio.voice_activity import WINDOW, VoiceActivity
from asr.transcription.pieces import Piece
from asr.transcription.segmenting import SegmentConfig, SpeechCutter

PAUSE = 0.5
"""Seconds without speech that end an utterance."""
EVERY = 0.3
"""Seconds of new audio before what is open is decoded again."""
BUSY = 0.5
"""At most this share of the time goes into decodings that will be replaced."""


@dataclass(frozen=True)
class Heard:
    """The text of the current utterance."""

    text: str
    """All of it, as far as it is known."""
    settled: int
    """Characters at its beginning on which two decodings agreed; all of them in the end."""
    final: bool
    """Whether the utterance is over."""
    start: float
    """Seconds since the stream began: where the utterance begins."""
    end: float
    """How far it has been heard."""


@dataclass(frozen=True, eq=False)
class Due:
    """A piece that is to be decoded."""

    piece: Piece
    """Where it lies in the stream, and its samples."""
    final: bool
    """Whether the utterance is over, and the full search is worth its time."""


class Utterances:
    """The utterances of one stream. What `add` and `finish` give is to be decoded, and `heard` told of each, in that order."""

    def __init__(self, network: VoiceActivity, segments: SegmentConfig, every: float = EVERY):
        self.network, self.segments, self.every = network, segments, every
        self.heard_samples = 0
        """Of the whole stream."""
        self._listen()
        self._begin()

    @classmethod
    def at_pauses(cls, network: VoiceActivity, segments: SegmentConfig, pause: float = PAUSE, every: float = EVERY):
        """Utterances that so many seconds without speech end."""
        padding = min(segments.padding, pause)
        return cls(network, replace(segments, pause=pause, padding=padding), every)

    def _listen(self) -> None:
        self.cutter = SpeechCutter(self.network, self.segments, WINDOW)
        self.first = self.heard_samples
        """Where in the stream this cutter began to listen."""

    def _begin(self) -> None:
        self.text, self.settled = "", ""
        self.decoded = 0.0
        """Place in the stream up to which the utterance was decoded."""
        self.rest = 0.0
        """Seconds of audio to wait so that decoding does not take all the time."""

    @property
    def speaking(self) -> float | None:
        """Where in the stream the open utterance begins, in seconds; None between utterances."""
        return self._placed(self.cutter.open_piece()).start if self.cutter.speaking else None

    def add(self, samples: np.ndarray, look: bool = True) -> Iterator[Due]:
        """The next samples (S,) at 16 kHz → finished utterances, and the open one where it is time to look at it again.

        look: whether to look at what is open at all.
        """
        self.heard_samples += len(samples)
        yield from self._finals(self.cutter.add(samples))
        if look and self.cutter.speaking:
            piece = self._placed(self.cutter.open_piece())
            if piece.end - max(self.decoded, piece.start) >= max(self.every, self.rest):
                yield Due(piece, False)

    def finish(self) -> Iterator[Due]:
        """The last utterance, where the stream ends, or is to be cut; what is added later is another one."""
        yield from self._finals(self.cutter.finish())
        self.forget()

    def forget(self) -> None:
        """Drops what is open."""
        self._listen()
        self._begin()

    def _finals(self, pieces: Iterator[Piece]) -> Iterator[Due]:
        for piece in pieces:
            self._begin()
            yield Due(self._placed(piece), True)

    def _placed(self, piece: Piece) -> Piece:
        return Piece(self.first + piece.first, piece.samples)

    def heard(self, due: Due, text: str, seconds: float) -> Heard | None:
        """What is known now that a piece was decoded, which took some seconds; None where there is no text."""
        piece = due.piece
        if due.final:
            return Heard(text, len(text), True, piece.start, piece.end) if text else None
        self.rest = seconds / BUSY
        agreed = _common_prefix(text, self.text)
        self.settled = max(self.settled, agreed, key=len) if text.startswith(self.settled) else self.settled
        # what is settled stays; the rest is the latest opinion
        self.text = text if text.startswith(self.settled) else self.settled + text[len(self.settled) :]
        self.decoded = piece.end
        return Heard(self.text, len(self.settled), False, piece.start, piece.end) if self.text else None


def _common_prefix(a: str, b: str) -> str:
    n = 0
    while n < min(len(a), len(b)) and a[n] == b[n]:
        n += 1
    return a[:n]
