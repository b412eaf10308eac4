"""An upload on its way to a transcript."""

from collections.abc import Callable
from typing import IO

from asr.errors import Cancelled
from asr.files import on_disk
from asr.serving.body import ENDING
from asr.serving.refusals import Abandoned, BadRequest
from asr.transcript import Transcript
from asr.transcription.transcriber import Transcriber


def transcribe(
    transcriber: Transcriber, upload: IO[bytes], name: str, most_seconds: float, *, given_up: Callable[[], bool]
) -> Transcript:
    """The transcript of an upload. Raises BadRequest where it cannot be read or is too long, Abandoned where it is given up."""
    with on_disk(upload) as path:
        recording = transcriber.open(path, name=name)
        try:
            for _ in transcriber.stream([recording], lambda: given_up() or recording.duration > most_seconds):
                pass
        except Cancelled:
            if given_up():
                raise Abandoned(ENDING) from None
            limit = f"{most_seconds:g} s ({most_seconds / 3600:.3g} h)"
            raise BadRequest(f"{name}: is longer than {limit}; send it in parts", "file", 413) from None
        if recording.error:
            raise BadRequest(str(recording.error), "file") from recording.error
        return transcriber.transcript(recording)
