"""Live streams: whatever all of them have said by now is looked at together, before any recording goes on.

What is over is decoded at once, also in the middle of a decoding of what is not: nobody waits for a text that will be replaced.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from asr.errors import Cancelled
from asr.recognition.recognizer import Recognizer
from asr.serving.scheduler import Scheduler
from asr.stopping import never
from asr.transcript import Segment
from asr.transcription.live import quick_recognizer, without_second_pass
from asr.transcription.segments import segment_of
from asr.transcription.stream_utterances import Due, Heard, Pace, StreamUtterances
from asr.transcription.transcriber import Transcriber


@dataclass(eq=False)
class LiveStream:
    """One client that speaks, and the text of what is open."""

    utterances: StreamUtterances
    """What of the stream is to be decoded."""
    full: Recognizer
    """Decodes what is over."""
    quick: Recognizer
    """Decodes what will be decoded again."""
    told: Callable[[], object]
    """Called, in the thread that works, when `open` or `error` is new."""
    open: Heard | None = None
    """The text of the open utterance, where it was looked at again."""
    error: BaseException | None = None
    """Why it could not be."""
    gone: bool = False
    """Whether nobody wants to know any more."""

    def take(self) -> Heard | None:
        """What is new of the open utterance, once. Raises `error`."""
        if self.error:
            raise self.error
        heard, self.open = self.open, None
        return heard


@dataclass(eq=False)
class Said:
    """What became of the next samples of a stream."""

    over: list[Segment] = field(default_factory=list)
    """Utterances that are over, with or without text."""
    speaking: float | None = None
    """Where in the stream the open utterance begins; None between utterances."""


@dataclass(eq=False)
class _Request:
    stream: LiveStream
    listen: Callable[[StreamUtterances], list[Due]]
    answer: Future = field(default_factory=Future)
    over: list[Due] = field(default_factory=list)
    speaking: float | None = None


class LiveStreams:
    """All live streams of one model."""

    def __init__(self, transcriber: Transcriber, scheduler: Scheduler):
        self.transcriber, self.scheduler = transcriber, scheduler
        self.waiting: deque[_Request] = deque()
        """Those whose samples nobody has listened to yet."""
        self.held: list[_Request] = []
        """Those whose utterance is over while it is being looked at."""
        self.looks: dict[LiveStream, Due] = {}
        """What is open, and worth a look."""
        self.looking: list[tuple[LiveStream, Due]] = []
        """What is being looked at."""
        self.pace = Pace()
        self.lent = 0.0
        """Seconds that looks have been interrupted for, ever."""

    @cached_property
    def full(self) -> Recognizer:
        """What decodes the finished utterances of all who have no hot words of their own."""
        return without_second_pass(self.transcriber.recognizer)

    @cached_property
    def quick(self) -> Recognizer:
        """What decodes their open ones."""
        return quick_recognizer(self.full)

    def stream(
        self, utterances: StreamUtterances, hotwords: tuple[str, ...] = (), told: Callable[[], object] = never
    ) -> LiveStream:
        """One with these hot words besides the server's own; told: see LiveStream."""
        if not hotwords:
            return LiveStream(utterances, self.full, self.quick, told)
        full = without_second_pass(self.transcriber.listening_for(hotwords).recognizer)
        return LiveStream(utterances, full, quick_recognizer(full), told)

    async def hear(self, stream: LiveStream, samples: np.ndarray, behind: bool = False) -> Said:
        """The next samples (S,) at 16 kHz. One call at a time for a stream. behind: whether more of them wait already."""
        return await self._look(stream, lambda utterances: list(utterances.add(samples, not behind)))

    async def finish(self, stream: LiveStream) -> Said:
        """What is open, ended."""
        return await self._look(stream, lambda utterances: list(utterances.finish()))

    async def forget(self, stream: LiveStream) -> None:
        """Drops what is open."""
        await self._look(stream, lambda utterances: utterances.forget() or [])

    async def _look(self, stream: LiveStream, listen: Callable[[StreamUtterances], list[Due]]) -> Said:
        request = _Request(stream, listen)
        self.waiting.append(request)
        self.scheduler.urge(self._look_at_all)  # or somebody else's look, which has come a moment before, sees to it
        return await asyncio.wrap_future(request.answer)

    def _look_at_all(self) -> None:
        self._listen()
        while looks := self._next():
            self._look_at(looks)

    def _listen(self) -> None:
        """Listens to all who wait, and decodes what is over."""
        requests = []
        while self.waiting:
            request = self.waiting.popleft()
            if request.answer.set_running_or_notify_cancel():
                requests.append(request)
        try:
            over = [(request.stream, due) for request in requests for due in self._over(request)]
            self._decode([pair for pair in over if pair[1].result is None and pair not in self.looking])
        except BaseException as error:
            for request in requests:
                request.answer.set_exception(error)
            return
        for request in requests:
            self._settle(request)

    def _over(self, request: _Request) -> list[Due]:
        stream = request.stream
        for due in request.listen(stream.utterances):
            if due.final:
                request.over.append(due)
                stream.open = None
            else:
                self.looks[stream] = due
        request.speaking = stream.utterances.speaking
        return request.over

    def _settle(self, request: _Request, error: BaseException | None = None) -> None:
        """Answers a request, unless what is over of it is still being looked at."""
        if all(due.result for due in request.over):
            tokenizer = self.transcriber.loaded.tokenizer
            over = [segment_of(due.result, tokenizer, due.piece) for due in request.over if due.result]
            request.answer.set_result(Said(over, request.speaking))
        elif error:
            request.answer.set_exception(error)
        else:
            self.held.append(request)

    def _next(self, pressing: bool = False) -> dict[LiveStream, Due]:
        """What to look at now: where there is no text yet, else what seems to be over, else, if there is time, all.

        pressing: but for the last.
        """
        busy = {one for one, due in self.looking if due.utterance == one.utterances.number}
        looks = {one: due for one, due in self.looks.items() if _wanted(one, due) and (due.full or one not in busy)}
        first = {one: due for one, due in looks.items() if not due.full and not one.utterances.text}
        ending = {one: due for one, due in looks.items() if due.full}
        chosen = first or ending or (looks if self.pace.ready and not pressing else {})
        self.looks = {one: due for one, due in looks.items() if one not in chosen}
        return chosen

    def _look_at(self, looks: Mapping[LiveStream, Due]) -> None:
        began, lent, error = time.monotonic(), self.lent, None
        patient = not any(due.full or not one.utterances.text for one, due in looks.items())
        """Whether what presses more comes before it."""

        def between() -> bool:
            """Asked at each step of the search: what presses more is done meanwhile. Whether all of it was for nothing."""
            came = time.monotonic()
            self._listen()
            while patient and (pressing := self._next(True)):
                self._look_at(pressing)
            self.lent += time.monotonic() - came
            return not any(due.final or _wanted(one, due) for one, due in looks.items())

        self.looking += looks.items()
        try:
            self._decode(list(looks.items()), between)
        except Cancelled:
            pass
        except BaseException as raised:
            error = raised
        self.looking = [pair for pair in self.looking if pair not in looks.items()]
        if patient:
            self.pace.spent(time.monotonic() - began - (self.lent - lent))
        for stream, due in looks.items():
            stream.error = error
            if due.result and not due.final:
                stream.open = stream.utterances.heard(due)
            stream.told()
        held, self.held = self.held, []
        for request in held:
            self._settle(request, error if request.stream in looks else None)

    def _decode(self, pieces: list[tuple[LiveStream, Due]], between: Callable[[], bool] = never) -> None:
        """One batch for each recognizer."""
        batches: dict[Recognizer, list[Due]] = {}
        for stream, due in pieces:
            batches.setdefault(stream.full if due.full else stream.quick, []).append(due)
        for recognizer, dues in batches.items():
            samples, timed = [due.piece.samples for due in dues], dues[0].full
            known = () if timed else [due.known for due in dues]
            results = recognizer.recognize(samples, timed=timed, cancelled=between, known=known)
            for due, nbest in zip(dues, results, strict=True):
                due.result = nbest[0]


def _wanted(stream: LiveStream, due: Due) -> bool:
    return not stream.gone and stream.utterances.wants(due)
