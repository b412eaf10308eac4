"""A stream of audio to pieces of speech, short enough to decode and cut at pauses; what nobody speaks in is left out."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from asr.audio.faint import Amplifier
from asr.audio.reading import SAMPLE_RATE
from asr.audio.speech_probabilities import WINDOW, SpeechNetwork, SpeechProbabilities
from asr.config_values import from_dict
from asr.errors import ConfigError, UsageError
from asr.transcription.pieces import SILENCE_PEAK, Piece

BLOCK = 256 * WINDOW
"""Samples that are looked at together, 8.2 s: what comes out does not depend on how the audio comes in."""
WINDOW_PAUSE = 2.0
"""Seconds without speech that end a piece which is to fill a window."""
MOST_SECONDS = 120.0
"""No setting is longer: memory is for that much speech at once."""
SHORT_PAUSE = 0.096
"""Seconds; a cut within speech is made in a pause of at least this length, if there is one."""


@dataclass(frozen=True)
class SegmentConfig:
    """Where a recording is cut."""

    longest: float = 12.0
    """Seconds of the longest piece, without padding."""
    shortest: float = 5.0
    """Speech that must be cut before its next pause is not cut in its first so many seconds."""
    pause: float = 0.6
    """Seconds without speech that end a piece."""
    padding: float = 0.5
    """Seconds kept before and behind speech, where no other speech is; none of them begins or ends in digital silence."""
    least_speech: float = 0.06
    """Seconds of speech in all without which a piece is dropped: a click is no word."""
    threshold: float = 0.5
    """Probability of speech from which on a window is speech; 0 takes everything for speech."""
    silence: float = 0.35
    """Speech goes on until the probability is below this."""

    @classmethod
    def within(cls, window: float) -> "SegmentConfig":
        """Pieces that fill the window that a model hears in any case, short pauses included; the usual ones without one (0 s)."""
        usual = cls()
        if not window:
            return usual
        longest = max(window - 2 * usual.padding, window / 2)
        return replace(usual, longest=longest, shortest=longest / 2, pause=WINDOW_PAUSE)

    @classmethod
    def changed(cls, window: float, changes: Mapping[str, Any]) -> "SegmentConfig":
        """As `within`, but for the `changes`. A setting that would not fit a changed one follows it, unless it is changed itself.

        Raises UsageError for a setting that does not exist or cannot be, and for pieces that are longer than the window.
        """
        usual = cls.within(window)
        numbers = {key: value for key, value in changes.items() if isinstance(value, int | float)}
        following: dict[str, float] = {}
        if "threshold" in numbers:
            following["silence"] = max(0.0, round(numbers["threshold"] - (usual.threshold - usual.silence), 6))
        if "longest" in numbers:
            following["shortest"] = min(usual.shortest, numbers["longest"] / 2)
        if "pause" in numbers:
            following["padding"] = min(usual.padding, numbers["pause"])
        try:
            made = from_dict(cls, asdict(usual) | following | dict(changes), "vad")
        except ConfigError as error:
            raise UsageError(str(error)) from None
        if window and made.longest + 2 * made.padding > max(window, usual.longest + 2 * usual.padding):
            raise UsageError(
                f"vad.longest {made.longest:g} s and twice vad.padding {made.padding:g} s are more than the {window:g} s"
                " that the model hears at once"
            )
        return made

    def __post_init__(self):
        if not 0 < self.shortest < self.longest <= MOST_SECONDS:
            raise ConfigError(
                f"vad: must be 0 < shortest {self.shortest:g} s < longest {self.longest:g} s <= {MOST_SECONDS:g} s"
            )
        if not 0 <= self.padding <= self.pause <= MOST_SECONDS:
            raise ConfigError(
                f"vad: must be 0 <= padding {self.padding:g} s <= pause {self.pause:g} s <= {MOST_SECONDS:g} s"
            )
        if not 0 <= self.least_speech <= MOST_SECONDS:
            raise ConfigError(f"vad.least_speech must be from 0 to {MOST_SECONDS:g} s, is {self.least_speech:g}")
        if not 0 <= self.silence <= self.threshold < 1:
            raise ConfigError(
                f"vad: must be 0 <= silence {self.silence:g} <= threshold {self.threshold:g} < 1, they are probabilities"
            )


class SpeechCutter:
    """Finds the pieces of one stream. It holds no more audio than the piece that is being spoken, and a block."""

    def __init__(
        self,
        network: SpeechNetwork,
        config: SegmentConfig | None = None,
        block: int = BLOCK,
        *,
        behind: float | None = None,
    ):
        """block: samples that are looked at together. behind: seconds kept behind speech; None for the padding."""
        self.config = config or SegmentConfig()
        self.probabilities = SpeechProbabilities(network)
        self.amplifier = Amplifier() if block > WINDOW else None
        """What is faint is heard louder, where enough is looked at together to tell."""
        self.block = block
        self.waiting = np.zeros(0, np.float32)
        """Samples that do not make a block yet."""
        self.held = np.zeros(0, np.float32)
        self.position = 0
        """Place of the first held sample in the stream."""
        self.window = 0
        """Windows seen so far."""
        self.speech: list[bool] = []
        """For every window since the piece began, whether it is speech; empty between pieces."""
        self.free = 0
        """Window up to which the audio belongs to earlier pieces."""
        self.longest = _windows(self.config.longest)
        self.shortest = _windows(self.config.shortest)
        self.pause = _windows(self.config.pause)
        self.padding = _windows(self.config.padding)
        self.behind = self.padding if behind is None else _windows(behind)
        self.least_speech = _windows(self.config.least_speech)

    @property
    def speaking(self) -> bool:
        """Whether a piece is open: there was speech, and no pause since that ends it."""
        return bool(self.speech)

    @property
    def onset(self) -> float:
        """Where in the stream the speech of the open piece begins, in seconds. Only while `speaking`."""
        return (self.window - len(self.speech)) * WINDOW / SAMPLE_RATE

    def open_piece(self) -> Piece:
        """The piece that is being spoken, as far as it goes. Only while `speaking`."""
        start = self._start(self.window - len(self.speech))
        return Piece(start * WINDOW, self._samples(start, self.window))

    def ending_piece(self) -> Piece | None:
        """What the open piece will be if nobody speaks on; None as long as what is kept behind speech has not come."""
        if not self.speaking or any(self.speech[-self.behind :]) or sum(self.speech) < self.least_speech:
            return None
        start, stop = self._bounds(*self._spoken())
        return Piece(start * WINDOW, self._samples(start, stop))

    def add(self, samples: np.ndarray) -> Iterator[Piece]:
        """The next samples (S,) of the stream → the pieces that are now complete."""
        self.waiting = np.concatenate([self.waiting, samples])
        while len(self.waiting) >= self.block:
            block, self.waiting = self.waiting[: self.block], self.waiting[self.block :]
            yield from self._add(block)

    def finish(self) -> Iterator[Piece]:
        """The last pieces, at the end of the stream."""
        n = len(self.waiting)
        end = self.window * WINDOW + n
        for piece in self._add(np.concatenate([self.waiting, np.zeros(-n % WINDOW, np.float32)])):
            yield Piece(piece.first, piece.samples[: end - piece.first])
        self.held = self.held[: len(self.held) - -n % WINDOW]
        if self.speech:
            yield from self._close()

    def _add(self, samples: np.ndarray) -> Iterator[Piece]:
        self.held = np.concatenate([self.held, samples])
        for probability in self.heard(samples):
            self.window += 1
            if self.speech:
                talks = probability >= (self.config.silence if self.speech[-1] else self.config.threshold)
                self.speech.append(bool(talks))
                if not any(self.speech[-self.pause :]):
                    yield from self._close()
                elif len(self.speech) == self.longest:
                    yield from self._cut()
            elif probability >= self.config.threshold:
                self.speech = [True]
        self._forget()

    def heard(self, block: np.ndarray) -> np.ndarray:
        """The next block (S,) → (N,), the probabilities of speech in its windows."""
        return self.probabilities.add(self.amplifier.amplified(block) if self.amplifier else block)

    def _close(self) -> Iterator[Piece]:
        """The open piece without the pause at its end."""
        if sum(self.speech) >= self.least_speech:
            yield self._piece(*self._spoken())
        self.speech = []

    def _spoken(self) -> tuple[int, int]:
        """The windows [first, end) of the open piece from its first speech to its last."""
        first = self.window - len(self.speech)
        return first, first + _last(self.speech) + 1

    def _cut(self) -> Iterator[Piece]:
        """The part of the open piece before its best pause; what follows stays open."""
        first = self.window - len(self.speech)
        end, start = _longest_pause(self.speech, self.shortest) or (self._quietest(first),) * 2
        if not any(self.speech[start:]):
            yield from self._close()
            return
        yield self._piece(first, first + end, first + (end + start) // 2)
        self.speech = self.speech[start + self.speech[start:].index(True) :]

    def _piece(self, first: int, end: int, limit: int | None = None) -> Piece:
        """Windows [first, end) with padding, which reaches neither into the piece before nor beyond `limit`."""
        start, self.free = self._bounds(first, end, limit)
        return Piece(start * WINDOW, self._samples(start, self.free))

    def _bounds(self, first: int, end: int, limit: int | None = None) -> tuple[int, int]:
        start, stop = self._start(first), end + self.behind
        stop = stop if limit is None else min(stop, limit)
        while stop > end and self._empty(stop - 1):
            stop -= 1
        return start, stop

    def _start(self, first: int) -> int:
        """Where a piece begins whose speech begins at window `first`."""
        start = max(self.free, first - self.padding, 0)
        while start < first and self._empty(start):
            start += 1
        return start

    def _empty(self, window: int) -> bool:
        """Whether a window holds nothing, not even the noise of a room: a model hears a sound where that begins or ends."""
        return float(np.abs(self._samples(window, window + 1)).max(initial=0)) < SILENCE_PEAK

    def _samples(self, first: int, end: int) -> np.ndarray:
        return self.held[first * WINDOW - self.position : end * WINDOW - self.position]

    def _quietest(self, first: int) -> int:
        """The quietest window of the open piece from `shortest` on, counted from `first`; of equal ones the last."""
        samples = self._samples(first + self.shortest, first + len(self.speech))
        power = np.square(samples.reshape(-1, WINDOW)).mean(1)
        smooth = np.convolve(power, np.ones(3) / 3, "valid")
        return self.shortest + len(smooth) - int(smooth[::-1].argmin())

    def _forget(self) -> None:
        """Drops the audio that no piece will need."""
        needed = max(0, self.window - len(self.speech) - self.padding) * WINDOW
        if needed > self.position:
            self.held, self.position = self.held[needed - self.position :].copy(), needed


def speech_in(network: SpeechNetwork, samples: np.ndarray) -> np.ndarray:
    """Samples (S,) → (N,), the probabilities of speech by which a file's stream is cut, one for each window that is whole."""
    cutter = SpeechCutter(network)
    return np.concatenate(
        [np.zeros(0, np.float32), *(cutter.heard(samples[i : i + BLOCK]) for i in range(0, len(samples), BLOCK))]
    )


def _windows(seconds: float) -> int:
    return max(1, round(seconds * SAMPLE_RATE / WINDOW))


def _last(speech: list[bool]) -> int:
    """Place of the last speech."""
    return len(speech) - 1 - speech[::-1].index(True)


def _longest_pause(speech: list[bool], first: int) -> tuple[int, int] | None:
    """(start, end) of the longest pause from window `first` on; of equal ones the last. None if all are short."""
    best, start = None, None
    least = _windows(SHORT_PAUSE)
    for place, talks in enumerate([*speech[first:], True], first):
        if not talks:
            start = place if start is None else start
        elif start is not None:
            if place - start >= (best[1] - best[0] if best else least):
                best = start, place
            start = None
    return best
