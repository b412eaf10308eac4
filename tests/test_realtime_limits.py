"""Live sessions: who may have one, how it ends, and that it waits for nobody's recording."""

import asyncio
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import soundfile

from asr.serving.live_streams import LiveStreams
from asr.serving.realtime import Live
from asr.serving.scheduler import Scheduler
from asr.serving.settings import ServerSettings
from asr.transcription.stream_utterances import StreamUtterances
from tests.conftest import ROOT
from tests.serving import running
from tests.sounds import noise, silence, speech

pytest.importorskip("starlette")
pytest.importorskip("websockets")
from websockets.exceptions import ConnectionClosed, InvalidStatus  # noqa: E402
from websockets.sync.client import connect  # noqa: E402

SPOKEN = soundfile.read(ROOT / "data/sample/weather.flac", dtype="float32")[0]
DONE = "conversation.item.input_audio_transcription.completed"


@pytest.fixture(scope="module")
def transcriber():
    import asr

    return asr.load("embedded", "cpu", beam=2)


def pcm(samples: np.ndarray) -> bytes:
    return (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()


def end_of(port: int, query: str = "", sent: bytes | str = b"", **options) -> tuple[int, str, str]:
    """Code, reason and last error of a session that the server closes."""
    message = ""
    with connect(f"ws://127.0.0.1:{port}/v1/realtime{query}", **options) as connection:
        try:
            if sent:
                connection.send(sent)
            while True:
                event = json.loads(connection.recv(timeout=30))
                message = event["error"]["message"] if event["type"] == "error" else message
        except ConnectionClosed as closed:
            return closed.rcvd.code, closed.rcvd.reason, message


def test_how_a_session_is_ended(transcriber):
    settings = ServerSettings(most_idle=0.5, most_seconds=3.0)
    with running(settings, transcriber) as (port, said):
        told = "nothing was sent for 0.5 s"
        assert end_of(port) == (4408, told, told)
        told = "a session may be 3 s long"
        assert end_of(port, "?rate=16000", pcm(silence(3.1))) == (4413, told, told)
        code, reason, told = end_of(port, "", b"RIFF\x00\x00\x00\x00WAVEfmt ")
        assert code == 1003 and told.startswith("what was sent: is WAV, and a live session takes bare samples")
        assert end_of(port, "?rate=7")[::2] == (1003, "the rate must be from 8000 to 48000 samples a second")
    assert not said


CHINESE = {"additional_headers": {"Accept-Language": "zh-CN,zh;q=0.9"}}


def test_why_a_session_is_ended_in_chinese(transcriber):
    """By the header, or, as pages must, by the address, which goes before it."""
    with running(ServerSettings(most_idle=0.5), transcriber) as (port, _):
        told = "已经 0.5 秒没有发来任何内容"
        for query, options in (("", CHINESE), ("?accept_language=zh", {})):
            assert end_of(port, query, **options) == (4408, told, told)
        assert end_of(port, "?accept_language=en", **CHINESE)[2] == "nothing was sent for 0.5 s"
        code, reason, told = end_of(port, "", b"RIFF\x00\x00\x00\x00WAVEfmt ", **CHINESE)
        assert (code, told) == (
            1003,
            "发来的内容：是 WAV，实时会话只收裸采样；文件请发到 /v1/audio/transcriptions",
        )
        assert told.startswith(reason) and len(reason.encode()) <= 123
        with connect(f"ws://127.0.0.1:{port}/v1/realtime", **CHINESE) as connection:
            connection.recv(timeout=30)
            connection.send('{"type": "nonsense", "event_id": "e"}')
            error = json.loads(connection.recv(timeout=30))["error"]
        assert error["message"] == "转写会话没有 'nonsense' 这种事件" and error["param"] == "type"


def test_who_may_have_none_is_told_so_in_chinese():
    with running(ServerSettings(key="secret", most_live=0)) as (port, _):
        with pytest.raises(InvalidStatus) as refused, connect(f"ws://127.0.0.1:{port}/v1/realtime", **CHINESE):
            pass
        message = json.loads(refused.value.response.body)["error"]["message"]
        assert message == "密钥不对或没有给出；请用 Authorization: Bearer KEY 发送"
        options = {"additional_headers": CHINESE["additional_headers"] | {"Authorization": "Bearer secret"}}
        assert end_of(port, **options)[2] == "已经有 0 个实时客户端；请在 1 秒后再来"


def test_places_for_live_clients():
    with running(ServerSettings(most_live=0)) as (port, _):
        code, _, told = end_of(port)
    assert (code, told) == (1013, "0 live clients are here already; come again in 1 s")


def test_the_end_of_the_server_is_told(transcriber):
    with ThreadPoolExecutor(1) as pool:
        with running(ServerSettings(), transcriber) as (port, _):
            ended = pool.submit(end_of, port)
            time.sleep(0.5)
        assert ended.result(30)[0] in (1001, 1012)  # by this program, or by what is under it


def test_a_failure_is_told_and_logged(transcriber, monkeypatch):
    def fails(*given, **named):
        raise ZeroDivisionError("what")

    monkeypatch.setattr("asr.serving.live_streams.LiveStreams._decode", fails)
    with running(ServerSettings(), transcriber) as (port, said):
        code, _, told = end_of(port, "?rate=16000", pcm(SPOKEN))
    assert (code, told) == (1011, "the server failed (ZeroDivisionError), its log says where")
    assert len(said) == 1 and "ZeroDivisionError in test_realtime_limits" in said[0]


@pytest.mark.parametrize(
    "path, options, status",
    [
        ("/v1/realtime", {"origin": "https://evil.example"}, 403),
        ("/v1/realtime", {"additional_headers": {"Authorization": "Bearer wrong"}}, 401),
        ("/v1/realtime", {"subprotocols": ["realtime", "openai-insecure-api-key.wrong"]}, 401),
        ("/v1/other", {"additional_headers": {"Authorization": "Bearer secret"}}, 404),
    ],
)
def test_who_has_no_session(path, options, status):
    with running(ServerSettings(key="secret")) as (port, _):
        with pytest.raises(InvalidStatus) as refused:
            connect(f"ws://127.0.0.1:{port}{path}", **options)
    assert refused.value.response.status_code == status
    assert json.loads(refused.value.response.body)["error"]["message"]


def test_pages_send_their_key_as_a_protocol(transcriber):
    """They cannot set headers of a WebSocket."""
    with running(ServerSettings(key="secret", origins=("https://page.example",)), transcriber) as (port, _):
        protocols = ["realtime", "openai-insecure-api-key.secret"]
        with connect(
            f"ws://127.0.0.1:{port}/v1/realtime", subprotocols=protocols, origin="https://page.example"
        ) as connection:
            assert json.loads(connection.recv(timeout=30))["type"] == "session.created"
            assert connection.subprotocol == "realtime"


def test_who_is_live_does_not_wait_for_a_long_recording(transcriber, tmp_path):
    """Half an hour is sent before; what is said after that is text before it, though the model is one."""
    soundfile.write(tmp_path / "long.flac", np.tile(np.concatenate([SPOKEN, silence(1.0)]), 420), 16000)
    form = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    form += (tmp_path / "long.flac").read_bytes() + b"\r\n--b--\r\n"
    head = b"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    with running(ServerSettings(), transcriber) as (port, _):
        with socket.create_connection(("127.0.0.1", port), timeout=120) as upload:
            upload.sendall(head + b"Content-Length: %d\r\n\r\n" % len(form) + form)
            time.sleep(1.0)
            with connect(f"ws://127.0.0.1:{port}/v1/realtime?rate=16000") as connection:
                connection.send(pcm(np.concatenate([SPOKEN, silence(1.0)])))
                event = {"type": ""}
                while event["type"] != DONE:
                    event = json.loads(connection.recv(timeout=120))
            upload.setblocking(False)
            with pytest.raises(BlockingIOError):  # not answered yet
                upload.recv(1)
    assert event["transcript"] == transcriber.transcribe((SPOKEN, 16000)).text


def test_what_several_say_at_once_is_one_batch(transcriber, monkeypatch):
    scheduler, go_on, sizes = Scheduler(), threading.Event(), []
    streams = LiveStreams(transcriber, scheduler)
    recognize = type(transcriber.recognizer).recognize
    monkeypatch.setattr(
        type(transcriber.recognizer),
        "recognize",
        lambda self, pieces, **named: sizes.append(len(pieces)) or recognize(self, pieces, **named),
    )

    async def three() -> list:
        scheduler.thread.submit(go_on.wait, 30)
        samples = np.concatenate([SPOKEN, silence(1.0)])
        made = [StreamUtterances.at_pauses(transcriber.voice_activity, transcriber.segments) for _ in range(3)]
        hearing = [asyncio.ensure_future(streams.hear(streams.stream(one), samples)) for one in made]
        await asyncio.sleep(0.05)
        go_on.set()
        return await asyncio.gather(*hearing)

    results = asyncio.run(three())
    texts = {segment.text for said in results for segment in said.over}
    assert sizes == [3] and texts == {transcriber.transcribe((SPOKEN, 16000)).text}


def test_whoever_sends_faster_than_is_heard_is_held_back(transcriber, monkeypatch):
    ahead = []
    take = Live._take
    monkeypatch.setattr("asr.serving.realtime.MOST_AHEAD", 2.0)
    monkeypatch.setattr(Live, "_take", lambda self, data: ahead.append(self.ahead) or take(self, data))
    samples = np.concatenate([speech(2.0), silence(1.0)] * 8) + noise(24.0, level=0.001)
    data = pcm(samples)
    with running(ServerSettings(), transcriber) as (port, _):
        with connect(f"ws://127.0.0.1:{port}/v1/realtime?rate=16000") as connection:
            for i in range(0, len(data), 32000):
                connection.send(data[i : i + 32000])
            connection.send('{"type": "input_audio_buffer.clear"}')
            event = {"type": ""}
            while event["type"] != "input_audio_buffer.cleared":
                event = json.loads(connection.recv(timeout=120))
    assert len(ahead) == 24 and max(ahead) <= 2.0 * 32000


def test_whoever_orders_faster_than_is_done_is_held_back(transcriber, monkeypatch):
    waiting, following = [], Live._next

    async def watched(self) -> dict:
        message = await following(self)
        waiting.append(len(self.inbox))
        return message

    async def slow(self, event: dict) -> None:
        await asyncio.sleep(0.002)
        if event["type"] == "last":
            await self._send("done")

    monkeypatch.setattr(Live, "_next", watched)
    monkeypatch.setattr(Live, "_obey", slow)
    with running(ServerSettings(), transcriber) as (port, _):
        with connect(f"ws://127.0.0.1:{port}/v1/realtime") as connection:
            for kind in [*["much"] * 100, "last"]:
                connection.send(json.dumps({"type": kind, "padding": "x" * 10_000}))
            while json.loads(connection.recv(timeout=30))["type"] != "done":
                pass
    assert len(waiting) >= 101 and max(waiting) <= 7


def test_whoever_goes_in_the_middle_is_no_failure_of_the_server(transcriber):
    with running(ServerSettings(), transcriber) as (port, said):
        for mess in (b"\x81\x00" * 8, b"\xff" * 8, b""):  # not masked, no frame of any kind, nothing
            with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
                client.sendall(
                    b"GET /v1/realtime HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                )
                client.sendall(b"Sec-WebSocket-Key: MDAwMDAwMDAwMDAwMDAwMA==\r\nSec-WebSocket-Version: 13\r\n\r\n")
                assert client.recv(100).startswith(b"HTTP/1.1 101")
                client.sendall(b"\x81\x88\0\0\0\0no order" * 3000 + mess)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        time.sleep(0.5)
    assert said == []
