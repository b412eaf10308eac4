"""From a folder of another toolkit to a model folder of ours, whole or not at all."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

from torch import Tensor

from asr.errors import CheckpointError, ConfigError, UsageError
from asr.files import save_json
from asr.folders import whole_folder
from asr.foreign_bytes import listed, reading
from asr.interop.checkpoints import belongs
from asr.interop.foreign import Foreign
from asr.interop.selfcheck import check_model
from asr.interop.toolkits import OF_ONE_FILE, TOOLKITS
from asr.model.companions import belonging, copy_file, licences
from asr.model.empty import empty_model, sizes_alone
from asr.model.folder import (
    DECODE,
    fill_weights,
    save_model,
    writing,
)
from asr.model.model import SpeechModel
from asr.model.replacing import refuse_folder, refuse_model
from asr.model.storage import check_dtype

IMPORTERS: dict[str, Callable[[Path], Foreign]] = {
    name: getattr(import_module(f"asr.interop.{name}"), f"read_{name}") for name in TOOLKITS
}
"""Toolkit → reader of its folders."""
SHOWN = 8
"""Tensors that a message lists."""


@dataclass(frozen=True)
class ImportedModel:
    """What became of an import."""

    folder: Path
    """The model folder."""
    n_parameters: int
    """Numbers in the network."""
    ignored: dict[str, str]
    """Tensors that were left out → why."""
    doubts: tuple[str, ...]
    """What the self-check found; empty where all is as it should be."""
    remarks: tuple[str, ...]
    """What a user should know."""


def import_model(
    toolkit: str,
    source: str | Path,
    out: str | Path,
    notes: dict[str, str] | None = None,
    *,
    force: bool = False,
    dtype: str = "float32",
) -> ImportedModel:
    """Writes the model folder `out` from the folder `source`, or a file of a toolkit that is one of OF_ONE_FILE.

    notes: `source` and `licence`, for the model card. dtype: what the weights are stored in, one of storage.DTYPES. Nothing in
    the checkpoint is run; where anything does not fit, CheckpointError names it and `out` is as it was before.
    """
    if toolkit not in IMPORTERS:
        raise UsageError(f"toolkit must be one of {', '.join(IMPORTERS)}, is {toolkit!r}")
    check_dtype(dtype)
    source, out = Path(source), Path(out)
    if not source.is_dir() and not (source.is_file() and toolkit in OF_ONE_FILE):
        raise CheckpointError(f"{source}: no such folder; give the folder that holds the checkpoint and its settings")
    refuse_folder(out, force)
    foreign, model = read_model(toolkit, source)
    foreign.release()
    doubts = tuple(check_model(model, foreign.table))
    texts, strayed = _own_licences(source)
    with writing(out), whole_folder(out, belonging(out)) as folder:
        refuse_model(out, force)  # another import may have come first
        card = model_card(toolkit, foreign, notes or {}, doubts, name=out.name)
        metadata = {"toolkit": toolkit} | {name: text for name, text in (notes or {}).items() if text}
        save_model(folder, model, foreign.table, metadata, card=card, dtype=dtype, pieces=foreign.pieces)
        for path in texts:
            copy_file(path, folder / path.name)
        if foreign.decode:
            save_json(folder / DECODE, foreign.decode)
    size = sum(p.numel() for p in model.parameters())
    return ImportedModel(out, size, foreign.tensors.ignored, doubts, (*foreign.remarks, *strayed))


def _own_licences(source: Path) -> tuple[list[Path], tuple[str, ...]]:
    """Those that go along, and a word on those that do not: a link to somebody's secrets would be given away with the model."""
    own = [path for path in licences(source) if belongs(path, source)]
    strayed = [path.name for path in licences(source) if path not in own]
    return own, (f"{listed(strayed)}: leads out of {source}, and is not copied",) if strayed else ()


def read_model(toolkit: str, source: Path) -> tuple[Foreign, SpeechModel]:
    """The model of a folder, in our terms and as a network. Raises CheckpointError, whatever the folder holds."""
    try:
        with reading(source, CheckpointError, "cannot be imported"):
            foreign = IMPORTERS[toolkit](source)
            foreign.tensors.finish()
        return foreign, build(foreign)
    except ConfigError as error:
        raise CheckpointError(f"{source}: {error}") from error


def build(foreign: Foreign) -> SpeechModel:
    """The network with the foreign weights, in evaluation mode. Raises CheckpointError with names and shapes that do not fit."""
    features = replace(foreign.features, unit=0.0)  # whatever the toolkit's statistics make of it
    deviation = foreign.weights["cmvn.inverse_std"]
    if not bool((deviation.isfinite() & (deviation > 0)).all()):
        raise CheckpointError(
            f"{foreign.tensors.path}: features cannot be normalised: by {foreign.origins['cmvn.inverse_std']} not every"
            " deviation is above 0"
        )
    with reading(foreign.tensors.path, CheckpointError, "no network can be built of its settings"):
        _check_shapes(sizes_alone(features, foreign.config, len(foreign.table)), foreign)
        model = empty_model(features, foreign.config, len(foreign.table))
    fill_weights(model, foreign.weights, foreign.tensors.path)
    return model.eval()


def _check_shapes(model: SpeechModel, foreign: Foreign) -> None:
    """Shapes by the settings against those in the file, under the names that the file has for them."""
    own: dict[str, Tensor] = model.state_dict()
    wrong = [
        f"{foreign.origins[name]} is {tuple(tensor.shape)}, not {tuple(own[name].shape)} as the settings have it"
        for name, tensor in foreign.weights.items()
        if name in own and own[name].shape != tensor.shape
    ]
    if wrong:
        more = f", and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise CheckpointError(f"{foreign.tensors.path}: {'; '.join(wrong[:SHOWN])}{more}")


def model_card(toolkit: str, foreign: Foreign, notes: dict[str, str], doubts: tuple[str, ...], *, name: str) -> str:
    """What is known of the model, and no more."""
    unknown = "not stated at the import; ask whoever published the files"
    encoder, decoder = foreign.config.encoder, foreign.config.decoder
    lines = [
        f"# {name}",
        "",
        f"Imported from a {toolkit} checkpoint ({foreign.tensors.path.name}). The weights are those of its authors.",
        "",
        "| | |",
        "|---|---|",
        f"| source | {notes.get('source') or unknown} |",
        f"| licence | {notes.get('licence') or unknown} |",
        f"| encoder | {encoder.kind}, {encoder.layers} layers, width {encoder.width}, positions {encoder.positions} |",
        f"| decoder | {decoder.layers} layers |",
        f"| CTC head | {'yes' if foreign.config.ctc else 'no'} |",
        f"| tokens | {len(foreign.table):,} |",
        f"| features | {foreign.features.kind}, {foreign.features.n_mels} mel bins |",
        "",
        "The error rate of these weights in this program was not measured by the import; `asr evaluate` does it.",
    ]
    lines += ["", *(f"- {remark}" for remark in foreign.remarks)] if foreign.remarks else []
    lines += ["", "The self-check after the import had doubts:", ""] if doubts else []
    lines += [f"- {doubt}" for doubt in doubts]
    reasons = sorted(set(foreign.tensors.ignored.values()))
    lines += ["", "Tensors that were left out:", ""] if reasons else []
    for reason in reasons:
        names = [n for n, r in foreign.tensors.ignored.items() if r == reason]
        lines.append(f"- {reason}: {', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''}")
    return "\n".join(lines) + "\n"
