"""What a person sees while a model trains: a progress bar on a terminal, plain lines elsewhere."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from asr.language import say, translated
from asr.printable import printable


class Display(Protocol):
    """Where a run reports to."""

    def line(self, text: str) -> None:
        """A line that stays."""

    def step(self, step: int, text: str) -> None:
        """The step that has just been done, and its loss."""


class Lines:
    """Lines on stderr; for logs and files."""

    def line(self, text: str) -> None:
        say(text)

    def step(self, step: int, text: str) -> None:
        pass


class Bar(Lines):
    """A bar with the time left, lines above it."""

    def __init__(self, bar):
        self.bar, self.task = bar, bar.tasks[0].id

    def line(self, text: str) -> None:
        self.bar.console.print(printable(translated(text)), highlight=False, markup=False)

    def step(self, step: int, text: str) -> None:
        self.bar.update(self.task, completed=step, description=text)


@contextmanager
def display(total: int) -> Iterator[Display]:
    """A bar of `total` steps where stderr is a terminal, lines otherwise."""
    if not sys.stderr.isatty():
        yield Lines()
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        bar.add_task("starting", total=total)
        yield Bar(bar)
