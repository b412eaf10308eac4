"""A transcript as it is found: server-sent events, as OpenAI's API names them."""

import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import replace

from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from asr.errors import AsrError
from asr.serving.answers import Ids, answer_of, logprobs_of
from asr.serving.forms import DIARIZED, Wanted
from asr.serving.refusals import problem, worded
from asr.transcript import Transcript, TranscriptToken, joined

DELTA, DONE = "transcript.text.delta", "transcript.text.done"
KEPT_ALIVE = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
"""Headers that keep proxies from holding events back."""


def event(data: dict) -> bytes:
    """An event whose name is its `type`."""
    return f"event: {data['type']}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


class Growth:
    """The text of a transcript that grows: what is new of it each time.

    What was told stays, though with what is said later other marks may be set in it: then only the whole text has those.
    """

    def __init__(self):
        self.told = 0
        """Tokens that were told."""
        self.end = 0.0
        """Where the last of them ends, in seconds."""

    def add(self, transcript: Transcript, ended: bool) -> tuple[str, list[TranscriptToken]]:
        """The text that is new in it, and the tokens of that. The last mark may change with what is said next, and waits."""
        tokens = [token for segment in transcript.segments for token in segment.tokens]
        new = [token for token in tokens[self.told :] if token.start >= self.end]
        before = tokens[: len(tokens) - len(new)][-1:]  # whose mark has waited
        text = joined([*before, *new]).removeprefix(before[0].text if before else "")
        if not ended and tokens:
            text = text.removesuffix(tokens[-1].mark)
        if new:
            self.told, self.end = len(tokens), new[-1].end
        return text, new


async def events_of(
    transcripts: AsyncGenerator[Transcript | None, None], wanted: Wanted, ids: Ids
) -> AsyncGenerator[bytes, None]:
    """Events for a transcript that is found bit by bit; the last of them holds all of it."""
    growth, latest = Growth(), None
    async with aclosing(transcripts):
        async for transcript in transcripts:
            if transcript is not None:
                latest = transcript
                for one in _delta(*growth.add(latest, False), wanted):
                    yield one
    assert latest is not None
    for one in _delta(*growth.add(latest, True), wanted):
        yield one
    answer = answer_of(latest, replace(wanted, format="json" if wanted.format == "text" else wanted.format), ids)
    assert isinstance(answer, dict)
    if wanted.format == DIARIZED:
        for segment in answer["segments"]:
            yield event(segment)
        answer = {"text": answer["text"]}
    answer.pop("usage", None)  # of this event it is one of tokens, as models have that are paid by them
    yield event({"type": DONE} | answer)


def _delta(text: str, tokens: list[TranscriptToken], wanted: Wanted) -> Iterator[bytes]:
    if text:
        so_far = {"end": tokens[-1].end} if tokens and wanted.format == "verbose_json" else {}
        logprobs = {"logprobs": logprobs_of(tokens)} if wanted.logprobs else {}
        yield event({"type": DELTA, "delta": text} | logprobs | so_far)


class EventStream(Response):
    """Events as they come. What fails in the middle is an event, too: the status was sent before."""

    media_type = "text/event-stream"

    def __init__(self, first: bytes, rest: AsyncGenerator[bytes, None], headers: dict[str, str]):
        """first: so far all has gone well, and what fails before has a status of its own."""
        super().__init__(headers=headers | KEPT_ALIVE)
        del self.headers["content-length"]
        self.first, self.rest = first, rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def tell(data: bytes, more: bool = True) -> None:
            await send({"type": "http.response.body", "body": data, "more_body": more})

        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        try:
            async with aclosing(self.rest):
                await tell(self.first)
                async for one in self.rest:
                    await tell(one)
        except AsrError as error:
            await tell(_failed(getattr(error, "status", 503), worded(str(error), HTTPConnection(scope))))
        except Exception as error:
            told = f"the server failed ({type(error).__name__}), its log says where"
            await tell(_failed(500, worded(told, HTTPConnection(scope))))
            raise
        finally:
            await tell(b"", False)


def _failed(status: int, message: str) -> bytes:
    return event({"type": "error"} | json.loads(problem(status, message)))
