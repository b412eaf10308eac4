"""Live speakers: whatever all of them have said by now is looked at together, before any recording goes on."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from asr.recognition.recognized import Recognized
from asr.recognition.recognizer import Recognizer
from asr.serving.turns import Turns
from asr.transcript import Segment
from asr.transcription.live import quick_recognizer
from asr.transcription.transcriber import Transcriber, segment_of
from asr.transcription.utterances import Due, Heard, Utterances


@dataclass(eq=False)
class Speaker:
    """One who speaks."""

    utterances: Utterances
    """What of the stream is to be decoded."""
    full: Recognizer
    """Decodes what is over."""
    quick: Recognizer
    """Decodes what will be decoded again."""


@dataclass(eq=False)
class Said:
    """What became of the next samples of a speaker."""

    over: list[Segment] = field(default_factory=list)
    """Utterances that are over, with or without text."""
    open: Heard | None = None
    """The one that is not, where its text was looked at again."""
    speaking: float | None = None
    """Where in the stream the open utterance begins; None between utterances."""


@dataclass(eq=False)
class _Request:
    speaker: Speaker
    listen: Callable[[Utterances], list[Due]]
    answer: Future
    dues: list[Due] = field(default_factory=list)
    said: Said = field(default_factory=Said)


class Speakers:
    """All who speak to one model."""

    def __init__(self, transcriber: Transcriber, turns: Turns):
        self.transcriber, self.turns = transcriber, turns
        self.waiting: list[_Request] = []

    @cached_property
    def quick(self) -> Recognizer:
        """What decodes the open utterances of all who have no hot words of their own."""
        return quick_recognizer(self.transcriber.recognizer)

    def speaker(self, utterances: Utterances, hotwords: tuple[str, ...] = ()) -> Speaker:
        """One with these hot words besides the server's own."""
        if not hotwords:
            return Speaker(utterances, self.transcriber.recognizer, self.quick)
        full = self.transcriber.listening_for(hotwords).recognizer
        return Speaker(utterances, full, quick_recognizer(full))

    async def hear(self, speaker: Speaker, samples: np.ndarray, behind: bool = False) -> Said:
        """The next samples (S,) at 16 kHz. One call at a time for a speaker. behind: whether more of them wait already."""
        return await self._look(speaker, lambda utterances: list(utterances.add(samples, not behind)))

    async def finish(self, speaker: Speaker) -> Said:
        """What is open, ended."""
        return await self._look(speaker, lambda utterances: list(utterances.finish()))

    async def _look(self, speaker: Speaker, listen: Callable[[Utterances], list[Due]]) -> Said:
        request = _Request(speaker, listen, Future())
        self.waiting.append(request)
        await self.turns.soon(self._look_at_all)  # or the look of somebody who came a moment before has seen to it
        return request.answer.result()

    def _look_at_all(self) -> None:
        requests, self.waiting = self.waiting, []
        try:
            for request in requests:
                request.dues = request.listen(request.speaker.utterances)
            self._decode(requests, True)
            self._decode(requests, False)
        except BaseException as error:
            for request in requests:
                request.answer.set_exception(error)
            return
        for request in requests:
            request.said.speaking = request.speaker.utterances.speaking
            request.answer.set_result(request.said)

    def _decode(self, requests: list[_Request], final: bool) -> None:
        """What of all requests is final, or is not: one batch for each recognizer."""
        batches: dict[Recognizer, list[tuple[_Request, Due]]] = {}
        for request in requests:
            recognizer = request.speaker.full if final else request.speaker.quick
            batches.setdefault(recognizer, []).extend((request, due) for due in request.dues if due.final == final)
        for recognizer, batch in batches.items():
            began = time.monotonic()
            results = recognizer.recognize([due.piece.samples for _, due in batch], timed=final) if batch else []
            seconds = time.monotonic() - began
            for (request, due), nbest in zip(batch, results, strict=True):
                self._tell(request, due, nbest[0], seconds)

    def _tell(self, request: _Request, due: Due, best: Recognized, seconds: float) -> None:
        heard = request.speaker.utterances.heard(due, best.text, seconds)
        if due.final:
            request.said.over.append(segment_of(best, self.transcriber.loaded.tokenizer, due.piece))
        else:
            request.said.open = heard
