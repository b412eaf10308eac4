"""The bytes of a request as they come: not too many, not too slowly, and no more once the server is to end."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from asr.errors import AsrError
from asr.serving.refusals import Abandoned, BadRequest

Receive = Callable[[], Awaitable[Any]]

LOOK = 0.2
"""Seconds between two looks at whether the server is to end, or a client has taken too long."""
PATIENCE = 30.0
"""Seconds in which nothing need come."""
SLOWEST = 1000.0
"""Bytes a second that must come on the whole, after that."""
MOST_DROPPED = 10**8
"""Bytes of a refused upload that are read all the same, and dropped: most clients read no answer while they send."""
ENDING = "the server is about to end"


class Body:
    """What a client sends. `receive` is that of ASGI, with limits."""

    def __init__(self, receive: Receive, most_bytes: int, stopping: threading.Event):
        self._receive, self.most_bytes, self.stopping = receive, most_bytes, stopping
        self.began = time.monotonic()
        self.received = 0

    async def receive(self) -> Any:
        """The next message. Raises BadRequest for too much or too slow a body, Abandoned where the server is to end."""
        message = await self._next()
        self.received += len(message.get("body", b""))
        if self.received > self.most_bytes:
            raise too_large(self.most_bytes)
        return message

    async def _next(self) -> Any:
        latest = min(time.monotonic(), self.began + self.received / SLOWEST) + PATIENCE
        coming = asyncio.ensure_future(self._receive())
        try:
            while not (await asyncio.wait({coming}, timeout=LOOK))[0]:
                if self.stopping.is_set():
                    raise Abandoned(ENDING)
                if time.monotonic() > latest:
                    raise BadRequest(
                        f"the upload came too slowly: {self.received:,} bytes in {time.monotonic() - self.began:.0f} s",
                        status=408,
                        headers={"Connection": "close"},
                    )
            return coming.result()
        finally:
            coming.cancel()


def too_large(most_bytes: int) -> BadRequest:
    """The refusal of a body of more bytes."""
    return BadRequest(f"an upload must be at most {most_bytes / 1e6:g} MB", status=413)


class Rest:
    """What a request still sends. `receive` is that of ASGI, and remembers how far it has come."""

    def __init__(self, receive: Receive, asks_first: bool, stopping: threading.Event):
        """asks_first: whether the client waits to be told to go on before it sends a body (`Expect: 100-continue`)."""
        self._receive, self.asks_first, self.stopping = receive, asks_first, stopping
        self.began = self.ended = False

    async def receive(self) -> Any:
        """The next message."""
        self.began = True  # which tells a client that asks to go on
        message = await self._receive()
        self.ended = not message.get("more_body", False)
        return message

    @property
    def awaited(self) -> bool:
        """Whether the client still waits to be told to go on."""
        return self.asks_first and not self.began

    async def drop(self) -> None:
        """Reads what is left of a refused request, as much as is worth reading."""
        body = Body(self.receive, MOST_DROPPED, self.stopping)
        with suppress(AsrError):  # too much, too slow, or the server ends
            while not self.ended:
                await body.receive()


async def until_nobody_waits(receive: Receive, stopping: threading.Event) -> None:
    """Returns when a client whose request has come is gone, or the server is to end."""
    while not stopping.is_set():
        coming = asyncio.ensure_future(receive())
        try:
            while not stopping.is_set() and not (await asyncio.wait({coming}, timeout=LOOK))[0]:
                pass
            if coming.done() and coming.result()["type"] == "http.disconnect":
                return
        finally:
            coming.cancel()
