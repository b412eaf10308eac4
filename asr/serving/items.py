"""What a live client is told: an item for each utterance, with events in the order in which OpenAI's API has them."""

from collections.abc import Awaitable, Callable
from uuid import uuid4

from asr.finishing.finishing import SCRIPTS, finish
from asr.serving.answers import logprobs_of
from asr.serving.live_streams import Said
from asr.serving.realtime_session import Session
from asr.serving.refusals import BadRequest
from asr.serving.service import Service
from asr.transcript import Segment, Transcript, joined, parted
from asr.transcription.stream_utterances import Heard

TRANSCRIPTION = "conversation.item.input_audio_transcription"
LEAST = 0.1
"""Seconds without which there is nothing to commit."""


class Items:
    """The items of one session. Where the session finds utterances, each is an item; else whatever is committed together."""

    def __init__(self, session: Session, service: Service, send: Callable[..., Awaitable[None]]):
        self.session, self.service, self.send = session, service, send
        self.id = self.new_id("sess")
        self.previous: str | None = None
        self.since = 0.0
        """Seconds of the stream that belong to earlier items."""
        self._begin()

    def _begin(self) -> None:
        self.item: str | None = None
        """The id of the open item."""
        self.parts: list[Segment] = []
        """What is over of it."""
        self.told = ""
        """What of its text was told as settled."""

    def new_id(self, kind: str) -> str:
        """An id that nothing else has."""
        return f"{kind}_{uuid4().hex[:20]}"

    def shown(self) -> dict:
        """The session as events show it."""
        return self.session.shown(self.id)

    def forget(self, heard: float) -> None:
        """Drops the open item; `heard`: seconds of the stream so far."""
        self.since = heard
        self._begin()

    async def add(self, said: Said, heard: float) -> None:
        """What became of the samples up to `heard`, in seconds."""
        at_pauses = self.session.pause is not None
        for segment in said.over:
            await self._start(segment.start)
            self.parts.append(segment)
            if at_pauses:
                await self._complete(segment.end)
            else:
                await self._settle(joined(self._tokens()))
        if said.speaking is not None:
            await self._start(said.speaking)
        elif self.item and at_pauses:  # what began as speech was none
            await self._complete(heard)

    async def commit(self, said: Said, heard: float) -> None:
        """The end of an item that the client says; raises BadRequest where it holds nothing."""
        enough = heard - self.since >= LEAST
        before = self.previous
        await self.add(said, heard)
        if self.item or (before == self.previous and enough):
            await self._start(heard)
            await self._complete(heard)
        elif before == self.previous:
            raise BadRequest(
                f"nothing to commit: less than {LEAST:g} s of audio have come since the last item", "input_audio_buffer"
            )

    async def tell_open(self, heard: Heard) -> None:
        """The text of the open item, as far as it is known."""
        if self.item is None:
            return
        before = joined(self._tokens())
        before += " " if heard.text and parted(before, heard.text) else ""
        await self._settle(before + heard.text[: heard.settled])
        if self.session.provisional:
            await self.send(
                f"{TRANSCRIPTION}.provisional",
                item_id=self.item,
                content_index=0,
                text=before + heard.text,
                settled=len(before) + heard.settled,
            )

    async def _start(self, start: float) -> None:
        if self.item is None:
            self.item = self.new_id("item")
            if self.session.pause is not None:
                place = round(1000 * start)
                await self.send("input_audio_buffer.speech_started", item_id=self.item, audio_start_ms=place)

    def _tokens(self) -> list:
        return [token for segment in self.parts for token in segment.tokens]

    async def _settle(self, text: str) -> None:
        """Tells what is new of a text that will not change, or hardly."""
        script = self.service.finishing.script
        text = SCRIPTS[script](text) if script and text else text
        if text.startswith(self.told) and text != self.told:
            await self._delta(text[len(self.told) :])

    async def _delta(self, delta: str) -> None:
        self.told += delta
        await self.send(f"{TRANSCRIPTION}.delta", item_id=self.item, content_index=0, delta=delta)

    async def _complete(self, end: float) -> None:
        id, previous = self.item, self.previous
        if self.session.pause is not None:
            await self.send("input_audio_buffer.speech_stopped", item_id=id, audio_end_ms=round(1000 * end))
        await self.send("input_audio_buffer.committed", item_id=id, previous_item_id=previous)
        content = [{"type": "input_audio", "transcript": None}]
        item = {"id": id, "object": "realtime.item", "type": "message", "role": "user", "status": "completed"}
        item["content"] = content
        for what in ("added", "done"):
            await self.send(f"conversation.item.{what}", item=item, previous_item_id=previous)
        start = self.parts[0].start if self.parts else self.since
        transcript = Transcript("live", end, tuple(self.parts), self.service.transcriber.loaded.name)
        finished = finish(transcript, self.service.finishing)
        tokens = [token for segment in finished.segments for token in segment.tokens]
        if finished.text.startswith(self.told) and finished.text != self.told:
            await self._delta(finished.text[len(self.told) :])
        words = [{"word": t.text, "start": t.start, "end": t.end, "confidence": t.confidence} for t in tokens]
        await self.send(
            f"{TRANSCRIPTION}.completed",
            item_id=id,
            content_index=0,
            transcript=finished.text,
            usage={"type": "duration", "seconds": round(end - start, 3)},
            logprobs=logprobs_of(tokens) if self.session.logprobs else None,
            start=start,
            end=end,
            words=words,
        )
        self.previous, self.since = id, end
        self._begin()
