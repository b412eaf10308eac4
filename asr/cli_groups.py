"""`asr corpus …` and `asr model …`."""

from pathlib import Path
from typing import Annotated

import typer

from asr.cli_options import Force, refuse_existing, say
from asr.errors import AsrError

corpus_app = typer.Typer(
    no_args_is_help=True, help="Manifests, token tables and statistics for training.", rich_markup_mode=None
)
model_app = typer.Typer(
    no_args_is_help=True,
    help="Look into model folders, make them smaller, give them a language model.",
    rich_markup_mode=None,
)


@corpus_app.command("import")
def corpus_import(
    source: Annotated[
        Path,
        typer.Argument(
            help="A .tsv or .csv with a header (audio, text; id, speaker, seconds …), or a Kaldi directory."
        ),
    ],
    out: Annotated[Path, typer.Option(help="The JSONL manifest to write.")],
    audio_root: Annotated[
        Path | None, typer.Option(help="What relative audio paths are relative to; the table's folder by default.")
    ] = None,
    where: Annotated[
        list[str], typer.Option(metavar="COLUMN=VALUE", help="Only rows with this value; may be repeated.")
    ] = [],  # noqa: B006
    force: Force = False,
) -> None:
    """Turn a table or a Kaldi directory into a manifest."""
    from asr.corpus.importing import Skipped, import_corpus
    from asr.corpus.manifest import write_manifest

    refuse_existing(out, force)
    for condition in where:
        if "=" not in condition:
            raise typer.BadParameter(f"{condition!r} must have the form COLUMN=VALUE", param_hint="--where")
    skipped = Skipped()
    utterances = list(import_corpus(source, audio_root, dict(c.split("=", 1) for c in where), skipped))
    left_out = f"left out: {skipped.without_text:,} without text, {skipped.filtered:,} by --where"
    if not utterances:
        raise AsrError(f"{source}: no row is left to import; {left_out}")
    say(f"{out}: {write_manifest(out, utterances):,} utterances; {left_out}")


@corpus_app.command("prepare")
def corpus_prepare(
    name: Annotated[str, typer.Argument(help="toy: a synthetic language, made in seconds.")],
    out: Annotated[Path, typer.Option(help="Folder for audio and manifests.")],
    force: Force = False,
) -> None:
    """Make or prepare a corpus by its name."""
    from asr.corpus.toy import CORPORA

    if name not in CORPORA:
        raise typer.BadParameter(f"{name!r} is not one of {', '.join(CORPORA)}", param_hint="NAME")
    refuse_existing(out, force)
    for split, manifest in CORPORA[name](out).items():
        say(f"{split}: {manifest}")


@corpus_app.command("tokens")
def corpus_tokens(
    sources: Annotated[list[Path], typer.Argument(help="Manifests (.jsonl) and plain text files, a sentence a line.")],
    out: Annotated[Path, typer.Option(help="The token table to write.")],
    min_count: Annotated[int, typer.Option(min=1, help="Leave out characters that occur less often.")] = 1,
    force: Force = False,
) -> None:
    """Build a token table from manifests and text files together."""
    from asr.corpus.texts import texts_of
    from asr.text.tokenizer import TokenTable

    refuse_existing(out, force)
    table = TokenTable.build((text for path in sources for text in texts_of(path)), min_count)
    table.save(out)
    say(f"{out}: {len(table):,} tokens")


@corpus_app.command("cmvn")
def corpus_cmvn(
    manifests: Annotated[list[Path], typer.Argument(help="Manifests of the training audio.")],
    out: Annotated[Path, typer.Option(help="The JSON file to write.")],
    force: Force = False,
) -> None:
    """Compute global mean and variance of the features of some audio."""
    from asr.corpus.manifest import read_manifest
    from asr.features.fbank import FeatureConfig, LogMel
    from asr.training.statistics import cmvn_of_audio

    refuse_existing(out, force)
    stats = cmvn_of_audio([u for path in manifests for u in read_manifest(path)], LogMel(FeatureConfig()))
    stats.save(out)
    say(f"{out}: {stats.n_frames:,} frames")


@model_app.command("info")
def model_info(
    folder: Annotated[str, typer.Argument(help="A model folder; the embedded model by default.")] = "",
) -> None:
    """Print what a model is: sizes, tokens, feature settings, training step."""
    from asr.transcription.models import describe, open_model

    for line in describe(open_model(folder)):
        print(line)


@model_app.command("export")
def model_export(
    source: Annotated[Path, typer.Argument(help="A model folder, or the folder of a training run.")],
    out: Annotated[Path, typer.Option(help="The model folder to write.")],
    card: Annotated[Path | None, typer.Option(help="A model card to put in as README.md.")] = None,
    force: Force = False,
) -> None:
    """Copy a model with its weights in float16: half the size, and no training state."""
    from asr.transcription.models import export_half

    refuse_existing(out, force)
    say(f"{out}: {export_half(source, out, card) / 1e6:.1f} MB")


@model_app.command("add-lm")
def model_add_lm(
    folder: Annotated[str, typer.Argument(help="A model folder.")],
    lm: Annotated[Path, typer.Argument(help="A character n-gram model: ARPA, or ARPA.gz.")],
) -> None:
    """Put a language model into a model's folder: from then on the model is decoded with it.

    `asr tune` chooses its weight; `--lm none` does without it.
    """
    from asr.transcription.models import LM, add_lm

    say(f"{Path(folder) / LM}: {add_lm(folder, lm) / 1e6:.1f} MB")
