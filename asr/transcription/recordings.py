"""One recording on its way from a file to a transcript."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from asr.audio.diagnostics import InputCheck
from asr.audio.given import Audio, check_kind, name_of, readable
from asr.audio.reading import MIX, SAMPLE_RATE, Recording, resample
from asr.audio.speech_probabilities import SpeechNetwork
from asr.errors import AudioError, Cancelled
from asr.stopping import never
from asr.transcript import Segment, Turn
from asr.transcription.pieces import SILENCE_PEAK, Piece
from asr.transcription.segmenting import SegmentConfig, SpeechCutter

if TYPE_CHECKING:  # who needs no speakers told apart needs no PyTorch
    from asr.speakers.diarizer import Diarizer

SHORTEST = 0.2
"""Seconds; nothing that can be recognised is said in less."""
MOST_TRACKS = 16
"""In which sound is looked for."""
NO_AUDIO = "holds no audio: 0 seconds"
TOO_SHORT = f"is too short to recognise: less than {SHORTEST:g} s"
SILENCE = "is silent: no sample, channels averaged, is above -80 dBFS"
NO_SPEECH = "no speech was found in it"
NOTHING_WRITTEN = "what sounds like speech was found in it, but the model wrote nothing"
FAINT_PEAK = 0.03
"""Speech never stays below it, unless it is recorded so faintly that it may not be noticed."""


class RecordingInProgress:
    """Its pieces as they are read, and what has been found out so far."""

    def __init__(
        self,
        audio: Audio,
        network: SpeechNetwork,
        config: SegmentConfig,
        split: bool = False,
        *,
        name: str | None = None,
        track: int | None = None,
        diarizer: "Diarizer | None" = None,
    ):
        """diarizer: what is to find out who speaks when."""
        check_kind(audio)
        self.audio, self.network, self.config, self.split, self.track = audio, network, config, split, track
        self.name = name or name_of(audio)
        self.asking = False
        """Whether `cancelled` is being asked."""
        self.n_samples = 0
        """Samples read, at 16 kHz."""
        self.rate = SAMPLE_RATE
        """Samples per second in the file."""
        self.checks: list[InputCheck] = []
        """What each channel sounds like."""
        self.announced: float | None = None
        """Seconds that the header says there are."""
        self.peak = 0.0
        self.heard = False
        """Whether any piece was found."""
        self.problems: list[str] = []
        """What is wrong with the file."""
        self.louder_track = ""
        """A hint at another track, where the one that was read is silent."""
        self.error: AudioError | None = None
        """Why there will be no transcript."""
        self.segments: list[Segment] = []
        self.elsewhere: Iterator[tuple[int | None, Piece]] | None = None
        """Its pieces from another process, where one reads it."""
        self.diarizer = diarizer
        self.turns: tuple[Turn, ...] = ()
        """Who speaks when, once all of it was read."""

    @property
    def duration(self) -> float:
        """Seconds read."""
        return self.n_samples / SAMPLE_RATE

    def pieces(self, cancelled: Callable[[], bool] = never) -> Iterator[tuple[int | None, Piece]]:
        """(channel, piece) of speech; the channel is None where they are averaged. Where nothing can be read, `error` is set.

        Raises Cancelled where `cancelled`, which is asked after each block of audio, says so.
        """
        if self.elsewhere is not None:
            yield from self.elsewhere
            return
        cutters: list[SpeechCutter] = []
        try:
            for block in self._blocks():
                self.n_samples += len(block)
                self.asking = True
                given_up = cancelled()
                self.asking = False
                if given_up:
                    raise Cancelled(f"{self.name}: given up after {self.duration:.0f} s of audio")
                self.peak = max(self.peak, float(np.abs(block).max(initial=0)))
                if not cutters:
                    cutters = [SpeechCutter(self.network, self.config) for _ in range(block.shape[1])]
                    self.checks = [InputCheck() for _ in cutters]
                if self.diarizer:
                    self.diarizer.add(block[:, 0])
                for channel, cutter in enumerate(cutters):
                    self.checks[channel].add(block[:, channel])
                    yield from self._found(channel, cutter.add(block[:, channel]))
        except Cancelled:
            raise
        except AudioError as error:
            self.error = error
            return
        except Exception as error:  # whatever it is, it stays with this recording
            if self.asking:  # but for what the caller's own function raises
                raise
            self.error = AudioError(f"{self.name}: cannot be read ({str(error) or type(error).__name__})")
            return
        if self.diarizer:
            self.turns = self.diarizer.finish()
        for channel, cutter in enumerate(cutters):
            yield from self._found(channel, cutter.finish())

    def _found(self, channel: int, pieces: Iterator[Piece]) -> Iterator[tuple[int | None, Piece]]:
        for piece in pieces:
            self.heard = True
            self.checks[channel].add_speech(piece.samples)
            yield channel if self.split else None, piece

    def _blocks(self) -> Iterator[np.ndarray]:
        """Arrays (S, C). A damaged file is read as far as it goes; where that is nowhere, AudioError is raised."""
        channel = None if self.split else MIX
        with readable(self.audio, self.name) as found:
            if isinstance(found, tuple):
                samples, self.rate = found
                yield resample(samples, self.rate, channel, self.problems)
                return
            recording = Recording(found, self.track)
            self.announced, self.rate = recording.seconds, recording.rate
            yield from _as_far_as_it_goes(recording, channel, self.problems)
            if self.peak < SILENCE_PEAK and recording.tracks > 1:
                self.louder_track = next(louder_tracks(recording), "")

    def warnings(self) -> tuple[str, ...]:
        """What concerns the recording as a whole, once it has been read."""
        if not self.n_samples:
            nothing = NO_AUDIO
        elif self.duration < SHORTEST:
            nothing = TOO_SHORT
        elif self.peak < SILENCE_PEAK:
            nothing = SILENCE + self.louder_track
        else:
            nothing = "" if self.heard else NO_SPEECH
            if nothing and self.peak < FAINT_PEAK and not self.problems:
                level = 20 * np.log10(self.peak)
                nothing += f"; its loudest sample is at {level:.0f} dB of full scale, if somebody speaks record louder"
        remarks = []
        for channel, check in enumerate(self.checks):
            remarks += [f"channel {channel} {r}" if self.split else r for r in check.remarks(self.rate)]
        return (*self.problems, *([nothing] if nothing else []), *remarks)


def blocks_of(audio: Audio, name: str, problems: list[str]) -> Iterator[np.ndarray]:
    """The recording as blocks (S,) at 16 kHz, channels averaged; adds to `problems` what is missing of a damaged one.

    `name`: what messages call it. Raises AudioError where nothing can be read.
    """
    with readable(audio, name) as found:
        if isinstance(found, tuple):
            yield resample(*found, problems=problems)[:, 0]
            return
        for block in _as_far_as_it_goes(Recording(found), MIX, problems):
            yield block[:, 0]


def louder_tracks(silent: Recording) -> Iterator[str]:
    """A hint at the first track with sound in it, of a recording whose own track has none."""
    for track in range(min(silent.tracks, MOST_TRACKS)):
        try:
            if any(np.abs(block).max(initial=0) >= SILENCE_PEAK for block in Recording(silent.path, track).blocks()):
                yield f"; its track {track}, counted from 0, is not: --track {track} reads it"
                return
        except AudioError:  # a track that cannot be decoded
            continue


def _as_far_as_it_goes(recording: Recording, channel: int | None, problems: list[str]) -> Iterator[np.ndarray]:
    """Arrays (S, C), and what is wrong with the file. Raises AudioError where nothing can be read."""
    empty = True
    for block in recording.blocks(channel=channel):
        empty = empty and not len(block)
        yield block
    problems += recording.problems
    if recording.damage:
        if empty:
            raise recording.damage
        problems.append(str(recording.damage).removeprefix(f"{recording.path}: "))
