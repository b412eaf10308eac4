"""Who is worked for, and when. One thread works, a while for each request in turn; what is live goes before all of them."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from asr.serving.body import ENDING
from asr.serving.memory import give_back
from asr.serving.refusals import Abandoned

SLICE = 1.0
"""Seconds of work after which a request lets others go on, once it has ended the step that it is at."""
Result = TypeVar("Result")
Job = Callable[["RunningJob"], Generator[Result, None, None]]
"""Does the work of a request, and yields wherever others may go on."""


class RunningJob:
    """What a job asks at each step of its work, by calling it: whether to give up. Live work is done meanwhile."""

    def __init__(self, scheduler: "Scheduler", most_seconds: float):
        self.scheduler, self.most_seconds = scheduler, most_seconds
        self.given_up = threading.Event()
        """Set when nobody waits for the result any more."""
        self.seconds = 0.0
        """Of work on this request, up to the last time that others went on."""
        self.since = time.monotonic()
        """When the clock was started: when it was last worked on, later by what was lent to others."""

    def __call__(self) -> bool:
        self.since += self.scheduler.give_way()
        return self.given_up.is_set() or self.took_too_long

    @property
    def took_too_long(self) -> bool:
        """Whether more than the seconds that there are for a request have been worked on it."""
        return self.seconds + time.monotonic() - self.since > self.most_seconds


class Scheduler:
    """A thread that works, and who waits for it."""

    def __init__(self, most_seconds: float = float("inf")):
        """most_seconds: of work on one request."""
        self.most_seconds = most_seconds
        self.latest = 1.0
        """Seconds that the latest request took to be worked on."""
        self.worked = 0.0
        """Seconds of work in all."""
        self.thread = ThreadPoolExecutor(1, "transcribing")
        self.busy = threading.Lock()
        self.urgent: deque[tuple[Future, Callable[[], Any]]] = deque()

    async def work(self, job: Job[Result], nobody_waits: Coroutine[Any, Any, None]) -> AsyncGenerator[Result, None]:
        """What a job yields, which gives up once `nobody_waits` returns.

        Raises Abandoned in that case, when the job has ended: it may use what belongs to the request.
        """
        running = RunningJob(self, self.most_seconds)
        steps, leaving = job(running), asyncio.ensure_future(nobody_waits)
        try:
            ended = False
            while not ended:
                results, ended = await self._next(running, steps, leaving)
                for result in results:
                    yield result
            self.latest = running.seconds
        finally:
            running.given_up.set()
            leaving.cancel()
            if not steps.gi_running:  # else it gives up by itself
                steps.close()

    async def _next(
        self, running: RunningJob, steps: Generator[Result, None, None], leaving: asyncio.Future
    ) -> tuple[list[Result], bool]:
        """What a slice of work yields, and whether it was the last."""
        future = self.thread.submit(self._slice, running, steps)
        doing = asyncio.wrap_future(future)
        await asyncio.wait({doing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            running.given_up.set()
            if future.cancel():
                raise Abandoned(ENDING)
            await asyncio.wait({doing})
        return doing.result()

    def _slice(self, running: RunningJob, steps: Generator[Result, None, None]) -> tuple[list[Result], bool]:
        with self.busy:
            self.give_way()
            if running.given_up.is_set():
                raise Abandoned(ENDING)
            began = running.since = time.monotonic()
            results: list[Result] = []
            try:
                for result in steps:
                    results.append(result)
                    if time.monotonic() - running.since >= SLICE:
                        return results, False
                give_back()
                return results, True
            finally:
                now = time.monotonic()
                running.seconds += now - running.since
                self.worked += now - began

    async def soon(self, task: Callable[[], Result]) -> Result:
        """What a short task returns, which is done before all else: at the next step of whatever is worked on."""
        return await asyncio.wrap_future(self.urge(task))

    def urge(self, task: Callable[[], Result]) -> "Future[Result]":
        """As `soon`, for whoever does not wait."""
        future: Future[Result] = Future()
        self.urgent.append((future, task))
        self.thread.submit(self._give_way_between)
        return future

    def _give_way_between(self) -> None:
        with self.busy:
            self.worked += self.give_way()

    def give_way(self) -> float:
        """Does what is urgent, in the thread that works; the seconds that it took."""
        began = time.monotonic()
        while self.urgent:
            future, task = self.urgent.popleft()
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(task())
                except BaseException as error:
                    future.set_exception(error)
        return time.monotonic() - began

    def end(self, seconds: float) -> bool:
        """Begins no more work; whether what is worked on has ended within so many seconds."""
        self.thread.shutdown(wait=False, cancel_futures=True)
        return self.busy.acquire(timeout=seconds)
