"""Whether the model answers: asked by those who watch a server, so that one that is stuck is started again."""

import asyncio
import time
from collections.abc import Callable

import numpy as np

from asr.audio.reading import SAMPLE_RATE
from asr.serving.scheduler import Scheduler
from asr.transcription.transcriber import Transcriber

FRESH = 15.0
"""Seconds for which it counts that the model has answered."""
PATIENCE = 10.0
"""Seconds in which it must answer, however many wait for it."""


class Health:
    """Asks the model, at most one question at a time, and remembers for a while that it has answered."""

    def __init__(self, scheduler: Scheduler, question: Callable[[], object]):
        """question: raises where the model cannot answer; asked in the thread that works."""
        self.scheduler, self.question = scheduler, question
        self.answered = -float("inf")
        self.asking: asyncio.Task | None = None

    async def problem(self) -> str:
        """Why the model cannot be used; empty where it can."""
        if time.monotonic() - self.answered < FRESH:
            return ""
        if self.asking is None:
            self.asking = asyncio.create_task(self.scheduler.soon(self.question))
        asking = self.asking
        done, _ = await asyncio.wait({asking}, timeout=PATIENCE)
        if not done:
            return f"the model has not answered for {PATIENCE:g} s"
        self.asking = None
        if error := asking.exception():
            return f"the model fails ({type(error).__name__}: {str(error)[:200]})"
        self.answered = time.monotonic()
        return ""


def short_question(transcriber: Transcriber) -> Callable[[], object]:
    """Half a second of faint noise to be recognised, whatever may be heard in it."""
    noise = np.random.default_rng(0).normal(0, 1e-3, SAMPLE_RATE // 2).astype(np.float32)
    return lambda: transcriber.recognizer.recognize([noise])
