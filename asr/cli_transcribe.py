"""`asr transcribe`, `asr align`, `asr serve` and `asr doctor`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from asr.cli_options import (
    Beam,
    Decode,
    Device,
    Force,
    Format,
    Formats,
    HotwordFile,
    LanguageModel,
    LineCharacters,
    Lines,
    MinConfidence,
    Numbers,
    Punctuate,
    Quantize,
    ReadingSpeed,
    Script,
    Threads,
    Words,
    refuse_existing,
    say,
    set_threads,
    usage_errors,
)
from asr.errors import AudioError


def transcribe(
    audio: Annotated[
        list[str] | None, typer.Argument(help="Audio files, folders of them, or - for stdin.", show_default=False)
    ] = None,
    model: Annotated[
        str,
        typer.Option(help="A model folder, or a name of `asr model list`, fetched at first use; embedded by default."),
    ] = "",
    listed: Annotated[
        Path | None,
        typer.Option(
            "--list",
            help="A wav.scp, or JSON lines as WeNet, FunASR or NeMo have them, in the place of AUDIO: prints `id text`.",
        ),
    ] = None,
    beam: Beam = None,
    format: Formats = "txt",
    out: Annotated[Path | None, typer.Option(help="Folder for one file per recording; stdout by default.")] = None,
    channels: Annotated[
        str, typer.Option(help="mix: averaged; split: a transcript for each channel, labelled with its number from 0.")
    ] = "mix",
    track: Annotated[
        int | None,
        typer.Option(
            min=0, help="Which track of sound of a film, counted from 0; the first that can be decoded by default."
        ),
    ] = None,
    live: Annotated[
        bool,
        typer.Option(
            "--live", help="Print text while it is spoken: to the microphone, or with - as 16-bit PCM on stdin."
        ),
    ] = False,
    rate: Annotated[
        int | None, typer.Option(min=1000, help="With --live -: samples per second of the PCM, mono; 16000 by default.")
    ] = None,
    script: Script = "",
    numbers: Numbers = "",
    punctuate: Punctuate = False,
    words: Words = False,
    line_characters: LineCharacters = 16,
    lines: Lines = 2,
    reading_speed: ReadingSpeed = 9.0,
    min_confidence: MinConfidence = None,
    hotwords: HotwordFile = None,
    lm: LanguageModel = None,
    decode: Decode = [],  # noqa: B006
    device: Device = "auto",
    quantize: Quantize = "none",
    threads: Threads = 0,
    force: Force = False,
) -> None:
    """Print the text of each audio file, one line a file, in the order given.

    A file that cannot be read leaves an empty line, a message on stderr, and the status 1. With --out, what was
    transcribed before is skipped, so the same command goes on after an interruption; processes started by
    `torchrun --nproc-per-node N -m asr transcribe` share the list.
    """
    audio = audio or []
    if not all(audio):
        raise typer.BadParameter("an empty name is no file", param_hint="AUDIO")
    if live and (audio not in ([], ["-"]) or format not in ("txt", "json") or out):
        raise typer.BadParameter("takes - or nothing, --format txt or json, and no --out", param_hint="--live")
    if live and (script or numbers or punctuate or channels != "mix"):
        why = "writes what is heard as it is: no --script, --numbers, --punctuate or --channels"
        raise typer.BadParameter(why, param_hint="--live")
    if live and track is not None:
        raise typer.BadParameter("there are no tracks in --live", param_hint="--track")
    if rate is not None and not (live and audio):
        raise typer.BadParameter("goes with --live - only: other audio says its rate itself", param_hint="--rate")
    if listed and (audio or live or channels != "mix"):
        raise typer.BadParameter("takes no AUDIO, --live or --channels split beside it", param_hint="--list")
    if not live and not audio and not listed:
        raise typer.BadParameter("Missing argument: audio files, folders, or - for stdin", param_hint="AUDIO")
    if out and out.exists() and not out.is_dir():
        raise typer.BadParameter(f"{out} is a file, not a folder", param_hint="--out")
    from asr.outputs.writers import SUFFIXES

    if out and not out.exists() and out.suffix.lower() in SUFFIXES.values():
        raise typer.BadParameter(
            f"{out} would be a folder; `> {out}` makes a file of one transcript", param_hint="--out"
        )
    if "," in format and not out and not live:
        raise typer.BadParameter("several formats need a folder: --out", param_hint="--format")
    if "-" in audio and "manifest" in format.split(","):
        raise typer.BadParameter("a manifest names files that can be read again; stdin cannot", param_hint="--format")
    if channels not in ("mix", "split"):
        raise typer.BadParameter(f"{channels!r} is not one of mix, split", param_hint="--channels")
    from asr.outputs.style import Style
    from asr.text.finishing import Finishing
    from asr.transcription.output import outputs_of

    with usage_errors():
        style = Style(line_characters, lines, reading_speed, words, min_confidence)
        outputs = outputs_of(format, style, Finishing(script, numbers, punctuate))
    set_threads(threads)
    from asr.transcription.command import transcribe_files
    from asr.transcription.models import hint_at_larger_models

    def transcriber():
        return _load(model, decode, beam, device, quantize, hotwords, lm)

    if live:
        from asr.audio.reading import SAMPLE_RATE
        from asr.transcription.inputs import require_stdin
        from asr.transcription.live import microphone_chunks, pcm_chunks, transcribe_live

        if audio:
            require_stdin()
            # unbuffered: a thread that waits inside Python's own buffer of stdin would break the end of the program
            stdin = open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)  # noqa: SIM115
            chunks = pcm_chunks(stdin, rate or SAMPLE_RATE)
        else:
            chunks = microphone_chunks()
        transcribe_live(transcriber(), chunks, format, say)
        return
    failed = transcribe_files(audio, transcriber, outputs, out, force, say, channels == "split", listed, track)
    hint_at_larger_models(model, say)
    raise typer.Exit(1 if failed else 0)


def align(
    audio: Annotated[str, typer.Argument(help="An audio file of any length, or - for stdin.")],
    text: Annotated[str, typer.Argument(help="A text file of what is said in it, or the Chinese text itself.")],
    model: Annotated[str, typer.Option(help="A model folder or name; embedded by default.")] = "",
    by: Annotated[str, typer.Option(help="auto, ctc (the CTC head) or attention (of the decoder).")] = "auto",
    format: Format = "",
    out: Annotated[
        Path | None,
        typer.Option(help="The file to write; stdout by default. Its name tells the format, else it is tsv."),
    ] = None,
    words: Words = False,
    line_characters: LineCharacters = 16,
    lines: Lines = 2,
    reading_speed: ReadingSpeed = 9.0,
    device: Device = "auto",
    threads: Threads = 0,
    force: Force = False,
) -> None:
    """Find out when each character of a known text is said. By default a table: start, end, channel, confidence, text.

    Each line of the text becomes a segment; punctuation stays where it is.
    """
    from asr.outputs.style import Style
    from asr.outputs.writers import format_of
    from asr.transcription.output import Output

    format = format or format_of(out or "") or "tsv"
    with usage_errors():
        if not text.strip():
            raise typer.BadParameter("is empty", param_hint="TEXT")
        if by not in ("auto", "ctc", "attention"):
            raise typer.BadParameter(f"{by!r} is not one of auto, ctc, attention", param_hint="--by")
        output = Output(format, Style(line_characters, lines, reading_speed, words or format == "tsv"))
    if out:
        refuse_existing(out, force, [Path(audio), Path(text)])
    set_threads(threads)
    from asr.files import atomic_write
    from asr.transcription.aligning import LINE_UNHEARD, RIGHT_ONE, Aligner, text_of
    from asr.transcription.inputs import STDIN, is_pipe, spooled, spooled_stdin
    from asr.transcription.models import open_model

    wanted = text_of(text)
    path, name = (spooled_stdin(), "stdin") if audio == STDIN else (audio, audio)
    if is_pipe(path):
        path = spooled(path)
    try:
        transcript = Aligner(open_model(model, device), by).align(path, wanted, name)
    except AudioError as error:
        raise AudioError(str(error).replace(str(path), name)) from error
    for warning in transcript.warnings:
        say(f"asr: {name}: warning: {warning}")
    doubted = any(RIGHT_ONE in warning for warning in transcript.warnings)
    for segment in transcript.segments:
        for warning in segment.warnings:
            if warning != LINE_UNHEARD or not doubted:  # said of the whole text already
                say(f"asr: {name}: {segment.start:.1f}–{segment.end:.1f} s: warning: {warning}")
    if out is None:
        output.write(transcript, sys.stdout)
        return
    with atomic_write(out) as file:
        output.write(transcript, file)


def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen at; 0.0.0.0 is every one of this machine.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any that is free.")] = 8000,
    key: Annotated[
        str,
        typer.Option(
            envvar="ASR_KEY", help="What clients must send as their key, but to /health; empty asks for none."
        ),
    ] = "",
    max_upload: Annotated[float, typer.Option(min=0.001, max=1e6, help="Megabytes of the largest upload.")] = 2000,
    model: Annotated[
        str, typer.Option(help="A model folder, or a name of `asr model list`; embedded by default.")
    ] = "",
    beam: Beam = None,
    script: Script = "",
    numbers: Numbers = "",
    punctuate: Punctuate = False,
    hotwords: HotwordFile = None,
    lm: LanguageModel = None,
    decode: Decode = [],  # noqa: B006
    device: Device = "auto",
    quantize: Quantize = "none",
    threads: Threads = 0,
) -> None:
    """Transcribe over HTTP, as OpenAI's /v1/audio/transcriptions does: json, text, srt, vtt, verbose_json.

    Recordings come one at a time. What is sent is not encrypted: to a network that you do not trust open it behind a proxy only.
    """
    from asr.text.finishing import Finishing

    with usage_errors():
        finishing = Finishing(script, numbers, punctuate)
    if not host:
        raise typer.BadParameter("is empty; 0.0.0.0 is every address of this machine", param_hint="--host")
    if not (key := key.strip()).isascii():
        raise typer.BadParameter("must be of ASCII characters, as headers are", param_hint="--key")
    set_threads(threads)
    from asr.transcription.server import Door
    from asr.transcription.server import serve as run

    door = Door(host, port, key, int(max_upload * 1e6))
    run(lambda: _load(model, decode, beam, device, quantize, hotwords, lm), finishing, door, say)


def _load(model: str, decode: list[str], beam: int | None, device: str, quantize: str, hotwords, lm):
    """A transcriber with the model's own settings and those of the command line."""
    from asr.transcription.models import find_model
    from asr.transcription.settings import decode_settings, without_effect
    from asr.transcription.transcriber import load

    settings = decode_settings(find_model(model), decode, beam=beam)
    transcriber = load(model, device, settings, quantize, hotwords, lm)
    for line in without_effect(decode, transcriber.recognizer, lm):
        say(f"asr: {line}")
    return transcriber


def doctor() -> None:
    """Say what is installed, what works, and what to do about what does not.

    The status is 1 if recordings cannot be transcribed.
    """
    from asr.transcription.doctor import examine

    findings = list(examine())
    for finding in findings:
        print(finding.line())
    works = all(finding.fine for finding in findings if finding.needed)
    print("Recordings can be transcribed." if works else "Recordings cannot be transcribed: mend what is BROKEN.")
    raise typer.Exit(0 if works else 1)
