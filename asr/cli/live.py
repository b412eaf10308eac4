"""`asr live`."""

import sys
from typing import Annotated

import typer

from asr.cli.options import (
    Beam,
    CorrectNames,
    Decode,
    Device,
    HotwordFile,
    LanguageModel,
    Model,
    Numbers,
    Punctuate,
    Quantize,
    Script,
    TextStyle,
    Threads,
    Vad,
    changes_of_vad,
    decoding_of,
    load_said,
    lowered,
    require_one_of,
    set_threads,
    usage_errors,
)
from asr.language import say


def live(
    pcm: Annotated[
        str, typer.Argument(metavar="-", help="- for 16-bit PCM, mono, on stdin; the microphone by default.")
    ] = "",
    rate: Annotated[
        int | None, typer.Option(min=1000, help="With -: samples per second of the PCM; 16000 by default.")
    ] = None,
    model: Model = "",
    beam: Beam = None,
    format: Annotated[
        str, typer.Option(callback=lowered, help="txt; json: every state of the text is a line.")
    ] = "txt",
    script: Script = "",
    numbers: Numbers = "",
    punctuate: Punctuate = "",
    style: TextStyle = "verbatim",
    hotwords: HotwordFile = None,
    correct_names: CorrectNames = None,
    lm: LanguageModel = None,
    decode: Decode = [],  # noqa: B006
    vad: Vad = [],  # noqa: B006
    device: Device = "auto",
    quantize: Quantize = "none",
    threads: Threads = 0,
) -> None:
    """Print text while it is spoken, to the microphone (extra `live`) or as PCM on stdin.

    What may still change is shown behind what is settled; at a pause the line is final.
    """
    if pcm not in ("", "-"):
        raise typer.BadParameter(f"{pcm!r} is neither - nor nothing; files are for asr transcribe", param_hint="-")
    require_one_of(format, ("txt", "json"), "--format")
    if rate is not None and not pcm:
        raise typer.BadParameter("goes with - only: the microphone says its rate itself", param_hint="--rate")
    from asr.finishing.finishing import Finishing, check
    from asr.recognition.large_lm import is_large_lm

    if is_large_lm(lm):
        told = f"{lm} ranks whole texts, too late for live text; asr transcribe takes it"
        raise typer.BadParameter(told, param_hint="--lm")
    with usage_errors():
        finishing = Finishing(script, numbers, punctuate, style)
    check(finishing)
    set_threads(threads)
    from asr.audio.reading import SAMPLE_RATE
    from asr.transcription.inputs import require_stdin
    from asr.transcription.live import PAUSE, microphone_chunks, pcm_chunks, transcribe_live

    if pcm:
        require_stdin()
        # unbuffered: a thread that waits inside Python's own buffer of stdin would break the end of the program
        stdin = open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)  # noqa: SIM115
        chunks = pcm_chunks(stdin, rate or SAMPLE_RATE)
    else:
        chunks = microphone_chunks()
    decoding = decoding_of(model, decode, lm, hotwords, device, quantize, beam=beam, correct_names=correct_names)
    cutting = changes_of_vad(vad)
    transcriber = load_said(decoding, cutting)
    pause = transcriber.segments.pause if "pause" in cutting else PAUSE
    transcribe_live(transcriber, chunks, format, say, pause=pause, finishing=finishing)
