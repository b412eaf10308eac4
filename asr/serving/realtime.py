"""`/v1/realtime`: text while somebody speaks, over WebSocket, in the events of OpenAI's realtime transcription.

A client sends samples, as base64 in `input_audio_buffer.append` or bare in binary messages, and is told what they say. A
reader takes its messages as long as not too much of them waits, a listener does what they ask in their order.
"""

import asyncio
import json
import time
from base64 import b64decode
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from asr.audio.reading import SAMPLE_RATE
from asr.errors import AsrError
from asr.serving.body import ENDING, LOOK, PATIENCE
from asr.serving.forms import hotwords_of_fields
from asr.serving.items import Items
from asr.serving.live_streams import LiveStream, LiveStreams, Said
from asr.serving.realtime_session import Session, of_query, updated
from asr.serving.refusals import BadRequest, worded
from asr.serving.sent import read_json
from asr.serving.service import Service
from asr.transcription.pcm import FIRST, Pcm, refuse_container
from asr.transcription.stream_utterances import StreamUtterances

MOST_AHEAD = 10.0
"""Seconds of audio that wait to be heard before a client is read no further."""
MOST_ORDERS, LEAST_ORDER = 2**16, 500
"""Bytes of other messages that wait before it is, the last of which may be longer; and for how many a short one counts."""
AT_ONCE = 2.0
"""Seconds of audio that are heard at a time; where more waits, only utterances that are over are looked at."""
NO_FILES = "a live session takes bare samples; send files to /v1/audio/transcriptions"
GOING, UNSUPPORTED, FAILED, FULL, IDLE, TOO_LONG = 1001, 1003, 1011, 1013, 4408, 4413
"""With what a server closes: it ends, what it was sent is no sound, it failed, others have all the places, nothing was sent
for too long, or more than a session may have."""


class Closing(AsrError):
    """A session is to be closed, with this code."""

    def __init__(self, code: int, reason: str):
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True)
class Order:
    """What a client wants besides being heard."""

    event: dict
    size: int
    """Bytes of the message, or more: each takes some room."""


class Live:
    """One client's session."""

    def __init__(self, service: Service, streams: LiveStreams, socket: WebSocket, session: Session):
        self.service, self.streams, self.socket, self.session = service, streams, socket, session
        self.items = Items(session, service, self._send)
        self.inbox: deque[bytes | Order] = deque()
        """Samples and orders that wait, in the order in which they came."""
        self.ahead = 0
        """Bytes of samples among them."""
        self.ordered = 0
        """Bytes of orders among them."""
        self.changed = asyncio.Event()
        """Set when something has come into the inbox or has been taken out of it, or the open utterance was looked at."""
        self.began = False
        self._hear_anew()

    def _hear_anew(self) -> None:
        """Begins to hear as the session says."""
        transcriber = self.service.transcriber
        self.pcm = Pcm(self.session.rate, self.session.law)
        words, _ = hotwords_of_fields(self.session.prompt, list(self.session.keywords))
        utterances = StreamUtterances(transcriber.voice_activity, self.session.segments(transcriber.segments))
        if self.began:
            utterances.heard_samples = utterances.first = self.stream.utterances.heard_samples
        loop = asyncio.get_running_loop()
        self.stream: LiveStream = self.streams.stream(utterances, words, lambda: _wake(loop, self.changed))

    async def run(self) -> None:
        """Until the client goes, or has to."""
        await self._send("session.created", session=self.items.shown())
        tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._listen())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            self.stream.gone = True
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _send(self, type: str, **fields: Any) -> None:
        text = json.dumps({"type": type, "event_id": self.items.new_id("event")} | fields, ensure_ascii=False)
        try:
            await asyncio.wait_for(self.socket.send_text(text), PATIENCE)
        except RuntimeError:  # closed under it, by the client or for what was no message
            raise WebSocketDisconnect(1006) from None

    async def _error(self, error: AsrError, event: Any = None) -> None:
        id = event.get("event_id") if isinstance(event, dict) else None
        id = id if isinstance(id, str) else None  # a number may be one that JSON cannot write
        field, code = getattr(error, "field", None), getattr(error, "code", None)
        about = {"type": "invalid_request_error", "code": code, "param": field, "event_id": id}
        about["message"] = worded(str(error), self.socket)
        await self._send("error", error=about)

    async def _read(self) -> None:
        while True:
            message = await self._next()
            if message["type"] == "websocket.disconnect":
                return
            event = None
            try:
                if (data := message.get("bytes")) is not None:
                    self._take(data)
                    continue
                event = _event(message["text"])
                if event["type"] == "input_audio_buffer.append":
                    self._take(_samples(event))
                else:
                    order = Order(event, len(message["text"].encode()) + LEAST_ORDER)
                    self.ordered += order.size
                    self.inbox.append(order)
            except BadRequest as error:
                await self._error(error, event)
            finally:
                self.changed.set()

    async def _next(self) -> dict:
        """The next message, once not too much waits already."""
        while self.ahead > MOST_AHEAD * self.session.bytes_a_second or self.ordered > MOST_ORDERS:
            self.changed.clear()
            await self.changed.wait()
        latest = time.monotonic() + self.service.settings.most_idle
        coming = asyncio.ensure_future(self.socket.receive())
        try:
            while not (await asyncio.wait({coming}, timeout=LOOK))[0]:
                if self.service.stopping.is_set():
                    raise Closing(GOING, ENDING)
                if time.monotonic() > latest:
                    raise Closing(IDLE, f"nothing was sent for {self.service.settings.most_idle:g} s")
            return dict(coming.result())
        finally:
            coming.cancel()

    def _take(self, data: bytes) -> None:
        if not self.began and len(data) >= FIRST:
            try:
                refuse_container(data[:FIRST], "what was sent", NO_FILES)
            except AsrError as error:
                raise Closing(UNSUPPORTED, str(error)) from None
        self.began = self.began or bool(data)
        if data:
            self.inbox.append(data)
            self.ahead += len(data)

    async def _listen(self) -> None:
        while True:
            while not ((heard := self.stream.take()) or self.inbox):
                self.changed.clear()
                await self.changed.wait()
            if heard:
                await self.items.tell_open(heard)
            elif isinstance(self.inbox[0], bytes):
                await self._hear()
            else:
                order = self.inbox.popleft()
                try:
                    await self._obey(order.event)
                except BadRequest as error:
                    await self._error(error, order.event)
                self.ordered -= order.size
            self.changed.set()

    async def _hear(self) -> None:
        """The samples that have come, as many as are heard at a time."""
        most, data = int(AT_ONCE * self.session.bytes_a_second) // 2 * 2, b""
        while self.inbox and isinstance(self.inbox[0], bytes) and len(data) < most:
            data += self.inbox.popleft()
        if data[most:]:
            self.inbox.appendleft(data[most:])
        data = data[:most]
        self.ahead -= len(data)
        samples = self.pcm.add(data)
        self.service.audio += len(samples) / SAMPLE_RATE
        said = await self.streams.hear(self.stream, samples, behind=self.ahead >= most)
        heard = self.stream.utterances.heard_samples / SAMPLE_RATE
        await self.items.add(said, heard)
        if heard > self.service.settings.most_seconds:
            raise Closing(TOO_LONG, f"a session may be {self.service.settings.most_seconds:g} s long")

    async def _hear_rest(self) -> Said:
        """The samples that were still on their way through the resampler."""
        samples = self.pcm.finish()
        self.service.audio += len(samples) / SAMPLE_RATE
        return await self.streams.hear(self.stream, samples, behind=True)

    async def _end(self) -> tuple[Said, float]:
        """What is open, ended, and the seconds of the stream up to there."""
        over = [*(await self._hear_rest()).over, *(await self.streams.finish(self.stream)).over]
        return Said(over), self.stream.utterances.heard_samples / SAMPLE_RATE

    async def _obey(self, event: dict) -> None:
        kind = event["type"]
        if kind in ("session.update", "transcription_session.update"):
            await self._update(event, kind)
        elif kind == "input_audio_buffer.commit":
            await self.items.commit(*await self._end())
        elif kind == "input_audio_buffer.clear":
            await self._hear_rest()
            await self.streams.forget(self.stream)
            self.stream.open = None
            self.items.forget(self.stream.utterances.heard_samples / SAMPLE_RATE)
            await self._send("input_audio_buffer.cleared")
        else:
            raise BadRequest(f"there is no event {str(kind)[:100]!r} of a transcription session", "type")

    async def _update(self, event: dict, kind: str) -> None:
        change = event.get("session")
        if kind != "session.update":
            change = _of_old_form(change)
        self.session = self.items.session = updated(self.session, change)
        await self.items.add(*await self._end())
        self._hear_anew()
        await self._send(f"{kind}d", session=self.items.shown())


def _wake(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    """Sets an event, from another thread."""
    with suppress(RuntimeError):  # the loop has ended
        loop.call_soon_threadsafe(event.set)


def _event(text: str) -> dict:
    try:
        event = read_json(text)
    except ValueError:
        event = None
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        raise BadRequest("a message must be an object in JSON with a type, or binary: samples", "type")
    return event


def _samples(event: dict) -> bytes:
    try:
        return b64decode(event.get("audio") or "", validate=True)
    except (ValueError, TypeError):
        raise BadRequest("audio must be base64 of samples", "audio") from None


def _of_old_form(change: Any) -> Any:
    """A session of the API's first version, whose settings of audio lay beside each other."""
    if not isinstance(change, dict):
        return change
    names = {"input_audio_format": "format", "input_audio_transcription": "transcription"}
    names["turn_detection"] = "turn_detection"
    audio = {new: change[old] for old, new in names.items() if old in change}
    return {"include": change.get("include"), "audio": {"input": audio}}


async def converse(service: Service, streams: LiveStreams, socket: WebSocket) -> None:
    """A session from its beginning to its end. Whoever may not have one is told why before it is closed."""
    offered = socket.scope.get("subprotocols", [])
    await socket.accept("realtime" if "realtime" in offered else None)
    code, reason = 1000, ""
    try:
        with service.live.slot():
            await Live(service, streams, socket, of_query(socket.query_params)).run()
        return
    except WebSocketDisconnect:
        pass
    except Closing as error:
        code, reason = error.code, str(error)
    except BadRequest as error:
        code, reason = FULL if error.status == 429 else UNSUPPORTED, str(error)
    except TimeoutError:
        code, reason = IDLE, "what was sent was not read"
    except Exception as error:
        code, reason = FAILED, f"the server failed ({type(error).__name__}), its log says where"
        raise
    finally:
        await _close(socket, code, worded(reason, socket))


async def _close(socket: WebSocket, code: int, reason: str) -> None:
    try:
        if reason:
            about = {"type": "server_error", "code": str(code), "message": reason, "param": None, "event_id": None}
            await socket.send_text(json.dumps({"type": "error", "event_id": "event_last", "error": about}))
        await socket.close(code, reason.encode()[:120].decode(errors="ignore"))
    except (RuntimeError, WebSocketDisconnect):  # it has gone
        pass
