"""A Whisper folder of CTranslate2, as faster-whisper keeps them, as one that `asr model import whisper` reads.

The file of weights: version, name of the kind of model, its revision, tensors one after the other, other names of some of them.
Queries, keys and values lie in one matrix there.
"""

import json
import shutil
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from asr.errors import CheckpointError

KINDS = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}
"""What a tensor's numbers are."""
HEAD_WIDTH = 64
"""Of every Whisper model."""


class Reader:
    """Numbers, names and tensors from bytes, one after the other."""

    def __init__(self, data: bytes):
        self.data, self.place = data, 0

    def number(self, form: str = "<I") -> int:
        (value,) = struct.unpack_from(form, self.data, self.place)
        self.place += struct.calcsize(form)
        return value

    def name(self) -> str:
        length = self.number("<H")
        self.place += length
        return self.data[self.place - length : self.place].rstrip(b"\0").decode()

    def tensor(self) -> np.ndarray:
        shape = [self.number() for _ in range(self.number("<B"))]
        kind = np.dtype(KINDS[self.number("<B")])
        size = self.number()
        values = np.frombuffer(self.data, kind, size // kind.itemsize, self.place).reshape(shape)
        self.place += size
        return values


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """All tensors by their names. Raises CheckpointError for what is no such file."""
    reader = Reader(path.read_bytes())
    try:
        _version, kind, _revision = reader.number(), reader.name(), reader.number()
        tensors = {reader.name(): reader.tensor() for _ in range(reader.number())}
        for _ in range(reader.number()):
            other = reader.name()
            tensors[other] = tensors[reader.name()]
    except (struct.error, UnicodeDecodeError, KeyError, ValueError) as error:
        raise CheckpointError(f"{path}: no weights of CTranslate2, or cut off ({error!r})") from error
    if kind != "WhisperSpec":
        raise CheckpointError(f"{path}: holds a {kind}, not a Whisper model")
    return tensors


def convert(source: Path, out: Path) -> None:
    """Writes model.safetensors, the tokens and the settings of a folder with model.bin, config.json and tokenizer.json."""
    held = read_tensors(source / "model.bin")
    out.mkdir(parents=True, exist_ok=True)
    save_file(dict(_tensors(held)), out / "model.safetensors", metadata={"format": "pt"})
    shutil.copy(source / "tokenizer.json", out)
    added = json.loads((out / "tokenizer.json").read_text(encoding="utf-8"))["added_tokens"]
    for name, values in (
        ("config.json", _settings(held)),
        ("generation_config.json", _generation(json.loads((source / "config.json").read_text(encoding="utf-8")))),
        ("added_tokens.json", {token["content"]: token["id"] for token in added}),
    ):
        (out / name).write_text(json.dumps(values, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _tensors(held: dict[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
    """(name in Hugging Face's layout, values)."""
    for side in ("encoder", "decoder"):
        yield f"model.{side}.embed_positions.weight", held[f"{side}/position_encodings/encodings"]
        yield from _norm(f"model.{side}.layer_norm", held, f"{side}/layer_norm")
        for i in range(_layers(held, side)):
            yield from _layer(f"model.{side}.layers.{i}", held, f"{side}/layer_{i}")
    for name in ("conv1", "conv2"):
        yield from _linear(f"model.encoder.{name}", held, f"encoder/{name}")
    yield "model.decoder.embed_tokens.weight", held["decoder/embeddings/weight"]


def _layer(ours: str, held: dict[str, np.ndarray], theirs: str) -> Iterator[tuple[str, np.ndarray]]:
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


def _linear(ours: str, held: dict[str, np.ndarray], theirs: str) -> Iterator[tuple[str, np.ndarray]]:
    yield f"{ours}.weight", held[f"{theirs}/weight"]
    yield f"{ours}.bias", held[f"{theirs}/bias"]


def _norm(ours: str, held: dict[str, np.ndarray], theirs: str) -> Iterator[tuple[str, np.ndarray]]:
    yield f"{ours}.weight", held[f"{theirs}/gamma"]
    yield f"{ours}.bias", held[f"{theirs}/beta"]


def _split(
    ours: str, names: Sequence[str], held: dict[str, np.ndarray], theirs: str
) -> Iterator[tuple[str, np.ndarray]]:
    """Parts of one matrix. Keys have no bias in Whisper; what lies there must be zeros."""
    weights, biases = (np.split(held[f"{theirs}/{kind}"], len(names)) for kind in ("weight", "bias"))
    for name, weight, bias in zip(names, weights, biases, strict=True):
        yield f"{ours}.{name}.weight", np.ascontiguousarray(weight)
        if name != "k_proj":
            yield f"{ours}.{name}.bias", np.ascontiguousarray(bias)
        elif bias.any():
            raise CheckpointError(f"{theirs}: its keys have a bias, which no Whisper model has")


def _layers(held: dict[str, np.ndarray], side: str) -> int:
    return sum(name.startswith(f"{side}/layer_") and name.endswith("/ffn/linear_0/weight") for name in held)


def _settings(held: dict[str, np.ndarray]) -> dict:
    """config.json, from the shapes of the tensors."""
    width, n_mels, _ = held["encoder/conv1/weight"].shape
    sizes = {}
    for side, places in (("encoder", "max_source_positions"), ("decoder", "max_target_positions")):
        sizes |= {
            f"{side}_layers": _layers(held, side),
            f"{side}_attention_heads": width // HEAD_WIDTH,
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
