"""How far a list of recordings is, and how long the rest will take."""

import sys
import time
from collections.abc import Callable

from asr.language import translated
from asr.printable import columns

EVERY_ON_TERMINAL = 0.5
EVERY = 60.0
"""Seconds between two lines where stderr is not a terminal."""


class ProgressLine:
    """Counts work in bytes of recordings: no file need be opened for that."""

    def __init__(self, total: int, n_files: int, say: Callable[[str], None]):
        self.total, self.n_files, self.say = max(1, total), n_files, say
        self.terminal = sys.stderr.isatty()
        self.started = self.shown = time.monotonic()
        self.line = ""

    def show(self, done: float, files: int, seconds: float) -> None:
        """`done` bytes, `files` recordings, `seconds` of audio: says so if it is time."""
        now = time.monotonic()
        if now - self.shown < (EVERY_ON_TERMINAL if self.terminal else EVERY):
            return
        self.shown = now
        line = translated(status(done / self.total, files, self.n_files, seconds, elapsed=now - self.started))
        if self.terminal:
            self.clear()
            print(line, end="", file=sys.stderr, flush=True)
            self.line = line
        else:
            self.say(line)

    def clear(self) -> None:
        """Before anything else is printed."""
        if self.line:
            print("\r" + " " * columns(self.line) + "\r", end="", file=sys.stderr, flush=True)
            self.line = ""


def status(share: float, files: int, n_files: int, audio: float, *, elapsed: float) -> str:
    """One line: `3/50 files, 12 %, 0:41:10 of audio, 61 times as fast as it plays, 0:04:56 left`."""
    left = f", {_clock(elapsed / share - elapsed)} left" if share > 0.001 else ""
    speed = f", {audio / elapsed:.0f} times as fast as it plays" if elapsed > 0 and audio else ""
    return f"{files}/{n_files} files, {100 * min(share, 1):.0f} %, {_clock(audio)} of audio{speed}{left}"


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(max(0.0, seconds)), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"
