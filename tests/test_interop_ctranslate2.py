"""Whisper folders of CTranslate2: the same model as Hugging Face's; what is damaged or another is refused."""

import json
import re
import shutil
import struct

import pytest
import torch
from safetensors.torch import load_file

from asr.errors import CheckpointError
from asr.interop import ctranslate2
from asr.interop.importing import IMPORTERS, build, import_model, read_model
from tests.test_interop import FIXTURES, VARIANTS

TINY = FIXTURES / "whisper-tiny-hf"
KINDS = {torch.float32: 0, torch.int8: 1, torch.int16: 2, torch.float16: 4, torch.bfloat16: 5}
PARTS = {"self_attn": "self_attention", "encoder_attn": "attention"}


def theirs(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Tensors of Hugging Face under CTranslate2's names, queries, keys and values in one matrix."""
    made: dict[str, torch.Tensor] = {}
    for name, tensor in state.items():
        name = (
            name.removeprefix("model.")
            .replace("layers.", "layer_")
            .replace("embed_positions.weight", "position_encodings.encodings")
        )
        name = name.replace("decoder.embed_tokens", "decoder.embeddings")
        for old, new in PARTS.items():
            name = name.replace(f"{old}_layer_norm", f"{new}.layer_norm").replace(f"{old}.", f"{new}.")
        name = (
            name.replace("final_layer_norm", "ffn.layer_norm")
            .replace("fc1", "ffn.linear_0")
            .replace("fc2", "ffn.linear_1")
        )
        if "layer_norm" in name:
            name = name.replace("weight", "gamma").replace("bias", "beta")
        made[name.replace(".", "/")] = tensor
    for name in [n for n in made if n.endswith("k_proj/weight")]:
        layer, cross = name.removesuffix("/k_proj/weight"), "self_attention" not in name
        made[f"{layer}/k_proj/bias"] = torch.zeros(len(made[name]))
        for kind in ("weight", "bias"):
            q, k, v, out = (made.pop(f"{layer}/{part}_proj/{kind}") for part in ("q", "k", "v", "out"))
            stacks = ([q], [k, v], [out]) if cross else ([q, k, v], [out])
            for i, stack in enumerate(stacks):
                made[f"{layer}/linear_{i}/{kind}"] = torch.cat(stack)
    return made


def packed(tensors: dict[str, torch.Tensor], version: int = 6, kind: str = "WhisperSpec") -> bytes:
    """As CTranslate2 writes them, an alias behind them."""

    def name(text: str) -> bytes:
        return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"

    out = struct.pack("<I", version) + name(kind) + struct.pack("<II", 3, len(tensors))
    for key, tensor in tensors.items():
        data = (
            tensor.contiguous().view(torch.uint8).numpy().tobytes()
            if tensor.ndim
            else bytes(tensor.view(1).view(torch.uint8).tolist())
        )
        out += name(key) + struct.pack("<B", tensor.ndim) + struct.pack(f"<{tensor.ndim}I", *tensor.shape)
        out += struct.pack("<BI", KINDS[tensor.dtype], len(data)) + data
    return out + struct.pack("<I", 1) + name("decoder/projection/weight") + name("decoder/embeddings/weight")


def in_whole_numbers(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Matrices as int8, beside the scale of each row."""
    made = dict(tensors)
    for name, tensor in tensors.items():
        if name.endswith("/weight") and tensor.ndim == 2:
            made[f"{name}_scale"] = 127 / tensor.abs().amax(1)
            made[name] = (tensor * made[f"{name}_scale"][:, None]).round().to(torch.int8)
    return made


def write(folder, source=TINY, change=lambda tensors: tensors, **how):
    """A folder of CTranslate2 with the model of one of Hugging Face's."""
    folder.mkdir(exist_ok=True)
    tensors = theirs(load_file(source / "model.safetensors"))
    heads = json.loads((source / "config.json").read_text())["encoder_attention_heads"]
    tensors["encoder/num_heads"] = torch.tensor(heads, dtype=torch.int16)
    (folder / "model.bin").write_bytes(packed(change(tensors), **how))
    listed = json.loads((source / "generation_config.json").read_text()).get("suppress_tokens", [])
    (folder / "config.json").write_text(json.dumps({"suppress_ids": listed, "alignment_heads": [], "lang_ids": [1]}))
    for name in ("tokenizer.json", "vocab.json", "added_tokens.json"):
        if (source / name).is_file():
            shutil.copy(source / name, folder)
    return folder


@pytest.mark.parametrize("source", [TINY, VARIANTS / "whisper-mels128"], ids=["tiny", "mels128"])
def test_the_model_is_that_of_hugging_faces_folder(source, tmp_path):
    """Bit for bit, so that what the gates of that folder say holds of this one."""
    expected = IMPORTERS["whisper"](source)
    found, _ = read_model("whisper", write(tmp_path / "ct2", source))
    assert found.table.tokens == expected.table.tokens and found.features == expected.features
    assert found.config == expected.config and found.decode == expected.decode
    assert found.weights.keys() == expected.weights.keys()
    assert all(torch.equal(found.weights[name], expected.weights[name]) for name in expected.weights)


@pytest.mark.parametrize(
    ("change", "most"),
    [
        (lambda held: {n: t.half() if t.is_floating_point() else t for n, t in held.items()}, 1e-2),
        (lambda held: {n: t.bfloat16() if t.is_floating_point() else t for n, t in held.items()}, 3e-2),
        (in_whole_numbers, 3e-2),
    ],
    ids=["float16", "bfloat16", "int8"],
)
def test_weights_of_fewer_bits(change, most, tmp_path):
    expected = build(IMPORTERS["whisper"](TINY)).state_dict()
    found = read_model("whisper", write(tmp_path / "ct2", change=change))[1].state_dict()
    for name, tensor in expected.items():
        assert float((found[name] - tensor).abs().max()) <= most * max(1.0, float(tensor.abs().max()))
    assert import_model("whisper", tmp_path / "ct2", tmp_path / "model").folder.is_dir()


@pytest.mark.parametrize("name", ["vocabulary.json", "vocabulary.txt"])
def test_ctranslate2s_own_list_of_tokens_suffices(name, tmp_path):
    folder, tokens = write(tmp_path / "ct2"), [""] * 382
    for file in ("vocab.json", "added_tokens.json"):
        for token, i in json.loads((folder / file).read_text(encoding="utf-8")).items():
            tokens[i] = token
        (folder / file).unlink()
    (folder / "tokenizer.json").unlink()
    text = json.dumps(tokens) if name.endswith("json") else "\n".join(tokens) + "\n"
    (folder / name).write_text(text, encoding="utf-8")
    expected = IMPORTERS["whisper"](TINY)
    found = IMPORTERS["whisper"](folder)
    assert found.table.tokens == expected.table.tokens and found.config == expected.config
    twice = tokens[:5] + tokens[4:]
    (folder / name).write_text(json.dumps(twice) if name.endswith("json") else "\n".join(twice), encoding="utf-8")
    with pytest.raises(CheckpointError, match=re.escape(f"{name}: lists {tokens[4]!r} twice")):
        read_model("whisper", folder)


def without(name):
    return lambda held: {n: t for n, t in held.items() if n != name}


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"version": 5}, "model.bin: is no file of CTranslate2's version 6, it begins with 5; convert the model again"),
        ({"kind": "TransformerSpec"}, "model.bin: holds a 'TransformerSpec', not a Whisper model"),
        ({"change": without("encoder/conv1/bias")}, "model.bin: lacks tensors of a Whisper model"),
        ({"change": lambda held: held | {"encoder/rotary": torch.ones(2)}}, "knows no place for: encoder/rotary"),
        ({"change": lambda held: held | {"encoder/conv1/bias": torch.ones(3)}}, "encoder.conv1.bias is (3,), not (32,)"),
        ({"change": lambda held: {n: t for n, t in in_whole_numbers(held).items() if not n.endswith("_scale")}},
         "has no scale for each of its"),
        ({"change": lambda held: held | {"encoder/conv1/bias": torch.full((32,), torch.nan)}},
         "holds values that are not numbers"),
    ],
)  # fmt: skip
def test_what_is_another_model_is_refused(how, message, tmp_path):
    folder = write(tmp_path / "ct2", **how)
    with pytest.raises(CheckpointError, match=re.escape(message)):
        read_model("whisper", folder)


def test_files_that_are_cut_off_anywhere_are_refused(tmp_path):
    path = write(tmp_path / "ct2") / "model.bin"
    whole = path.read_bytes()
    for length in (0, 3, 5, 12, 25, 40, len(whole) // 2, len(whole) - 40, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=r"model\.bin: (no weights of CTranslate2, or damaged|holds a)"):
            ctranslate2.read_tensors(path)
