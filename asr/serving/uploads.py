"""An upload on its way to a transcript."""

from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from asr.decoding.wordlists import read_hotwords
from asr.errors import AsrError, AudioError, Cancelled
from asr.files import on_disk
from asr.serving.body import ENDING
from asr.serving.forms import MOST_NOTES, Wanted
from asr.serving.refusals import Abandoned, BadRequest
from asr.serving.scheduler import RunningJob
from asr.serving.voices import REFERENCES
from asr.speakers.wanted import Speakers
from asr.transcript import Transcript
from asr.transcription.recordings import RecordingInProgress
from asr.transcription.transcriber import Transcriber

DECODED_TOGETHER = 30.0
"""Seconds of speech after which others may go on; one batch of the search holds as many."""
STREAMED_TOGETHER = 6.0
"""The same where text is wanted as soon as there is some."""
STREAMED_SHARE = 0.02
"""A transcript is given anew once so much of it is new: each time all of it is made, which takes long where it is hours."""


@dataclass(frozen=True)
class Upload:
    """A recording that was sent."""

    file: IO[bytes]
    """Its bytes."""
    name: str
    """What it is called in messages."""
    most_seconds: float
    """Seconds of audio that it may have."""
    streamed: bool = False
    """Whether each part of the transcript is wanted as soon as it is there."""
    speakers: Speakers | None = None
    """What is known of those who speak, where it is wanted who does."""


def writable(wanted: Wanted, transcriber: Transcriber) -> Wanted:
    """A request without the hot words that the model cannot write, and with notes on them and on those that change nothing."""
    if not wanted.hotwords:
        return wanted
    tokenizer, config = transcriber.loaded.tokenizer, transcriber.recognizer.config
    weight = config.hotword_weight
    found = read_hotwords([(word, weight) for word in wanted.hotwords], tokenizer, tokenizer.table, weight)
    words = tuple(word for word in wanted.hotwords if word not in found.ignored)
    return replace(wanted, hotwords=words, notes=(*wanted.notes, *list(found.remarks(config))[:MOST_NOTES]))


def transcribe(
    transcriber: Transcriber, upload: Upload, running: RunningJob
) -> Generator[Transcript | None, None, None]:
    """The transcript of an upload as far as it is known, where it is streamed, else None; in the end all of it.

    Raises BadRequest where it cannot be read or is too long, Abandoned where it is given up.
    """
    with on_disk(upload.file) as path:
        recording = _opened(transcriber, upload, path)
        together = STREAMED_TOGETHER if upload.streamed else DECODED_TOGETHER
        try:
            stream = transcriber.stream(
                [recording], lambda: running() or recording.duration > upload.most_seconds, together
            )
            given = 0.0
            for _, segment in stream:
                if segment and upload.streamed and recording.duration - given >= STREAMED_SHARE * given:
                    given = recording.duration
                    yield transcriber.transcript(recording)
                elif segment:
                    yield None
        except Cancelled:
            raise why_given_up(running, upload) from None
        if recording.error:
            raise BadRequest(str(recording.error), "file") from recording.error
        yield transcriber.transcript(recording)


def _opened(transcriber: Transcriber, upload: Upload, path: Path) -> RecordingInProgress:
    """The recording, about to be read. Raises BadRequest where it cannot be told who speaks, or a voice cannot be heard."""
    if upload.speakers is None:
        return transcriber.open(path, name=upload.name)
    try:
        return transcriber.open(path, name=upload.name, speakers=upload.speakers)
    except AudioError as error:
        raise BadRequest(str(error), REFERENCES) from error
    except AsrError as error:
        raise BadRequest(str(error), "speakers", 501) from error


def why_given_up(running: RunningJob, upload: Upload) -> Abandoned | BadRequest:
    """What to raise where the work on an upload was cancelled."""
    if running.given_up.is_set():
        return Abandoned(ENDING)
    limit = f"is longer than {upload.most_seconds:g} s ({upload.most_seconds / 3600:.3g} h)"
    if running.took_too_long:
        limit = f"takes longer than {running.most_seconds:g} s of work"
    return BadRequest(f"{upload.name}: {limit}; send it in parts", "file", 413)
