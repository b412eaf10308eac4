"""`asr align` and `asr doctor`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from asr.cli_options import (
    Device,
    Force,
    Format,
    LineCharacters,
    Lines,
    ReadingSpeed,
    Threads,
    Words,
    refuse_existing,
    say,
    set_threads,
    usage_errors,
)


def align(
    audio: Annotated[str, typer.Argument(help="An audio file of any length.")],
    text: Annotated[str, typer.Argument(help="A text file of what is said in it, or the Chinese text itself.")],
    model: Annotated[str, typer.Option(help="A model folder or name; embedded by default.")] = "",
    by: Annotated[str, typer.Option(help="auto, ctc (the CTC head) or attention (of the decoder).")] = "auto",
    format: Format = "tsv",
    out: Annotated[Path | None, typer.Option(help="The file to write; stdout by default.")] = None,
    words: Words = False,
    line_characters: LineCharacters = 16,
    lines: Lines = 2,
    reading_speed: ReadingSpeed = 9.0,
    device: Device = "auto",
    threads: Threads = 0,
    force: Force = False,
) -> None:
    """Find out when each character of a known text is said. By default a table: start, end, confidence, text.

    Each line of the text becomes a segment; punctuation stays where it is.
    """
    from asr.outputs.style import Style
    from asr.transcription.output import Output

    with usage_errors():
        if by not in ("auto", "ctc", "attention"):
            raise typer.BadParameter(f"{by!r} is not one of auto, ctc, attention", param_hint="--by")
        output = Output(format, Style(line_characters, lines, reading_speed, words or format == "tsv"))
    if out:
        refuse_existing(out, force)
    set_threads(threads)
    from asr.files import atomic_write
    from asr.transcription.aligning import Aligner, text_of
    from asr.transcription.models import open_model

    wanted = text_of(text)
    transcript = Aligner(open_model(model, device), by).align(audio, wanted)
    for segment in transcript.segments:
        for warning in segment.warnings:
            say(f"asr: {audio}: {segment.start:.1f}–{segment.end:.1f} s: warning: {warning}")
    if out is None:
        output.write(transcript, sys.stdout)
        return
    with atomic_write(out) as file:
        output.write(transcript, file)


def doctor() -> None:
    """Say what is installed, what works, and what to do about what does not.

    The status is 1 if recordings cannot be transcribed.
    """
    from asr.transcription.doctor import examine

    findings = list(examine())
    for finding in findings:
        print(finding.line())
    raise typer.Exit(0 if all(finding.fine for finding in findings if finding.needed) else 1)
