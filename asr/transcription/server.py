"""`asr serve`: transcripts over HTTP, asked for as OpenAI's /v1/audio/transcriptions is, so that clients for that work.

    curl http://127.0.0.1:8000/v1/audio/transcriptions -F file=@talk.m4a -F response_format=srt

Recordings are transcribed one at a time, in the order in which they came in; until its turn an upload lies on disk. What
nobody waits for any more is not transcribed to its end.
"""

import asyncio
import hmac
import io
import math
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asr.errors import AsrError, AudioError
from asr.outputs.style import Style
from asr.outputs.writers import WRITERS
from asr.text.finishing import Finishing, finish
from asr.transcript import Segment, Transcript
from asr.transcription.command import tell_ignored_hotwords
from asr.transcription.transcriber import Transcriber

PATH = "/v1/audio/transcriptions"
FORMATS = ("json", "text", "srt", "vtt", "verbose_json", "tsv", "textgrid")
"""What `response_format` may be; the first five are OpenAI's."""
IGNORED = ("model", "prompt", "temperature", "chunking_strategy", "include")
"""Fields of OpenAI's that change nothing here."""
MANDARIN = ("", "zh", "zho", "cmn", "chinese", "mandarin")
"""What `language` may begin with, up to a hyphen."""
GRANULARITIES = "timestamp_granularities"
FIELDS = (*IGNORED, "file", "language", "response_format", GRANULARITIES, "stream")
LONGEST_SUFFIX = 16
"""Characters of the end of a file's name that are kept."""
MOST_DROPPED = 10**8
"""Bytes of a refused upload that are read all the same, and dropped: most clients read no answer while they send."""
LOOK = 0.3
"""Seconds between two looks at whether somebody still waits."""


@dataclass(frozen=True)
class Door:
    """Where a server listens, and what it lets in."""

    host: str = "127.0.0.1"
    port: int = 8000
    """0 takes any that is free."""
    key: str = ""
    """What clients must know, in ASCII, sent as OpenAI's key is; empty asks for none."""
    most_bytes: int = 2 * 10**9
    """Of a request."""


class BadRequest(AsrError):
    """A request that cannot be answered, and the field that is wrong."""

    def __init__(self, message: str, field: str | None = None):
        super().__init__(message)
        self.field = field


class Abandoned(AsrError):
    """Nobody waits for the answer, or the server is about to end."""


def application(
    transcriber: Transcriber, finishing: Finishing, stopping: threading.Event, say: Callable[[str], None], door: Door
):
    """An ASGI application. Once `stopping` is set it answers nothing but that it ends. Warnings of recordings are said."""
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.exceptions import HTTPException
    from starlette.requests import ClientDisconnect, Request
    from starlette.responses import JSONResponse, PlainTextResponse, Response
    from starlette.routing import Route
    from starlette.types import Message, Receive

    turn = asyncio.Lock()
    model = transcriber.loaded.name

    async def transcriptions(request: Request) -> Response:
        await ask_for_key(request)
        async with Request(request.scope, counted(request.receive)).form() as form:
            format, words = read_request(form.multi_items())
            upload = form["file"]
            name = os.path.basename(upload.filename or "") or "recording"
            async with turn:
                if stopping.is_set() or await request.is_disconnected():
                    raise Abandoned("the server is about to end")
                abandoned = threading.Event()
                watch = asyncio.create_task(watched(request, abandoned))
                try:
                    transcript = await run_in_threadpool(transcribe, transcriber, upload.file, name, abandoned)
                finally:
                    watch.cancel()
        for warning in transcript.all_warnings:
            say(f"asr: {name}: warning: {warning}")
        answer = answer_of(finish(transcript, finishing), format, words)
        return PlainTextResponse(answer) if isinstance(answer, str) else JSONResponse(answer)

    def counted(receive: Receive) -> Receive:
        """The same, until it is more than is let in."""
        received = 0

        async def receive_some() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > door.most_bytes:
                if message.get("more_body"):
                    await drop_body(receive)
                raise HTTPException(413, f"an upload must be at most {door.most_bytes / 1e6:g} MB")
            return message

        return receive_some

    async def ask_for_key(request: Request) -> None:
        if door.key and not knows(door.key, request.headers.get("authorization", "")):
            await drop_body(request.receive)
            raise HTTPException(401, "the key is wrong or missing; send it as Authorization: Bearer KEY")

    async def watched(request: Request, abandoned: threading.Event) -> None:
        while not stopping.is_set() and not await request.is_disconnected():
            await asyncio.sleep(LOOK)
        abandoned.set()

    async def models(request: Request) -> Response:
        await ask_for_key(request)
        only = {"id": model, "object": "model", "created": 0, "owned_by": "asr"}
        return JSONResponse({"object": "list", "data": [only]})

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ok", "model": model})

    def problem(status: int, message: str, field: str | None = None) -> Response:
        kind = "invalid_request_error" if status < 500 else "server_error"
        error = {"message": message, "type": kind, "param": field, "code": None}
        return JSONResponse({"error": error}, status_code=status)

    handlers = {
        BadRequest: lambda request, error: problem(400, str(error), error.field),
        Abandoned: lambda request, error: problem(503, str(error)),
        ClientDisconnect: lambda request, error: problem(400, "the upload was not finished"),
        HTTPException: lambda request, error: problem(error.status_code, error.detail),
        AsrError: lambda request, error: problem(500, str(error)),
        OSError: lambda request, error: problem(500, error.strerror or str(error)),
    }
    routes = [Route(PATH, transcriptions, methods=["POST"]), Route("/v1/models", models), Route("/health", health)]
    return Starlette(routes=routes, exception_handlers=handlers)


async def drop_body(receive: Callable[[], Awaitable[dict]]) -> None:
    """Reads what is left of a request, as much as is worth reading."""
    dropped, more = 0, True
    while more and dropped < MOST_DROPPED:
        message = await receive()
        dropped += len(message.get("body", b""))
        more = message.get("more_body", False)


def knows(key: str, authorization: str) -> bool:
    """Whether the header of that name has the key, which is ASCII."""
    kind, _, sent = authorization.partition(" ")
    return kind.lower() == "bearer" and hmac.compare_digest(sent.strip().encode(), key.encode())


def read_request(fields: list[tuple[str, Any]]) -> tuple[str, bool]:
    """The format that a form asks for, and whether with the times of words. Raises BadRequest for what cannot be."""
    form: dict[str, list] = {}
    for name, value in fields:
        name = name.partition("[")[0]
        if name not in FIELDS:
            raise BadRequest(f"there is no field {name!r}; there are {', '.join(FIELDS)}", name)
        if isinstance(value, str) == (name == "file"):
            kind = "an audio file" if name == "file" else "a text, not a file"
            raise BadRequest(f"{name} must be {kind}, in a form of the type multipart/form-data", name)
        form.setdefault(name, []).append(value)
    if len(form.get("file", ())) != 1:
        raise BadRequest("file must be an audio file, one, in a form of the type multipart/form-data", "file")
    format, language, stream = (form.get(name, [""])[-1] for name in ("response_format", "language", "stream"))
    if (format or "json") not in FORMATS:
        raise BadRequest(f"response_format must be one of {', '.join(FORMATS)}, is {format!r}", "response_format")
    if language.lower().replace("_", "-").partition("-")[0] not in MANDARIN:
        raise BadRequest(f"language must be zh, is {language!r}: the model is for Mandarin", "language")
    if stream.lower() not in ("", "false", "0"):
        raise BadRequest("stream is not offered: the answer comes when all is transcribed", "stream")
    granularities = form.get(GRANULARITIES, [])
    if not set(granularities) <= {"word", "segment"}:
        raise BadRequest(f"{GRANULARITIES} must be word or segment, is {', '.join(granularities)}", GRANULARITIES)
    return format or "json", "word" in granularities


def transcribe(transcriber: Transcriber, source: io.IOBase, name: str, abandoned: threading.Event) -> Transcript:
    """The transcript of an upload. Raises BadRequest where it cannot be read, Abandoned soon after the event is set."""
    suffix = Path(name).suffix[:LONGEST_SUFFIX]
    with tempfile.NamedTemporaryFile(prefix="asr-", suffix=suffix if suffix.isprintable() else "") as file:
        shutil.copyfileobj(source, file, 2**20)
        file.flush()
        recording = transcriber.open(file.name, name=name)
        try:
            for _ in transcriber.stream([recording]):
                if abandoned.is_set():
                    raise Abandoned("the server is about to end")
            if recording.error:
                raise recording.error
        except AudioError as error:
            raise BadRequest(str(error).replace(file.name, name), "file") from error
        return transcriber.transcript(recording)


def answer_of(transcript: Transcript, format: str, words: bool) -> str | dict:
    """A transcript as text or as an object to be written as JSON."""
    if format == "json":
        return {"text": transcript.text}
    if format == "text":
        return transcript.text + "\n"
    if format != "verbose_json":
        file = io.StringIO()
        WRITERS[format](transcript, file, Style())
        return file.getvalue()
    spoken = [segment for segment in transcript.segments if segment.tokens]
    answer = {
        "task": "transcribe",
        "language": "chinese",
        "duration": transcript.duration,
        "text": transcript.text,
        "segments": [_segment(i, segment) for i, segment in enumerate(spoken)],
        "warnings": transcript.all_warnings,
    }
    if words:
        answer["words"] = [
            {"word": token.text, "start": token.start, "end": token.end} for s in spoken for token in s.tokens
        ]
    return answer


def _segment(i: int, segment: Segment) -> dict:
    mean_log = sum(math.log(max(token.confidence, 1e-10)) for token in segment.tokens) / len(segment.tokens)
    times = {"id": i, "start": segment.start, "end": segment.end, "text": segment.text}
    return times | {"avg_logprob": round(mean_log, 4), "confidence": round(segment.confidence, 4)}


def serve(load: Callable[[], Transcriber], finishing: Finishing, door: Door, say: Callable[[str], None]) -> None:
    """Answers requests until it is interrupted. Raises AsrError where the port is taken, or a package is missing."""
    try:
        import python_multipart  # noqa: F401  what Starlette reads forms with
        import starlette  # noqa: F401
        import uvicorn
    except ImportError:
        raise AsrError("a server needs more packages: pip install 'mandarin-asr[serve]'") from None
    stopping = threading.Event()

    class Server(uvicorn.Server):
        def handle_exit(self, sig, frame):
            stopping.set()  # or it would wait until all is transcribed
            super().handle_exit(sig, frame)

    with socket_at(door.host, door.port) as listening:
        transcriber = load()
        tell_ignored_hotwords(transcriber, say)
        app = application(transcriber, finishing, stopping, say, door)
        where = f"[{door.host}]" if ":" in door.host else door.host
        say(
            f"asr: {transcriber.loaded.name} answers at http://{where}:{listening.getsockname()[1]}{PATH}; Ctrl-C ends it"
        )
        with suppress(KeyboardInterrupt):  # which uvicorn raises again behind a clean end
            Server(uvicorn.Config(app, host=door.host, port=door.port, log_level="warning")).run(sockets=[listening])


def socket_at(host: str, port: int) -> socket.socket:
    """A listening socket; with port 0 the system chooses one."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        reason = os.strerror(error.errno) if (error.errno or 0) > 0 else error.strerror or error
        raise AsrError(f"{host}:{port}: cannot be listened at ({reason}); choose another --host or --port") from error
