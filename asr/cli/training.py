"""`asr train` and what looks at its runs; `asr train-lm`."""

from collections.abc import Callable
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asr.cli.options import Force, Threads, lowered, require_one_of, set_threads, usage_errors
from asr.config_values import SECTION_KEY, agreeing
from asr.language import say
from asr.launcher import launched, rank
from asr.launcher import processes as started
from asr.places import require_file, require_folder

if TYPE_CHECKING:
    from asr.text.tokenizer import TokenTable


def train(
    recipe: Annotated[Path, typer.Argument(help="A TOML file of settings, such as recipes/toy/base.toml.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of the run; an interrupted run in it goes on.")
    ] = None,
    set: Annotated[
        list[str],
        typer.Option(
            "--set", metavar="SECTION.KEY=VALUE", help="Change a setting; may be repeated, the last of one holds."
        ),
    ] = [],  # noqa: B006
    init: Annotated[
        str,
        typer.Option(
            help="A model to go on from, a folder or a name: its network and tokens take the place of the recipe's, characters"
            " that it lacks are added, and it is decoded as before. Its dev CER is printed before the first step."
        ),
    ] = "",
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Print sizes, memory, time and unknown characters, learn one batch; write nothing."
        ),
    ] = False,
    tensorboard: Annotated[
        bool,
        typer.Option(
            "--tensorboard", help="Draw loss, CER, learning rate and health in OUT/tensorboard (extra train)."
        ),
    ] = False,
    processes: Annotated[
        int,
        typer.Option(
            min=0,
            help="Train on so many processes of this machine, each with a core or a GPU of its own; 0: as the recipe says.",
        ),
    ] = 0,
    threads: Threads = 0,
    force: Annotated[bool, typer.Option("--force", help="Start over, and drop the run that is there.")] = False,
) -> None:
    """Train a model by a recipe. Killed or stopped, the same command goes on where it was; train.max_steps may have grown.

    Under torchrun it trains on all processes, GPUs and machines that this has started. A step has the batches that the recipe
    says on any number of them, and a run may go on on another number. Ctrl-C (status 130) and SIGTERM (status 143; 75, which
    asks to be started again, under torchrun or Slurm) let the step be finished and saved; a second one ends at once.
    """
    set_threads(threads)
    if launched() and processes:
        raise typer.BadParameter("torchrun has started the processes already", param_hint="--processes")
    if out is None and not dry_run:
        raise typer.BadParameter("a run needs a folder", param_hint="--out")
    starter, processes = ("WORLD_SIZE", started()) if launched() else ("--processes", processes)
    own = {starter: ("train.processes", processes or None), "--init": ("train.initial_model", init or None)}
    agreeing(set, "--set", own, SECTION_KEY)
    if processes:
        set = [*set, f"train.processes={processes}"]
    if dry_run:
        if rank() == 0:
            _print_dry_run(_settings(recipe, set, init, threads))
        return
    from asr.training.display import display
    from asr.training.distributed import Ranks
    from asr.training.loop import train as run
    from asr.training.worker import work_for

    with Ranks() as ranks:  # first of all: where this one then ends, for whatever reason, so do the others
        if ranks.rank:
            work_for(ranks)
            return
        config = _settings(recipe, set, init, threads)
        try:
            with display(config.train.max_steps) as shown:
                run(config, out, force=force, display=shown, tensorboard=tensorboard, ranks=ranks)
        except KeyboardInterrupt:
            say(f"stopped; the same command goes on from the last state in {out}")
            raise typer.Exit(130) from None


def _settings(recipe: Path, overrides: list[str], init: str, threads: int):
    """The settings of a run that may go on from a model; several processes take a thread each, unless `threads` says more."""
    from asr.training.config import load_config, recipe_settings

    if init:
        from asr.catalogue.finding import find_model
        from asr.training.initial import from_model

        folder = find_model(init).absolute()
        asked = [override.partition("=")[0].strip() for override in overrides]
        asked += [name for name in recipe_settings(recipe) if name.startswith("decode.")]
        config = load_config(recipe, [*overrides, f"train.initial_model={dumps(str(folder))}"])
        config = from_model(config, folder, asked)
    else:
        config = load_config(recipe, overrides)
    if config.train.processes > 1 and not threads:
        set_threads(1)
    return config


def _print_dry_run(config) -> None:
    from asr.cli.dry_run import dry_run_lines
    from asr.training.dry_run import dry_run

    for line in dry_run_lines(dry_run(config)):
        print(line, flush=True)


def report(
    run: Annotated[Path, typer.Argument(help="The folder of a training run, finished or not.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The page to write; RUN/report.html by default.")
    ] = None,
) -> None:
    """Write a page about a training run: curves, attention, worst utterances, time. It needs no other file."""
    from asr.training.run_report import write_run_report

    say(f"{write_run_report(run, out)}: written")


def compare(
    a: Annotated[Path, typer.Argument(help="The folder of a training run.")],
    b: Annotated[Path, typer.Argument(help="Another one.")],
) -> None:
    """Print what differs between two training runs: settings, data, versions, and their dev curves."""
    from asr.training.history import read_history
    from asr.training.run_comparison import compare as run

    for line in run(read_history(a), read_history(b)):
        print(line)


def verify(
    run: Annotated[Path, typer.Argument(help="The folder of a training run.")],
    recipe: Annotated[Path, typer.Argument(help="The folder of its recipe, where reference.json lies.")],
    write: Annotated[bool, typer.Option("--write", help="Make this run the reference.")] = False,
) -> None:
    """Compare a training run with the dev curve that its recipe keeps; the status is 1 where it is worse than that."""
    from asr.training.history import read_history
    from asr.training.run_comparison import verify as compare_with
    from asr.training.run_comparison import write_reference

    history = read_history(run)
    if write:
        say(f"{write_reference(history, recipe)}: written")
        return
    good, lines = compare_with(history, recipe)
    for line in lines:
        print(line)
    print("as the recipe says" if good else "NOT as the recipe says")
    raise typer.Exit(0 if good else 1)


ORDER, PRUNE = 3, 1
"""Of n-grams, where nothing else is said."""


def tokens_of(model: str) -> "tuple[Callable[[str], list[str]], TokenTable]":
    """What splits a text into the tokens of a model, and the table of them."""
    from asr.catalogue.finding import find_model
    from asr.model.folder import TOKENS
    from asr.text.tokenizer import TokenTable
    from asr.text.tokenizers import open_tokenizer

    folder = find_model(model)
    tokenizer = open_tokenizer(folder, TokenTable.load(folder / TOKENS))
    return lambda text: [tokenizer.table.tokens[i] for i in tokenizer.encode(text)], tokenizer.table


def train_lm(
    sources: Annotated[list[Path], typer.Argument(help="Plain text, a sentence a line, and manifests (.jsonl).")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The ARPA file to write, or the folder of a Transformer.")],
    kind: Annotated[str, typer.Option(callback=lowered, help="ngram, or transformer: better, and slower.")] = "ngram",
    order: Annotated[
        int | None, typer.Option(min=1, max=9, help="Characters in the longest n-gram; 3 by default.")
    ] = None,
    prune: Annotated[
        int | None, typer.Option(min=0, help="Leave out n-grams of three or more that occur this often; 1 by default.")
    ] = None,
    size: Annotated[
        int,
        typer.Option(min=0, help="Keep at most so many n-grams, those that matter most; 0: all that --prune leaves."),
    ] = 0,
    tokens: Annotated[
        str,
        typer.Option(help="A model, by path or name, whose tokens take the place of characters (byte pairs)."),
    ] = "",
    set: Annotated[
        list[str],
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Of a Transformer: change a setting; may be repeated, the last of one holds.",
        ),
    ] = [],  # noqa: B006
    threads: Threads = 0,
    force: Force = False,
) -> None:
    """Estimate a language model of characters, or of a model's own tokens, from text, for --lm."""
    from asr.corpus.texts import texts_of
    from asr.text.tokenizer import symbols

    require_one_of(kind, ("ngram", "transformer"), "--kind")
    if set and kind == "ngram":
        raise typer.BadParameter("is for --kind transformer", param_hint="--set")
    for option, given in (("--order", order is not None), ("--prune", prune is not None), ("--size", size)):
        if given and kind == "transformer":
            raise typer.BadParameter("is for --kind ngram", param_hint=option)
    (require_folder if kind == "transformer" else require_file)(out, force, sources)
    split, table = tokens_of(tokens) if tokens else (symbols, None)
    sentences = filter(None, (split(text) for path in sources for text in texts_of(path)))
    if kind == "ngram":
        from asr.training.ngram import train_ngram

        say(
            f"{out}: {train_ngram(sentences, out, order or ORDER, PRUNE if prune is None else prune, size=size):,} n-grams"
        )
        return
    set_threads(threads)
    from asr.config_values import apply_override
    from asr.training.language_model import train_language_model, training_settings

    values: dict = {}
    for text in set:
        apply_override(values, text, sections_only=False)
    with usage_errors():
        settings = training_settings(values)
    reached = train_language_model(list(sentences), out, settings, say, table=table)
    say(f"{out}: perplexity {reached:.2f}")
