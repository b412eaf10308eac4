"""`/v1/audio/transcriptions`: a form with a recording to its transcript, at once or as it is found."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from asr.finishing.finishing import finish
from asr.serving.answers import answer_of, headers_of
from asr.serving.body import Receive, until_nobody_waits
from asr.serving.events import EventStream, events_of
from asr.serving.forms import Wanted, read_form, read_request
from asr.serving.scheduler import Job, Result, RunningJob
from asr.serving.service import Service
from asr.serving.uploads import Upload, transcribe, writable
from asr.transcript import Transcript


async def transcription(service: Service, request: Request) -> Response:
    """The answer to a request. Raises BadRequest for what cannot be answered, Abandoned where nobody waits for it."""
    wanted, form = await received(service, request)
    transcripts = _transcripts(service, wanted, form, request.receive)
    ids, headers = service.transcriber.loaded.tokenizer.encode, headers_of(wanted)
    if wanted.stream:
        events = events_of(transcripts, wanted, ids)
        return EventStream(await anext(events), events, headers)
    async with aclosing(transcripts):
        *_, transcript = [one async for one in transcripts]
    assert transcript is not None
    answer = await asyncio.to_thread(answer_of, transcript, wanted, ids)  # of hours: seconds
    kind = PlainTextResponse if isinstance(answer, str) else JSONResponse
    return kind(answer, headers=headers)


async def received(service: Service, request: Request) -> tuple[Wanted, FormData]:
    """What a form asks for, and the form, which holds the recording until it is closed."""
    body = service.body(request)
    service.waiting.check()  # before a large upload is read in vain
    with service.clients.slot():
        form = await read_form(Request(request.scope, body.receive))
    try:
        return writable(read_request(form.multi_items()), service.transcriber), form
    except BaseException:
        await form.close()
        raise


async def worked(service: Service, form: FormData, receive: Receive, job: Job[Result]) -> AsyncGenerator[Result, None]:
    """What the work on a form yields when its turn comes; the form is closed in the end."""
    try:
        with service.clients.slot(), service.waiting.slot():
            async for result in service.scheduler.work(job, until_nobody_waits(receive, service.stopping)):
                yield result
    finally:
        await form.close()


async def _transcripts(
    service: Service, wanted: Wanted, form: FormData, receive: Receive
) -> AsyncGenerator[Transcript | None, None]:
    """What is known of the transcript as it is found, None while nobody asks for that; the form is closed in the end."""
    most = service.settings.most_seconds
    upload = Upload(wanted.upload.file, wanted.name, most, wanted.stream, wanted.speakers)

    def job(running: RunningJob) -> Generator[Transcript | None, None, None]:
        listening = service.transcriber.listening_for(wanted.hotwords) if wanted.hotwords else service.transcriber
        for transcript in transcribe(listening, upload, running):
            yield transcript and finish(transcript, service.finishing)

    transcript = None
    async with aclosing(worked(service, form, receive, job)) as transcripts:
        async for transcript in transcripts:
            yield transcript
    assert transcript is not None
    service.count(transcript, wanted.name)
