"""What a person sees while a model trains: a progress bar on a terminal, plain lines elsewhere."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from asr.language import say, translated
from asr.printable import printable
from asr.training.train_config import TrainConfig


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


def step_line(line: dict, audio_seconds: float, settings: TrainConfig) -> str:
    """A line of log.jsonl for people, with its losses in nats a token and how long the rest of the run takes at this speed."""
    loss = f"{line['loss']:.3f}"
    if settings.ctc_weight or settings.ctc_only_steps:
        loss += f" (decoder {line['attention']:.3f}, CTC {line['ctc']:.3f})"
    took, left = line["wall"], line["wall"] / line["step"] * (settings.max_steps - line["step"])
    return (
        f"step {line['step']}  epoch {line['epoch']}  loss {loss}  accuracy {line['accuracy']:.3f}  rate {line['rate']:.2g}"
        f"  gradient {line['gradient']:.2f}  {how_long(audio_seconds)} of audio in {how_long(took)}, {how_long(left)} left"
    )


def how_long(seconds: float) -> str:
    """A time in the unit that suits it."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:,.1f} h"


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
