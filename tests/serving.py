"""Servers without a model, in a thread of the tests' own process."""

import asyncio
import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

from asr.decoding.decode_config import DecodeConfig
from asr.finishing.finishing import Finishing
from asr.serving.settings import ServerSettings
from asr.text.tokenizer import CharacterTokenizer, TokenTable
from asr.transcript import Segment, Transcript, TranscriptToken

PATH = "/v1/audio/transcriptions"
FORM = b'--b\r\nContent-Disposition: form-data; name="file"; filename="%s"\r\n\r\n0000\r\n--b--\r\n'


class Nobody:
    """In the place of a transcriber: whatever it is given sounds the same."""

    loaded = SimpleNamespace(
        name="nobody", tokenizer=CharacterTokenizer(TokenTable(["<blank>", "<unk>", "<sos>", "<eos>", *"你好吗"]))
    )

    recognizer = SimpleNamespace(recognize=lambda pieces: [], config=DecodeConfig())

    def listening_for(self, words):
        return self

    def open(self, path, name, speakers=None):
        Path(path).read_bytes()  # as a real one reads it, which may be empty
        return SimpleNamespace(duration=1.0, error=None, name=name)

    def stream(self, recordings, cancelled, together):
        return iter(())

    def transcript(self, recording):
        token = TranscriptToken("好", 0.5, 0.75, 0.9, (0, 0))
        return Transcript(recording.name, 1.0, (Segment(0.4, 1.0, (token,), "好", -0.5),), "nobody", ("clips",))


def application(settings: ServerSettings, transcriber=None, said: list[str] | None = None):
    from asr.serving.application import Application

    say = (said if said is not None else []).append
    return Application(transcriber or Nobody(), Finishing(), settings, say)


class Records(logging.Handler):
    """What libraries log of errors, a traceback for example."""

    def __init__(self, said: list[str]):
        super().__init__(logging.ERROR)
        self.said = said

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(self.format(record))


@contextmanager
def running(
    settings: ServerSettings | None = None, transcriber=None, around=lambda application: application
) -> Iterator[tuple[int, list[str]]]:
    """The port of a server in a thread, and what it says. around: makes the application that runs of the server's."""
    import uvicorn

    from asr.serving.connections import Connection
    from asr.serving.server import WEBSOCKETS, socket_at

    said: list[str] = []
    listening, records = socket_at("127.0.0.1", 0), Records(said)
    app = application(settings or ServerSettings(), transcriber, said)
    config = uvicorn.Config(around(app), http=Connection, **WEBSOCKETS, lifespan="off", log_config=None)
    logging.getLogger().addHandler(records)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield listening.getsockname()[1], said
    finally:
        app.service.stopping.set()
        server.should_exit = True
        thread.join(20)
        logging.getLogger().removeHandler(records)


def exchange(port: int, request: bytes, patience: float = 30.0) -> bytes:
    """All that a server answers until it hangs up, or nothing comes for so many seconds."""
    received = []
    with socket.create_connection(("127.0.0.1", port), timeout=patience) as connection:
        try:
            connection.sendall(request)
            while data := connection.recv(65536):
                received.append(data)
        except (ConnectionResetError, BrokenPipeError, TimeoutError):
            pass  # it hung up before it had read everything, or waits for more
    return b"".join(received)


def status_and_json(answer: bytes) -> tuple[int, dict]:
    """Of an answer over a connection."""
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def answer_at(
    settings: ServerSettings, body: list[bytes], path: str = PATH, transcriber=None, **headers: str
) -> tuple[int, dict]:
    """Status and answer to a body in pieces, without a network; headers are named with _ for -."""
    given = {"content_type": "multipart/form-data; boundary=b", "host": "localhost"} | headers
    sent = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in given.items()]
    method = "POST" if body else "GET"
    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": sent}
    left, answers = list(body) or [b""], []
    idle = asyncio.Event()

    async def receive() -> dict:
        if not left:
            await idle.wait()  # a client that waits
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    async def send(message: dict) -> None:
        answers.append(message)

    asyncio.run(application(settings, transcriber)(scope, receive, send))
    assert not left or method == "GET"
    return answers[0]["status"], json.loads(answers[1]["body"])
