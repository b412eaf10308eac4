"""`asr transcribe` and `asr align`."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from asr.cli.options import (
    Backend,
    Beam,
    CorrectNames,
    CueSeconds,
    Decode,
    Device,
    EndMarks,
    Force,
    Format,
    Formats,
    HotwordFile,
    LanguageModel,
    LineCharacters,
    Lines,
    MinConfidence,
    Model,
    Numbers,
    Punctuate,
    Quantize,
    ReadingSpeed,
    Script,
    SpeakersOption,
    TextStyle,
    Threads,
    TxtLines,
    Vad,
    Voices,
    Words,
    WordTimes,
    changes_of_vad,
    decoding_of,
    load_said,
    lowered,
    require_one_of,
    set_threads,
    speakers_of,
    usage_errors,
)
from asr.language import say
from asr.places import require_file


def transcribe(
    audio: Annotated[
        list[str] | None, typer.Argument(help="Audio files, folders of them, or - for stdin.", show_default=False)
    ] = None,
    model: Model = "",
    listed: Annotated[
        Path | None,
        typer.Option(
            "--list",
            help="A wav.scp, or JSON lines as WeNet, FunASR or NeMo have them, in the place of AUDIO: prints `id text`.",
        ),
    ] = None,
    beam: Beam = None,
    format: Formats = "",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Folder for a file of each recording; or, of one recording, a file whose name tells the format: talk.srt."
            " stdout (-) by default.",
        ),
    ] = None,
    channels: Annotated[
        str,
        typer.Option(
            callback=lowered,
            help="mix: averaged; split: a transcript for each channel, labelled with its number from 0, for telephone calls"
            " with a talker in each.",
        ),
    ] = "mix",
    track: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Which track of sound of a film, counted from 0; by default the first in Chinese, else the film's own default.",
        ),
    ] = None,
    speakers: SpeakersOption = "",
    voices: Voices = None,
    script: Script = "",
    numbers: Numbers = "",
    punctuate: Punctuate = "",
    style: TextStyle = "verbatim",
    words: Words = False,
    word_times: WordTimes = False,
    txt_lines: TxtLines = "recording",
    line_characters: LineCharacters = 16,
    lines: Lines = 2,
    reading_speed: ReadingSpeed = 9.0,
    cue_seconds: CueSeconds = 7.0,
    end_marks: EndMarks = False,
    min_confidence: MinConfidence = None,
    hotwords: HotwordFile = None,
    correct_names: CorrectNames = None,
    lm: LanguageModel = None,
    decode: Decode = [],  # noqa: B006
    vad: Vad = [],  # noqa: B006
    backend: Backend = "torch",
    device: Device = "auto",
    quantize: Quantize = "none",
    threads: Threads = 0,
    workers: Annotated[
        int,
        typer.Option(
            min=0,
            max=256,
            help="Processes that read recordings and find speech in them ahead, so that a GPU need not wait; 0: none.",
        ),
    ] = 0,
    force: Force = False,
) -> None:
    """Print the text of each audio file, one line a file, in the order given.

    A file that cannot be read leaves an empty line, a message on stderr, and the status 1. With a folder as --out, what was
    transcribed before is skipped, so the same command goes on after an interruption; with other options that change the
    text it is refused. Processes started by `torchrun --nproc-per-node N -m asr transcribe` share the list. What has an
    address is fetched by curl: `curl -L https://example.com/talk.mp3 | asr transcribe -`.
    """
    audio = audio or []
    if listed and (audio or channels != "mix"):
        raise typer.BadParameter("takes no AUDIO or --channels split beside it", param_hint="--list")
    if not audio and not listed:
        raise typer.BadParameter("Missing argument: audio files, folders, or - for stdin", param_hint="AUDIO")
    from asr.outputs.writers import WRITERS, format_of, looks_like_a_file, names_a_file

    out = None if out == Path("-") else out
    if out and looks_like_a_file(out) and not format_of(out):
        known = ", ".join(writer.suffix for writer in WRITERS.values())
        raise typer.BadParameter(
            f"{out} ends in none of {known}; of a folder of that name, make it first", param_hint="--out"
        )
    to_file = bool(out) and names_a_file(out)
    format = format or (to_file and format_of(out)) or ("" if to_file else "txt")
    if not format:
        raise typer.BadParameter(f"{out} is a file, not a folder, and its name tells no --format", param_hint="--out")
    if "," in format and (to_file or not out):
        raise typer.BadParameter("several formats need a folder: --out", param_hint="--format")
    if "-" in audio and "manifest" in format.split(","):
        raise typer.BadParameter("a manifest names files that can be read again; stdin cannot", param_hint="--format")
    require_one_of(channels, ("mix", "split"), "--channels")
    require_one_of(backend, ("torch", "onnx"), "--backend")
    if backend == "onnx":
        _refuse_with_onnx(
            speakers=speakers or voices, workers=workers, device=device not in ("auto", "cpu"),
            quantize=quantize != "none", punctuate=punctuate == "model",
        )  # fmt: skip
        if not model:
            told = "--backend onnx needs the folder that `asr model export MODEL --out FOLDER --format onnx` made"
            raise typer.BadParameter(told, param_hint="--model")
    from asr.finishing.finishing import Finishing
    from asr.outputs.style import Style
    from asr.transcription.output import outputs_of

    found = None if backend == "onnx" else speakers_of(speakers, voices, format, channels == "split")
    with usage_errors():
        cue = Style(line_characters, lines, reading_speed, longest=cue_seconds, end_marks=end_marks)
        times = {"words": words, "word_times": word_times, "txt_lines": txt_lines}
        form = replace(cue, **times, min_confidence=min_confidence)
        outputs = outputs_of(format, form, Finishing(script, numbers, punctuate, style))
    from asr.transcription.many_files import transcribe_files
    from asr.transcription.results import Results

    results, split = Results(outputs, None if to_file else out, out if to_file else None, force), channels == "split"
    if backend == "onnx":
        from asr.transcription.exported import Exported
        from asr.transcription.inputs import readable_again

        words = {"hotwords": hotwords and readable_again(hotwords), "correct_names": correct_names}
        chosen = Exported(
            model, decode, beam=beam, lm=lm and readable_again(lm), **words, vad=changes_of_vad(vad), threads=threads
        )

        def load():
            transcriber = chosen.load()
            for line in transcriber.recognizer.hotwords.remarks(chosen.settings) if hotwords else ():
                say(f"asr: {line}")
            return transcriber

        failed = transcribe_files(
            listed or audio,
            load,
            results,
            say=say,
            made_with=lambda: chosen.made_with(split, track),
            split=split,
            track=track,
        )
        raise typer.Exit(1 if failed else 0)
    set_threads(threads)
    from asr.catalogue.finding import hint_at_larger_models
    from asr.transcription.made_with import made_with

    decoding = decoding_of(model, decode, lm, hotwords, device, quantize, beam=beam, correct_names=correct_names)
    cutting = changes_of_vad(vad)
    failed = transcribe_files(
        listed or audio,
        lambda: load_said(decoding, cutting).telling_speakers(found),
        results,
        say=say,
        made_with=lambda: made_with(decoding, cutting, split, track, speakers=found),
        split=split,
        track=track,
        workers=workers,
    )
    hint_at_larger_models(model, say)
    raise typer.Exit(1 if failed else 0)


def _refuse_with_onnx(**given) -> None:
    """Raises BadParameter for an option that needs PyTorch, or is the export's to choose."""
    instead = {
        "quantize": "`asr model export --format onnx --dtype int8` makes a folder of fewer bits",
        "punctuate": "--punctuate pauses is",
        "device": "it runs on the CPU",
    }
    for name in (name for name, value in given.items() if value):
        told = f"; {instead[name]}" if name in instead else ""
        raise typer.BadParameter(f"is not possible with --backend onnx{told}", param_hint=f"--{name.replace('_', '-')}")


def align(
    audio: Annotated[str, typer.Argument(help="An audio file of any length, or - for stdin.")],
    text: Annotated[str, typer.Argument(help="A text file of what is said in it, or the Chinese text itself.")],
    model: Model = "",
    by: Annotated[
        str, typer.Option(callback=lowered, help="auto, ctc (the CTC head) or attention (of the decoder).")
    ] = "auto",
    format: Format = "",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="The file to write; stdout by default. Its name tells the format, else it is tsv."
        ),
    ] = None,
    words: Words = False,
    word_times: WordTimes = False,
    line_characters: LineCharacters = 16,
    lines: Lines = 2,
    reading_speed: ReadingSpeed = 9.0,
    cue_seconds: CueSeconds = 7.0,
    end_marks: EndMarks = False,
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
        require_one_of(by, ("auto", "ctc", "attention"), "--by")
        cue = Style(line_characters, lines, reading_speed, longest=cue_seconds, end_marks=end_marks)
        by_character = words or (format == "tsv" and not word_times)
        output = Output(format, replace(cue, words=by_character, word_times=word_times))
    if output.hint:
        say(f"asr: {output.hint}")
    if out:
        require_file(out, force, [Path(audio), Path(text)])
    set_threads(threads)
    from asr.catalogue.opening import open_model
    from asr.files import atomic_write
    from asr.transcription.aligning import LINE_DOUBTS, RIGHT_ONE, Aligner, text_of
    from asr.transcription.inputs import STDIN, file_of

    wanted = text_of(text)
    name = "stdin" if audio == STDIN else audio
    path = file_of(audio)
    transcript = Aligner(open_model(model, device), by).align(path, wanted, name)
    for warning in transcript.warnings:
        say(f"asr: {name}: warning: {warning}")
    doubted = any(RIGHT_ONE in warning for warning in transcript.warnings)
    for segment in transcript.segments:
        for warning in segment.warnings:
            if warning not in LINE_DOUBTS or not doubted:  # said of the whole text already
                say(f"asr: {name}: {segment.start:.1f}–{segment.end:.1f} s: warning: {warning}")
    if out is None:
        output.write(transcript, sys.stdout)
        return
    with atomic_write(out) as file:
        output.write(transcript, file)
