"""`asr model …`."""

from json import dumps
from pathlib import Path
from typing import Annotated

import typer

from asr.cli.command import Commands
from asr.cli.options import Force, lowered, require_one_of, require_own
from asr.errors import AsrError
from asr.interop.toolkits import toolkits_in_words
from asr.language import say
from asr.places import require_file, require_folder

model_app = Commands(
    no_args_is_help=True,
    help="Fetch and import published models, look into model folders, make them smaller, give them a language model.",
    rich_markup_mode=None,
)


@model_app.command("list")
def model_list(
    json: Annotated[bool, typer.Option("--json", help="All that is known of each, for programs.")] = False,
) -> None:
    """Print the published models that can be fetched by name."""
    from asr.catalogue.listing import rows, table

    print(dumps(rows(), ensure_ascii=False, indent=2) if json else "\n".join(table()))


@model_app.command("pull")
def model_pull(
    name: Annotated[str, typer.Argument(help="A name of `asr model list`.")],
    hub: Annotated[
        str, typer.Option("--from", callback=lowered, help="huggingface or modelscope; the first that has it.")
    ] = "",
    force: Annotated[bool, typer.Option("--force", help="Fetch and import it again, if it is here.")] = False,
) -> None:
    """Fetch a published model and import it; `--model NAME` of other commands does the same when it is first used.

    An interrupted download goes on where it was. Mirrors: HF_ENDPOINT, MODELSCOPE_DOMAIN; access: HF_TOKEN; proxies:
    HTTPS_PROXY; HF_HUB_OFFLINE=1 asks Hugging Face for nothing. The model stays in $XDG_CACHE_HOME/mandarin-asr
    (~/.cache/mandarin-asr).
    """
    from asr.catalogue.hubs import HUBS
    from asr.catalogue.pull import pull

    if hub:
        require_one_of(hub, HUBS, "--from")
    try:
        print(pull(name, hub, say, force))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


@model_app.command("remove")
def model_remove(name: Annotated[str, typer.Argument(help="A name of `asr model list`.")]) -> None:
    """Delete a model that was pulled, and what is left of its download."""
    from asr.catalogue.finding import PRETRAINED
    from asr.catalogue.pull import remove

    if name in (folder.name for folder in PRETRAINED.iterdir()):
        raise AsrError(f"{name}: no published model has this name; it came with the program, and stays with it")

    freed = remove(name)
    say(f"{name}: {freed / 1e6:,.1f} MB freed" if freed else f"{name}: is not here")


@model_app.command("info")
def model_info(
    name: Annotated[
        str, typer.Argument(help="A model folder, or a name of `asr model list`; the embedded model by default.")
    ] = "",
) -> None:
    """Print what a model is: sizes, tokens, feature settings, training step, what it came from, what lies in its folder."""
    from asr.catalogue.listing import details
    from asr.catalogue.published import PUBLISHED
    from asr.catalogue.pull import cached

    if name in PUBLISHED and not Path(name).is_dir():
        print("\n".join(details(PUBLISHED[name])))
        if not cached(name):
            return
        print()
    from asr.catalogue.exporting import describe
    from asr.catalogue.finding import find_model
    from asr.model.folder import load_model

    folder = find_model(name)
    for line in describe(load_model(folder), folder):
        print(line)


@model_app.command("export")
def model_export(
    source: Annotated[Path, typer.Argument(help="A model folder, or the folder of a training run.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to write.")],
    card: Annotated[
        Path | None, typer.Option(help="A model card to put in as README.md; the model's own by default.")
    ] = None,
    dtype: Annotated[
        str,
        typer.Option(
            callback=lowered, help="float32; float16: half the size; int8: a quarter, each row with a scale of its own."
        ),
    ] = "float16",
    form: Annotated[
        str,
        typer.Option(
            "--format",
            callback=lowered,
            help="folder: a model folder. onnx: files that sherpa-onnx loads as they are, on a phone or without PyTorch (extra"
            " `export`).",
        ),
    ] = "folder",
    force: Force = False,
) -> None:
    """Copy a model, its card and its licence without its training state, the weights in as many bits as are asked for.

    In memory they are float32 again; ONNX files in int8 multiply whole numbers.
    """
    require_one_of(form, ("folder", "onnx"), "--format")
    if form == "onnx" and card:
        raise typer.BadParameter("is for model folders; beside ONNX files lies the model's own", param_hint="--card")
    from asr.catalogue.exporting import export, export_onnx

    if form == "onnx":
        exported = export_onnx(source, out, dtype, force=force)
        for line in exported.left_behind:
            say(f"asr: {out}: {line}")
        loaders = ", ".join(exported.loaders)
        return say(f"{out}: {exported.size / 1e6:.1f} MB, for sherpa_onnx.OfflineRecognizer: {loaders}")
    say(f"{out}: {export(source, out, card, dtype, force=force) / 1e6:.1f} MB")


@model_app.command("import")
def model_import(
    toolkit: Annotated[
        str, typer.Argument(callback=lowered, help=f"{toolkits_in_words()}: what wrote the checkpoint.")
    ],
    source: Annotated[
        Path,
        typer.Argument(
            help="The folder with its checkpoint, settings and tokens. Of Whisper: a folder of Hugging Face or of CTranslate2"
            " (faster-whisper), or OpenAI's .pt, with multilingual.tiktoken or tokenizer.json beside it."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The model folder to write.")],
    origin: Annotated[str, typer.Option("--source", help="Where the files come from, for the model card.")] = "",
    licence: Annotated[str, typer.Option(help="The licence of the weights, for the model card.")] = "",
    dtype: Annotated[
        str, typer.Option(callback=lowered, help="What to store the weights in: float32, float16 or int8.")
    ] = "float32",
    force: Force = False,
) -> None:
    """Make a model folder of a checkpoint that another toolkit wrote. Nothing in the checkpoint is run."""
    from asr.interop.importing import import_model

    imported = import_model(toolkit, source, out, {"source": origin, "licence": licence}, force=force, dtype=dtype)
    for line in (*imported.remarks, *(f"warning: {doubt}" for doubt in imported.doubts)):
        say(f"asr: {out}: {line}")
    say(
        f"{out}: {imported.n_parameters / 1e6:.2f} M parameters; {len(imported.ignored)} tensors left out, see its README.md"
    )


@model_app.command("check")
def model_check(
    folder: Annotated[str, typer.Argument(help="A model folder; the embedded model by default.")] = "",
    audio: Annotated[Path | None, typer.Argument(help="A recording of speech; a synthetic one by default.")] = None,
) -> None:
    """Look whether a model is what it seems: its features of speech are normal, its decoder ends and is sure of something."""
    from asr.catalogue.finding import find_model
    from asr.interop.selfcheck import SPEECH, check_model
    from asr.model.folder import load_model

    loaded = load_model(find_model(folder))
    doubts = list(check_model(loaded.model, loaded.tokenizer.table, audio or SPEECH))
    for doubt in doubts:
        say(f"asr: {loaded.name}: {doubt}")
    if doubts:
        raise typer.Exit(1)
    print(f"{loaded.name}: nothing to doubt")


@model_app.command("add-lm")
def model_add_lm(
    model: Annotated[Path, typer.Argument(help="A model folder.")],
    lm: Annotated[Path, typer.Argument(help="ARPA, ARPA.gz, a KenLM binary, or the folder of a Transformer.")],
    force: Force = False,
) -> None:
    """Put a language model into a model's folder: from then on the model is decoded with it.

    `asr tune` chooses its weight; `--lm none` does without it.
    """
    require_own(model)
    from asr.catalogue.decode_settings import decode_settings
    from asr.catalogue.exporting import add_lm
    from asr.model.companions import own_language_model

    if before := own_language_model(model):
        (require_folder if before.is_dir() else require_file)(before, force)
    path = add_lm(model, lm)
    files = [file for file in (path, *path.rglob("*")) if file.is_file()]
    say(f"{path}: {sum(file.stat().st_size for file in files) / 1e6:.1f} MB")
    if not decode_settings(model).lm_weight:
        say(f"asr: {model}: its lm_weight is 0, so it is not listened to; asr tune chooses another")
