"""An option whose value may be left out, `--punctuate` or `--punctuate pauses`, which Typer does not know."""

from collections.abc import Sequence
from pathlib import Path

from typer.core import TyperCommand

from asr.finishing.punctuating import MODEL, PUNCTUATORS

OPTION = "--punctuate"


class PunctuatingCommand(TyperCommand):
    """A command that takes `--punctuate`, with a value or without."""

    def parse_args(self, ctx, args: list[str]) -> list[str]:
        return super().parse_args(ctx, with_value(args))


def with_value(arguments: Sequence[str]) -> list[str]:
    """The arguments, where `--punctuate` has no value with the usual one: what is a file's name, say, is none.

    A plain word that names no file is taken for a value, so that a misspelt one is told.
    """
    found: list[str] = []
    for i, argument in enumerate(arguments):
        if argument == "--":
            return [*found, *arguments[i:]]
        following = arguments[i + 1] if i + 1 < len(arguments) else ""
        word = following.lower() in PUNCTUATORS or (following.isalpha() and not Path(following).exists())
        found.append(f"{OPTION}={MODEL}" if argument == OPTION and not word else argument)
    return found
