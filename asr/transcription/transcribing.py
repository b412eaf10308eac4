"""From recordings to transcripts, whatever recognises the pieces that they are cut into."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Protocol, Self, TypeVar, cast

import numpy as np

from asr.audio.given import Audio, Bytes, name_of
from asr.audio.speech_probabilities import SpeechNetwork
from asr.decoding.decode_config import DecodeConfig
from asr.decoding.wordlists import Hotwords
from asr.errors import AudioError
from asr.recognition.recognized import Recognized
from asr.speakers.wanted import Wanted
from asr.stopping import never
from asr.text.tokenizer import Tokenizer
from asr.transcript import Segment, Transcript
from asr.transcription.attribution import attributed
from asr.transcription.pieces import Piece
from asr.transcription.recordings import NOTHING_WRITTEN, SHORTEST, RecordingInProgress
from asr.transcription.segmenting import SegmentConfig
from asr.transcription.segments import segment_of

if TYPE_CHECKING:  # who needs no speakers told apart needs no PyTorch
    from asr.transcription.finding_speakers import SpeakerFinder

Given = TypeVar("Given", bound=Audio)
LEAST_TOGETHER = 120.0
"""Seconds of speech, of one recording or of several, that are decoded together at least, in batches of similar length; more
where a batch holds more (`batch_seconds`). Memory is bounded by this, not by what is transcribed."""


class PieceRecognizer(Protocol):
    """What recognises pieces of recordings."""

    @property
    def config(self) -> DecodeConfig:
        """All decoding settings."""
        ...

    @property
    def hotwords(self) -> Hotwords | None:
        """The hot words, where there are any."""
        ...

    def recognize(
        self, utterances: Sequence[np.ndarray], timed: bool = False, cancelled: Callable[[], bool] = never
    ) -> list[list[Recognized]]:
        """Arrays (S,) of 16 kHz samples → per utterance its n-best list, the best with the spans of its tokens if `timed`."""
        ...


class Transcribing:
    """Turns audio into transcripts by a recognizer of any kind."""

    def __init__(
        self,
        recognizer: PieceRecognizer,
        tokenizer: Tokenizer,
        name: str,
        *,
        segments: SegmentConfig,
        voice_activity: SpeechNetwork,
    ):
        self.recognizer, self.tokenizer, self.name = recognizer, tokenizer, name
        self.segments: SegmentConfig = segments
        """Where recordings are cut."""
        self.voice_activity = voice_activity
        self.finder: SpeakerFinder | None = None
        """What tells speakers apart where nothing else is asked."""

    def telling_speakers(self, speakers: Wanted) -> Self:
        """The same loaded model, which tells who speaks in each recording; it cannot be pickled."""
        made = self._searched_by(self.recognizer)
        made.finder = self._finder_of(speakers, False)
        return made

    def _searched_by(self, recognizer: PieceRecognizer) -> Self:
        made = object.__new__(type(self))
        made.__dict__ |= self.__dict__
        made.recognizer = recognizer
        return made

    def _finder_of(self, wanted: "Wanted | SpeakerFinder", split: bool) -> "SpeakerFinder | None":
        """What finds the speakers that are wanted; None where none are."""
        if wanted is None:
            return None
        from asr.transcription.finding_speakers import finder_of  # brings PyTorch

        return finder_of(wanted, self.voice_activity, split)

    def transcribe(
        self,
        audio: Audio,
        split: bool = False,
        *,
        track: int | None = None,
        cancelled: Callable[[], bool] = never,
        speakers: "Wanted | SpeakerFinder" = None,
    ) -> Transcript:
        """The transcript of a recording of any length; times are seconds from its start.

        `split`: of each of its channels; `track`: of that track of sound, counted from 0. `cancelled` is asked again and again
        meanwhile; soon after it says True, Cancelled is raised. `speakers`: whether it is told who says what, True, or how many
        they are, 2 or "2-5", or Speakers, which names voices, too. The same below. Raises AudioError where it cannot be read.
        Example: `model.transcribe((samples, 8000)).text`
        """
        (_, transcript), *_ = self.transcribe_all([audio], split, track=track, cancelled=cancelled, speakers=speakers)
        if isinstance(transcript, AudioError):
            raise transcript
        return transcript

    def transcribe_all(
        self,
        audios: Iterable[Given],
        split: bool = False,
        *,
        track: int | None = None,
        cancelled: Callable[[], bool] = never,
        speakers: "Wanted | SpeakerFinder" = None,
    ) -> Iterator[tuple[Given, Transcript | AudioError]]:
        """Transcripts of many recordings, decoded together and given in order; an error in place of what cannot be read.

        Example: `for path, found in model.transcribe_all(paths): …`, where `found` is a Transcript or an AudioError.
        """
        if isinstance(audios, str | os.PathLike | Bytes):
            raise AudioError(
                f"{name_of(audios)}: is one recording, which transcribe takes; transcribe_all takes a list of them"
            )
        finder = self._finder_of(speakers, split)
        opened = (self.open(audio, split, track=track, speakers=finder) for audio in audios)
        for recording, segment in self.stream(opened, cancelled):
            if segment is None:
                yield cast(Given, recording.audio), recording.error or self.transcript(recording)

    def iter_segments(
        self, audio: Audio, split: bool = False, *, track: int | None = None, cancelled: Callable[[], bool] = never
    ) -> Iterator[Segment]:
        """Segments with speech in order of time (within each channel), as they are decoded.

        Raises AudioError where the recording cannot be read.
        """
        for recording, segment in self.stream([self.open(audio, split, track=track)], cancelled):
            if segment:
                recording.segments.clear()
                yield segment
            elif recording.error:
                raise recording.error

    def open(
        self,
        audio: Audio,
        split: bool = False,
        name: str | None = None,
        *,
        track: int | None = None,
        speakers: "Wanted | SpeakerFinder" = None,
    ) -> RecordingInProgress:
        """A recording for `stream`; `name` is what its transcript calls it, by default its path."""
        finder = self._finder_of(speakers, split) or self.finder
        diarizer = finder.diarizer() if finder else None
        return RecordingInProgress(
            audio, self.voice_activity, self.segments, split, name=name, track=track, diarizer=diarizer
        )

    def transcript(self, recording: RecordingInProgress) -> Transcript:
        """What `stream` has found in a recording that it is done with."""
        found = sorted(recording.segments, key=lambda segment: (segment.start, segment.channel or 0))
        segments = tuple(attributed(found, recording.turns))
        settings = asdict(self.recognizer.config) | {"segments": asdict(self.segments)}
        warnings = recording.warnings()
        if segments and not any(segment.tokens for segment in segments):
            warnings = (*warnings, NOTHING_WRITTEN)
        if recording.diarizer:
            settings["speakers"] = recording.diarizer.settings()
        made = Transcript(recording.name, recording.duration, segments, self.name, warnings, settings)
        return replace(made, turns=recording.turns)

    def stream(
        self,
        recordings: Iterable[RecordingInProgress],
        cancelled: Callable[[], bool] = never,
        together: float | None = None,
    ) -> Iterator[tuple[RecordingInProgress, Segment | None]]:
        """(recording, segment) in order, and (recording, None) behind the last segment of each. They are decoded together.

        `cancelled` is asked after each block that is read, speech or not, and at each step of the search. together: seconds
        of speech at a time; as many as fill a batch where none are given.
        """
        config = self.recognizer.config
        together = together or max(LEAST_TOGETHER, config.batch_seconds)
        waiting: list[tuple[RecordingInProgress, int | None, Piece | None]] = []
        seconds, n_open = 0.0, 0
        for recording in recordings:
            for channel, piece in recording.pieces(cancelled):
                waiting.append((recording, channel, piece))
                seconds += piece.end - piece.start
                if seconds >= together:
                    yield from self._decode(waiting, cancelled)
                    waiting, seconds, n_open = [], 0.0, 0
            waiting.append((recording, None, None))
            n_open += 1
            if n_open == config.batch_recordings:
                yield from self._decode(waiting, cancelled)
                waiting, seconds, n_open = [], 0.0, 0
        yield from self._decode(waiting, cancelled)

    def _decode(
        self,
        waiting: Sequence[tuple[RecordingInProgress, int | None, Piece | None]],
        cancelled: Callable[[], bool],
    ) -> Iterator[tuple[RecordingInProgress, Segment | None]]:
        pieces = [piece.samples for _, _, piece in waiting if piece and piece.end - piece.start >= SHORTEST]
        results = iter(self.recognizer.recognize(pieces, timed=True, cancelled=cancelled))
        for recording, channel, piece in waiting:
            if piece is None:
                yield recording, None
            elif piece.end - piece.start >= SHORTEST:
                segment = segment_of(next(results)[0], self.tokenizer, piece, channel)
                recording.segments.append(segment)
                yield recording, segment
