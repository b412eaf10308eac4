"""What clients of all kinds do: ask before they send, send files without names, and miss an address by a little."""

import json
import socket

import pytest

from asr.serving.server import socket_at
from asr.serving.settings import ServerSettings
from tests.serving import FORM, PATH, answer_at, exchange, running, status_and_json

pytest.importorskip("starlette")
GOOD = FORM % b"a.wav"
KNOWN = "Authorization: Bearer secret\r\n"


@pytest.fixture(scope="module")
def port():
    """Of a server with a key, that takes a thousand bytes."""
    with running(ServerSettings(key="secret", most_bytes=1000)) as (port, _):
        yield port


def request(path: str = PATH, headers: str = KNOWN, body: bytes = b"", length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    return f"{head}Content-Length: {size}\r\n{headers}\r\n".encode() + body


@pytest.mark.parametrize(
    "path, headers, length, status",
    [
        (PATH, "Authorization: Bearer wrong\r\n", 900, 401),
        (PATH, KNOWN + "Origin: https://evil.example\r\n", 900, 403),
        ("/v1/audio/transcription", KNOWN, 900, 404),
        ("/health", KNOWN, 900, 405),
        (PATH, KNOWN, 1001, 413),
    ],
)
def test_who_asks_before_sending_is_refused_before(port, path, headers, length, status):
    """curl does, before a large form; and the connection, of which nobody knows whether a body will still come, ends."""
    answer = exchange(port, request(path, headers + "Expect: 100-continue\r\n", length=length))
    assert answer.startswith(f"HTTP/1.1 {status} ".encode()) and b"connection: close\r\n" in answer, answer


def test_who_asks_before_sending_is_told_to_go_on(port):
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(request(headers=KNOWN + "Expect: 100-continue\r\nConnection: close\r\n", length=len(GOOD)))
        assert client.recv(4096).startswith(b"HTTP/1.1 100 ")
        client.sendall(GOOD)
        received = b""
        while data := client.recv(4096):
            received += data
    assert status_and_json(received) == (200, {"text": "好"})


def test_who_does_not_ask_is_read_first():
    """And whoever says that it is too much has nothing of it kept: that is said before a byte of it is looked at."""
    pieces = [b"no form"] * 3
    for path, headers, status in (
        (PATH, {"content_length": "3000000000"}, 413),
        ("/nothing", {}, 404),
        (PATH, {"content_type": "text/plain"}, 400),
    ):
        assert answer_at(ServerSettings(), pieces, path, **headers)[0] == status  # which looks whether all was read


def test_a_refused_connection_is_of_use_for_the_next_request(port):
    refused, next_one = (
        request("/nothing", body=b"0" * 900),
        request(headers=KNOWN + "Connection: close\r\n", body=GOOD),
    )
    first, _, rest = exchange(port, refused + next_one).partition(b"HTTP/1.1 200 OK")
    assert first.startswith(b"HTTP/1.1 404 ") and rest.endswith('{"text":"好"}'.encode())


@pytest.mark.parametrize("name", [b"file", b"file[]"])
@pytest.mark.parametrize("called", [b"", b'; filename=""', b"; filename*=UTF-8''%E4%BD%A0.wav"])
def test_a_file_needs_no_name(name, called):
    part = b'--b\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n\xff0\x000\r\n--b--\r\n' % (name, called)
    said: list[tuple[str, int]] = []

    from tests.serving import Nobody

    class Curious(Nobody):
        def open(self, path, name):
            said.append((name, len(open(path, "rb").read())))
            return super().open(path, name)

    assert answer_at(ServerSettings(), [part], transcriber=Curious()) == (200, {"text": "好"})
    assert said == [("recording", 4)]


def test_a_slash_at_the_end_changes_nothing(port):
    """Where a redirect would lead past a proxy that has the server below a path."""
    for path in (f"{PATH}/", f"{PATH}//"):
        headers = KNOWN + "Connection: close\r\n"
        assert status_and_json(exchange(port, request(path, headers, GOOD))) == (200, {"text": "好"})


@pytest.mark.parametrize("path, status, wrong", [("nobody", 200, None), ("whisper-1", 404, "model")])
def test_the_model_by_its_name(port, path, status, wrong):
    head = f"GET /v1/models/{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{KNOWN}\r\n"
    found = status_and_json(exchange(port, head.encode()))
    assert found[0] == status
    if wrong:
        assert found[1]["error"]["message"] == "there is no model 'whisper-1'; the only one is 'nobody'"
        assert found[1]["error"]["param"] == wrong
    else:
        assert (found[1]["id"], found[1]["object"]) == ("nobody", "model")


def test_a_key_is_asked_for_as_http_and_the_client_expect(port):
    answer = exchange(port, b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert b"www-authenticate: Bearer\r\n" in answer
    assert status_and_json(answer)[1]["error"]["code"] == "invalid_api_key"
    socket_head = (
        b"GET /v1/realtime/ HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
    )
    answer = exchange(port, socket_head + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 401 ") and b"www-authenticate: Bearer\r\n" in answer
    answer = exchange(port, socket_head + KNOWN.encode() + b"\r\n", patience=0.2)
    assert answer.startswith(b"HTTP/1.1 101 ")


def test_who_comes_too_often_is_told_as_by_openai():
    status, answer = answer_at(ServerSettings(most_waiting=-1), [GOOD])
    assert (status, answer["error"]["code"]) == (429, "rate_limit_exceeded")


def test_all_addresses_are_those_of_ipv4_too():
    if not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    with socket_at("::", 0) as listening:
        for address in ("127.0.0.1", "::1"):
            socket.create_connection((address, listening.getsockname()[1]), timeout=30).close()


@pytest.mark.parametrize("host", ["[::1]", "::1", " ::1 "])
def test_ipv6_is_written_as_in_an_address_or_bare(run, monkeypatch, host):
    asked = []
    monkeypatch.setattr("asr.serving.server.serve", lambda load, finishing, settings, say: asked.append(settings))
    assert run("serve", "--host", host)[0] == 0
    assert asked.pop().host == "::1"


def test_what_an_unknown_address_says_is_short():
    status, answer = answer_at(ServerSettings(), [], "/" + "x" * 5000)
    assert status == 404 and len(answer["error"]["message"]) < 250, json.dumps(answer)
