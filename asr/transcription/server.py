"""`asr serve`: transcripts over HTTP, asked for as OpenAI's /v1/audio/transcriptions is, so that clients for that work.

    curl http://127.0.0.1:8000/v1/audio/transcriptions -F file=@talk.m4a -F response_format=srt

Recordings are transcribed one at a time, in the order in which they came in.
"""

import asyncio
import io
import math
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from asr.errors import AsrError, AudioError
from asr.outputs.style import Style
from asr.outputs.writers import WRITERS
from asr.text.finishing import Finishing, finish
from asr.transcript import Segment, Transcript
from asr.transcription.transcriber import Transcriber

PATH = "/v1/audio/transcriptions"
FORMATS = ("json", "text", "srt", "vtt", "verbose_json", "tsv", "textgrid")
"""What `response_format` may be; the first five are OpenAI's."""
IGNORED = ("model", "prompt", "temperature", "chunking_strategy", "include[]")
"""Fields of OpenAI's that change nothing here."""
MANDARIN = ("", "zh", "cmn", "chinese", "mandarin")
"""What `language` may begin with, up to a hyphen."""
FIELDS = (*IGNORED, "file", "language", "response_format", "timestamp_granularities[]", "stream")


class BadRequest(AsrError):
    """A request that cannot be answered, and the field that is wrong."""

    def __init__(self, message: str, field: str | None = None):
        super().__init__(message)
        self.field = field


def application(transcriber: Transcriber, finishing: Finishing):
    """An ASGI application. Raises AsrError without the packages of the extra `serve`."""
    try:
        import python_multipart  # noqa: F401  what starlette reads forms with
        from starlette.applications import Starlette
        from starlette.concurrency import run_in_threadpool
        from starlette.requests import Request
        from starlette.responses import JSONResponse, PlainTextResponse, Response
        from starlette.routing import Route
    except ImportError:
        raise AsrError("a server needs more packages: pip install 'mandarin-asr[serve]'") from None
    turn = asyncio.Lock()
    model = transcriber.loaded.name

    def transcribe(source: io.IOBase, name: str) -> Transcript:
        with tempfile.NamedTemporaryFile(prefix="asr-", suffix=Path(name).suffix) as file:
            shutil.copyfileobj(source, file, 2**20)
            file.flush()
            try:
                return finish(transcriber.transcribe(file.name), finishing)
            except AudioError as error:
                raise BadRequest(str(error).replace(file.name, name), "file") from error

    async def transcriptions(request: Request) -> Response:
        async with request.form() as form:
            wanted = read_request(form.multi_items())
            upload = form["file"]
            name = os.path.basename(upload.filename or "recording")
            async with turn:
                transcript = await run_in_threadpool(transcribe, upload.file, name)
        answer = answer_of(transcript, *wanted)
        return PlainTextResponse(answer) if isinstance(answer, str) else JSONResponse(answer)

    async def models(request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": model, "object": "model", "owned_by": "asr"}]})

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ok", "model": model})

    async def refuse(request: Request, error: BadRequest) -> Response:
        problem = {"message": str(error), "type": "invalid_request_error", "param": error.field, "code": None}
        return JSONResponse({"error": problem}, status_code=400)

    routes = [Route(PATH, transcriptions, methods=["POST"]), Route("/v1/models", models), Route("/health", health)]
    return Starlette(routes=routes, exception_handlers={BadRequest: refuse})


def read_request(fields: list[tuple[str, Any]]) -> tuple[str, bool]:
    """The format that a form asks for, and whether with the times of words. Raises BadRequest for what cannot be."""
    form = dict(fields)
    for name in form:
        if name not in FIELDS:
            raise BadRequest(f"there is no field {name!r}; there are {', '.join(FIELDS)}", name)
    if isinstance(form.get("file", ""), str):
        raise BadRequest("file must be an audio file, sent as multipart/form-data", "file")
    format = form.get("response_format", "json")
    if format not in FORMATS:
        raise BadRequest(f"response_format must be one of {', '.join(FORMATS)}, is {format!r}", "response_format")
    if form.get("language", "").lower().replace("_", "-").split("-")[0] not in MANDARIN:
        raise BadRequest(f"language must be zh, is {form['language']!r}: the model is for Mandarin", "language")
    if form.get("stream", "false").lower() not in ("false", "0"):
        raise BadRequest("stream is not offered: the answer comes when all is transcribed", "stream")
    granularities = [value for name, value in fields if name == "timestamp_granularities[]"]
    if not set(granularities) <= {"word", "segment"}:
        field = "timestamp_granularities[]"
        raise BadRequest(f"{field} must be word or segment, is {', '.join(granularities)}", field)
    return format, "word" in granularities


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
        "segments": [
            {
                "id": i,
                "start": s.start,
                "end": s.end,
                "text": s.text,
                "avg_logprob": mean_log(s),
                "confidence": s.confidence,
            }
            for i, s in enumerate(spoken)
        ],
        "warnings": [*transcript.warnings, *(w for segment in spoken for w in segment.warnings)],
    }
    if words:
        answer["words"] = [
            {"word": token.text, "start": token.start, "end": token.end} for s in spoken for token in s.tokens
        ]
    return answer


def mean_log(segment: Segment) -> float:
    """The mean log-probability of its tokens."""
    return sum(math.log(max(token.confidence, 1e-10)) for token in segment.tokens) / len(segment.tokens)


def serve(transcriber: Transcriber, finishing: Finishing, host: str, port: int, say: Callable[[str], None]) -> None:
    """Answers requests until it is interrupted. Raises OSError where the port is taken."""
    app = application(transcriber, finishing)
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(app, host=host, port=port, log_level="warning"))
    with socket_at(host, port) as socket:
        where = f"[{host}]" if ":" in host else host
        say(f"asr: {transcriber.loaded.name} answers at http://{where}:{socket.getsockname()[1]}{PATH}; Ctrl-C ends it")
        server.run(sockets=[socket])


def socket_at(host: str, port: int):
    """A listening socket; with port 0 the system chooses one."""
    import socket

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        reason = os.strerror(error.errno) if getattr(error, "errno", None) else error
        raise AsrError(f"{host}:{port}: cannot be listened at ({reason}); choose another --host or --port") from error
