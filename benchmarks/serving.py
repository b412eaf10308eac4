"""A server that is used for long: whether its memory grows, what it leaves behind, and who waits when a client is killed.

    python benchmarks/serving.py --uploads 500 --sessions 100 [--clips dev.tsv] [--serve "--threads 2"]

Uploads and live sessions come one after the other, in turn: formats, answers, hot words and lengths vary, some are no audio, some
clients go in the middle. Memory, threads and open files of the server are printed on the way, then how much its memory grew
since a tenth of all that; what lies in its temporary folder in the end; and how long the next request takes after a client was
killed while it sent, while it was worked for, and while it spoke, beside what it takes otherwise. Linux only.
"""

import argparse
import io
import json
import random
import socket
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile
from websockets.sync.client import connect

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from asr.audio.reading import SAMPLE_RATE, read_samples  # noqa: E402
from benchmarks.live import read_table  # noqa: E402
from benchmarks.served import Process, serving  # noqa: E402

PATH = "/v1/audio/transcriptions"
FORMATS = {"wav": "WAV", "flac": "FLAC", "ogg": "OGG"}
ANSWERS = ("json", "text", "srt", "vtt", "verbose_json")
PATIENCE = 600.0
NO_AUDIO = b"no audio at all " * 500


class User:
    """Whoever asks the server, at random but always in the same way."""

    def __init__(self, address: str, clips: list[np.ndarray]):
        self.address, self.clips, self.random = address, clips, random.Random(0)
        host, _, port = address.rpartition(":")
        self.place = host, int(port)

    def samples(self, n: int | None = None) -> np.ndarray:
        """Several clips, with pauses."""
        chosen = self.random.choices(self.clips, k=n or self.random.randint(1, 3))
        return np.concatenate([part for clip in chosen for part in (clip, np.zeros(SAMPLE_RATE, np.float32))])

    def word(self) -> str:
        """A hot word that hardly comes twice."""
        return "".join(self.random.choices([chr(code) for code in range(0x4E00, 0x4E00 + 3000)], k=3))

    def request(self, data: bytes, **fields: str) -> bytes:
        """A form over HTTP."""
        parts = [
            f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n' for name, text in fields.items()
        ]
        form = "".join(parts).encode() + b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        form += data + b"\r\n--b--\r\n"
        head = f"POST {PATH} HTTP/1.1\r\nHost: {self.address}\r\nConnection: close\r\n"
        head += f"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {len(form)}\r\n\r\n"
        return head.encode() + form

    def answer(self, request: bytes) -> bytes:
        """All that comes back."""
        received = []
        with socket.create_connection(self.place, PATIENCE) as connection:
            connection.sendall(request)
            while data := connection.recv(65536):
                received.append(data)
        return b"".join(received)

    def upload(self) -> None:
        """One of many kinds."""
        kind = self.random.random()
        fields = {"response_format": self.random.choice(ANSWERS)}
        if self.random.random() < 0.3:
            fields["prompt"] = f"{self.word()}，{self.word()}"
        if self.random.random() < 0.3:
            fields |= {"stream": "true", "response_format": "json"}
        data = NO_AUDIO if kind < 0.05 else encoded(self.samples(), self.random.choice(list(FORMATS)))
        status = b"400" if kind < 0.05 else b"200"
        if 0.05 <= kind < 0.1:
            self.killed_while_sending()
        else:
            answer = self.answer(self.request(data, **fields))
            assert answer.startswith(b"HTTP/1.1 " + status), answer[:500]

    def session(self, goes: bool | None = None) -> None:
        """A live one; `goes`: whether its client goes in the middle, without a word."""
        goes = self.random.random() < 0.2 if goes is None else goes
        pcm = (self.samples().clip(-1, 1) * 32767).astype("<i2").tobytes()
        with connect(
            f"ws://{self.address}/v1/realtime?rate={SAMPLE_RATE}&provisional=true", open_timeout=PATIENCE
        ) as live:
            if self.random.random() < 0.3:
                words = {"transcription": {"prompt": self.word()}}
                live.send(json.dumps({"type": "session.update", "session": {"audio": {"input": words}}}))
            for first in range(0, len(pcm), 9600):
                live.send(pcm[first : first + 9600])
            if goes:
                live.socket.close()
                return
            live.send('{"type": "input_audio_buffer.commit"}')
            event = {"type": ""}
            while not (
                event["type"].endswith("transcription.completed") and event["end"] > len(pcm) / 2 / SAMPLE_RATE - 0.9
            ):
                event = json.loads(live.recv(PATIENCE))
                assert event["type"] != "error", event

    def killed_while_sending(self) -> None:
        """Half of a request, and no more."""
        request = self.request(encoded(self.samples(), "wav"))
        with socket.create_connection(self.place, PATIENCE) as connection:
            connection.sendall(request[: len(request) // 2])

    @contextmanager
    def long_upload(self):
        """A recording that is being worked on, whose client goes in the end."""
        with socket.create_connection(self.place, PATIENCE) as connection:
            connection.sendall(self.request(encoded(self.samples(100), "flac")))
            time.sleep(1.0)
            yield

    def seconds(self) -> float:
        """What a short upload takes."""
        request = self.request(encoded(self.clips[0], "wav"))
        began = time.monotonic()
        assert self.answer(request).startswith(b"HTTP/1.1 200")
        return time.monotonic() - began


def encoded(samples: np.ndarray, kind: str) -> bytes:
    """The bytes of a file."""
    file = io.BytesIO()
    soundfile.write(file, samples, SAMPLE_RATE, format=FORMATS[kind])
    return file.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, help="a manifest, or a table with the columns audio and text")
    parser.add_argument("--kind", default="", help="of a table with a column kind: only these clips")
    parser.add_argument("--uploads", type=int, default=500, help="recordings that are sent (default: %(default)s)")
    parser.add_argument("--sessions", type=int, default=100, help="live sessions (default: %(default)s)")
    parser.add_argument("--serve", default="", metavar="OPTIONS", help="of the server")
    options = parser.parse_args()
    if options.clips:
        clips = [samples for samples, _ in read_table(options.clips, options.kind)]
    else:
        clips = [read_samples(path) for path in sorted((ROOT / "data/sample").glob("*.flac"))]
    with tempfile.TemporaryDirectory() as folder, serving(options.serve, TMPDIR=folder) as (address, process):
        user = User(address, clips)
        go_on(user, process, options.uploads, options.sessions)
        print(f"left in the temporary folder: {[path.name for path in Path(folder).rglob('*')]}")
        after_kills(user)


def go_on(user: User, process: Process, uploads: int, sessions: int) -> None:
    """All uploads and sessions, and what the server holds meanwhile."""
    turns = [user.upload] * uploads + [user.session] * sessions
    user.random.shuffle(turns)
    before = process.threads(), len(process.files())
    print(f"at first: {process.memory():.0f} MB, {before[0]} threads, {before[1]} files", flush=True)
    tenth, sizes = max(1, len(turns) // 10), []
    for n, turn in enumerate(turns, 1):
        turn()
        if n % tenth == 0:
            sizes.append(process.memory())
            print(
                f"after {n}: {sizes[-1]:.0f} MB, {process.threads()} threads, {len(process.files())} files", flush=True
            )
    time.sleep(1.0)  # what a client left behind that went is closed
    held = [name for name in process.files() if "(deleted)" in name]
    growth = 100 * (process.memory() / sizes[0] - 1)
    print(
        f"in the end: {process.memory():.0f} MB, {growth:+.1f} % since the first tenth, {process.threads()} threads,",
        end=" ",
    )
    print(f"{len(process.files())} files, deleted ones among them: {held}", flush=True)


def after_kills(user: User) -> None:
    """How long the next request takes."""
    usual = min(user.seconds() for _ in range(3))
    print(f"a short upload: {usual:.2f} s")

    def worked_for() -> None:
        with user.long_upload():
            pass

    kills = {"sent": user.killed_while_sending, "was worked for": worked_for, "spoke": lambda: user.session(True)}
    for what, kill in kills.items():
        kill()
        print(f"after a client was killed while it {what}: {user.seconds():.2f} s", flush=True)


if __name__ == "__main__":
    main()
