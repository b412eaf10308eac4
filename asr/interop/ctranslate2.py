"""Whisper as CTranslate2 keeps it, which faster-whisper runs: model.bin under the names and settings of Hugging Face.

The file of weights: version, name of the kind of model, its revision, tensors one after the other, other names of some of them.
Queries, keys and values lie in one matrix there. Weights of 8 and 16 bits are whole numbers beside a scale for
each row or for all.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from asr.errors import CheckpointError
from asr.foreign_bytes import quoted, reading

FILE = "model.bin"
"""The weights."""
VERSION = 6
"""Of the form of the file, since 2022."""
KINDS = {
    0: torch.float32,
    1: torch.int8,
    2: torch.int16,
    3: torch.int32,
    4: torch.float16,
    5: torch.bfloat16,
}
"""What a tensor's numbers are."""
HEAD_WIDTH = 64
"""Of every published Whisper model; the number of heads stands in newer files."""


class Reader:
    """Numbers, names and tensors from bytes, one after the other."""

    def __init__(self, data: bytearray):
        self.data, self.place = data, 0

    def number(self, form: str = "<I") -> int:
        """The next number. Raises struct.error behind the end."""
        (value,) = struct.unpack_from(form, self.data, self.place)
        self.place += struct.calcsize(form)
        return value

    def name(self) -> str:
        """The next name. Raises ValueError where it is cut off."""
        return self.taken(self.number("<H")).rstrip(b"\0").decode()

    def tensor(self) -> Tensor:
        """The next tensor. Raises ValueError where its shape is not that of its bytes, KeyError for an unknown kind."""
        shape = [self.number() for _ in range(self.number("<B"))]
        kind = KINDS[self.number("<B")]
        size = self.number()
        if size != prod(shape) * kind.itemsize:
            raise ValueError(f"a tensor {shape} of {kind} has {size:,} bytes")
        if not size:
            return torch.zeros(shape, dtype=kind)
        return torch.frombuffer(bytearray(self.taken(size)), dtype=kind).reshape(shape)

    def taken(self, size: int) -> bytes:
        """So many bytes."""
        if self.place + size > len(self.data):
            raise ValueError(f"it ends after {len(self.data):,} bytes, within what should be {size:,} of them")
        self.place += size
        return bytes(memoryview(self.data)[self.place - size : self.place])


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors by their names, those of whole numbers as what they stand for.

    Raises CheckpointError for what is no such file, is cut off, or holds another kind of model.
    """
    with reading(path, CheckpointError, "no weights of CTranslate2, or damaged", "copy the file again"):
        reader = Reader(bytearray(path.read_bytes()))
        version = reader.number()
        if version != VERSION:
            raise CheckpointError(
                f"{path}: is no file of CTranslate2's version {VERSION}, it begins with {version}; convert the model again"
                " with CTranslate2 3 or 4"
            )
        kind, _revision = reader.name(), reader.number()
        if kind != "WhisperSpec":
            raise CheckpointError(f"{path}: holds a {quoted(kind)}, not a Whisper model")
        held = {reader.name(): reader.tensor() for _ in range(reader.number())}
        for _ in range(reader.number()):
            other = reader.name()
            held[other] = held[reader.name()]
    return _whole_numbers_away(held, path)


def _whole_numbers_away(held: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Without scales: what they belong to is divided by them."""
    made: dict[str, Tensor] = {}
    read: dict[int, Tensor] = {}
    for name, tensor in held.items():
        if id(tensor) in read:
            made[name] = read[id(tensor)]
            continue
        first = id(tensor)
        scale = held.get(f"{name}_scale")
        if name.endswith("/weight") and tensor.dtype in (torch.int8, torch.int16):
            if (
                scale is None
                or not tensor.ndim
                or scale.numel() not in (1, len(tensor))
                or not bool((scale != 0).all())
            ):
                raise CheckpointError(f"{path}: {quoted(name)} has no scale for each of its {tensor.shape[:1]} rows")
            tensor = tensor.float() / scale.float().reshape(-1, *[1] * (tensor.ndim - 1))
        if not name.endswith("_scale"):
            made[name] = read[first] = tensor
    return made


def published(path: Path, settings: Any) -> tuple[dict[str, Tensor], dict, dict]:
    """Of model.bin and its config.json: tensors, settings and settings of generation as Hugging Face has them."""
    held = Taken(read_tensors(path))
    with reading(path, CheckpointError, "lacks tensors of a Whisper model, or they have other shapes"):
        tensors, sizes = dict(_tensors(held)), _settings(held)
    # numbers by themselves are flags and sizes; what has another name here is known under both
    tensors |= {name: held[name] for name in held.left() if held[name].numel() > 1}
    return tensors, sizes, _generation(settings if isinstance(settings, dict) else {})


class Taken(dict[str, Tensor]):
    """Tensors that know which of them were taken."""

    def __init__(self, held: Mapping[str, Tensor]):
        super().__init__(held)
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> Tensor:
        self.names.add(name)
        return super().__getitem__(name)

    def left(self) -> list[str]:
        """Names of those that were not, and are no other name of one that was."""
        known = {id(super(Taken, self).__getitem__(name)) for name in self.names}
        return [name for name, tensor in self.items() if name not in self.names and id(tensor) not in known]


def _tensors(held: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """(name in Hugging Face's layout, values)."""
    for side in ("encoder", "decoder"):
        yield f"{side}.embed_positions.weight", held[f"{side}/position_encodings/encodings"]
        yield from _norm(f"{side}.layer_norm", held, f"{side}/layer_norm")
        for i in range(_layers(held, side)):
            yield from _layer(f"{side}.layers.{i}", held, f"{side}/layer_{i}")
    for name in ("conv1", "conv2"):
        yield from _linear(f"encoder.{name}", held, f"encoder/{name}")
    yield "decoder.embed_tokens.weight", held["decoder/embeddings/weight"]


def _layer(ours: str, held: Mapping[str, Tensor], theirs: str) -> Iterator[tuple[str, Tensor]]:
    yield from _split(f"{ours}.self_attn", ("q_proj", "k_proj", "v_proj"), held, f"{theirs}/self_attention/linear_0")
    yield from _linear(f"{ours}.self_attn.out_proj", held, f"{theirs}/self_attention/linear_1")
    yield from _norm(f"{ours}.self_attn_layer_norm", held, f"{theirs}/self_attention/layer_norm")
    if f"{theirs}/attention/linear_0/weight" in held:
        yield from _linear(f"{ours}.encoder_attn.q_proj", held, f"{theirs}/attention/linear_0")
        yield from _split(f"{ours}.encoder_attn", ("k_proj", "v_proj"), held, f"{theirs}/attention/linear_1")
        yield from _linear(f"{ours}.encoder_attn.out_proj", held, f"{theirs}/attention/linear_2")
        yield from _norm(f"{ours}.encoder_attn_layer_norm", held, f"{theirs}/attention/layer_norm")
    for i in range(2):
        yield from _linear(f"{ours}.fc{i + 1}", held, f"{theirs}/ffn/linear_{i}")
    yield from _norm(f"{ours}.final_layer_norm", held, f"{theirs}/ffn/layer_norm")


def _linear(ours: str, held: Mapping[str, Tensor], theirs: str) -> Iterator[tuple[str, Tensor]]:
    yield f"{ours}.weight", held[f"{theirs}/weight"]
    yield f"{ours}.bias", held[f"{theirs}/bias"]


def _norm(ours: str, held: Mapping[str, Tensor], theirs: str) -> Iterator[tuple[str, Tensor]]:
    yield f"{ours}.weight", held[f"{theirs}/gamma"]
    yield f"{ours}.bias", held[f"{theirs}/beta"]


def _split(ours: str, names: Sequence[str], held: Mapping[str, Tensor], theirs: str) -> Iterator[tuple[str, Tensor]]:
    """Parts of one matrix. Keys have no bias in Whisper; what lies there must be zeros."""
    weights, biases = (held[f"{theirs}/{kind}"].chunk(len(names)) for kind in ("weight", "bias"))
    for name, weight, bias in zip(names, weights, biases, strict=True):
        yield f"{ours}.{name}.weight", weight
        if name != "k_proj":
            yield f"{ours}.{name}.bias", bias
        elif bias.any():
            raise CheckpointError(f"{theirs}: its keys have a bias, which no Whisper model has")


def _layers(held: Mapping[str, Tensor], side: str) -> int:
    return sum(name.startswith(f"{side}/layer_") and name.endswith("/ffn/linear_0/weight") for name in held)


def _settings(held: Mapping[str, Tensor]) -> dict:
    """config.json, from the shapes of the tensors."""
    width, n_mels, _ = held["encoder/conv1/weight"].shape
    sizes = {}
    heads = held.get("encoder/num_heads")
    heads = width // HEAD_WIDTH if heads is None else int(heads)
    for side, places in (("encoder", "max_source_positions"), ("decoder", "max_target_positions")):
        sizes |= {
            f"{side}_layers": _layers(held, side),
            f"{side}_attention_heads": heads,
            f"{side}_ffn_dim": len(held[f"{side}/layer_0/ffn/linear_0/weight"]),
            places: len(held[f"{side}/position_encodings/encodings"]),
        }
    vocabulary = len(held["decoder/embeddings/weight"])
    own = {"model_type": "whisper", "activation_function": "gelu", "scale_embedding": False, "is_encoder_decoder": True}
    return own | {"d_model": width, "num_mel_bins": n_mels, "vocab_size": vocabulary, "dropout": 0.0} | sizes


def _generation(settings: dict) -> dict:
    """generation_config.json, from CTranslate2's settings."""
    return {
        "alignment_heads": settings.get("alignment_heads", []),
        "suppress_tokens": settings.get("suppress_ids", []),
        "begin_suppress_tokens": settings.get("suppress_ids_begin", []),
    }
