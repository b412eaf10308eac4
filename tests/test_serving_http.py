"""Requests that are none, over a connection: an answer in JSON each, and the next client finds the server as it was."""

import os
import socket

import pytest

from asr.serving.settings import ServerSettings
from tests.serving import FORM, PATH, answer_at, exchange, running, status_and_json

pytest.importorskip("starlette")
UNREAD = "the form cannot be read:"
POST = b"POST " + PATH.encode() + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
MULTIPART = b"Content-Type: multipart/form-data; boundary=b\r\n"


@pytest.fixture(scope="module")
def server():
    """The port of a server, and what it says."""
    with running() as found:
        yield found


def sized(form: bytes, kind: bytes = MULTIPART) -> bytes:
    return POST + kind + b"Content-Length: %d\r\n\r\n" % len(form) + form


def chunked(*chunks: bytes) -> bytes:
    return POST + MULTIPART + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(chunks)


def field(name: str, value: bytes) -> bytes:
    return b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (name.encode(), value)


GOOD = FORM % b"a.wav"


@pytest.mark.parametrize(
    "request_bytes, status, message",
    [
        (b"nonsense\r\n\r\n", 400, "this is no request of HTTP: illegal request line"),
        (POST + b"Content-Length: abc\r\n\r\n", 400, "this is no request of HTTP: bad Content-Length"),
        (POST + b"Content-Length: -5\r\n\r\n", 400, "this is no request of HTTP: bad Content-Length"),
        (POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, "this is no request of HTTP: conflicting"),
        (POST + b"Transfer-Encoding: gzip\r\n\r\n", 400, "this is no request of HTTP: Only Transfer-Encoding: chunked"),
        (POST + b"Host: other\r\n\r\n", 400, "this is no request of HTTP: Found multiple Host: headers"),
        (POST + b"A: " + b"x" * 100_000, 431, "this is no request of HTTP: Receive buffer too long"),
        (chunked(b"zz\r\n"), 400, "this is no request of HTTP: illegal chunk header"),
        (chunked(b"5\r\n--b\r\nX"), 400, "this is no request of HTTP: malformed chunk footer"),
        (chunked(b"f" * 25 + b"\r\n"), 400, "this is no request of HTTP: "),
        (
            sized(b"file=1", b"Content-Type: application/x-www-form-urlencoded\r\n"),
            400,
            "the recording must come as the field",
        ),
        (
            sized(b"{}", b"Content-Type: application/json\r\n"),
            400,
            "the recording must come as the field file of a form",
        ),
        (
            sized(b"", b""),
            400,
            "the recording must come as the field file of a form of the type multipart/form-data, not ''",
        ),
        (
            sized(GOOD, b"Content-Type: multipart/form-data\r\n"),
            400,
            "the form cannot be read: Missing boundary in multipart.",
        ),
        (
            sized(GOOD, b"Content-Type: multipart/form-data; boundary=" + b"b" * 5000 + b"\r\n"),
            400,
            f"{UNREAD} Invalid multipart data.",
        ),
        (sized(b"no form"), 400, f"{UNREAD} Invalid multipart data."),
        (
            sized(b"--b\r\nContent-Disposition: form-data\r\n\r\n1\r\n--b--\r\n"),
            400,
            'the form cannot be read: The Content-Disposition header field "name"',
        ),
        (sized(b"--b\r\nX: " + b"x" * 20_000 + b"\r\n\r\n1\r\n--b--\r\n"), 400, f"{UNREAD} Invalid multipart data."),
        (
            sized(field("prompt", b"x" * 9_000_000) + field("keywords[]", b"x" * 9_000_000) + GOOD),
            400,
            "the form cannot be read: fields that are no files may have 16 MiB together, have more",
        ),
        (
            sized(field("include[]", b"1") * 70 + GOOD),
            400,
            f"{UNREAD} Too many fields. Maximum number of fields is 64.",
        ),
        (sized(GOOD.removesuffix(b"--b--\r\n") + GOOD), 400, "file must come once, comes several times"),
        (
            sized(GOOD.removesuffix(b"--b--\r\n") * 17 + GOOD),
            400,
            f"{UNREAD} Too many files. Maximum number of files is 16.",
        ),
        (sized(field("language", b"zh") * 2 + GOOD), 400, "language must come once, comes several times"),
        (sized(field("language", b"\xff\xfe") + GOOD), 400, "language must be zh, is 'ÿþ'"),
        (sized(field("x" * 5000, b"1") + GOOD), 400, f"{UNREAD} Invalid multipart data."),
        (
            sized(field("prompt", b"\xff") + GOOD, MULTIPART[:-2] + b"; charset=punycode\r\n"),
            400,
            "the form cannot be read (Uni",
        ),
        (
            b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
            400,
            "this is no request for a WebSocket: Failed to open a WebSocket connection: missing Sec-WebSocket-Key",
        ),
        (
            b"GET /v1/realtime HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Key: A\xffA==\r\nSec-WebSocket-Version: 13\r\nX: a\tb\x0cc\r\n\r\n",
            400,
            "this is no request",
        ),
        (
            b"POST /v1/realtime HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n",
            400,
            "this is no request for a WebSocket: it must be a GET",
        ),
        (
            b"PUT /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
            404,
            "there is nothing at '/nothing'",
        ),
        (
            b"PUT /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
            405,
            "/health takes GET, HEAD, not PUT",
        ),
        (
            b"GET /health HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
            403,
            "this server does not go by the name",
        ),
    ],
)
def test_what_is_no_request(server, request_bytes, status, message):
    port, said = server
    answer = status_and_json(exchange(port, request_bytes))
    assert answer[0] == status and answer[1]["error"]["message"].startswith(message), answer
    assert len(answer[1]["error"]["message"]) < 500
    assert status_and_json(exchange(port, sized(GOOD)))[1] == {"text": "好"}
    assert not [line for line in said if not line.startswith("asr: a.wav: warning: ")]


@pytest.mark.parametrize(
    "query, header, chinese",
    [
        (b"?accept_language=zh", b"", True),
        (b"?rate=16000&accept_language=zh-CN%2Cen%3Bq%3D0.5", b"en", True),
        (b"?accept_language=en", b"zh", False),
        (b"?accept_language=", b"zh", True),
        (b"", b"en;q=0.5\r\nAccept-Language: zh", True),  # two lines of a header are one list
        (b"", b"", False),
    ],
)
@pytest.mark.parametrize(
    "beginning, rest, told",
    [
        (b"GET /v1/realtime", b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n", "这不是 WebSocket 的请求："),
        (b"POST " + PATH.encode(), MULTIPART + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", "这不是 HTTP 的请求："),
    ],
)
def test_refused_connections_are_told_why_in_their_language(server, beginning, rest, told, query, header, chinese):
    sent = beginning + query + b" HTTP/1.1\r\nHost: localhost\r\nAccept-Language: " + header + b"\r\n" + rest
    status, answer = status_and_json(exchange(server[0], sent))
    assert status == 400 and answer["error"]["message"].startswith(told if chinese else "this is no request"), answer


def test_whoever_hangs_up_is_forgotten(server):
    port, said = server
    for end in (0, 1, 30, 150, len(sized(GOOD)) - 1):
        exchange(port, sized(GOOD)[:end], 0.01)
    assert status_and_json(exchange(port, sized(GOOD)))[0] == 200
    assert not [line for line in said if "could not be answered" in line]


def test_whoever_sends_too_slowly_is_sent_away(monkeypatch):
    monkeypatch.setattr("asr.serving.body.PATIENCE", 0.3)
    monkeypatch.setattr("asr.serving.connections.PATIENCE", 0.3)
    with running() as (port, _):
        for sent, message in (
            (b"POST /v1", "no request has come within 0.3 s"),
            (sized(GOOD)[:-5], "the upload came too slowly"),
        ):
            with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
                connection.sendall(sent)
                received = b""
                while data := connection.recv(65536):
                    received += data
            status, answer = status_and_json(received)
            assert status == 408 and answer["error"]["message"].startswith(message)


def test_a_name_that_a_terminal_would_obey_is_only_shown(server):
    port, said = server
    said.clear()
    name = "a/\x1b[2J\x07\u202egpj.wav".encode()
    assert status_and_json(exchange(port, sized(FORM % name)))[0] == 200
    assert said == ["asr: \\x1b[2J\\x07\\u202egpj.wav: warning: clips"]


def test_an_upload_has_no_name_in_the_file_system(tmp_path, monkeypatch):
    """So nothing is left of it, however the server ends."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    seen = []

    from tests.serving import Nobody

    class Curious(Nobody):
        def open(self, path, name):
            seen.append((os.listdir(tmp_path), len(open(path, "rb").read())))
            return super().open(path, name)

    big = FORM.replace(b"0000", b"0" * 3_000_000) % b"a.wav"
    for form, size in ((big, 3_000_000), (GOOD, 4)):
        assert answer_at(ServerSettings(), [form], transcriber=Curious())[0] == 200
        assert seen.pop() == ([], size)


def test_a_disk_that_is_full_is_named(monkeypatch, tmp_path):
    from tests.serving import Nobody

    class Full(Nobody):
        def open(self, path, name):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    status, answer = answer_at(ServerSettings(), [GOOD], transcriber=Full())
    assert status == 500
    assert answer["error"]["message"] == f"the temporary folder {tmp_path}: No space left on device"


def test_a_bug_is_one_line():
    from tests.serving import Nobody

    class Broken(Nobody):
        def open(self, path, name):
            raise ZeroDivisionError("what")

    with running(transcriber=Broken()) as (port, said):
        status, answer = status_and_json(exchange(port, sized(GOOD)))
    assert (status, answer["error"]["type"]) == (500, "server_error")
    assert answer["error"]["message"] == "the server failed (ZeroDivisionError), its log says where"
    assert len(said) == 1 and said[0].startswith(
        "asr: a request could not be answered: ZeroDivisionError in test_serving"
    )


def test_answers_are_not_held_back():
    """Nagle's algorithm and a client that waits to acknowledge cost 40 ms an answer."""
    from asr.serving.server import socket_at

    with socket_at("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname()) as client:
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert client


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (b"", "language must be zh, is 'en': the model is for Mandarin"),
        (b"Accept-Language: zh-CN,en;q=0.9\r\n", "language 必须是 zh，现在是 'en'：模型只识别普通话"),
        (b"Accept-Language: en, zh\r\n", "language must be zh, is 'en': the model is for Mandarin"),
        (b"Accept-Language: en;q=0.5, zh\r\n", "language 必须是 zh，现在是 'en'：模型只识别普通话"),
    ],
)
def test_a_refusal_is_in_chinese_where_that_is_asked_for(server, asked, message):
    port, _ = server
    form = field("language", b"en") + GOOD
    status, answer = status_and_json(exchange(port, sized(form, MULTIPART + asked)))
    assert (status, answer["error"]["message"], answer["error"]["param"]) == (400, message, "language")


@pytest.mark.parametrize(
    ("sent", "status", "message"),
    [
        (b"GET /v1/realtime HTTP/1.1\r\n", 426, "/v1/realtime 是 WebSocket：请连接 ws://…/v1/realtime"),
        (b"GET /nothing HTTP/1.1\r\n", 404, "'/nothing' 处什么都没有；录音请发送到 /v1/audio/transcriptions"),
        (b"PUT /health HTTP/1.1\r\n", 405, "/health 接受 GET, HEAD，不接受 PUT"),
        (b"POST /v1/audio/transcriptions HTTP/1.1\r\nContent-Type: multipart/form-data\r\n", 400, "表单无法读取："),
        (
            b"GET /v1/realtime HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 1\r\n",
            400,
            "这不是 WebSocket 的请求：",
        ),
    ],
)
def test_every_refusal_is(server, sent, status, message):
    port, _ = server
    for accepted in (b"Accept-Language: zh-CN\r\n", b""):
        once = b"" if b"Connection:" in sent else b"Connection: close\r\n"
        answer = status_and_json(exchange(port, sent + b"Host: localhost\r\n" + once + accepted + b"\r\n"))
        assert answer[0] == status
        assert answer[1]["error"]["message"].startswith(message) == bool(accepted), answer


def test_a_client_that_asks_for_no_language_is_told_in_the_servers(server, monkeypatch):
    port, _ = server
    for name, value in (("LC_ALL", ""), ("LC_MESSAGES", ""), ("LANG", "zh_CN.UTF-8"), ("LANGUAGE", "")):
        monkeypatch.setenv(name, value)
    told = {}
    for asked in (b"", b"Accept-Language: *\r\n", b"Accept-Language: en\r\n"):
        sent = b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + asked + b"\r\n"
        told[asked] = status_and_json(exchange(port, sent))[1]["error"]["message"]
    chinese = "'/nothing' 处什么都没有；录音请发送到 /v1/audio/transcriptions，浏览器的页面在 /"
    english = (
        "there is nothing at '/nothing'; recordings are sent to /v1/audio/transcriptions, and browsers find a page at /"
    )
    assert list(told.values()) == [chinese, chinese, english]
    assert status_and_json(exchange(port, b"nonsense\r\n\r\n"))[1]["error"]["message"].startswith("这不是 HTTP 的请求")
