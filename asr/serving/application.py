"""Requests to answers: an ASGI application, under the addresses of OpenAI's API."""

import asyncio
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from asr.errors import AsrError
from asr.finishing.finishing import Finishing
from asr.serving.access import key_of, knows, refusal
from asr.serving.answers import CAUSED_BY_PROMPT
from asr.serving.body import ENDING, Rest
from asr.serving.edited import rendered, scored
from asr.serving.health import Health, short_question
from asr.serving.inspections import inspection
from asr.serving.live_streams import LiveStreams
from asr.serving.metrics import LEFT, Metrics
from asr.serving.realtime import converse
from asr.serving.realtime_session import Session
from asr.serving.refusals import Abandoned, BadRequest, problem, worded
from asr.serving.sent import read_json
from asr.serving.service import Service
from asr.serving.settings import ServerSettings
from asr.serving.tokens import new_token, seconds_asked
from asr.serving.transcriptions import transcription
from asr.serving.web_page import HOME, page_file
from asr.speakers.weights import speakers_installed
from asr.transcription.transcriber import Transcriber

PATH, LIVE, INSPECT, MODELS = "/v1/audio/transcriptions", "/v1/realtime", "/v1/inspect", "/v1/models"
SECRETS = f"{LIVE}/client_secrets"
RENDER, SCORE = "/v1/render", "/v1/score"
POSTED = (PATH, INSPECT, SECRETS, RENDER, SCORE)
"""Addresses that something is sent to."""
PAGE = "/"
ACROSS_SITES: dict[str, Any] = {
    "allow_methods": ["GET", "POST"],
    "allow_headers": ["*"],
    "expose_headers": [CAUSED_BY_PROMPT, "Warning", "Retry-After"],
}
"""What pages of sites that are let in may send (OpenAI's own client sends a dozen headers), and read of an answer."""
MOST_JSON = 2**16
"""Bytes of a request in JSON at most."""
WRONG_KEY = "the key is wrong or missing; send it as Authorization: Bearer KEY"
KEY_ASKED = {"WWW-Authenticate": "Bearer"}


class Application:
    """An ASGI application. Once its service is stopping it answers nothing but that it ends. Warnings of recordings are said."""

    def __init__(
        self, transcriber: Transcriber, finishing: Finishing, settings: ServerSettings, say: Callable[[str], None]
    ):
        self.service = service = Service(transcriber, finishing, settings, say)
        self.settings, self.say = settings, say
        self.streams = LiveStreams(transcriber, service.scheduler)
        self.asked = Health(service.scheduler, short_question(transcriber))
        endpoints = {
            PATH: self.transcriptions,
            INSPECT: self.inspections,
            SECRETS: self.secrets,
            RENDER: self.render,
            SCORE: self.score,
            LIVE: self.no_socket,
            MODELS: self.models,
            "/health": self.health,
            "/metrics": self.metrics,
            PAGE: self.page,
        }
        self.counts = Metrics(endpoints, service)
        routes = [Route(path, one, methods=["POST" if path in POSTED else "GET"]) for path, one in endpoints.items()]
        routes.append(Route(f"{MODELS}/{{name:path}}", self.models, methods=["GET"]))
        routes.append(Route("/page/{name}", self.page, methods=["GET"]))
        self.app: ASGIApp = Starlette(routes=routes, exception_handlers=HANDLERS | {Abandoned: self._abandoned})
        if settings.origins:
            self.app = CORSMiddleware(self.app, allow_origins=settings.origins, **ACROSS_SITES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["path"] = scope["path"].rstrip("/") or PAGE  # a redirect would not know what a proxy has before the path
        try:
            if scope["type"] == "websocket":
                await self._live(WebSocket(scope, receive, send))
            else:
                await self._answered(scope, receive, send)
        except Exception as error:  # a bug, for which the client has got its answer
            *_, place = traceback.extract_tb(error.__traceback__)
            where = f"{Path(place.filename).name}:{place.lineno}"
            self.say(f"asr: a request could not be answered: {type(error).__name__} in {where}: {str(error)[:200]}")

    async def _live(self, socket: WebSocket) -> None:
        reason, status = refusal(socket.headers, self.settings), 403
        key = self.settings.key
        if not reason and key and not knows(key, key_of(socket.headers, socket.scope.get("subprotocols", []))):
            reason, status = WRONG_KEY, 401
        if not reason and socket.url.path != LIVE:
            reason, status = _nothing_at(socket), 404
        if reason:
            headers = KEY_ASKED if status == 401 else None
            await socket.send_denial_response(_refused(socket, status, reason, headers=headers))
        else:
            await converse(self.service, self.streams, socket)

    async def _answered(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        rest = Rest(receive, request.headers.get("expect", "").lower() == "100-continue", self.service.stopping)
        began: list[int] = []
        """The status, once an answer has begun."""

        async def telling(message: Message) -> None:
            if message["type"] == "http.response.start":
                began.append(status := message["status"])
                if status >= 400 and rest.awaited:  # nobody knows whether it will still come
                    message["headers"] = [*message["headers"], (b"connection", b"close")]
                elif status >= 400 and status != 408:  # most clients read no answer while they send
                    await rest.drop()
            await send(message)

        try:
            with self.counts.answering(scope["path"], began):
                if reason := refusal(request.headers, self.settings, scope["path"] == PAGE):
                    await _refused(request, 403, reason)(scope, receive, telling)
                else:
                    await self.app(scope, rest.receive, telling)
        except asyncio.CancelledError:  # the server ends in the middle of what cannot be interrupted
            if not began:
                await _refused(request, 503, ENDING)(scope, receive, telling)

    async def _abandoned(self, request: Request, error: Abandoned) -> Response:
        """Of what a client that has gone is answered only the status is read: it is counted."""
        return _refused(request, 503 if self.service.stopping.is_set() else LEFT, str(error))

    async def transcriptions(self, request: Request) -> Response:
        self._ask_for_key(request)
        return await transcription(self.service, request)

    async def inspections(self, request: Request) -> Response:
        self._ask_for_key(request)
        return await inspection(self.service, request)

    async def secrets(self, request: Request) -> Response:
        """A key for a web page, which ends soon. Who has but such a one gets no other."""
        self._ask_for_key(request, lent=False)
        body = self.service.body(request, MOST_JSON)
        try:
            asked = read_json(await Request(request.scope, body.receive).body() or b"{}")
        except ValueError:
            raise BadRequest("the body must be JSON") from None
        value, ends = new_token(self.settings.key, seconds_asked(asked))
        return JSONResponse({"value": value, "expires_at": ends, "session": Session().shown(f"sess_{ends}")})

    async def render(self, request: Request) -> Response:
        self._ask_for_key(request)
        return await rendered(self.service, request)

    async def score(self, request: Request) -> Response:
        self._ask_for_key(request)
        return await scored(self.service, request)

    async def page(self, request: Request) -> Response:
        return page_file(request.path_params.get("name", HOME))

    async def no_socket(self, request: Request) -> Response:
        told = f"{LIVE} is a WebSocket: connect to ws://…{LIVE}"
        return _refused(request, 426, told, headers={"Upgrade": "websocket"})

    def _ask_for_key(self, request: Request, lent: bool = True) -> None:
        if self.settings.key and not knows(self.settings.key, key_of(request.headers), lent):
            raise BadRequest(WRONG_KEY, status=401, headers=KEY_ASKED)

    async def models(self, request: Request) -> Response:
        """The only one there is: in a list, or by itself where its name is asked for."""
        self._ask_for_key(request)
        only = {"id": self.service.transcriber.loaded.name, "object": "model", "created": 0, "owned_by": "asr"}
        only["speakers"] = speakers_installed()
        if name := request.path_params.get("name"):
            if name != only["id"]:
                raise BadRequest(f"there is no model {name[:100]!r}; the only one is {only['id']!r}", "model", 404)
            return JSONResponse(only)
        return JSONResponse({"object": "list", "data": [only]})

    async def health(self, request: Request) -> Response:
        """Whether the model answers, for everybody; 503 where it does not."""
        problem = ENDING if self.service.stopping.is_set() else await self.asked.problem()
        answer = {"status": "unavailable" if problem else "ok", "model": self.service.transcriber.loaded.name}
        reason = {"reason": worded(problem, request)} if problem else {}
        return JSONResponse(answer | reason, 503 if problem else 200)

    async def metrics(self, request: Request) -> Response:
        self._ask_for_key(request)
        return Response(self.counts.text(), media_type=self.counts.content_type)


def _refused(
    asking: HTTPConnection, status: int, message: str, field: str | None = None, headers: dict[str, str] | None = None
) -> Response:
    """Why a request is not answered, in the language that it asks for."""
    return Response(problem(status, worded(message, asking), field), status, headers, "application/json")


def _nothing_at(asking: HTTPConnection) -> str:
    path = asking.scope["path"][:100]
    return f"there is nothing at {path!r}; recordings are sent to {PATH}, and browsers find a page at {PAGE}"


def _not_so(request: Request, error: HTTPException) -> str:
    methods = ", ".join(sorted((error.headers or {})["Allow"].split(", ")))
    return f"{request.scope['path'][:100]} takes {methods}, not {request.method[:20]}"


def _of_system(request: Request, error: OSError) -> Response:
    where = error.filename or f"the temporary folder {tempfile.gettempdir()}"
    return _refused(request, 500, f"{where}: {error.strerror or error}")


HANDLERS: dict[Any, Any] = {
    BadRequest: lambda request, error: _refused(request, error.status, str(error), error.field, error.headers),
    ClientDisconnect: lambda request, error: _refused(request, 400, "the upload was not finished"),
    404: lambda request, error: _refused(request, 404, _nothing_at(request)),
    405: lambda request, error: _refused(request, 405, _not_so(request, error), headers=error.headers),
    HTTPException: lambda request, error: _refused(request, error.status_code, error.detail, headers=error.headers),
    AsrError: lambda request, error: _refused(request, 500, str(error)),
    OSError: _of_system,
    Exception: lambda request, error: _refused(
        request, 500, f"the server failed ({type(error).__name__}), its log says where"
    ),
}
