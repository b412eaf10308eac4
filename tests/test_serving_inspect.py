"""`/v1/inspect`: the page of `asr inspect` over HTTP, by the rules that hold for transcriptions."""

import io
import json
import re

import numpy as np
import pytest
import soundfile

import asr
from asr.serving.settings import ServerSettings
from tests.serving import exchange, running
from tests.sounds import silence, speech

pytest.importorskip("starlette")
PATH = "/v1/inspect"


@pytest.fixture(scope="module")
def transcriber(model):
    return asr.load(model, beam=2, decode={"max_chars_per_second": 5.0, "redecode": False})


@pytest.fixture(scope="module")
def server(transcriber):
    with running(ServerSettings(key="secret"), transcriber) as found:
        yield found


def wav(samples: np.ndarray) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, 16000, format="WAV")
    return file.getvalue()


def ask(port: int, sound: bytes | None, key: str = "secret", **fields: str) -> tuple[int, str, str]:
    """Status, headers and body."""
    parts = [
        b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (name.encode(), value.encode())
        for name, value in fields.items()
    ]
    if sound is not None:
        head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="</script>a.wav"\r\n\r\n'
        parts.append(head + sound + b"\r\n")
    form = b"".join([*parts, b"--b--\r\n"])
    request = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n"
    request += f"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {len(form)}\r\n\r\n"
    head, _, body = exchange(port, request.encode() + form).partition(b"\r\n\r\n")
    return int(head.split()[1]), head.decode(), body.decode()


def test_a_clip_becomes_a_page(server, transcriber):
    port, said = server
    sound = np.concatenate([silence(0.5), speech(1.5, 1)])
    status, head, page = ask(port, wav(sound), prompt="钟楼，北京", response_format="srt", stream="false")
    assert status == 200 and re.search(r"(?i)content-type: text/html", head)
    assert re.search(r"(?i)content-security-policy: sandbox allow-scripts; default-src 'none'", head)
    assert "response_format changes nothing: the answer is a page" in head
    assert page.startswith("<!doctype html>") and page.count("</script>") == 2
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.S)[1])
    assert data["text"] == transcriber.transcribe((sound, 16000)).text or data["search"]["hotwords"]
    assert data["name"] == "script>a.wav" and len(data["stretches"]) == 1
    assert not [line for line in said if "Traceback" in line]


@pytest.mark.parametrize(
    "sound, fields, status, message",
    [
        (
            wav(silence(31.0)),
            {},
            413,
            "script>a.wav: is longer than 30 s, the most that can be inspected; send a part of it",
        ),
        (b"nonsense", {}, 400, "script>a.wav: "),
        (None, {}, 400, "file must be an audio file, one"),
        (wav(silence(1.0)), {"language": "en"}, 400, "language must be zh"),
    ],
)
def test_what_cannot_be_answered(server, sound, fields, status, message):
    got, head, body = ask(server[0], sound, **fields)
    assert got == status and message in json.loads(body)["error"]["message"]


def test_a_key_is_asked_for(server):
    assert ask(server[0], wav(silence(0.5)), key="wrong")[0] == 401


def test_the_server_s_own_limit_of_seconds_holds(transcriber):
    with running(ServerSettings(most_seconds=2.0), transcriber) as (port, _):
        status, _, body = ask(port, wav(silence(3.0)))
        assert status == 413 and "is longer than 2 s" in json.loads(body)["error"]["message"]


def test_places_are_limited_as_for_transcriptions(transcriber):
    with running(ServerSettings(most_clients=0), transcriber) as (port, _):
        status, head, _ = ask(port, wav(silence(1.0)))
        assert status == 429 and re.search(r"(?i)retry-after: \d", head)


def test_it_is_counted(server):
    port, _ = server
    ask(port, wav(silence(0.5)))
    request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer secret\r\n\r\n"
    assert f'path="{PATH}"' in exchange(port, request).decode()
