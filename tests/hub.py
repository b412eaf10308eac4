"""A hub on this machine: an HTTP server that sends files as Hugging Face does, and fails as networks do; a model for it."""

import hashlib
import re
import threading
import types
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

from asr.catalogue.published_model import PublishedFile, PublishedModel, Repository
from asr.model.folder import save_model
from tests.conftest import random_model


@dataclass
class Served:
    """What the server does with a path, and what it was asked."""

    data: bytes
    """The file."""
    cuts: list[int] = field(default_factory=list)
    """How many bytes each of the next answers sends before the connection breaks."""
    statuses: list[int] = field(default_factory=list)
    """What the next requests are answered instead."""
    ranges: bool = True
    """Whether a part of the file can be asked for."""
    large: bool = True
    """Whether it lies in another store, to which the hub redirects, stating size and checksum."""
    kind: str = "application/octet-stream"
    """Its content type."""
    stated: dict[str, str] = field(default_factory=dict)
    """Headers to state in place of the right ones."""
    asked: list[dict[str, str]] = field(default_factory=list)
    """The headers of each request for its bytes, but for those that only look it up."""


class Hub:
    """Files by path, at `address`."""

    def __init__(self, port: int):
        self.address = f"http://127.0.0.1:{port}"
        self.store = f"http://localhost:{port}"  # another host, for all that a client knows
        self.files: dict[str, Served] = {}
        self.seen: list[tuple[str, str | None]] = []
        """(path, authorization) of every request."""

    def serve(self, path: str, data: bytes, **behaviour) -> Served:
        self.files[path] = Served(data, **behaviour)
        return self.files[path]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@contextmanager
def hub():
    """A running server."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_GET(self):
            here.seen.append((self.path, self.headers["Authorization"]))
            stored = self.path.startswith("/store/")
            served = here.files.get(self.path.removeprefix("/store"))
            if served is None:
                return self.answer(404)
            if served.statuses:
                return self.answer(served.statuses.pop(0))
            if served.large and not stored:
                headers = {"X-Linked-Size": str(len(served.data)), "X-Linked-ETag": f'"{sha256(served.data)}"'}
                return self.answer(302, headers | served.stated | {"Location": f"{here.store}/store{self.path}"})
            self.send(served)

        def send(self, served: Served):
            asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers["Range"] or "")
            looked_up = bool(asked and asked[2])
            if not looked_up:
                served.asked.append(dict(self.headers))
            tag = f'"{sha256(served.data)[:8]}"'
            whole, start, end = len(served.data), 0, len(served.data)
            headers = {"ETag": tag, "Content-Type": served.kind}
            partial = asked and served.ranges and self.headers["If-Range"] in (None, tag)
            if partial:
                start, end = int(asked[1]), int(asked[2]) + 1 if asked[2] else whole
                if start >= whole:
                    return self.answer(416)
                headers["Content-Range"] = f"bytes {start}-{end - 1}/{whole}"
            body = served.data[start:end]
            cut = served.cuts.pop(0) if served.cuts and not looked_up else None
            self.answer(206 if partial else 200, headers, body if cut is None else body[:cut], len(body))
            if cut is not None:
                self.close_connection = True

        def answer(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"", length: int = 0):
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(body)

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_):
            """Clients that hang up are what the tests are about."""

    server = Server(("127.0.0.1", 0), Handler)
    here = Hub(server.server_port)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield here
    finally:
        server.shutdown()
        server.server_close()


WEIGHTS = np.random.default_rng(0).bytes(2_560_000)  # like weights, they cannot be compressed
CHECKPOINT = {"exp/final.pt": WEIGHTS, "units.txt": "你 1\n好 2\n".encode()}


def row(name: str = "tiny", files: tuple[PublishedFile, ...] | None = None, **changes) -> PublishedModel:
    files = files or (
        PublishedFile("exp/final.pt", len(WEIGHTS), sha256(WEIGHTS)),
        PublishedFile("units.txt"),
    )
    repositories = {"huggingface": Repository("someone/tiny", "abc123"), "modelscope": Repository("someone/微")}
    known = dict(
        name=name,
        toolkit="wenet",
        title="a model of two characters",
        repositories=repositories,
        files=files,
        download="3 MB",
        licence="CC-BY-4.0",
        cer="AISHELL-1 99.9",
        source="nowhere",
    )
    return PublishedModel(**known | changes)


class Importer:
    """Stands in for the importers: checks what it is given, and writes a small model of our own."""

    def __init__(self, table):
        self.table, self.calls, self.fails = table, [], None

    def __call__(self, toolkit, source, out, notes=None, force=False, dtype="float32"):
        self.calls.append((toolkit, source, notes))
        assert {path: (source / path).read_bytes() for path in CHECKPOINT} == CHECKPOINT
        save_model(out, random_model(), self.table, dict(notes), card="# card\n")
        if self.fails:
            raise self.fails
        return types.SimpleNamespace(remarks=("has no CTC head",), doubts=("its features are too loud",))
