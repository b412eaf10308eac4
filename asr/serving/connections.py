"""HTTP on a connection: uvicorn's, but that it says in JSON what is wrong with a request, and waits for none without end."""

import asyncio
import sys
from collections.abc import Sequence

import h11
from starlette.requests import HTTPConnection
from uvicorn.protocols.http.h11_impl import H11Protocol
from websockets.datastructures import Headers
from websockets.exceptions import WebSocketException
from websockets.http11 import Request
from websockets.server import ServerProtocol

from asr.language import in_preferred
from asr.serving.body import PATIENCE
from asr.serving.refusals import problem, worded

LONGEST_REASON = 200
REASONS = {408: b"Request Timeout", 431: b"Request Header Fields Too Large"}


class Connection(H11Protocol):
    """A client's connection. Its next request must have come as far as its body within PATIENCE seconds."""

    waiting: asyncio.TimerHandle | None = None
    upgraded = False
    """Whether it has become a WebSocket, which has limits of its own."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._watch()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        if reason := _problem(event, self.headers):
            self._refuse(
                400, f"this is no request for a WebSocket: {reason[:LONGEST_REASON]}", HTTPConnection(self.scope)
            )
            return
        super().handle_websocket_upgrade(event)
        self.upgraded = True

    def _watch(self) -> None:
        """Lets the clock run while no request is being answered."""
        if self._answering() or self.transport.is_closing() or self.upgraded:
            if self.waiting:
                self.waiting.cancel()
            self.waiting = None
        elif self.waiting is None:
            self.waiting = self.loop.call_later(PATIENCE, self._too_late)

    def _too_late(self) -> None:
        if not self._answering():
            self._refuse(408, f"no request has come within {PATIENCE:g} s")

    def send_400_response(self, msg: str) -> None:
        """What uvicorn calls for bytes that are no HTTP."""
        error = sys.exception()
        status = getattr(error, "error_status_hint", 400)
        told = f"this is no request of HTTP: {str(error)[:LONGEST_REASON]}"
        self._refuse(
            status if status in REASONS else 400, told, HTTPConnection(self.scope) if self._answering() else None
        )

    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _refuse(self, status: int, message: str, asking: HTTPConnection | None = None) -> None:
        """asking: the request, where it came as far as to say in which language it is to be answered."""
        if self.transport.is_closing():
            return
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            body = problem(status, worded(message, asking) if asking else in_preferred(message, ""))
            headers = [
                ("Content-Type", "application/json"),
                ("Content-Length", str(len(body))),
                ("Connection", "close"),
            ]
            reason = REASONS.get(status, b"Bad Request")
            events = [h11.Response(status_code=status, headers=headers, reason=reason), h11.Data(data=body)]
            for event in (*events, h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        if self.cycle is not None:  # whoever still reads or answers has nobody to do it for
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()


def _problem(event: h11.Request, headers: Sequence[tuple[bytes, bytes]]) -> str:
    """Why a request cannot become a WebSocket; empty where it can."""
    if event.method != b"GET":
        return "it must be a GET"
    try:
        read = Headers([(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers])
    except WebSocketException as error:
        return str(error)
    answer = ServerProtocol().accept(Request("/", read))
    return "" if answer.status_code == 101 else bytes(answer.body or b"").decode(errors="replace").strip() or "refused"
