"""Requests to answers: an ASGI application, under the addresses of OpenAI's API."""

import asyncio
import tempfile
import threading
import traceback
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import aclosing
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from asr.errors import AsrError
from asr.serving.access import knows, refusal
from asr.serving.answers import answer_of, headers_of
from asr.serving.body import ENDING, Body, until_nobody_waits
from asr.serving.events import EventStream, events_of
from asr.serving.forms import Wanted, read_form, read_request
from asr.serving.places import Places
from asr.serving.refusals import Abandoned, BadRequest, problem
from asr.serving.settings import ServerSettings
from asr.serving.turns import Turn, Turns
from asr.serving.uploads import Upload, transcribe, writable
from asr.text.finishing import Finishing, finish
from asr.transcript import Transcript
from asr.transcription.transcriber import Transcriber

PATH = "/v1/audio/transcriptions"


class Application:
    """An ASGI application. Once `stopping` is set it answers nothing but that it ends. Warnings of recordings are said."""

    def __init__(
        self, transcriber: Transcriber, finishing: Finishing, settings: ServerSettings, say: Callable[[str], None]
    ):
        self.transcriber, self.finishing, self.settings, self.say = transcriber, finishing, settings, say
        self.stopping = threading.Event()
        self.turns = Turns(settings.most_work)
        self.clients = Places(settings.most_clients, "clients")
        self.waiting = Places(settings.most_waiting + 1, "requests", lambda: self.turns.latest)
        routes = [
            Route(PATH, self.transcriptions, methods=["POST"]),
            Route("/v1/models", self.models),
            Route("/health", self.health),
        ]
        self.app: ASGIApp = Starlette(routes=routes, exception_handlers=HANDLERS)
        if settings.origins:
            allowed = {"allow_methods": ["GET", "POST"], "allow_headers": ["Authorization"]}
            self.app = CORSMiddleware(self.app, allow_origins=settings.origins, **allowed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        began: list[int] = []
        """The status, once an answer has begun."""

        async def telling(message: Message) -> None:
            if message["type"] == "http.response.start":
                began.append(message["status"])
            await send(message)

        try:
            if reason := refusal(request.headers, self.settings):
                await self._refuse(request, 403, reason, telling)
            else:
                await self.app(scope, receive, telling)
        except (Abandoned, BadRequest, ClientDisconnect):
            pass  # while the rest of a refused request was dropped
        except asyncio.CancelledError:  # the server ends in the middle of what cannot be interrupted
            if not began:
                await _answer(503, ENDING)(scope, receive, send)
        except Exception as error:  # a bug, for which the client has got its answer
            *_, place = traceback.extract_tb(error.__traceback__)
            where = f"{Path(place.filename).name}:{place.lineno}"
            self.say(f"asr: a request could not be answered: {type(error).__name__} in {where}: {str(error)[:200]}")

    async def _refuse(self, request: Request, status: int, message: str, send: Send) -> None:
        await self._body(request).drop()
        await _answer(status, message)(request.scope, request.receive, send)

    def _body(self, request: Request) -> Body:
        return Body(request.receive, self.settings.most_bytes, self.stopping)

    async def transcriptions(self, request: Request) -> Response:
        body = self._body(request)
        await self._ask_for_key(request)
        try:
            self.waiting.look()  # before a large upload is read in vain
            with self.clients.one():
                form = await read_form(Request(request.scope, body.receive))
        except BadRequest as error:
            if error.status == 429:
                await body.drop()
            raise
        try:
            wanted = writable(read_request(form.multi_items()), self.transcriber)
        except BaseException:
            await form.close()
            raise
        transcripts = self._transcripts(form, wanted, request.receive)
        ids, headers = self.transcriber.loaded.tokenizer.encode, headers_of(wanted)
        if wanted.stream:
            events = events_of(transcripts, wanted, ids)
            return EventStream(await anext(events), events, headers)
        async with aclosing(transcripts):
            *_, transcript = [one async for one in transcripts]
        answer = answer_of(transcript, wanted, ids)
        return (
            PlainTextResponse(answer, headers=headers)
            if isinstance(answer, str)
            else JSONResponse(answer, headers=headers)
        )

    async def _transcripts(
        self, form: FormData, wanted: Wanted, receive: Callable[[], Awaitable[Any]]
    ) -> AsyncGenerator[Transcript | None, None]:
        """What is known of the transcript of a form's recording, as it is found; the form is closed in the end."""
        upload = Upload(wanted.upload.file, wanted.name, self.settings.most_seconds, wanted.stream)

        def job(turn: Turn) -> Generator[Transcript | None, None, None]:
            transcriber = self.transcriber
            if wanted.hotwords:
                transcriber = transcriber.listening_for(wanted.hotwords)
            for transcript in transcribe(transcriber, upload, turn):
                yield transcript and finish(transcript, self.finishing)

        try:
            with self.clients.one(), self.waiting.one():
                transcript = None
                async for transcript in self.turns.work(job, until_nobody_waits(receive, self.stopping)):
                    yield transcript
            for warning in transcript.all_warnings if transcript else ():
                self.say(f"asr: {wanted.name}: warning: {warning}")
        finally:
            await form.close()

    async def _ask_for_key(self, request: Request) -> None:
        if self.settings.key and not knows(self.settings.key, request.headers.get("authorization", "")):
            await self._body(request).drop()
            raise HTTPException(401, "the key is wrong or missing; send it as Authorization: Bearer KEY")

    async def models(self, request: Request) -> Response:
        await self._ask_for_key(request)
        only = {"id": self.transcriber.loaded.name, "object": "model", "created": 0, "owned_by": "asr"}
        return JSONResponse({"object": "list", "data": [only]})

    async def health(self, request: Request) -> Response:
        return JSONResponse({"status": "ok", "model": self.transcriber.loaded.name})


def _answer(status: int, message: str, field: str | None = None, headers: dict[str, str] | None = None) -> Response:
    return Response(problem(status, message, field), status, headers, "application/json")


def _of_system(error: OSError) -> Response:
    where = error.filename or f"the temporary folder {tempfile.gettempdir()}"
    return _answer(500, f"{where}: {error.strerror or error}")


HANDLERS: dict[Any, Any] = {
    BadRequest: lambda request, error: _answer(error.status, str(error), error.field, error.headers),
    Abandoned: lambda request, error: _answer(503, str(error)),
    ClientDisconnect: lambda request, error: _answer(400, "the upload was not finished"),
    HTTPException: lambda request, error: _answer(error.status_code, error.detail, headers=error.headers),
    AsrError: lambda request, error: _answer(500, str(error)),
    OSError: lambda request, error: _of_system(error),
    Exception: lambda request, error: _answer(500, f"the server failed ({type(error).__name__}), its log says where"),
}
