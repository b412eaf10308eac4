"""`asr inspect`."""

from pathlib import Path
from typing import Annotated

import typer

from asr.cli.options import (
    Beam,
    Decode,
    Device,
    Force,
    HotwordFile,
    LanguageModel,
    Model,
    Quantize,
    Threads,
    Vad,
    changes_of_vad,
    decoding_of,
    load_said,
    set_threads,
)
from asr.language import say
from asr.places import require_file


def inspect(
    audio: Annotated[str, typer.Argument(help="An audio file, or - for stdin.")],
    html: Annotated[
        Path | None,
        typer.Option(help="The page to write; by default the recording's name with .html, in the folder you are in."),
    ] = None,
    start: Annotated[float, typer.Option(min=0, help="Second of the recording to begin at.")] = 0.0,
    end: Annotated[
        float | None,
        typer.Option(min=0, help="Second to end at, at most 30 behind --start; the recording's end by default."),
    ] = None,
    model: Model = "",
    beam: Beam = None,
    hotwords: HotwordFile = None,
    lm: LanguageModel = None,
    decode: Decode = [],  # noqa: B006
    vad: Vad = [],  # noqa: B006
    device: Device = "auto",
    quantize: Quantize = "none",
    threads: Threads = 0,
    force: Force = False,
) -> None:
    """Write a page that shows how a clip of up to 30 seconds is recognised, step by step, from its sound to its text.

    Waveform, log-mel, where speech was found, frames of the encoder, cross-attention of every layer and head, the likeliest
    candidates of each step with what every scorer added, and the tree of the beam search. The numbers are those of the search
    itself, as `asr transcribe` makes it with the same options. The page is one file, which needs nothing else.
    """
    if end is not None and end <= start:
        raise typer.BadParameter(f"{end:g} s is not behind --start {start:g} s", param_hint="--end")
    from asr.transcription.inputs import STDIN, file_of

    name = "stdin" if audio == STDIN else audio
    out = html or Path(Path(name).name).with_suffix(".html")
    if out.is_dir():
        raise typer.BadParameter(f"{out} is a folder, not a file", param_hint="--html")
    require_file(out, force, [Path(audio)])
    set_threads(threads)
    from asr.inspection.inspecting import inspect as run
    from asr.inspection.page import write_inspection

    path = file_of(audio)
    transcriber = load_said(decoding_of(model, decode, lm, hotwords, device, quantize, beam=beam), changes_of_vad(vad))
    inspection = run(transcriber, path, start, end, name=name)
    for warning in inspection.transcript.all_warnings:
        say(f"asr: {name}: warning: {warning}")
    write_inspection(out, inspection)
    say(f"asr: {out}: {inspection.transcript.text or 'no text'} ({out.stat().st_size / 1e6:.1f} MB)")
