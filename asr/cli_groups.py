"""`asr model …`."""

from pathlib import Path
from typing import Annotated

import typer

from asr.cli_options import Force, refuse_existing, say

model_app = typer.Typer(
    no_args_is_help=True, help="Look into model folders, and make them smaller.", rich_markup_mode=None
)


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
