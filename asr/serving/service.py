"""What every answer of a server is made with."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.requests import Request

from asr.finishing.finishing import Finishing
from asr.serving.body import Body, too_large
from asr.serving.concurrency import ConcurrencyLimit
from asr.serving.scheduler import Scheduler
from asr.serving.settings import ServerSettings
from asr.transcript import Transcript
from asr.transcription.transcriber import Transcriber


@dataclass
class Service:
    """A model, who waits for it, and how much of it there is."""

    transcriber: Transcriber
    """The model at work."""
    finishing: Finishing
    """What is done to each transcript."""
    settings: ServerSettings
    """Its limits."""
    say: Callable[[str], None]
    """Tells the person at the terminal."""
    stopping: threading.Event = field(default_factory=threading.Event)
    """Set once it is to end."""
    audio: float = 0.0
    """Seconds of recordings that were transcribed."""

    def __post_init__(self):
        self.scheduler = Scheduler(self.settings.most_work)
        self.clients = ConcurrencyLimit(self.settings.most_clients, "clients")
        self.live = ConcurrencyLimit(self.settings.most_live, "live clients")
        self.waiting = ConcurrencyLimit(self.settings.most_waiting + 1, "requests", lambda: self.scheduler.latest)

    def body(self, request: Request, most: int | None = None) -> Body:
        """What a client sends, within the limits; `most`: bytes, where a recording may have more.

        Raises BadRequest where the request itself says that it is more.
        """
        most = self.settings.most_bytes if most is None else most
        length = request.headers.get("content-length", "")
        if length.isdecimal() and int(length) > most:
            raise too_large(most)
        return Body(request.receive, most, self.stopping)

    def count(self, transcript: Transcript, name: str) -> None:
        """Counts a recording of this name that was transcribed, and says what is to be said of it."""
        self.audio += transcript.duration
        for warning in transcript.all_warnings:
            self.say(f"asr: {name}: warning: {warning}")
