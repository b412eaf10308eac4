"""`/v1/inspect`: a form with a short clip to a page that shows how it is recognised, that of `asr inspect`."""

from collections.abc import Generator
from contextlib import aclosing
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from asr.errors import AudioError, Cancelled
from asr.files import on_disk
from asr.inspection.inspecting import LONGEST, ClipTooLong, inspect
from asr.inspection.page import inspection_page
from asr.serving.answers import headers_of
from asr.serving.forms import Wanted
from asr.serving.refusals import BadRequest
from asr.serving.scheduler import RunningJob
from asr.serving.service import Service
from asr.serving.transcriptions import received, worked
from asr.serving.uploads import Upload, why_given_up
from asr.transcription.transcriber import Transcriber

HARMLESS = {
    "Content-Security-Policy": "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline';"
    " style-src 'unsafe-inline'; img-src data:",
    "X-Content-Type-Options": "nosniff",
}
"""The page may draw, and nothing else: it holds what others have sent."""


async def inspection(service: Service, request: Request) -> Response:
    """The answer to a request. Raises BadRequest for what cannot be answered, Abandoned where nobody waits for it."""
    wanted, form = await received(service, request)
    wanted = _of_a_page(wanted)
    upload = Upload(wanted.upload.file, wanted.name, min(LONGEST, service.settings.most_seconds))

    def job(running: RunningJob) -> Generator[str, None, None]:
        listening = service.transcriber.listening_for(wanted.hotwords) if wanted.hotwords else service.transcriber
        yield _page(service, listening, upload, running)

    async with aclosing(worked(service, form, request.receive, job)) as pages:
        [page] = [one async for one in pages]
    return HTMLResponse(page, headers=headers_of(wanted) | HARMLESS)


def _of_a_page(wanted: Wanted) -> Wanted:
    """A request with notes on what of it is for transcripts alone."""
    asked = {"response_format": wanted.format != "json", "stream": wanted.stream, "include": wanted.logprobs}
    notes = (f"{name} changes nothing: the answer is a page" for name, given in asked.items() if given)
    return replace(wanted, notes=(*wanted.notes, *notes))


def _page(service: Service, transcriber: Transcriber, upload: Upload, running: RunningJob) -> str:
    with on_disk(upload.file) as path:
        try:
            found = inspect(transcriber, path, name=upload.name, cancelled=running, longest=upload.most_seconds)
        except ClipTooLong:
            message = f"{upload.name}: is longer than {upload.most_seconds:g} s, the most that can be inspected"
            raise BadRequest(f"{message}; send a part of it", "file", 413) from None
        except Cancelled:
            raise why_given_up(running, upload) from None
        except AudioError as error:
            raise BadRequest(str(error), "file") from error
    service.count(found.transcript, upload.name)
    return inspection_page(found)
