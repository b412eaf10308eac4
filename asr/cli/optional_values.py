"""Options whose value may be left out, `--punctuate` or `--punctuate pauses`, `--speakers` or `--speakers 2-5`, which Typer
does not know."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from asr.cli.command import Command
from asr.finishing.punctuating import MODEL, PUNCTUATORS

NUMBERS = re.compile(r"auto|\d+(?:[-–~]\d+)?", re.IGNORECASE)


def _punctuator(text: str) -> bool:
    """A plain word that names no file is taken for a value, so that a misspelt one is told."""
    return text.lower() in PUNCTUATORS or (text.isalpha() and not Path(text).exists())


OPTIONS: dict[str, tuple[Callable[[str], object], str]] = {
    "--punctuate": (_punctuator, MODEL),
    "--speakers": (NUMBERS.fullmatch, "auto"),
}
"""Option → whether a text is a value of it, and what it means without one."""


class OptionalValues(Command):
    """A command that takes OPTIONS, with values or without."""

    def parse_args(self, ctx, args: list[str]) -> list[str]:
        return super().parse_args(ctx, with_values(args))


def with_values(arguments: Sequence[str]) -> list[str]:
    """The arguments, where an option of OPTIONS has no value with the usual one: what is a file's name, say, is none.

    Example: `--speakers talk.wav` → `--speakers=auto talk.wav`
    """
    found: list[str] = []
    for place, argument in enumerate(arguments):
        if argument == "--":
            return [*found, *arguments[place:]]
        following = arguments[place + 1] if place + 1 < len(arguments) else ""
        is_value, usual = OPTIONS.get(argument, (None, ""))
        found.append(f"{argument}={usual}" if is_value and not is_value(following) else argument)
    return found
