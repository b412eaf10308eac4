"""The `asr` command: each subcommand is a few lines that call the library.

Results go to stdout, everything else to stderr. Exit status: 0 fine, 1 some input failed, 2 wrong usage. Imports that
cost time stand inside the commands, so that `asr --help` answers at once.
"""

import io
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from asr.cli_corpus import corpus_app
from asr.cli_model import model_app
from asr.cli_options import (
    Beam,
    Decode,
    Device,
    Force,
    Format,
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
from asr.cli_times import align, doctor
from asr.errors import AsrError, ConfigError
from asr.version import VERSION

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
app.add_typer(corpus_app, name="corpus")
app.add_typer(model_app, name="model")
app.command("align")(align)
app.command("doctor")(doctor)


def main() -> None:
    """Runs the command line; errors in the input end it with one line on stderr and status 1."""
    if sys.stdout is None:
        _end("asr: stdout is closed, so there is nowhere to print to")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # whatever the locale, and whatever a file is called
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    try:
        app(prog_name="asr")
    except AsrError as error:
        _end(f"asr: {error}")
    except BrokenPipeError:  # the reader of stdout has gone, `| head` for example
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # nor can Python flush what is left
        sys.exit(1)
    except OSError as error:
        _end(f"asr: {error.filename or 'output'}: {error.strerror or error}")


def _end(line: str) -> None:
    print(line, file=sys.stderr)
    sys.exit(1)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"asr {VERSION}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Mandarin speech to text: transcribe recordings, train attention models, score character error rate."""


@app.command()
def transcribe(
    audio: Annotated[
        list[str] | None, typer.Argument(help="Audio files, folders of them, or - for stdin.", show_default=False)
    ] = None,
    model: Annotated[
        str,
        typer.Option(help="A model folder, or a name of `asr model list`, fetched at first use; embedded by default."),
    ] = "",
    beam: Beam = None,
    format: Format = "txt",
    out: Annotated[Path | None, typer.Option(help="Folder for one file per recording; stdout by default.")] = None,
    channels: Annotated[
        str, typer.Option(help="mix: averaged; split: a transcript for each channel, labelled with its number from 0.")
    ] = "mix",
    live: Annotated[
        bool,
        typer.Option(
            "--live", help="Print text while it is spoken: to the microphone, or with - as 16-bit PCM on stdin."
        ),
    ] = False,
    rate: Annotated[int, typer.Option(min=1000, help="With --live -: samples per second of the PCM, mono.")] = 16000,
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
    if not live and not audio:
        raise typer.BadParameter("Missing argument: audio files, folders, or - for stdin", param_hint="AUDIO")
    if channels not in ("mix", "split"):
        raise typer.BadParameter(f"{channels!r} is not one of mix, split", param_hint="--channels")
    from asr.outputs.style import Style
    from asr.text.finishing import Finishing
    from asr.transcription.output import Output

    with usage_errors():
        style = Style(line_characters, lines, reading_speed, words, min_confidence)
        output = Output(format, style, Finishing(script, numbers, punctuate))
    set_threads(threads)
    from asr.transcription.command import transcribe_files
    from asr.transcription.models import find_model, hint_at_larger_models
    from asr.transcription.settings import decode_settings
    from asr.transcription.transcriber import Transcriber, load

    def transcriber() -> Transcriber:
        settings = decode_settings(find_model(model), decode, beam=beam)
        return load(model, device, settings, quantize, hotwords, lm)

    if live:
        from asr.transcription.live import microphone_chunks, pcm_chunks, transcribe_live

        chunks = pcm_chunks(sys.stdin.buffer, rate) if audio else microphone_chunks()
        transcribe_live(transcriber(), chunks, format, say)
        return
    failed = transcribe_files(audio, transcriber, output, out, force, say, channels == "split")
    hint_at_larger_models(model, say)
    raise typer.Exit(1 if failed else 0)


@app.command()
def train(
    recipe: Annotated[Path, typer.Argument(help="A TOML file of settings, such as recipes/toy/base.toml.")],
    out: Annotated[Path | None, typer.Option(help="Folder of the run; an interrupted run in it goes on.")] = None,
    set: Annotated[
        list[str], typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Change a setting; may be repeated.")
    ] = [],  # noqa: B006
    init: Annotated[
        str,
        typer.Option(
            help="A model to go on from, a folder or a name: its network and tokens take the place of the recipe's, and"
            " characters that it lacks are added."
        ),
    ] = "",
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Print sizes, memory, time and unknown characters, learn one batch; write nothing."
        ),
    ] = False,
    threads: Threads = 0,
    force: Annotated[bool, typer.Option("--force", help="Start over, and drop the run that is there.")] = False,
) -> None:
    """Train a model by a recipe. Killed or stopped, the same command goes on where it was."""
    set_threads(threads)
    from asr.config import load_config
    from asr.training.display import display
    from asr.training.loop import train as run

    config = load_config(recipe, set)
    if init:
        from asr.training.initial import from_model
        from asr.transcription.models import find_model

        config = from_model(config, find_model(init).absolute())
    if dry_run:
        from asr.training.dry_run import dry_run as try_out

        for line in try_out(config):
            print(line, flush=True)
        return
    if out is None:
        raise typer.BadParameter("a run needs a folder", param_hint="--out")
    try:
        with display(config.train.max_steps) as shown:
            run(config, out, force=force, display=shown)
    except KeyboardInterrupt:
        say(f"stopped; the same command goes on from the last checkpoint in {out}")
        raise typer.Exit(130) from None


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="The folder of a training run, finished or not.")],
    out: Annotated[Path | None, typer.Option(help="The page to write; RUN/report.html by default.")] = None,
) -> None:
    """Write a page about a training run: curves, attention, worst utterances, time. It needs no other file."""
    from asr.training.run_report import write_run_report

    say(f"{write_run_report(run, out)}: written")


@app.command()
def compare(
    a: Annotated[Path, typer.Argument(help="The folder of a training run.")],
    b: Annotated[Path, typer.Argument(help="Another one.")],
) -> None:
    """Print what differs between two training runs: settings, data, versions, and their dev curves."""
    from asr.training.compare import compare as run
    from asr.training.history import read_history

    for line in run(read_history(a), read_history(b)):
        print(line)


@app.command()
def verify(
    run: Annotated[Path, typer.Argument(help="The folder of a training run.")],
    recipe: Annotated[Path, typer.Argument(help="The folder of its recipe, where reference.json lies.")],
    write: Annotated[bool, typer.Option("--write", help="Make this run the reference.")] = False,
) -> None:
    """Compare a training run with the dev curve that its recipe keeps; the status is 1 where it is worse than that."""
    from asr.training.compare import verify as compare_with
    from asr.training.compare import write_reference
    from asr.training.history import read_history

    history = read_history(run)
    if write:
        say(f"{write_reference(history, recipe)}: written")
        return
    good, lines = compare_with(history, recipe)
    for line in lines:
        print(line)
    print("as the recipe says" if good else "NOT as the recipe says")
    raise typer.Exit(0 if good else 1)


@app.command()
def evaluate(
    model: Annotated[
        str, typer.Argument(help="A model folder, the folder of a training run, or a name of `asr model list`.")
    ],
    manifest: Annotated[Path, typer.Argument(help="A JSONL manifest with transcripts.")],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Where hyp.txt, nbest.jsonl, result.json and report.html go; MODEL/eval/MANIFEST by default, or"
            " eval/MODEL/MANIFEST for a model that has a name."
        ),
    ] = None,
    by: Annotated[
        list[str], typer.Option(help="Also a CER for each value of this field (speaker, source, …); may be repeated.")
    ] = [],  # noqa: B006
    beam: Beam = None,
    nbest: Annotated[int, typer.Option(min=1, help="Hypotheses written per utterance.")] = 1,
    swap_audio: Annotated[
        bool,
        typer.Option(
            "--swap-audio", help="Give each utterance another one's audio: a model that listens must get worse."
        ),
    ] = False,
    hotwords: HotwordFile = None,
    lm: LanguageModel = None,
    decode: Decode = [],  # noqa: B006
    device: Device = "auto",
    quantize: Quantize = "none",
    threads: Threads = 0,
    force: Force = False,
) -> None:
    """Decode a manifest and print its CER."""
    set_threads(threads)
    from asr.transcription.evaluate import evaluate_manifest

    for line in evaluate_manifest(
        model, manifest, out, by, beam, nbest, swap_audio, device, quantize, force, say, decode, hotwords, lm
    ):
        print(line)


@app.command()
def tune(
    model: Annotated[Path, typer.Argument(help="A model folder, or the folder of a training run.")],
    manifest: Annotated[Path, typer.Argument(help="A JSONL manifest with transcripts, none of which is a test set's.")],
    lm: LanguageModel = None,
    decode: Decode = [],  # noqa: B006
    device: Device = "auto",
    quantize: Quantize = "none",
    threads: Threads = 0,
) -> None:
    """Choose decoding settings on a dev set, and save them in the model's folder, where they hold from then on.

    Tried one after the other: weights of the CTC head and of the language model, length norm and bonus, beam. Settings
    given with --decode stay as they are.
    """
    set_threads(threads)
    from asr.transcription.tune import tune as run

    settings, errors = run(model, manifest, decode, lm, device, quantize, say)
    print(
        f"{errors}: ctc_weight {settings.ctc_weight:g}, lm_weight {settings.lm_weight:g}, length_power"
        f" {settings.length_power:g}, length_bonus {settings.length_bonus:g}, beam {settings.beam}"
    )


@app.command()
def benchmark(
    audio: Annotated[list[Path], typer.Argument(help="Recordings to decode, of at most half a minute each.")],
    model: Annotated[str, typer.Option(help="A model folder or name; embedded by default.")] = "",
    beam: Beam = None,
    rounds: Annotated[int, typer.Option(min=1, help="Times that everything is decoded.")] = 3,
    decode: Decode = [],  # noqa: B006
    device: Device = "auto",
    quantize: Quantize = "none",
    threads: Threads = 0,
) -> None:
    """Time the encoder and the search on this machine: RTF, tokens per second, memory, share of the machine's peak."""
    set_threads(threads)
    from asr.audio.reading import read_samples
    from asr.transcription.benchmark import benchmark as run

    samples = [read_samples(path) for path in audio]
    for line in run(model, samples, decode, beam, device, quantize, rounds):
        print(line)


@app.command("train-lm")
def train_lm(
    sources: Annotated[list[Path], typer.Argument(help="Plain text, a sentence a line, and manifests (.jsonl).")],
    out: Annotated[Path, typer.Option(help="The ARPA file to write, or the folder of a Transformer.")],
    kind: Annotated[str, typer.Option(help="ngram, or transformer: better, and slower.")] = "ngram",
    order: Annotated[int, typer.Option(min=1, max=9, help="Characters in the longest n-gram.")] = 3,
    prune: Annotated[int, typer.Option(min=0, help="Leave out n-grams of three or more that occur this often.")] = 1,
    set: Annotated[
        list[str],
        typer.Option("--set", metavar="KEY=VALUE", help="Of a Transformer: change a setting; may be repeated."),
    ] = [],  # noqa: B006
    threads: Threads = 0,
    force: Force = False,
) -> None:
    """Estimate a character language model from text, for --lm."""
    from asr.corpus.texts import texts_of
    from asr.text.tokenizer import symbols

    if kind not in ("ngram", "transformer"):
        raise typer.BadParameter(f"{kind!r} is not one of ngram, transformer", param_hint="--kind")
    refuse_existing(out, force)
    sentences = filter(None, (symbols(text) for path in sources for text in texts_of(path)))
    if kind == "ngram":
        from asr.training.ngram import train_ngram

        say(f"{out}: {train_ngram(sentences, out, order, prune):,} n-grams")
        return
    set_threads(threads)
    from asr.config import apply_override
    from asr.training.language_model import train_language_model, training_settings

    values: dict = {}
    for text in set:
        apply_override(values, text, sections_only=False)
    reached = train_language_model(list(sentences), out, training_settings(values), say)
    say(f"{out}: perplexity {reached:.2f}")


@app.command()
def score(
    reference: Annotated[Path, typer.Argument(help="What was said.")],
    hypothesis: Annotated[Path, typer.Argument(help="What was recognised.")],
    other: Annotated[Path | None, typer.Argument(help="What another system recognised: the two are compared.")] = None,
    *,
    unit: Annotated[
        str,
        typer.Option(
            help="char: every character, as the AISHELL recipes; mixed: Latin words and numbers as one (MER)."
        ),
    ] = "char",
    rules: Annotated[
        str,
        typer.Option(
            help="How both sides are normalised: width,case,punctuation,spaces by default. +script (traditional to"
            " simplified), +numbers (30% is 百分之三十), +interjections (without 嗯, 啊 …) and +tags (without <unk>, [NOISE]) add"
            " to it, -case takes away,"
            " a list without signs replaces it, none leaves the texts as they are."
        ),
    ] = "",
    html: Annotated[Path | None, typer.Option(help="Write a report page, complete in itself.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write totals and tables for programs.")] = None,
    details: Annotated[Path | None, typer.Option(help="Write a TSV with a line per utterance.")] = None,
    by: Annotated[
        list[str], typer.Option(help="Also a rate for each value of this field (speaker, …); may be repeated.")
    ] = [],  # noqa: B006
    ids: Annotated[
        bool | None,
        typer.Option("--ids/--no-ids", help="Text lines begin with an id, or do not; found out by default."),
    ] = None,
    fail_above: Annotated[
        float | None,
        typer.Option(min=0, metavar="PERCENT", help="Exit with status 1 if the last system's rate is higher."),
    ] = None,
    force: Force = False,
) -> None:
    """Print the character error rate of what was recognised against what was said.

    Each file is Kaldi text (`id text`), JSON lines with id and text (or nbest), a TSV with a header, or plain lines in the
    same order; which of them, its content tells. The status is 0 however high the rate is, unless --fail-above is given.
    """
    from asr.scoring.cer import UNITS
    from asr.scoring.command import Files, score_command
    from asr.text.normalize import TRAINING, select_rules

    if unit not in UNITS:
        raise typer.BadParameter(f"{unit!r} is not one of {', '.join(UNITS)}", param_hint="--unit")
    try:
        chosen = select_rules(rules) if rules else TRAINING
    except ConfigError as error:
        raise typer.BadParameter(str(error), param_hint="--rules") from None
    files = Files(html, json, details)
    systems = [hypothesis, other] if other else [hypothesis]
    files.check([reference, *systems], force)
    result = score_command(reference, systems, unit, chosen, ids, by, files, say)
    if fail_above is not None and 100 * result.cer > fail_above:
        say(f"{result.rate_name} {100 * result.cer:.2f} % is above {fail_above:g} %")
        raise typer.Exit(1)
