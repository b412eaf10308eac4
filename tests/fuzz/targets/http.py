"""Whatever comes over a connection to `asr serve`: it answers in JSON, hangs up, and never fails."""

import json
from functools import cache
from pathlib import Path
from random import Random

import asr.serving.application  # noqa: F401  what takes long to import is no input's fault
from asr.serving.settings import ServerSettings
from tests.fuzz.mutate import Files, mutate_bytes, mutate_text
from tests.fuzz.target import Target
from tests.serving import exchange, running

FORM = (
    b'--b\r\nContent-Disposition: form-data; name="response_format"\r\n\r\nverbose_json\r\n'
    b'--b\r\nContent-Disposition: form-data; name="timestamp_granularities[]"\r\n\r\nword\r\n'
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\nRIFF\0\1\xff\r\n'
    b"--b--\r\n"
)
POST = (
    b"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nSec-Fetch-Site: same-origin\r\n"
    b"Authorization: Bearer key\r\nContent-Type: multipart/form-data; boundary=b; charset=utf-8\r\n"
)
GET = b"GET /v1/models?a=%41 HTTP/1.1\r\nHost: 127.0.0.1:80\r\nAuthorization: Bearer key\r\n\r\n"
HEAD = b"HEAD /health HTTP/1.0\r\n\r\n"
OPTIONS = (
    b"OPTIONS /v1/models HTTP/1.1\r\nHost: localhost\r\nOrigin: https://example.org\r\n"
    b"Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization\r\n\r\n"
)
LAST = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
"""After its answer the server hangs up; where it waits for more of what came before, that is waited for a moment only."""
UPGRADE = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"


SOCKET = (
    b"GET /v1/realtime?rate=16000 HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
    b"Authorization: Bearer key\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 12\r\n\r\n"
)
"""Not quite one: what an open WebSocket answers is no HTTP."""


def seeds() -> list[Files]:
    chunked = POST + b"Transfer-Encoding: chunked\r\n\r\n" + _chunks(FORM, 50)
    return [
        {"request": request}
        for request in (_sized(POST, FORM), chunked, GET, HEAD, OPTIONS, UPGRADE, SOCKET, GET + GET)
    ]


def mutate(random: Random, requests: list[Files]) -> Files:
    """A form that is no longer quite one in a request that is right, or a request that is no longer quite one."""
    change = random.choice([mutate_bytes, mutate_text])
    if random.random() < 0.5:
        return {"request": change(random, random.choice(requests)["request"], [r["request"] for r in requests])}
    form = change(random, FORM, [FORM])
    if random.random() < 0.7:
        return {"request": _sized(POST, form)}
    return {"request": POST + b"Transfer-Encoding: chunked\r\n\r\n" + _chunks(form, random.randrange(1, 200))}


def _sized(head: bytes, body: bytes) -> bytes:
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


def _chunks(body: bytes, size: int) -> bytes:
    parts = [body[i : i + size] for i in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


HELD: list = []
"""Servers that run as long as this process."""


@cache
def server() -> tuple[int, list[str]]:
    """The port of one, and what it says, in which a failure would be."""
    settings = ServerSettings(key="key", most_bytes=2**20, origins=("https://example.org",))
    HELD.append(held := running(settings))
    return held.__enter__()


def run(folder: Path) -> None:
    port, said = server()
    said.clear()
    answers = exchange(port, (folder / "request").read_bytes() + LAST, 0.05)
    failures = [line for line in said if not line.startswith("asr: ") or "could not be answered" in line]
    assert not failures, failures[0][-3000:]
    while answers:
        answers = _after_one(answers)
    assert exchange(port, LAST).startswith(b"HTTP/1.1 200")


def _after_one(answers: bytes) -> bytes:
    """What follows the first answer, which must be right: JSON where it says what is wrong."""
    head, _, rest = answers.partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    code = int(status.split()[1])
    assert code < 500, answers[:1000]
    headers = {key.lower(): value.strip() for key, _, value in (line.partition(b":") for line in lines)}
    if rest.startswith(b"HTTP/") or not rest:  # HEAD was asked: a length and no body
        return rest
    length = int(headers.get(b"content-length", 0))
    body = rest[:length]
    if code >= 400 and not body.startswith(b"Disallowed CORS"):
        assert json.loads(body)["error"]["message"]
    return rest[length:]


TARGETS = {"http": Target(run, seeds, mutate)}
