"""Recordings are transcribed one at a time, in the order in which they came in; what nobody waits for is given up."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from asr.serving.body import ENDING
from asr.serving.refusals import Abandoned, BadRequest

LONGEST_RETRY = 600.0
"""Seconds after which a client that was refused is asked to come again, at most."""
Result = TypeVar("Result")


class Turns:
    """A thread that works, and who waits for it."""

    def __init__(self, most_waiting: int):
        self.most_waiting = most_waiting
        self.inside = 0
        """Requests that are sent, wait, or are worked on."""
        self.seconds = 1.0
        """What the latest took to be worked on."""
        self.thread = ThreadPoolExecutor(1, "transcribing")
        self.busy = threading.Lock()

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place among those inside. Raises BadRequest (429, with Retry-After) where there is none left."""
        if self.inside > self.most_waiting:
            seconds = max(1, round(min(LONGEST_RETRY, self.inside * self.seconds)))
            raise BadRequest(
                f"{self.inside} requests are here already; come again in {seconds} s",
                status=429,
                headers={"Retry-After": str(seconds)},
            )
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1

    async def work(
        self, job: Callable[[Callable[[], bool]], Result], nobody_waits: Coroutine[Any, Any, None]
    ) -> Result:
        """What a job returns, which is told by a function whether it is given up, as it is once `nobody_waits` returns.

        Raises Abandoned in that case, when the job has ended: it may use what belongs to the request.
        """
        given_up = threading.Event()
        future = self.thread.submit(self._timed, job, given_up.is_set)
        doing, leaving = asyncio.wrap_future(future), asyncio.ensure_future(nobody_waits)
        try:
            await asyncio.wait({doing, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not doing.done():
                given_up.set()
                if future.cancel():
                    raise Abandoned(ENDING)
                await asyncio.wait({doing})
            return doing.result()
        finally:
            given_up.set()
            leaving.cancel()

    def _timed(self, job: Callable[[Callable[[], bool]], Result], given_up: Callable[[], bool]) -> Result:
        with self.busy:
            if given_up():
                raise Abandoned(ENDING)
            began = time.monotonic()
            try:
                return job(given_up)
            finally:
                self.seconds = time.monotonic() - began

    def end(self, seconds: float) -> bool:
        """Begins no more jobs; whether the one that is worked on has ended within so many seconds."""
        self.thread.shutdown(wait=False, cancel_futures=True)
        return self.busy.acquire(timeout=seconds)
