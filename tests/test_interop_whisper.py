"""Whisper's folders: what is read and what is refused, and that a model with a window of audio does all that others do."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from asr.decoding.decode_config import DecodeConfig
from asr.interop.importing import import_model
from asr.model.folder import load_model
from asr.recognition.guards import STANDS_STILL
from asr.recognition.recognizer import Recognizer
from asr.text.byte_pairs import BytePairTokenizer
from tests.foreign_folders import assert_same, read_foreign
from tests.test_interop import FIXTURES, VARIANTS
from tests.test_interop_refusals import refused

TINY = FIXTURES / "whisper-tiny-hf"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return import_model("whisper", TINY, tmp_path_factory.mktemp("models") / "tiny").folder


def read(folder: Path):
    return read_foreign("whisper", folder)


def edit(path: Path, **values) -> None:
    data = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(data | values), encoding="utf-8")


def same(foreign) -> None:
    assert_same(foreign, read(TINY))


def test_the_prompt_asks_for_mandarin_without_times():
    foreign = read(TINY)
    vocabulary = json.loads((TINY / "added_tokens.json").read_text(encoding="utf-8"))
    names = ("<|startoftranscript|>", "<|zh|>", "<|transcribe|>")
    assert foreign.config.decoder.prompt == tuple(vocabulary[name] for name in names)
    assert foreign.table.sos == vocabulary["<|notimestamps|>"] and foreign.table.eos == vocabulary["<|endoftext|>"]
    written = set(range(len(foreign.table))) - set(foreign.table.never_written)
    assert written == {*range(321), foreign.table.eos}, "no other token of the added ones may be written"


def test_what_the_toolkit_never_writes_is_not_written():
    listed = json.loads((VARIANTS / "whisper-mels128/generation_config.json").read_text())["suppress_tokens"]
    assert listed and read(VARIANTS / "whisper-mels128").decode["never_written"] == listed
    assert read(TINY).decode["never_written"] == []


def test_the_heads_that_times_are_taken_from_are_kept(copy, tmp_path):
    """Without them a text is not doubted for what the last layer looks at, which in these models may be anything."""
    folder = copy(TINY)
    edit(folder / "generation_config.json", alignment_heads=[[1, 3], [0, 2]])
    known = load_model(import_model("whisper", folder, tmp_path / "model").folder)
    assert known.model.decoder.alignment_heads == ((1, 3), (0, 2))
    sound = np.load(TINY / "golden.npz")["waveform"]
    for loaded, expected in (
        (known, True),
        (load_model(import_model("whisper", TINY, tmp_path / "other").folder), False),
    ):
        recognizer = Recognizer(loaded.model, loaded.tokenizer, DecodeConfig(beam=1, stop_loops=False, redecode=False))
        ((best,),) = recognizer.recognize([sound], timed=True)
        assert len(best.spans) == len(best.hypothesis.tokens) > 12
        assert (STANDS_STILL in best.hypothesis.warnings) == expected


def test_weights_in_several_files_in_a_pickle_and_without_the_prefix(copy):
    folder = copy(TINY)
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    files = {"model-00001-of-00002.safetensors": names[:9], "model-00002-of-00002.safetensors": names[9:]}
    for file, some in files.items():
        save_file({name: tensors[name] for name in some}, folder / file)
    index = {"weight_map": {name: file for file, some in files.items() for name in some}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    same(read(folder))
    for path in folder.glob("model*"):
        path.unlink()
    files = {"pytorch_model-00001-of-00002.bin": names[:9], "pytorch_model-00002-of-00002.bin": names[9:]}
    for file, some in files.items():
        torch.save({name: tensors[name] for name in some}, folder / file)
    index = {"weight_map": {name: file for file, some in files.items() for name in some}}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    same(read(folder))
    with_output = tensors | {"proj_out.weight": tensors["model.decoder.embed_tokens.weight"].clone()}
    torch.save(with_output, folder / "pytorch_model.bin")
    same(read(folder))
    torch.save({name.removeprefix("model."): tensor for name, tensor in tensors.items()}, folder / "pytorch_model.bin")
    same(read(folder))


def test_tokens_of_tokenizer_json_alone_and_without_those_of_times(copy):
    folder = copy(TINY)
    (folder / "vocab.json").unlink()
    same(read(folder))
    shutil.copy(TINY / "vocab.json", folder)
    added = json.loads((folder / "added_tokens.json").read_text(encoding="utf-8"))
    kept = {name: i for name, i in added.items() if name[2] not in "0123456789"}
    kept["<|nocaptions|>"] = kept.pop("<|nospeech|>")
    (folder / "added_tokens.json").write_text(json.dumps(kept))
    foreign = read(folder)
    assert foreign.table.tokens[331] == "<|unused-331|>" and 331 in foreign.table.never_written
    assert foreign.table.unk == added["<|nospeech|>"]


def test_added_tokens_are_texts_as_they_stand(copy):
    """é is one of the letters that stand for bytes, and two bytes itself; tokenizer.json knows what added_tokens.json lacks."""
    folder = copy(TINY)
    added = json.loads((folder / "added_tokens.json").read_text(encoding="utf-8"))
    for name, text in (("<|1.00|>", "你好 é"), ("<|0.98|>", "é")):
        added[text] = added.pop(name)
    (folder / "added_tokens.json").write_text(json.dumps(added))
    tokenizer = BytePairTokenizer(read(folder).table)
    assert tokenizer.decode([added["你好 é"]]) == "你好 é" and tokenizer.split("é") == [added["é"]]
    (folder / "added_tokens.json").unlink()
    same(read(folder))


def test_tensors_that_cannot_be_meant_are_refused(copy):
    folder = copy(TINY)
    tensors = load_file(folder / "model.safetensors")
    name = "model.decoder.embed_positions.weight"
    for changed, message in (
        ({name: tensors[name][:4].clone()}, "config.json.max_target_positions: 64 cannot be imported; only 4 can"),
        ({name: tensors[name][0].clone()}, r"decoder.embed_positions.weight is \(32,\), not of 2 axes"),
        ({name: tensors[name].to(torch.float8_e4m3fn)}, "is of type torch.float8_e4m3fn, which cannot be read"),
        ({name.removeprefix("model."): tensors[name] + 1}, "tensors of one name with and without model. before it"),
    ):
        save_file(tensors | changed, folder / "model.safetensors")
        refused("whisper", folder, message)
    edit(folder / "config.json", max_target_positions=4, tokenizer_class=None)
    save_file(tensors | {name: tensors[name][:4].clone()}, folder / "model.safetensors")
    refused("whisper", folder, "config.json.max_target_positions: 4 leave no room for a text behind the prompt")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "wav2vec2"}, "config.json.model_type: 'wav2vec2' cannot be imported; only 'whisper' can"),
        ({"activation_function": "relu"}, "config.json.activation_function: 'relu' cannot be imported; only 'gelu' can"),
        ({"scale_embedding": True}, "config.json.scale_embedding: True cannot be imported; only False can"),
        ({"tie_word_embeddings": False}, "config.json.tie_word_embeddings: False cannot be imported; only True can"),
        ({"rotary": 1}, r"config.json.rotary: this importer does not know the setting \(1\)"),
        ({"vocab_size": 300}, "config.json.vocab_size: 300 cannot be imported; only 382 can"),
        ({"d_model": 48}, r"encoder.conv1.weight is \(32, 80, 3\), not \(48, 80, 3\) as the settings have it"),
        ({"encoder_layers": 2}, r"holds tensors that this importer knows no place for: encoder.layers.2.fc1.bias \(64,\)"),
        ({"decoder_layers": 3}, "decoder.layers.2.self_attn.q_proj.weight is missing"),
        ({"max_source_positions": 100}, "config.json.max_source_positions: 100 cannot be imported; only 150 can"),
        ({"num_mel_bins": 10**9}, "config.json.num_mel_bins: 1000000000 cannot be imported; only 80 can"),
        ({"d_model": True}, "config.json.d_model: must be int, is True"),
    ],
)  # fmt: skip
def test_settings_that_do_not_fit_are_refused(change, message, copy):
    folder = copy(TINY)
    edit(folder / "config.json", **change)
    refused("whisper", folder, message)


def test_features_of_another_kind_are_refused(copy):
    folder = copy(TINY)
    edit(folder / "preprocessor_config.json", hop_length=80)
    refused("whisper", folder, "preprocessor_config.json.hop_length: 80 cannot be imported; only 160 can")


def test_a_model_of_english_alone_is_refused(copy):
    folder = copy(TINY)
    added = json.loads((folder / "added_tokens.json").read_text(encoding="utf-8"))
    del added["<|zh|>"]
    (folder / "added_tokens.json").write_text(json.dumps(added))
    refused("whisper", folder, r"vocab.json: has no token <\|zh\|>; is it a model of English alone\?")


def test_tokens_of_another_model_are_refused(copy):
    folder = copy(TINY)
    ids = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    one, other = list(ids)[5:7]
    ids[one], ids[other] = ids[other], ids[one]
    (folder / "vocab.json").write_text(json.dumps(ids))
    refused(
        "whisper", folder, "vocab.json: .* has the id 6, in tokenizer.json beside it 5: they are of different models"
    )


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("vocab.json", "[1]", "vocab.json: is no table of tokens and ids"),
        ("vocab.json", '{"a": 1, "b": 1}', "'a' and 'b' both have the id 1"),
        ("vocab.json", '{"a": 382}', "'a' has the id 382, the model has 382 tokens"),
        ("added_tokens.json", "{", "added_tokens.json: not JSON"),
        ("config.json", "[]", "config.json: is no section of settings"),
        ("generation_config.json", '{"suppress_tokens": [382]}', "suppress_tokens is no list of ids"),
        ("generation_config.json", '{"alignment_heads": [3]}', "alignment_heads is no list of pairs"),
        ("generation_config.json", '{"alignment_heads": [[2, 0]]}', "is no pair of one of 2 layers and 4 heads"),
        ("model.safetensors", "", "model.safetensors: damaged or not safetensors"),
        ("model.safetensors", "not a checkpoint", "model.safetensors: damaged or not safetensors"),
        (
            "model.safetensors.index.json",
            '{"weight_map": {"a": "../b"}}',
            "names '../b', which is no file of weights beside it",
        ),
        ("model.safetensors.index.json", '{"weight_map": []}', "weight_map: must be dict, is \\[\\]"),
        ("model.safetensors.index.json", '{"weight_map": {"a": "b"}}', "b: is missing"),
    ],
)
def test_damaged_files_are_named(file, content, message, copy):
    folder = copy(TINY)
    if "index" in file:
        (folder / "model.safetensors").unlink()
    (folder / file).write_text(content)
    refused("whisper", folder, message)


def test_an_output_layer_of_its_own_is_refused(copy):
    folder = copy(TINY)
    tensors = load_file(folder / "model.safetensors")
    save_file(
        tensors | {"proj_out.weight": tensors["model.decoder.embed_tokens.weight"] + 1}, folder / "model.safetensors"
    )
    refused("whisper", folder, "proj_out.weight is not the embedding, to which it should be tied")


def test_a_folder_without_weights_says_what_is_there(copy):
    folder = copy(TINY)
    (folder / "model.safetensors").unlink()
    refused(
        "whisper",
        folder,
        r"holds no weights of Whisper .* \(model.safetensors or pytorch_model.bin\); there is: added_tokens",
    )
