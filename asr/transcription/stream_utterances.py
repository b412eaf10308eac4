"""What of a stream of samples is to be decoded, and when: what was heard since the last pause, again and again.

What two decodings in a row begin with is settled, and where the next ones go on from. Where speech stops, the utterance is
decoded with the full search at once: if nobody speaks on, that is its text, and it is there when the pause has become long
enough to end it.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from asr.audio.reading import SAMPLE_RATE
from asr.audio.speech_probabilities import WINDOW, SpeechNetwork
from asr.recognition.recognized import Recognized
from asr.transcription.pieces import Piece
from asr.transcription.segmenting import SegmentConfig, SpeechCutter

PAUSE = 0.5
"""Seconds without speech that end an utterance."""
BEHIND = 0.2
"""Seconds kept behind an utterance, after which it is taken to be over: the rest of the pause is time to decode it in."""
EVERY = 0.3
"""Seconds of new audio before what is open is decoded again, and of speech before it is decoded at all: less is guessed."""
SHARE = 0.1
"""Of the length of what is open, so much must be new: each decoding is of all of it, and a second of speech costs the same in
the end, however long somebody speaks on."""
BUSY = 0.5
"""At most this share of the time goes into decodings that will be replaced."""


Text = TypeVar("Text", str, tuple[int, ...])


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


@dataclass(eq=False)
class Due:
    """A piece that is to be decoded, unless it has been."""

    piece: Piece
    """Where it lies in the stream, and its samples."""
    utterance: int
    """The number of its utterance in the stream."""
    known: tuple[int, ...] = ()
    """Tokens that its text begins with, unless the full search is to find them anew."""
    full: bool = False
    """Whether the full search is worth its time: the utterance is over, or seems to be."""
    final: bool = False
    """Whether the utterance is over."""
    result: Recognized | None = None
    """What was found in it, by whoever decoded it."""


class StreamUtterances:
    """The utterances of one stream. What `add` and `finish` give is to be decoded, and `heard` told of each, in that order.

    Only what is final must be: the rest comes again, longer.
    """

    def __init__(self, network: SpeechNetwork, segments: SegmentConfig, every: float = EVERY):
        self.network, self.segments, self.every = network, segments, every
        self.heard_samples = 0
        """Of the whole stream."""
        self.number = 0
        """Of the open utterance."""
        self._listen()
        self._begin()

    @classmethod
    def at_pauses(cls, network: SpeechNetwork, segments: SegmentConfig, pause: float = PAUSE, every: float = EVERY):
        """Utterances that so many seconds without speech end."""
        padding = min(segments.padding, pause)
        return cls(network, replace(segments, pause=pause, padding=padding), every)

    def _listen(self) -> None:
        behind = min(BEHIND, self.segments.padding)
        self.cutter = SpeechCutter(self.network, self.segments, WINDOW, behind=behind)
        self.first = self.heard_samples
        """Where in the stream this cutter began to listen."""

    def _begin(self) -> None:
        self.number += 1
        self.text, self.settled = "", ""
        self.tokens: tuple[int, ...] = ()
        """What was decoded last."""
        self.known: tuple[int, ...] = ()
        """What two decodings in a row began with."""
        self.decoded = 0.0
        """Place in the stream up to which the utterance was decoded."""
        self.ending: Due | None = None
        """The utterance as it will be if nobody speaks on."""

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
            due = self._ending() or Due(self._placed(self.cutter.open_piece()), self.number, self.known)
            if self.wants(due):
                yield due

    def _ending(self) -> Due | None:
        piece = self.cutter.ending_piece()
        if piece is None:
            self.ending = None
        elif self.ending is None:
            self.ending = Due(self._placed(piece), self.number, full=True)
        return self.ending

    def wants(self, due: Due) -> bool:
        """Whether it is still worth a decoding: its utterance is open, and there is enough in it that is new."""
        if due.utterance != self.number or due.result is not None:
            return False
        since = max(self.decoded, self.first / SAMPLE_RATE + self.cutter.onset)
        new = due.piece.end - since
        return due is self.ending or new >= max(self.every, SHARE * (due.piece.end - due.piece.start))

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
            piece, due = self._placed(piece), self.ending
            if due is None or (due.piece.start, due.piece.end) != (piece.start, piece.end):
                due = Due(piece, self.number, full=True)
            due.final = True
            self._begin()
            yield due

    def _placed(self, piece: Piece) -> Piece:
        return Piece(self.first + piece.first, piece.samples)

    def heard(self, due: Due) -> Heard | None:
        """What is known now that a piece was decoded; None where there is no text, or more is known already."""
        assert due.result is not None
        piece, text = due.piece, due.result.text
        if due.final:
            return Heard(text, len(text), True, piece.start, piece.end) if text else None
        if due.utterance != self.number or piece.end < self.decoded:
            return None
        tokens = due.result.hypothesis.tokens
        self.known, self.tokens = max(self.known, _common_prefix(tokens, self.tokens), key=len), tokens
        agreed = _common_prefix(text, self.text)
        self.settled = max(self.settled, agreed, key=len) if text.startswith(self.settled) else self.settled
        # what is settled stays; the rest is the latest opinion
        self.text = text if text.startswith(self.settled) else self.settled + text[len(self.settled) :]
        self.decoded = piece.end
        return Heard(self.text, len(self.settled), False, piece.start, piece.end) if self.text else None


class Pace:
    """Sees to it that what will be decoded again takes no more than its share of the time."""

    def __init__(self):
        self.until = 0.0

    @property
    def ready(self) -> bool:
        """Whether there is time for more."""
        return time.monotonic() >= self.until

    def spent(self, seconds: float) -> None:
        """Tells it how long the latest took."""
        self.until = time.monotonic() + seconds * (1 / BUSY - 1)


def _common_prefix(a: Text, b: Text) -> Text:
    n = 0
    while n < min(len(a), len(b)) and a[n] == b[n]:
        n += 1
    return a[:n]
