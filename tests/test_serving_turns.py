"""One recording after the other, none for nobody, and no more than can wait."""

import asyncio
import socket
import threading
import time

import numpy as np
import pytest
import soundfile

from asr.serving.refusals import Abandoned, BadRequest
from asr.serving.settings import ServerSettings
from asr.serving.turns import Turns
from asr.serving.uploads import transcribe


async def for_ever() -> None:
    await asyncio.Event().wait()


async def at_once() -> None:
    pass


def test_one_works_at_a_time_in_order():
    turns, done = Turns(5), []

    async def all_of_them() -> list[int]:
        def job(number: int):
            def work(given_up) -> int:
                done.append(("begins", number))
                time.sleep(0.02)
                done.append(("ends", number))
                return number

            return work

        return await asyncio.gather(*(turns.work(job(n), for_ever()) for n in range(3)))

    assert asyncio.run(all_of_them()) == [0, 1, 2]
    assert done == [(what, number) for number in range(3) for what in ("begins", "ends")]


def test_what_nobody_waits_for_is_given_up():
    """What is worked on is told, and waited for, as it may read the upload; what has not begun never begins."""
    turns, begun, told = Turns(5), [], threading.Event()

    def first(given_up) -> None:
        begun.append("first")
        while not given_up():
            time.sleep(0.001)
        told.set()
        raise Abandoned("nobody waits")

    async def both() -> list:
        works = [
            turns.work(first, asyncio.sleep(0.2)),
            turns.work(lambda _: begun.append("second"), asyncio.sleep(0.05)),
        ]
        return await asyncio.gather(*works, return_exceptions=True)

    assert [type(result) for result in asyncio.run(both())] == [Abandoned, Abandoned]
    assert begun == ["first"] and told.is_set()
    assert asyncio.run(turns.work(lambda _: "third", for_ever())) == "third"


def test_a_queue_that_is_full_says_when_to_come_again():
    turns = Turns(1)
    turns.seconds = 7.0
    with turns.place(), turns.place():
        with pytest.raises(BadRequest, match="2 requests are here already; come again in 14 s") as refused:
            with turns.place():
                pass
        assert refused.value.status == 429 and refused.value.headers == {"Retry-After": "14"}
    with turns.place():
        assert turns.inside == 1


def test_whoever_comes_while_the_queue_is_full_is_answered_over_http():
    from tests.serving import FORM, Nobody, answer_at, exchange, running

    working, go_on = threading.Event(), threading.Event()

    class Slow(Nobody):
        def stream(self, recordings, cancelled):
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


def test_the_end_does_not_wait_for_what_cannot_be_interrupted():
    turns, working, go_on = Turns(1), threading.Event(), threading.Event()

    def stubborn(given_up) -> None:
        working.set()
        go_on.wait(30)

    turns.thread.submit(turns._timed, stubborn, lambda: False)
    assert working.wait(30)
    assert not turns.end(0.01)
    go_on.set()
    assert turns.end(30)


@pytest.fixture(scope="module")
def transcriber():
    import asr

    return asr.load()


def test_a_recording_that_is_too_long_is_not_read_to_its_end(transcriber, tmp_path):
    """Ten minutes of nothing in a flac are 4 kB."""
    soundfile.write(tmp_path / "long.flac", np.zeros(600 * 1000, np.float32), 1000)
    with open(tmp_path / "long.flac", "rb") as upload:
        with pytest.raises(BadRequest, match="^a.flac: is longer than 60 s .0.0167 h.; send it in parts$") as refused:
            transcribe(transcriber, upload, "a.flac", 60.0, given_up=lambda: False)
        assert refused.value.status == 413
        asked = []

        def given_up() -> bool:
            asked.append(None)
            return len(asked) > 3

        with pytest.raises(Abandoned):
            transcribe(transcriber, upload, "a.flac", 1e6, given_up=given_up)
        assert len(asked) < 6
        assert transcribe(transcriber, upload, "a.flac", 600.0, given_up=lambda: False).duration == 600
