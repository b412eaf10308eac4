"""A model folder: everything that is needed to rebuild a model, and nothing else.

    config.json         format and program version, normaliser, feature and model settings
    tokens.txt          the token table
    model.safetensors   the weights; in its header their checksum, the table's fingerprint, the answers to a golden input
    README.md           the model card
    no_speech.safetensors   the no-speech head, of a model that has learnt one (asr.model.no_speech)
    decode.json         decoding settings, and lm.safetensors a language model: where there are such (asr.transcription)
    pieces.model        the SentencePiece model of an imported table that holds pieces
    adapter.json        in the folder of an adapted model, which has its adapters in the place of the weights (asr.model.bases)

The golden answers are compared at each load: a program that has drifted away from the weights says so instead of
printing nonsense.
"""

import copy
import dataclasses
import errno
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from asr.config_values import from_dict
from asr.errors import CheckpointError, ConfigError
from asr.features.fbank import FeatureConfig
from asr.files import another_name_would_help, save_json, write_file
from asr.folders import renewed
from asr.foreign_bytes import json_in, json_value, listed, quoted, reading
from asr.model.adapters import kept_tensors, merged
from asr.model.bases import ADAPTERS, base_folder, is_adapted, read_adapter, require_base
from asr.model.empty import empty_model, sizes_alone
from asr.model.formats import FORMAT, upgraded
from asr.model.golden import check_golden, kept_answers
from asr.model.model import ModelConfig, SpeechModel
from asr.model.no_speech import NO_SPEECH, changing_weights, read_no_speech
from asr.model.storage import checksum, restored, stored
from asr.text.normalize import NORMALIZER
from asr.text.tokenizer import Tokenizer, TokenTable
from asr.text.tokenizers import PIECES, open_tokenizer
from asr.version import VERSION

HEADER = "asr"
"""The key of the weights' header under which ours stands."""
CONFIG, TOKENS, WEIGHTS, CARD = "config.json", "tokens.txt", "model.safetensors", "README.md"
DECODE, LM = "decode.json", "lm.safetensors"


@dataclass(frozen=True)
class LoadedModel:
    """A model ready for use."""

    name: str
    """Name of its folder."""
    model: SpeechModel
    """The network, in evaluation mode."""
    tokenizer: Tokenizer
    """Text to ids and back."""
    metadata: dict[str, str]
    """What the header of the weights says besides: the training step, for example."""
    folder: Path
    """Where it lies, with its decoding settings."""


def save_model(
    folder: str | Path,
    model: SpeechModel,
    table: TokenTable,
    metadata: dict[str, str] | None = None,
    *,
    card: str | None = None,
    dtype: str = "float32",
    pieces: bytes | None = None,
) -> None:
    """Writes the folder, or new weights into it. At any moment it holds one whole set of weights, with their no-speech head; what
    holds another model's, or is not there, is replaced as a whole.

    `dtype`: what the file of weights holds, one of storage.DTYPES; the model in memory stays as it is. `pieces`: the
    SentencePiece model that splits texts into the table's tokens.

    Raises CheckpointError where it cannot be written; the weights that were there before stay, and their no-speech head.
    """
    folder = Path(folder)
    config = {
        "format_version": FORMAT,
        "asr_version": VERSION,
        "normalizer": NORMALIZER,
        "features": dataclasses.asdict(model.log_mel.config),
        "model": dataclasses.asdict(model.config),
    }

    def same() -> bool:
        settings, tokens = read_config(folder), TokenTable.load(folder / TOKENS)
        return settings == (model.log_mel.config, model.config) and tokens.fingerprint == table.fingerprint

    with writing(folder / WEIGHTS), renewed(folder, WEIGHTS, same, (PIECES, NO_SPEECH)) as place:
        save_json(place / CONFIG, config)
        table.save(place / TOKENS)
        if pieces is not None:
            write_file(place / PIECES, pieces)
        path = weights_file(place)
        data, header = _as_bytes(path, model, table, metadata, dtype)
        with changing_weights(place, model.no_speech, _header_before(path), header):
            write_file(path, data)
        if card is not None:
            write_file(place / CARD, card)


def save_weights(path: Path, model: SpeechModel, table: TokenTable, metadata: dict[str, str]) -> None:
    """The weights alone, in float32, with the header that load_model checks."""
    data, _ = _as_bytes(path, model, table, metadata, "float32")
    with writing(path):
        write_file(path, data)


def _as_bytes(
    path: Path, model: SpeechModel, table: TokenTable, metadata: dict[str, str] | None, dtype: str
) -> tuple[bytes, dict[str, str]]:
    """What a file of weights holds, and its header."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in _tensors(model).items()}
    tensors = stored(tensors, dtype)
    if dtype == "int8":  # its answers differ from those of the model that it was made of
        model = copy.deepcopy(model)
        fill_weights(model, restored(tensors), path)
    header = dict(metadata or {}) | {"tokens": table.fingerprint, "golden": kept_answers(model), "dtype": dtype}
    header["checksum"] = checksum(tensors)
    return save(tensors, {HEADER: json.dumps(header, sort_keys=True)}), header  # one key: the same bytes each time


def _header_before(path: Path) -> dict[str, str] | None:
    """The header of weights that are about to be replaced; None where there are none, or they are damaged."""
    with suppress(CheckpointError):
        return read_header(path) if path.is_file() else None
    return None


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """A block that writes `path`: a full disk becomes a message that says what is still there."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        reason = "the disk is full" if full else error.strerror
        kept = "the one saved before is intact" if path.exists() else "nothing was saved there before"
        advice = (
            ". Free some space and start again"
            if full
            else ". Choose another name"
            if another_name_would_help(error)
            else ""
        )
        raise CheckpointError(f"{path}: could not be saved, {reason}; {kept}{advice}") from error


def weights_file(folder: Path) -> Path:
    """The file that holds what a model folder has learned: whole weights, or adapters of a base."""
    return folder / (ADAPTERS if is_adapted(folder) else WEIGHTS)


def load_model(folder: str | Path, device: str | torch.device = "cpu") -> LoadedModel:
    """Rebuilds a model from its folder alone. Raises CheckpointError with what is missing, or does not fit what."""
    folder = Path(folder)
    with reading(folder, CheckpointError, "is no model that this program can use"):
        loaded = _load(folder)
    return replace(loaded, model=loaded.model.to(device))


def _load(folder: Path) -> LoadedModel:
    features, config = read_config(folder)
    table = TokenTable.load(_existing(folder, TOKENS))
    tensors, header = read_network(folder)
    rows = tensors["decoder.embedding.weight"].shape[0] if "decoder.embedding.weight" in tensors else None
    if rows is not None and (rows != len(table) or header.get("tokens") != table.fingerprint):
        raise CheckpointError(
            f"{folder}: {TOKENS} ({len(table)} tokens, fingerprint {table.fingerprint}) is not the table that {WEIGHTS}"
            f" was trained with ({rows} tokens, fingerprint {header.get('tokens', 'unknown')}); put the right one back"
        )
    try:
        _check_shapes(sizes_alone(features, config, len(table)), tensors, folder / WEIGHTS)
        model = empty_model(features, config, len(table))
    except ConfigError as error:
        raise CheckpointError(f"{folder / CONFIG}: {error}") from error
    fill_weights(model, tensors, folder / WEIGHTS)
    model.eval()
    check_golden(model, header, folder / WEIGHTS)
    model.no_speech = read_no_speech(folder, header, config.encoder.width)
    return LoadedModel(folder.resolve().name, model, open_tokenizer(folder, table), header, folder)


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors, as `storage.restored` gives them, and header of a safetensors file.

    Raises CheckpointError where they are not the numbers that were saved.
    """
    with _opened(path) as file:
        tensors, header = {name: file.get_tensor(name) for name in file.keys()}, _header(file)
        whole = restored(tensors)
        if header.get("checksum") not in (None, checksum(tensors)):
            raise ValueError("its numbers are not those that were saved")
        return whole, header


def read_network(folder: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a model folder's whole network, adapters added to the weights of their base, and the folder's own header.

    Raises CheckpointError where the base is not there, or not the one that the adapters were made for.
    """
    if not is_adapted(folder):
        return read_weights(_existing(folder, WEIGHTS))
    adapters, header = read_weights(_existing(folder, ADAPTERS))
    base = base_folder(folder)
    require_base(folder, base, weights_fingerprint(base))
    tensors, _ = read_weights(base / WEIGHTS)
    with reading(folder / ADAPTERS, CheckpointError, "does not fit its base"):
        return merged(tensors, adapters, read_adapter(folder).lora), header


def whole_weights(folder: Path) -> Path:
    """The file that holds all the tensors of a model folder's network, without what adapters add to them."""
    return (base_folder(folder) if is_adapted(folder) else folder) / WEIGHTS


def weights_fingerprint(folder: Path) -> str:
    """A hash of the numbers in a folder's weights as they are stored, and of their names; the header may change."""
    digest = hashlib.sha256()
    with _opened(_existing(folder, WEIGHTS)) as file:
        for name in sorted(file.keys()):
            tensor = file.get_tensor(name)
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()[:16]


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The shapes of the tensors, without reading these."""
    with _opened(path) as file:
        return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}


def read_header(path: Path) -> dict[str, str]:
    """The header alone, without reading the tensors."""
    with _opened(path) as file:
        return _header(file)


def _header(file) -> dict[str, str]:
    header = json_value((file.metadata() or {}).get(HEADER, "{}"))
    if not isinstance(header, dict) or not all(isinstance(text, str) for text in header.values()):
        raise ValueError(f"its header is {quoted(header)}")
    return header


@contextmanager
def _opened(path: Path) -> Iterator:
    with (
        reading(path, CheckpointError, "damaged or not safetensors", "copy the file again"),
        safe_open(path, framework="pt") as file,
    ):
        yield file


def fill_weights(model: SpeechModel, tensors: dict[str, Tensor], path: Path) -> None:
    """Every tensor into its place and onto its device, as float32; none may be missing, left over or of another shape."""
    _check_shapes(model, tensors, path)
    own = _tensors(model)
    values = {name: tensor.to(own[name].device, torch.float32) for name, tensor in tensors.items()}
    model.load_state_dict(values, strict=False, assign=True)  # the tensors themselves: a copy would double the memory
    model.tie()


def _check_shapes(model: SpeechModel, tensors: dict[str, Tensor], path: Path) -> None:
    own = _tensors(model)
    for name in sorted(own.keys() | tensors.keys()):
        expected = tuple(own[name].shape) if name in own else "none"
        found = tuple(tensors[name].shape) if name in tensors else "none"
        if expected != found:
            raise CheckpointError(f"{path}: {listed([name])} should have the shape {expected} by {CONFIG}, has {found}")


def _tensors(model: SpeechModel) -> dict[str, Tensor]:
    """All tensors by name, without the no-speech head; of tied weights only the first; of an adapted model its adapters alone."""
    tied = [f"{part}.out.weight" for part in ("decoder", "reverse_decoder")] if model.config.decoder.tied else []
    kept = kept_tensors(model).items()
    return {name: tensor for name, tensor in kept if name not in tied and not name.startswith("no_speech.")}


def _existing(folder: Path, name: str) -> Path:
    if not (folder / name).is_file():
        present = (listed(sorted(os.listdir(folder))) or "nothing") if folder.is_dir() else "no such folder"
        half = "; it is not whole: what wrote it was ended before its end, or is still at it" if name != CONFIG else ""
        raise CheckpointError(f"{folder}: not a model folder, {name} is missing (there is: {present}){half}")
    return folder / name


def read_config(folder: Path) -> tuple[FeatureConfig, ModelConfig]:
    """The settings of a model folder. Raises CheckpointError where it is none or of another format."""
    path = _existing(folder, CONFIG)
    with reading(path, CheckpointError):
        data = json_in(path)
        version, normalizer = data["format_version"], data["normalizer"]
        parts = upgraded({"features": data["features"], "model": data["model"]})
    if version not in range(1, FORMAT + 1):
        raise CheckpointError(
            f"{path}: has format {quoted(version)}, this program ({VERSION}) reads 1 to {FORMAT}; update it"
        )
    if normalizer != NORMALIZER:
        raise CheckpointError(
            f"{path}: was trained on text normalised by {quoted(normalizer)}; this program knows {quoted(NORMALIZER)}"
        )
    try:
        with reading(path, CheckpointError):
            return from_dict(FeatureConfig, parts["features"], "features"), from_dict(
                ModelConfig, parts["model"], "model"
            )
    except ConfigError as error:
        raise CheckpointError(f"{path}: {error}") from error


def read_decode(folder: Path) -> dict:
    """The decoding settings that are kept in a model folder, none by default. Raises CheckpointError where they are damaged."""
    path = folder / DECODE
    if not path.is_file():
        return {}
    with reading(path, CheckpointError, advice="delete it to use the defaults"):
        values = json_in(path)
    if not isinstance(values, dict):
        raise CheckpointError(f"{path}: must be a JSON object of decoding settings")
    return values
