"""What those who watch a server are told: whether the model answers, and counts."""

import asyncio
import re
import socket
import threading
import time
import urllib.error
import urllib.request

import pytest

from asr.errors import Cancelled
from asr.serving.health import Health
from asr.serving.scheduler import Scheduler
from asr.serving.settings import ServerSettings
from tests.serving import FORM, PATH, Nobody, running

pytest.importorskip("starlette")


def test_a_model_that_has_answered_is_not_asked_again_at_once(monkeypatch):
    asked = []
    health = Health(Scheduler(), lambda: asked.append(None))
    assert asyncio.run(health.problem()) == asyncio.run(health.problem()) == "" and len(asked) == 1
    monkeypatch.setattr("asr.serving.health.FRESH", 0.0)
    assert asyncio.run(health.problem()) == "" and len(asked) == 2


def test_a_model_that_fails():
    def question():
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    health = Health(Scheduler(), question)
    for _ in range(2):
        told = asyncio.run(health.problem())
        assert told == "the model fails (RuntimeError: CUDA error: an illegal memory access was encountered)"


def test_a_model_that_is_stuck(monkeypatch):
    """However many ask meanwhile, it gets one question; once it goes on, all is well."""
    monkeypatch.setattr("asr.serving.health.PATIENCE", 0.05)
    go_on, asked = threading.Event(), []
    scheduler = Scheduler()
    health = Health(scheduler, lambda: asked.append(None))
    scheduler.thread.submit(go_on.wait, 30)

    async def watch() -> list[str]:
        stuck = await asyncio.gather(*(health.problem() for _ in range(3)))
        go_on.set()
        await health.asking
        return [*stuck, await health.problem()]

    assert asyncio.run(watch()) == ["the model has not answered for 0.05 s"] * 3 + [""]
    assert len(asked) == 1


def ask(port: int, path: str, body: bytes | None = None, **headers: str) -> tuple[int, str]:
    kind = {"Content-Type": "multipart/form-data; boundary=b"} if body else {}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, headers | kind)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_clients_that_have_gone_are_counted_as_such():
    """Not as a server that is about to end."""

    class Slow(Nobody):
        def stream(self, recordings, cancelled, together):
            began.set()
            while not cancelled():
                time.sleep(0.01)
            raise Cancelled

    began = threading.Event()
    with running(transcriber=Slow()) as (port, _):
        body = FORM % b"a.wav"
        head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            assert began.wait(30)
        line = f'asr_requests_total{{path="{PATH}",status="499"}} 1.0'
        assert any(line in ask(port, "/metrics")[1] or time.sleep(0.02) for _ in range(500))


def test_a_model_that_does_not_answer_is_unavailable():
    class Broken(Nobody):
        class recognizer:  # noqa: N801
            @staticmethod
            def recognize(pieces):
                raise RuntimeError("its weights are gone")

    with running(transcriber=Broken()) as (port, _):
        status, answer = ask(port, "/health")
    assert status == 503 and '"reason":"the model fails (RuntimeError: its weights are gone)"' in answer


def test_counts_for_prometheus():
    """Read with the reader that Prometheus' own package has."""
    from prometheus_client.parser import text_string_to_metric_families

    with running(ServerSettings(key="secret")) as (port, _):
        known = {"Authorization": "Bearer secret"}
        for _ in range(3):
            assert ask(port, PATH, FORM % b"a.wav", **known)[0] == 200
        assert ask(port, PATH, FORM % b"a.wav")[0] == ask(port, "/metrics")[0] == 401
        assert ask(port, "/made/up")[0] == ask(port, "/too")[0] == 404
        status, text = ask(port, "/metrics", **known)
    assert status == 200
    samples = {
        (
            sample.name,
            *(sample.labels[name] for name in ("path", "status", "le") if name in sample.labels),
        ): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples["asr_requests_total", PATH, "200"] == 3 and samples["asr_requests_total", PATH, "401"] == 1
    assert samples["asr_requests_total", "other", "404"] == 2
    assert samples["asr_audio_seconds_total",] == 3 and samples["asr_waiting",] == samples["asr_clients",] == 0
    assert samples["asr_request_seconds_count", PATH] == 4
    assert not re.search("made|too", text)
