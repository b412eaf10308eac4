"""OpenAI's own files of Whisper: the same model as Hugging Face's folder; what lacks something or is another is refused."""

import base64
import json
import re
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from asr.errors import CheckpointError, UsageError
from asr.interop.importing import IMPORTERS, import_model, read_model
from asr.text.byte_pairs import byte_symbols
from tests.test_interop import FIXTURES, VARIANTS
from tests.test_interop_refusals import Runs

TINY = FIXTURES / "whisper-tiny-hf"
NAMES = {
    "layers": "blocks",
    "embed_tokens.weight": "token_embedding.weight",
    "embed_positions.weight": "positional_embedding",
    "self_attn": "attn",
    "self_attn_layer_norm": "attn_ln",
    "encoder_attn": "cross_attn",
    "encoder_attn_layer_norm": "cross_attn_ln",
    "final_layer_norm": "mlp_ln",
    "fc1": "mlp.0",
    "fc2": "mlp.2",
    "q_proj": "query",
    "k_proj": "key",
    "v_proj": "value",
    "out_proj": "out",
}
LAST = {"encoder.layer_norm": "encoder.ln_post", "decoder.layer_norm": "decoder.ln"}
TIMES = {f"<|{i * 0.02:.2f}|>": 331 + i for i in range(1501)}


def theirs(name):
    """Hugging Face's name of a tensor in OpenAI's words."""
    name = name.removeprefix("model.")
    for old, new in LAST.items():
        name = re.sub(rf"^{re.escape(old)}\b", new, name)
    words = sorted(NAMES, key=len, reverse=True)
    pattern = rf"(?<=\.)({'|'.join(map(re.escape, words))})(?=\.|$)"
    return re.sub(pattern, lambda found: NAMES[found[1]], name)


def sizes(source):
    said = json.loads((source / "config.json").read_text())
    return {
        "n_mels": said["num_mel_bins"],
        "n_audio_ctx": said["max_source_positions"],
        "n_audio_state": said["d_model"],
        "n_audio_head": said["encoder_attention_heads"],
        "n_audio_layer": said["encoder_layers"],
        "n_vocab": said["vocab_size"],
        "n_text_ctx": said["max_target_positions"],
        "n_text_state": said["d_model"],
        "n_text_head": said["decoder_attention_heads"],
        "n_text_layer": said["decoder_layers"],
    }


def write(folder, source, change=lambda data: None, kind=torch.float32):
    """tiny.pt with the model of one of Hugging Face's folders."""
    folder.mkdir(exist_ok=True)
    state = {theirs(name): tensor.to(kind) for name, tensor in load_file(source / "model.safetensors").items()}
    data = {"dims": sizes(source), "model_state_dict": state}
    change(data)
    torch.save(data, folder / "tiny.pt")
    return folder / "tiny.pt"


def write_tiktoken(folder):
    value = {symbol: byte for byte, symbol in enumerate(byte_symbols())}
    vocabulary = json.loads((TINY / "vocab.json").read_text(encoding="utf-8"))
    lines = [
        f"{base64.b64encode(bytes(value[c] for c in token)).decode()} {i}"
        for token, i in vocabulary.items()
        if not token.startswith("<|")
    ]
    (folder / "multilingual.tiktoken").write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The fixture with all tokens of times, as every published model has them: then their number says the languages."""
    folder = tmp_path_factory.mktemp("whole") / "hf"
    shutil.copytree(TINY, folder)
    (folder / "tokenizer.json").unlink()
    held = load_file(folder / "model.safetensors")
    name = next(n for n in held if n.endswith("embed_tokens.weight"))
    more = torch.randn(331 + len(TIMES) - len(held[name]), held[name].shape[1], generator=torch.manual_seed(1))
    save_file(held | {name: torch.cat([held[name], more])}, folder / "model.safetensors")
    for file, values in (("added_tokens.json", TIMES), ("config.json", {"vocab_size": 331 + len(TIMES)})):
        said = json.loads((folder / file).read_text(encoding="utf-8"))
        (folder / file).write_text(json.dumps(said | values), encoding="utf-8")
    return folder


def same(found, expected):
    assert found.table.tokens == expected.table.tokens and found.features == expected.features
    assert found.config == expected.config and found.weights.keys() == expected.weights.keys()
    assert all(torch.equal(found.weights[name], expected.weights[name]) for name in expected.weights)


def test_the_model_is_that_of_hugging_faces_folder(whole, tmp_path):
    """Bit for bit, by the path of the file and of its folder, so that what the gates of that folder say holds of this one."""
    file = write(tmp_path / "own", whole)
    write_tiktoken(file.parent)
    expected = IMPORTERS["whisper"](whole)
    for source in (file, file.parent):
        found, _ = read_model("whisper", source)
        same(found, expected)
        assert "OpenAI's file does not say which heads of attention follow the sound" in found.remarks[-1]


@pytest.mark.parametrize("source", [TINY, VARIANTS / "whisper-mels128"], ids=["tiny", "mels128"])
def test_tokens_of_hugging_face_that_name_every_one_stand_as_they_are(source, tmp_path):
    file = write(tmp_path / "own", source)
    for name in ("vocab.json", "added_tokens.json", "generation_config.json"):
        shutil.copy(source / name, file.parent)
    found, expected = read_model("whisper", file)[0], IMPORTERS["whisper"](source)
    same(found, expected)
    assert found.decode == expected.decode, "generation_config.json beside the file is read"


def test_special_tokens_follow_from_their_number_where_the_table_is_of_another_model(whole, tmp_path):
    """A tokenizer.json of large-v2 beside large-v3.pt has one language less, and every id behind it is another."""
    file = write(tmp_path / "own", whole)
    shutil.copy(TINY / "vocab.json", file.parent)
    (file.parent / "added_tokens.json").write_text(json.dumps({"<|endoftext|>": 321, "<|transcribe|>": 325}))
    same(read_model("whisper", file)[0], IMPORTERS["whisper"](whole))


def test_half_precision_is_read_and_the_model_folder_is_written(whole, tmp_path):
    file = write(tmp_path / "own", whole, kind=torch.float16)
    write_tiktoken(file.parent)
    expected = IMPORTERS["whisper"](whole).weights
    found = read_model("whisper", file)[0].weights
    assert all(torch.equal(found[name], expected[name].half().float()) for name in expected if name[:4] != "cmvn")
    assert import_model("whisper", file, tmp_path / "model").folder.is_dir()


def test_signs_that_are_not_spoken_are_never_written(whole, tmp_path):
    file = write(tmp_path / "own", whole)
    write_tiktoken(file.parent)
    ids = json.loads((TINY / "vocab.json").read_text(encoding="utf-8"))
    never = set(read_model("whisper", file)[0].decode["never_written"])
    assert {ids[sign] for sign in '#()[]{}"~'} <= never and not {ids[sign] for sign in "A1,.?-'"} & never


def test_without_a_file_of_tokens_it_says_where_to_get_one(whole, tmp_path):
    file = write(tmp_path / "own", whole)
    message = (
        "tiny.pt: holds no tokens, and no file with them lies beside it (there is: tiny.pt). Put multilingual.tiktoken there,"
        " from the folder whisper/assets of the Python package openai-whisper, or tokenizer.json of any multilingual Whisper"
        " model on Hugging Face"
    )
    with pytest.raises(CheckpointError, match=re.escape(message)):
        read_model("whisper", file)


def dims(**values):
    return lambda data: data["dims"].update(values)


def tensor(name, value=None):
    return lambda data: data["model_state_dict"].update({name: value}) if value is not None else (
        data["model_state_dict"].pop(name)
    )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dims(n_vocab=51864), "tiny.pt: is a model of English alone (51,864 tokens), which knows no Mandarin"),
        (dims(n_vocab=1833), "tiny.pt: dims.n_vocab: 1833 cannot be imported; only 1832 can"),
        (dims(n_mels=128), "tiny.pt: dims.n_mels: 128 cannot be imported; only 80 can"),
        (dims(n_text_state=64), "tiny.pt: dims.n_text_state: 64 cannot be imported; only 32 can"),
        (dims(n_audio_head="4"), "tiny.pt: dims.n_audio_head: must be int, is '4'"),
        (dims(n_audio_head=5), "width 32 must be even and a multiple of heads 5"),
        (dims(n_audio_layer=4), "tiny.pt: encoder.blocks.3.attn.query.weight is missing"),
        (dims(n_text_layer=1), "knows no place for: decoder.blocks.1."),
        (dims(rotary=True), "tiny.pt: dims.rotary: this importer does not know the setting"),
        (tensor("decoder.ln.bias"), "tiny.pt: decoder.ln.bias is missing"),
        (tensor("encoder.adapter", torch.ones(2)), "knows no place for: encoder.adapter (2,)"),
        (tensor("encoder.blocks.0.mlp.2.bias", torch.ones(3)), "encoder.blocks.0.mlp.2.bias is (3,), not (32,)"),
        (tensor("encoder.conv1.bias", torch.full((32,), torch.nan)), "holds values that are not numbers"),
        (lambda data: data.pop("dims"), "tiny.pt: is no file of OpenAI's Whisper, which holds dims and model_state_dict"),
        (lambda data: data.pop("model_state_dict"), "tiny.pt: is no plain table of tensors"),
    ],
)  # fmt: skip
def test_what_is_another_model_is_refused(change, message, whole, tmp_path):
    file = write(tmp_path / "own", whole, change)
    write_tiktoken(file.parent)
    with pytest.raises(CheckpointError, match=re.escape(message)):
        read_model("whisper", file)


def test_files_that_are_cut_off_or_would_run_something_are_refused(whole, tmp_path):
    file = write(tmp_path / "own", whole)
    data = file.read_bytes()
    for length in (0, 10, len(data) // 2, len(data) - 30):
        file.write_bytes(data[:length])
        with pytest.raises(CheckpointError, match=r"tiny\.pt: (damaged or no PyTorch checkpoint|is refused)"):
            read_model("whisper", file)
    trace = tmp_path / "trace"
    torch.save({"dims": Runs(trace), "model_state_dict": {}}, file)
    with pytest.raises(CheckpointError, match=r"tiny\.pt: is refused, it asks for .*, which could run code"):
        read_model("whisper", file)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("IQ== 0\nIQ== 1\n", "multilingual.tiktoken: '!' has the ids 0 and 1"),
        ("IQ==\n", "multilingual.tiktoken: no table of tiktoken"),
        ("I 0\n", "multilingual.tiktoken: no table of tiktoken"),
        ("IQ== 0\nIg== 2\n", "multilingual.tiktoken: 2 tokens of texts do not belong to tiny.pt"),
        ("IQ== 0\n", "multilingual.tiktoken: 1 tokens of texts do not belong to tiny.pt, which has 1,832"),
    ],
)
def test_a_table_that_is_damaged_or_of_another_model(text, message, whole, tmp_path):
    file = write(tmp_path / "own", whole)
    (file.parent / "multilingual.tiktoken").write_text(text)
    with pytest.raises(CheckpointError, match=re.escape(message)):
        read_model("whisper", file)


def test_of_several_files_one_must_be_named_and_other_toolkits_have_folders(whole, tmp_path):
    file = write(tmp_path / "own", whole)
    shutil.copy(file, file.parent / "large.pt")
    with pytest.raises(CheckpointError, match=r"holds several models \(large\.pt, tiny\.pt\); give the path of one"):
        read_model("whisper", file.parent)
    with pytest.raises(
        (CheckpointError, UsageError), match="no such folder; give the folder that holds the checkpoint"
    ):
        import_model("wenet", file, tmp_path / "model")
