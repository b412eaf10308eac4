"""Live text as its readers see it: how late it comes, whether any is lost, and how good it is.

    python benchmarks/live.py data/embedded/dev_sentences.jsonl --clients 10 --clips 8 --serve "--quantize int8"

CLIPS is a manifest (.jsonl), or a table with the columns audio and text (.tsv). Each client says some of them over
/v1/realtime, at the speed at which they were spoken, with pauses over faint noise. Seconds are counted from when a sample
was spoken to when the text has come:

- speech starts, and ends, where voice activity over the whole clip first, and last, gives speech a probability of 0.5;
- the endpoint is half a second behind its end: the silence that ends an utterance;
- first text is the first provisional text that is not empty, whatever it says; the first character that stays is from
  when on every text begins with the final one's first character;
- a character settles when it is first among those of a provisional text that will not change, or else with the final text:
  seconds from its end, in the final text; of what was settled before that, how much the final text contradicts;
- a clip is dropped that got no final text, or whose session was closed.

The same clips are then sent as files to the same server. Without --address a server is started, on the CPU.
"""

import argparse
import asyncio
import csv
import io
import json
import random
import sys
import time
import urllib.request
from bisect import bisect_right
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from asr.audio.reading import SAMPLE_RATE, read_samples  # noqa: E402
from asr.audio.speech_probabilities import WINDOW, SpeechProbabilities  # noqa: E402
from asr.audio.voice_activity import load_voice_activity  # noqa: E402
from asr.corpus.manifest import read_manifest  # noqa: E402
from asr.scoring.cer import CharErrors, align, char_errors  # noqa: E402
from asr.text.normalize import RULES, TRAINING, normalize  # noqa: E402
from asr.transcription.stream_utterances import PAUSE  # noqa: E402
from benchmarks.served import serving  # noqa: E402

COMPARED = tuple(rule for rule in RULES if rule in {*TRAINING, "script", "numbers"})
CHUNK = 640
"""Samples in a message: 40 ms."""
BETWEEN = (1.0, 2.0)
"""Seconds of pause between clips."""
NOISE = 3e-4
PATIENCE = 60.0
"""Seconds that a client waits for text behind its last clip."""


@dataclass(frozen=True)
class Clip:
    """What is said."""

    samples: np.ndarray
    text: str
    speech: tuple[float, float]
    """Where it starts and ends, in seconds of the clip."""


@dataclass
class Client:
    """One who speaks, and what is heard."""

    clips: list[Clip]
    random: random.Random
    events: list[tuple[float, dict]] = field(default_factory=list)
    """With the time at which each came."""
    began: float = 0.0
    """When the first sample was spoken."""
    late: float = 0.0
    """Seconds by which a message was sent late at most: the server, or this machine, held the client up."""
    failed: str = ""

    def __post_init__(self):
        noise = np.random.default_rng(self.random.randrange(2**32))
        parts, self.starts, at = [], [], 0
        for clip in [None, *self.clips]:
            samples = [] if clip is None else [clip.samples]
            at += sum(map(len, samples))
            pause = np.zeros(round(self.random.uniform(*BETWEEN) * SAMPLE_RATE), np.float32)
            parts += [*samples, pause]
            at += len(pause)
            self.starts.append(at / SAMPLE_RATE)
        stream = np.concatenate(parts)
        stream += noise.normal(0, NOISE, len(stream)).astype(np.float32)
        self.pcm = (stream.clip(-1, 1) * 32767).astype("<i2").tobytes()
        self.ends = [
            start + len(clip.samples) / SAMPLE_RATE for start, clip in zip(self.starts, self.clips, strict=False)
        ]

    async def speak(self, address: str) -> None:
        """Sends all of it, each message when its last sample has been spoken."""
        await asyncio.sleep(self.random.uniform(0, 3))
        try:
            async with connect(f"ws://{address}/v1/realtime?rate={SAMPLE_RATE}&provisional=true") as socket:
                hearing = asyncio.create_task(self._hear(socket))
                self.began = time.monotonic()
                for first in range(0, len(self.pcm), 2 * CHUNK):
                    due = self.began + (first + 2 * CHUNK) / 2 / SAMPLE_RATE
                    await asyncio.sleep(max(0.0, due - time.monotonic()))
                    await socket.send(self.pcm[first : first + 2 * CHUNK])
                    self.late = max(self.late, time.monotonic() - due)
                await socket.send('{"type": "input_audio_buffer.commit"}')
                await asyncio.wait_for(hearing, PATIENCE)
        except (WebSocketException, OSError, TimeoutError) as error:
            self.failed = f"{type(error).__name__}: {error}"

    async def _hear(self, socket) -> None:
        last = len(self.pcm) / 2 / SAMPLE_RATE - BETWEEN[0] / 2
        async for message in socket:
            event = json.loads(message)
            self.events.append((time.monotonic() - self.began, event))
            if event["type"] == "error":
                raise OSError(event["error"]["message"])
            if event["type"].endswith("transcription.completed") and event["end"] >= last:
                return  # of the silence at the end

    def heard(self) -> list["Hearing"]:
        """What came of each clip."""
        items: dict[str, int] = {}
        heard = [Hearing(clip, start) for clip, start in zip(self.clips, self.starts, strict=False)]
        for at, event in self.events:
            kind, item = event["type"].rpartition(".")[2], event.get("item_id", "")
            if kind == "speech_started":
                items[item] = bisect_right(self.ends, event["audio_start_ms"] / 1000)
            if item in items and items[item] < len(heard):
                heard[items[item]].add(at, kind, event)
        return heard


@dataclass
class Hearing:
    """What came of a clip."""

    clip: Clip
    start: float
    """Where it starts in the stream."""
    before: str = ""
    """The text of its utterances that are over."""
    texts: list[tuple[float, str]] = field(default_factory=list)
    """(when, all of the text as it was known then)."""
    final: float | None = None
    """When the last of its text came."""
    open: list[tuple[float, str]] = field(default_factory=list)
    """(when, what is settled) of the open utterance."""
    settling: list[float] = field(default_factory=list)
    """Of each character of what is over: seconds from when it had been said to when it was settled."""
    early: int = 0
    """Characters that were settled before the final text."""
    wrong: int = 0
    """Those of them that the final text contradicts."""

    def add(self, at: float, kind: str, event: dict) -> None:
        if kind == "provisional":
            self.texts.append((at, self.before + event["text"]))
            self.open.append((at, event["text"][: event["settled"]]))
        elif kind == "completed" and event["transcript"]:
            self.before += event["transcript"]
            self.texts.append((at, self.before))
            self.final = at
            self._settle(at, event["words"])

    def _settle(self, at: float, words: list[dict]) -> None:
        """The utterance is over: each word of it, and when it ended in the stream."""
        ends = [word["end"] for word in words for _ in word["word"]]
        settled = [(when, len(text)) for when, text in self.open] + [(at, len(ends))]
        self.settling += [next(when for when, n in settled if n > i) - end for i, end in enumerate(ends)]
        early = self.open[-1][1] if self.open else ""
        pairs = align(list("".join(word["word"] for word in words)), list(early))
        while pairs and not pairs[-1][1]:  # not yet said
            pairs.pop()
        self.early += len(early)
        self.wrong += sum(said != written for said, written in pairs)
        self.open = []

    def delays(self) -> tuple[float, float, float]:
        """Of the first text and of the first character that stays after speech starts; of the final text after it ends."""
        started, ended = (self.start + place for place in self.clip.speech)
        stays = self.texts[-1][0]
        for at, text in reversed(self.texts):
            if text[:1] != self.before[:1]:
                break
            stays = at
        first = next(at for at, text in self.texts if text)
        assert self.final is not None
        return first - started, stays - started, self.final - ended


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path, help="a manifest or a table")
    parser.add_argument("--kind", default="", help="of a table with a column kind: only these clips")
    parser.add_argument("--clients", type=int, default=1, help="that speak at once (default: %(default)s)")
    parser.add_argument("--clips", dest="each", type=int, default=10, help="how many of them each client says")
    parser.add_argument("--address", default="", metavar="HOST:PORT", help="of a server that is there already")
    parser.add_argument("--serve", default="", metavar="OPTIONS", help="of the server that is started")
    parser.add_argument("--seed", type=int, default=0, help="of the order of clips and pauses (default: %(default)s)")
    options = parser.parse_args()
    clips = read_clips(options.clips, options.kind)
    source = random.Random(options.seed)
    order = [
        clip
        for _ in range(1 + options.clients * options.each // len(clips))
        for clip in source.sample(clips, len(clips))
    ]
    chosen = [order[n * options.each : (n + 1) * options.each] for n in range(options.clients)]
    clients = [Client(said, random.Random(source.random())) for said in chosen]
    with ExitStack() as stack:
        address, process = options.address, None
        if not address:
            address, process = stack.enter_context(serving(options.serve))
        as_file(address, clips[0])  # the first of everything is slow
        cpu, began = process.cpu() if process else 0.0, time.monotonic()
        asyncio.run(all_speak(clients, address))
        took = time.monotonic() - began
        cpu = process.cpu() - cpu if process else None
        heard = [one for client in clients for one in client.heard()]
        print(f"{options.clients} clients, {len(heard)} clips, {took:.0f} s")
        tell(clients, heard)
        if cpu is not None:
            print(f"CPU of the server: {cpu / took:.2f} cores, {cpu:.1f} s")
        files = [char_errors(plain(one.clip.text), plain(as_file(address, one.clip))) for one in heard]
    live = [char_errors(plain(one.clip.text), plain(one.before)) for one in heard]
    sums = [sum(each, CharErrors()) for each in (live, files)]
    print(
        "CER live {:.2f} %, as files {:.2f} %, of {:,} characters".format(
            *(100 * one.cer for one in sums), sums[0].reference
        )
    )


def read_table(path: Path, kind: str = "") -> list[tuple[np.ndarray, str]]:
    """Samples and texts of a manifest or a table; kind: of which rows."""
    if path.suffix == ".jsonl":
        whole = [(read_samples(one.audio), one.start, one.duration, one.text) for one in read_manifest(path)]
        return [
            (x[int(start * SAMPLE_RATE) :][: round(length * SAMPLE_RATE)], text) for x, start, length, text in whole
        ]
    with open(path, encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [(read_samples(path.parent / row["audio"]), row["text"]) for row in table if kind in ("", row.get("kind"))]


def read_clips(path: Path, kind: str = "") -> list[Clip]:
    """All clips of a manifest or a table in which there is speech."""
    cut = read_table(path, kind)
    network = load_voice_activity()
    clips = []
    for samples, text in cut:
        padded = np.concatenate([samples, np.zeros(SAMPLE_RATE, np.float32)])
        speech = np.flatnonzero(SpeechProbabilities(network).add(padded) >= 0.5)
        if len(speech):
            place = speech[0] * WINDOW / SAMPLE_RATE, (speech[-1] + 1) * WINDOW / SAMPLE_RATE
            clips.append(Clip(samples, text, place))
    print(f"{len(clips)} clips; {len(cut) - len(clips)} in which no speech is found are left out")
    return clips


async def all_speak(clients: list[Client], address: str) -> None:
    await asyncio.gather(*(client.speak(address) for client in clients))


def as_file(address: str, clip: Clip) -> str:
    """The text of a clip that is sent as a file."""
    file = io.BytesIO()
    soundfile.write(file, clip.samples, SAMPLE_RATE, format="WAV", subtype="PCM_16")
    form = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="clip.wav"\r\n\r\n'
        + file.getvalue()
        + b"\r\n--b--"
    )
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    request = urllib.request.Request(f"http://{address}/v1/audio/transcriptions", form, headers)
    return json.load(urllib.request.urlopen(request, timeout=600))["text"]


def plain(text: str) -> str:
    """Simplified characters, numbers written out."""
    return normalize(text, COMPARED)


def tell(clients: list[Client], heard: list[Hearing]) -> None:
    """Prints delays and losses."""
    with_text = [one.delays() for one in heard if one.final is not None]
    if with_text:
        first, stays, final = np.array(with_text).T
        rows = {
            "first text after speech starts": first,
            "first character that stays": stays,
            "final text after speech ends": final,
            "final text after the endpoint": final - PAUSE,
            "settled after it is said": np.array([seconds for one in heard for seconds in one.settling]),
        }
        print(f"{'':32} median    95 %    most")
        for name, values in rows.items():
            print(f"{name:32}", "  ".join(f"{np.percentile(values, share):4.2f} s" for share in (50, 95, 100)))
    early, wrong, all = (sum(n) for n in zip(*((h.early, h.wrong, len(h.settling)) for h in heard), strict=True))
    print(f"settled before the final text: {early} of {all} characters, {wrong} of them wrong")
    print(
        f"dropped: {len(heard) - len(with_text)} of {len(heard)} clips; late by at most {max(c.late for c in clients):.2f} s"
    )
    for client in clients:
        if client.failed:
            print(f"a session ended: {client.failed}")


if __name__ == "__main__":
    main()
