"""One recording after the other, none for nobody, and no more than can wait."""

import asyncio
import contextlib
import socket
import threading
import time

import numpy as np
import pytest
import soundfile

from asr.serving.concurrency import ConcurrencyLimit
from asr.serving.refusals import Abandoned, BadRequest
from asr.serving.scheduler import RunningJob, Scheduler
from asr.serving.settings import ServerSettings
from asr.serving.uploads import Upload, transcribe


async def for_ever() -> None:
    await asyncio.Event().wait()


async def last(scheduler: Scheduler, job, nobody_waits=None):
    """The last of what a job yields."""
    return [result async for result in scheduler.work(job, nobody_waits or for_ever())][-1]


def test_one_works_at_a_time_each_its_slice(monkeypatch):
    """Whoever yields lets the others go on: a long recording does not hold up the short one behind it."""
    monkeypatch.setattr("asr.serving.scheduler.SLICE", 0.0)
    scheduler, done = Scheduler(), []

    def job(name: str, steps: int):
        def work(running):
            for step in range(steps):
                done.append(f"{name}{step}")
                yield name

        return work

    async def all_of_them() -> list[str]:
        jobs = job("long", 4), job("short", 1), job("b", 2)
        return await asyncio.gather(*(last(scheduler, each) for each in jobs))

    assert asyncio.run(all_of_them()) == ["long", "short", "b"]
    assert sorted(done) == ["b0", "b1", "long0", "long1", "long2", "long3", "short0"]
    assert done[:3] == ["long0", "short0", "b0"] and done[-1] == "long3"


def test_what_yields_soon_goes_on_at_once():
    scheduler, done = Scheduler(), []

    def job(name: str):
        def work(running):
            for _ in range(3):
                done.append(name)
                yield name

        return work

    async def both() -> None:
        await asyncio.gather(last(scheduler, job("a")), last(scheduler, job("b")))

    asyncio.run(both())
    assert done == ["a", "a", "a", "b", "b", "b"]


def test_what_is_live_goes_before_all_of_that():
    """Also in the middle of a step: a job asks at each step of its search, and live work is done there."""
    scheduler, done, live = Scheduler(), [], []

    async def both() -> list:
        loop, began = asyncio.get_running_loop(), asyncio.Event()

        def upload(running):
            loop.call_soon_threadsafe(began.set)
            while not live:
                assert not running()  # where it is done
                time.sleep(0.001)
            done.append("upload")
            yield "text"

        async def speak():
            await began.wait()
            return await scheduler.soon(lambda: live.append("spoken") or done.append("live") or "heard")

        return await asyncio.gather(last(scheduler, upload), speak())

    assert asyncio.run(both()) == ["text", "heard"] and done == ["live", "upload"]


def test_what_is_live_need_not_wait_for_a_request():
    scheduler = Scheduler()
    assert asyncio.run(scheduler.soon(lambda: "heard")) == "heard"
    with pytest.raises(ZeroDivisionError):
        asyncio.run(scheduler.soon(lambda: 1 / 0))
    assert asyncio.run(scheduler.soon(lambda: "still there")) == "still there"


def test_what_nobody_waits_for_is_given_up():
    """What is worked on is told, and waited for, as it may read the upload; what has not begun never begins."""
    scheduler, begun, told = Scheduler(), [], threading.Event()

    def first(running):
        begun.append("first")
        while not running():
            time.sleep(0.001)
        told.set()
        raise Abandoned("nobody waits")
        yield

    def second(running):
        begun.append("second")
        yield

    async def both() -> list:
        works = [last(scheduler, first, asyncio.sleep(0.2)), last(scheduler, second, asyncio.sleep(0.05))]
        return await asyncio.gather(*works, return_exceptions=True)

    assert [type(result) for result in asyncio.run(both())] == [Abandoned, Abandoned]
    assert begun == ["first"] and told.is_set()
    assert asyncio.run(last(scheduler, lambda running: iter_of("third"))) == "third"


def iter_of(*values):
    yield from values


def test_a_job_that_is_left_between_its_steps_is_closed(monkeypatch):
    monkeypatch.setattr("asr.serving.scheduler.SLICE", 0.0)
    scheduler, closed = Scheduler(), []

    def job(running):
        try:
            while True:
                yield "more"
        finally:
            closed.append(running.given_up.is_set())

    async def leave() -> None:
        results = scheduler.work(job, for_ever())
        assert await anext(results) == "more"
        await results.aclose()

    asyncio.run(leave())
    assert closed == [True]


def test_the_time_that_is_worked_on_a_request_is_its_own():
    """What was lent to live clients and to other requests does not count."""
    scheduler = Scheduler(most_seconds=3.0)
    running = RunningJob(scheduler, 3.0)
    running.since -= 2.0
    assert not running()
    running.since -= 2.0
    assert running() and running.took_too_long and not running.given_up.is_set()
    scheduler.give_way = lambda: 2.0
    running.since += 1.0
    assert not running()


def test_places_that_are_taken_say_when_to_come_again():
    limit = ConcurrencyLimit(2, "requests", lambda: 7.0)
    with limit.slot(), limit.slot():
        with pytest.raises(BadRequest, match="2 requests are here already; come again in 14 s") as refused:
            with limit.slot():
                pass
        assert refused.value.status == 429 and refused.value.headers == {"Retry-After": "14"}
    with limit.slot():
        assert limit.taken == 1


def test_whoever_comes_while_the_queue_is_full_is_answered_over_http():
    from tests.serving import FORM, Nobody, answer_at, exchange, running

    working, go_on = threading.Event(), threading.Event()

    class Slow(Nobody):
        def stream(self, recordings, cancelled, together):
            working.set()
            assert go_on.wait(30)
            return iter(())

    pytest.importorskip("starlette")
    form = FORM % b"a.wav"
    head = b"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    request = head + b"Content-Length: %d\r\n\r\n" % len(form) + form
    with running(ServerSettings(most_waiting=0), Slow()) as (port, _):
        with socket.create_connection(("127.0.0.1", port), timeout=30) as first:
            first.sendall(request)
            assert working.wait(30)
            refused = exchange(port, request.replace(b"\r\n\r\n--b", b"\r\nConnection: close\r\n\r\n--b"))
            go_on.set()
            assert first.recv(65536).startswith(b"HTTP/1.1 200")
    assert refused.startswith(b"HTTP/1.1 429") and b"retry-after: 1\r\n" in refused
    assert b"1 requests are here already; come again in 1 s" in refused
    assert answer_at(ServerSettings(most_waiting=0), [form])[0] == 200


def test_whoever_sends_slowly_takes_no_place_of_those_who_wait():
    from tests.serving import FORM, exchange, running, status_and_json

    pytest.importorskip("starlette")
    form = FORM % b"a.wav"
    head = b"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    request = head + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(form) + form
    with running(ServerSettings(most_waiting=0, most_clients=3)) as (port, _):
        with contextlib.ExitStack() as slow:
            for _ in range(2):
                connection = slow.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
                connection.sendall(request[:-5])
            assert status_and_json(exchange(port, request)) == (200, {"text": "好"})
            connection = slow.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
            connection.sendall(request[:-5])
            time.sleep(0.2)
            status, answer = status_and_json(exchange(port, request))
            assert (status, answer["error"]["message"]) == (429, "3 clients are here already; come again in 3 s")
            connection.sendall(request[-5:])
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        time.sleep(0.2)
        assert status_and_json(exchange(port, request))[0] == 200


def test_the_end_does_not_wait_for_what_cannot_be_interrupted():
    scheduler, working, go_on = Scheduler(), threading.Event(), threading.Event()

    def stubborn(running):
        working.set()
        go_on.wait(30)
        yield

    scheduler.thread.submit(scheduler._slice, RunningJob(scheduler, 60.0), stubborn(None))
    assert working.wait(30)
    assert not scheduler.end(0.01)
    go_on.set()
    assert scheduler.end(30)


@pytest.fixture(scope="module")
def transcriber():
    import asr

    return asr.load()


def test_a_recording_that_is_too_long_is_not_read_to_its_end(transcriber, tmp_path):
    """Ten minutes of nothing in a flac are 4 kB."""
    soundfile.write(tmp_path / "long.flac", np.zeros(600 * 1000, np.float32), 1000)
    scheduler = Scheduler()
    with open(tmp_path / "long.flac", "rb") as file:
        with pytest.raises(BadRequest, match="^a.flac: is longer than 60 s .0.0167 h.; send it in parts$") as refused:
            list(transcribe(transcriber, Upload(file, "a.flac", 60.0), RunningJob(scheduler, 1e6)))
        assert refused.value.status == 413
        with pytest.raises(BadRequest, match="^a.flac: takes longer than 0 s of work; send it in parts$") as refused:
            list(transcribe(transcriber, Upload(file, "a.flac", 600.0), RunningJob(scheduler, 0.0)))
        assert refused.value.status == 413
        asked = []

        class Left(RunningJob):
            def __call__(self) -> bool:
                asked.append(None)
                if len(asked) > 3:
                    self.given_up.set()
                return self.given_up.is_set()

        with pytest.raises(Abandoned):
            list(transcribe(transcriber, Upload(file, "a.flac", 1e6), Left(scheduler, 1e6)))
        assert len(asked) < 6
        *_, transcript = transcribe(transcriber, Upload(file, "a.flac", 600.0), RunningJob(scheduler, 1e6))
        assert transcript.duration == 600
