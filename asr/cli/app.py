"""The `asr` command: each subcommand is a few lines that call the library.

Results go to stdout, everything else to stderr. Exit status: 0 fine, 1 some input failed, 2 wrong usage. Imports that
cost time stand inside the commands, so that `asr --help` answers at once.
"""

import atexit
import gc
import io
import os
import sys
from typing import Annotated

import typer

from asr.cli.command import Commands
from asr.cli.corpus import corpus_app
from asr.cli.evaluation import benchmark, evaluate, tune
from asr.cli.examination import doctor
from asr.cli.helping import run_command
from asr.cli.inspect import inspect
from asr.cli.live import live
from asr.cli.model import model_app
from asr.cli.optional_values import OptionalValues
from asr.cli.punctuate import punctuate
from asr.cli.score import score
from asr.cli.serve import serve
from asr.cli.training import compare, report, train, train_lm, verify
from asr.cli.transcribe import align, transcribe
from asr.errors import AsrError, UsageError
from asr.files import another_name_would_help
from asr.language import say
from asr.version import VERSION

app = Commands(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
app.command("transcribe", cls=OptionalValues)(transcribe)
app.command("align")(align)
app.command("inspect")(inspect)
app.command("live", cls=OptionalValues)(live)
app.command("punctuate")(punctuate)
app.command("serve", cls=OptionalValues)(serve)
app.command("train")(train)
app.command("report")(report)
app.command("compare")(compare)
app.command("verify")(verify)
app.command("train-lm")(train_lm)
app.command("evaluate", cls=OptionalValues)(evaluate)
app.command("tune")(tune)
app.command("benchmark")(benchmark)
app.command("score")(score)
app.add_typer(corpus_app, name="corpus")
app.add_typer(model_app, name="model")
app.command("doctor")(doctor)


def main() -> None:
    """Runs the command line; errors in the input end it with one line on stderr and status 1, wrong usage with status 2."""
    atexit.register(gc.freeze)  # else Python looks for cycles before it ends, among all that PyTorch has made: 0.4 s
    if sys.stdout is None:
        _end("asr: stdout is closed, so there is nowhere to print to")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # whatever the locale, and whatever a file is called
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    try:
        run_command(typer.main.get_command(app))
    except AsrError as error:
        _end(f"asr: {error}", 2 if isinstance(error, UsageError) else 1)
    except ModuleNotFoundError as error:
        package = (error.name or "asr").partition(".")[0]
        if package == "asr":
            raise
        _end(
            f"asr: this needs {'PyTorch' if package == 'torch' else package}, which is not installed: `pip install -c"
            " constraints.txt .` in a checkout of the program brings it; without it there is `asr transcribe --backend onnx`",
            2,
        )
    except BrokenPipeError:  # the reader of stdout has gone, `| head` for example
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # nor can Python flush what is left
        sys.exit(1)
    except OSError as error:
        other = "; choose another name" if another_name_would_help(error) else ""
        _end(f"asr: {error.filename or 'stdout'}: {error.strerror or error}{other}")


def _end(line: str, status: int = 1) -> None:
    say(line)
    sys.exit(status)


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
