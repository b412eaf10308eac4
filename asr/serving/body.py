"""The bytes of a request as they come: not too many, not too slowly, and no more once the server is to end."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

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
            if message.get("more_body"):
                await self.drop()
            raise BadRequest(f"an upload must be at most {self.most_bytes / 1e6:g} MB", status=413)
        return message

    async def drop(self) -> None:
        """Reads what is left of a request, as much as is worth reading."""
        dropped, more = 0, True
        while more and dropped < MOST_DROPPED:
            message = await self._next()
            size = len(message.get("body", b""))
            self.received, dropped = self.received + size, dropped + size
            more = message.get("more_body", False)

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
