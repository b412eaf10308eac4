"""Requests that are not answered with a transcript: why, with which status, and as what JSON."""

import json

from starlette.requests import HTTPConnection

from asr.errors import AsrError
from asr.language import in_preferred

CODES = {401: "invalid_api_key", 429: "rate_limit_exceeded"}
"""Status → what OpenAI's API calls it."""
ACCEPT_LANGUAGE = "accept_language"
"""Field of an address that says what the header does, for pages: a browser lets them set none of a WebSocket."""


class BadRequest(AsrError):
    """A request that cannot be answered, with the status of HTTP and the field that is wrong."""

    def __init__(
        self, message: str, field: str | None = None, status: int = 400, headers: dict[str, str] | None = None
    ):
        super().__init__(message)
        self.field, self.status, self.headers = field, status, headers or {}


class Abandoned(AsrError):
    """Nobody waits for the answer, or the server is about to end."""


def worded(message: str, asking: HTTPConnection) -> str:
    """A message in the language that a client asks for, or else in the server's own."""
    accepted = asking.query_params.get(ACCEPT_LANGUAGE) or ",".join(asking.headers.getlist("accept-language"))
    return in_preferred(message, accepted)


def problem(status: int, message: str, field: str | None = None) -> bytes:
    """The body of an answer that says what is wrong, as OpenAI's API says it."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    error = {"message": message, "type": kind, "param": field, "code": CODES.get(status)}
    return json.dumps({"error": error}).encode()
