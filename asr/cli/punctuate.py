"""`asr punctuate`."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from asr.cli.options import Threads, set_threads
from asr.errors import ManifestError
from asr.files import not_utf8, read_lines


def punctuate(
    text: Annotated[
        Path | None, typer.Argument(help="A text file in UTF-8; stdin by default, or as -.", show_default=False)
    ] = None,
    threads: Threads = 0,
) -> None:
    """Set ，。？！、 in Chinese text that has none, such as a recogniser's: a line in, a line out, nothing else changed.

    Each line is looked at by itself, and ends a sentence. Marks that are there stay; lines without Chinese stay as they are.
    Example: `echo 今天天气很好我们出去走走吧 | asr punctuate`
    """
    set_threads(threads)
    from asr.punctuation.restoring import punctuator

    lines = _lines_of_stdin() if text is None or text == Path("-") else iter(read_lines(text))
    added = punctuator()
    for line in lines:
        print(added.punctuate(line), flush=True)


def _lines_of_stdin() -> Iterator[str]:
    """The lines of stdin as they come, without their ends."""
    if sys.stdin is None:
        raise ManifestError("stdin: is closed, there is nothing to read")
    for number, line in enumerate(sys.stdin.buffer, 1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8").removesuffix("\n")
        except UnicodeDecodeError as error:
            raise not_utf8("stdin", number, error) from None
