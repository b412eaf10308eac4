"""Checkpoints that are damaged, of another toolkit, hostile, or of an unknown kind: refused, nothing left behind."""

import argparse
import pickle
import shutil
import zipfile
from pathlib import Path

import pytest
import torch
import yaml

from asr.errors import CheckpointError, ConfigError
from asr.interop.importing import import_model, read_model
from tests.conftest import ROOT
from tests.test_interop import FIXTURES

WEIGHTS = {
    "wenet": ("wenet-transformer", "final.pt"),
    "espnet": ("espnet2-conformer", "valid.acc.ave.pth"),
    "firered": ("fireredasr2-aed", "model.pth.tar"),
    "speechbrain": ("speechbrain-transformer", "asr.ckpt"),
}


@pytest.fixture
def copy(tmp_path):
    """Copies a fixture into a folder that the test may damage."""

    def make(name: str) -> Path:
        return Path(shutil.copytree(FIXTURES / name, tmp_path / "foreign"))

    return make


def refused(toolkit: str, folder: Path, message: str) -> None:
    out = folder.parent / "out" / "model"
    before = sorted(p.name for p in folder.parent.iterdir())
    with pytest.raises(CheckpointError, match=message):
        import_model(toolkit, folder, out)
    assert sorted(p.name for p in folder.parent.iterdir()) == before, "something was left behind"


@pytest.mark.parametrize("toolkit", WEIGHTS)
def test_truncated_and_corrupted_files(toolkit, copy):
    name, weights = WEIGHTS[toolkit]
    folder = copy(name)
    whole = (folder / weights).read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], b"not a checkpoint", whole[:100] + bytes(2000) + whole[2100:]):
        (folder / weights).write_bytes(damaged)
        refused(toolkit, folder, rf"{weights}: (damaged or no PyTorch checkpoint|is refused)")
    (folder / weights).unlink()
    refused(toolkit, folder, "holds no weights|is missing")


class Runs:
    """Unpickled, it would write a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return (Path.write_text, (self.path, "it ran"))


@pytest.mark.parametrize("toolkit", WEIGHTS)
@pytest.mark.parametrize("plain", [False, True])
def test_a_pickle_that_would_run_code_is_refused_and_runs_nothing(toolkit, plain, copy):
    name, weights = WEIGHTS[toolkit]
    folder = copy(name)
    trap, evidence = folder / weights, folder.parent / "evidence"
    if plain:
        trap.write_bytes(pickle.dumps({"model_state_dict": Runs(evidence), "args": 1}))
    else:
        torch.save({"a": torch.zeros(1), "b": Runs(evidence)}, trap)
    refused(toolkit, folder, "is refused, .* which could run code; nothing of it was run")
    assert not evidence.exists()


def test_the_other_pickle_of_a_speechbrain_folder_runs_nothing_either(copy):
    folder = copy("speechbrain-transformer")
    torch.save({"glob_mean": Runs(folder.parent / "evidence")}, folder / "normalizer.ckpt")
    refused("speechbrain", folder, "normalizer.ckpt: is refused")
    assert not (folder.parent / "evidence").exists()


def test_tags_of_a_yaml_file_build_nothing(copy):
    folder = copy("wenet-transformer")
    evidence = folder.parent / "evidence"
    path = folder / "train.yaml"
    path.write_text(f"{path.read_text()}\nextra: !!python/object/apply:os.system ['touch {evidence}']\n")
    import_model("wenet", folder, folder.parent / "out")
    assert not evidence.exists()


def test_an_archive_with_a_name_that_leads_out_of_it(copy):
    folder = copy("wenet-transformer")
    with zipfile.ZipFile(folder / "final.pt", "w") as archive:
        archive.writestr("../../evidence", "it ran")
    refused("wenet", folder, "damaged or no PyTorch checkpoint")


@pytest.mark.parametrize(
    ("toolkit", "name", "message"),
    [
        ("wenet", "espnet2-conformer", "has no encoder_conf and input_dim; is it from WeNet?"),
        ("wenet", "fireredasr-aed", "holds no settings of a WeNet model"),
        ("espnet", "wenet-transformer", "holds no settings of an ESPnet model"),
        ("espnet", "speechbrain-transformer", "holds no settings of an ESPnet model"),
        ("firered", "wenet-transformer", "holds no weights of FireRedASR"),
        ("speechbrain", "wenet-transformer", "sections are a TransformerASR"),
        ("speechbrain", "fireredasr-aed", "holds no settings of a SpeechBrain model"),
    ],
)
def test_another_toolkit(toolkit, name, message, copy):
    refused(toolkit, copy(name), message.replace("?", r"\?"))


def test_a_toolkit_that_is_not_known(tmp_path):
    with pytest.raises(
        ConfigError,
        match="toolkit must be one of wenet, espnet, firered, speechbrain, whisper, dolphin, cohere, is 'kaldi'",
    ):
        import_model("kaldi", tmp_path, tmp_path / "out")
    with pytest.raises(CheckpointError, match="nowhere: no such folder"):
        import_model("wenet", tmp_path / "nowhere", tmp_path / "out")


def change(folder: Path, file: str, edit) -> None:
    """Saves the state dict anew after `edit`."""
    data = torch.load(folder / file, weights_only=False)
    edit(data["model_state_dict"] if "model_state_dict" in data else data)
    torch.save(data, folder / file)


@pytest.mark.parametrize("toolkit", WEIGHTS)
def test_missing_unknown_and_misshapen_tensors_are_named(toolkit, copy):
    name, weights = WEIGHTS[toolkit]
    folder = copy(name)
    bias = {
        "wenet": "decoder.decoders.1.src_attn.linear_q.bias",
        "espnet": "encoder.encoders.2.conv_module.pointwise_conv1.bias",
        "firered": "decoder.layer_stack.1.cross_attn.w_qs.bias",
        "speechbrain": "1.encoder.layers.2.pos_ffn.ffn.0.bias",
    }[toolkit]
    kept = {}
    change(folder, weights, lambda state: kept.update({bias: state.pop(bias)}))
    refused(toolkit, folder, f"{bias} is missing; the nearest are ")
    change(folder, weights, lambda state: state.update({bias: torch.zeros(7)}))
    refused(toolkit, folder, rf"{bias} is \(7,\), not \(\d+,\) as the settings have it")
    change(folder, weights, lambda state: state.update(kept | {"decoder.adapter.weight": torch.zeros(3, 2)}))
    refused(toolkit, folder, r"tensors that this importer knows no place for: decoder.adapter.weight \(3, 2\)")


def test_one_wrong_bit_of_a_checkpoint_is_noticed(copy):
    path = copy("wenet-transformer") / "final.pt"
    content = bytearray(path.read_bytes())
    content[content.index(b"PK", len(content) // 2) - 100] ^= 1  # among the numbers of a tensor
    path.write_bytes(content)
    refused("wenet", path.parent, "final.pt: damaged or no PyTorch checkpoint .*/data/.* is not what was saved")


def test_whole_numbers_without_scales_are_no_weights(copy):
    folder, name = copy("wenet-transformer"), "decoder.decoders.1.src_attn.linear_q.weight"
    change(folder, "final.pt", lambda state: state.update({name: (100 * state[name]).to(torch.int8)}))
    refused("wenet", folder, f"{name} holds whole numbers; is the file quantised")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("ctc_blank_id: 0", "ctc_blank_id: 1", "blank 1, unk 1, sos 2 and eos 2 must be different tokens"),
        (
            "    <unk>: 1",
            "    <other>: 1",
            "units.txt: holds no <unk>, nor does tokenizer_conf.special_tokens in train.yaml",
        ),
    ],
)
def test_special_tokens_that_would_take_the_place_of_others(copy, old, new, message):
    folder = copy("wenet-conformer")
    for file, before, after in (("train.yaml", old, new), ("units.txt", "<unk> 1", "甲 1")):
        text = (folder / file).read_text(encoding="utf-8")
        (folder / file).write_text(text.replace(before, after), encoding="utf-8")
    refused("wenet", folder, message)


def test_a_line_without_its_id_makes_no_tokens_of_the_others(copy):
    """`一 3` would be one, and be written."""
    folder = copy("wenet-conformer")
    units = folder / "units.txt"
    text = units.read_text(encoding="utf-8")
    units.write_text(f"{text}\n\n", encoding="utf-8")
    assert "一" in read_model("wenet", folder)[0].table.tokens
    units.write_text(text.replace("一 3\n", "3\n"), encoding="utf-8")
    refused("wenet", folder, "units.txt:4: must be a token and its id, as other lines are, is '3'")


def test_filters_in_half_precision_are_still_those_of_the_settings(copy):
    folder, name = copy("espnet2-conformer"), "frontend.logmel.melmat"
    change(folder, "valid.acc.ave.pth", lambda state: state.update({name: state[name].bfloat16()}))
    read_model("espnet", folder)
    change(folder, "valid.acc.ave.pth", lambda state: state[name].mul_(1.01))
    refused("espnet", folder, f"{name} .* are not the filters of frontend_conf")


def test_weights_that_are_not_numbers(copy):
    folder = copy("wenet-transformer")
    change(folder, "final.pt", lambda state: state["ctc.ctc_lo.bias"].fill_(float("nan")))
    refused("wenet", folder, "ctc.ctc_lo.bias holds values that are not numbers")


@pytest.mark.parametrize(
    ("name", "section", "key", "value", "message"),
    [
        ("wenet-conformer", "encoder_conf", "num_blocks", 4, "encoder.encoders.3.self_attn.linear_q.weight is missing"),
        ("wenet-conformer", "encoder_conf", "attention_heads", 5, "must be even and a multiple of heads 5"),
        ("wenet-conformer", "encoder_conf", "layer_norm_type", "rms_norm", "'rms_norm' cannot be imported; only 'layer_norm'"),
        ("wenet-conformer", "encoder_conf", "input_layer", "conv1d2", "'conv1d2' cannot be imported; known are conv2d"),
        ("wenet-conformer", "encoder_conf", "novelty", 1, "encoder_conf.novelty: this importer does not know the setting"),
        ("wenet-conformer", "encoder_conf", "num_blocks", "3", "encoder_conf.num_blocks: must be int, is '3'"),
        ("wenet-conformer", None, "encoder", "squeezeformer", "encoder: 'squeezeformer' cannot be imported"),
        ("wenet-conformer", None, "output_dim", 60, "holds 57 tokens, train.yaml says output_dim 60"),
        ("wenet-conformer", None, "model", "transducer", "model: 'transducer' cannot be imported"),
        ("espnet2-conformer", "encoder_conf", "positionwise_layer_type", "conv1d", "'conv1d' cannot be imported"),
        ("espnet2-conformer", "frontend_conf", "fs", 8000, "fs: 8000 cannot be imported; only 16000 can"),
        ("espnet2-conformer", "frontend_conf", "fmax", 7600, "frontend.logmel.melmat .* are not the filters"),
        ("espnet2-conformer", None, "normalize", "utterance_mvn", "normalize: 'utterance_mvn' cannot be imported"),
        ("espnet2-conformer", None, "frontend", "s3prl", "frontend: 's3prl' cannot be imported"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_computed_are_named(name, section, key, value, message, copy):
    folder = copy(name)
    path = folder / ("train.yaml" if name.startswith("wenet") else "config.yaml")
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    (values if section is None else values[section])[key] = value
    path.write_text(yaml.safe_dump(values, allow_unicode=True), encoding="utf-8")
    refused("wenet" if name.startswith("wenet") else "espnet", folder, message)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("causal: False", "causal: True", "Transformer.causal: True cannot be imported; only False can"),
        ("nhead: !ref <nhead>", "nhead: !ref <no_such>", "!ref <no_such> refers to nothing"),
        ("d_ffn: !ref <d_ffn>", "d_ffn: !ref <d_ffn> ** 2", "cannot be computed; write its result in its place"),
        ("d_ffn: !ref <d_ffn>", "d_ffn: !ref <d_ffn> * 2", r"ffn.0.weight is \(64, 32\), not \(128, 32\)"),
        ("d_ffn: 64", "d_ffn: !ref <d_ffn>", "'!ref <d_ffn>' refers to itself"),
        ("n_mels: 80", "n_mels: 99999999999999999999", "n_mels: must be a number up to"),
        ("d_ffn: 64", "d_ffn: 99999999999999", "feed_forward must be at most"),
        ("n_fft: !ref <n_fft>", "win_length: .inf", "win_length: must be a finite number, is inf"),
        ("strides: (2, 2)", "strides: (2, two)", "'\\(2, two\\)' is no list of numbers"),
        ("strides: (2, 2)", "strides: ((2, 1), 2)", "cannot be imported; only one int a block can"),
        ("strides: (2, 2)", "strides: (2,)", r"strides: \(2,\) is no list of 2 values"),
        ("strides: (2, 2)", "strides: (2, 1)", r"custom_src_module.layers.0.w.weight is \(32, 320\), not \(32, 640\)"),
        ("strides: (2, 2)", "dilations: (1, 2)", r"dilations: \(1, 2\) cannot be imported; only 1 can"),
        (
            "residuals: (False, False)",
            "residuals: (True, False)",
            "0.convblock_0.reduce_conv.conv.conv.weight is missing",
        ),
        (
            "residuals: (False, False)",
            "residuals: (False, False)\n    padding: causal",
            "padding: 'causal' cannot be imported",
        ),
        (
            "residuals: (False, False)",
            "residuals: (False, False)\n    norm: !name:torch.nn.BatchNorm2d",
            "BatchNorm2d' cannot",
        ),
        (
            "causal: False",
            "causal: False\n    encoder_module: branchformer",
            "encoder_module: 'branchformer' cannot be imported",
        ),
        ("causal: False", "causal: False\n    attention_type: RoPEMHA", "attention_type: 'RoPEMHA' cannot be imported"),
        (
            "causal: False",
            "causal: False\n    positional_encoding: null",
            "positional_encoding: must be 'fixed_abs_sine'",
        ),
        ("norm_type: global", "norm_type: sentence", "norm_type: 'sentence' cannot be imported; only 'global' can"),
        ("vocab: !ref <output_neurons>", "vocab: 70", "holds 68 pieces, the model 70"),
    ],
)
def test_speechbrain_settings_that_cannot_be_computed_are_named(old, new, message, copy):
    folder = copy("speechbrain-transformer")
    path = folder / "hyperparams.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    refused("speechbrain", folder, message)


def test_fireredasrs_statistics_and_tokens(copy):
    folder = copy("fireredasr-aed")
    statistics, tokens = (folder / "cmvn.ark").read_bytes(), (folder / "dict.txt").read_text()
    for damaged, message in (
        (b"", "is no Kaldi matrix of 2 rows and 81 columns"),
        (statistics[:300], "is cut off after 300 bytes"),
        (statistics[:15] + bytes(2 * 81 * 8), "holds no statistics, but a count of 0 frames"),
    ):
        (folder / "cmvn.ark").write_bytes(damaged)
        refused("firered", folder, message)
    (folder / "cmvn.ark").write_bytes(statistics)
    (folder / "dict.txt").write_text(tokens + "另 91\n")
    refused("firered", folder, "dict.txt: holds 92 tokens, the model 91")
    (folder / "dict.txt").write_text(tokens.replace("里 89", "道 89"))
    refused("firered", folder, "'道' stands in it twice")
    change(folder, "model.pth.tar", lambda state: state.update({"decoder.tgt_word_prj.weight": torch.zeros(91, 32)}))
    (folder / "dict.txt").write_text(tokens)
    refused("firered", folder, "decoder.tgt_word_prj.weight is not the embedding, to which it should be tied")


def test_a_namespace_is_read_and_nothing_else_of_its_kind(copy):
    folder = copy("fireredasr-aed")
    data = torch.load(folder / "model.pth.tar", weights_only=False)
    data["args"].n_layers_enc = "three"
    assert isinstance(data["args"], argparse.Namespace)
    torch.save(data, folder / "model.pth.tar")
    refused("firered", folder, "args.n_layers_enc: must be int, is 'three'")


def test_the_command_line(run, tmp_path):
    source = FIXTURES / "wenet-transformer"
    out = tmp_path / "mine"
    status, stdout, err = run(
        "model", "import", "wenet", source, "--out", out, "--source", "a test", "--licence", "CC0"
    )
    assert status == 0 and "0.09 M parameters" in err and stdout == ""
    status, _, err = run("model", "import", "wenet", source, "--out", out)
    assert status == 1 and f"{out}: is there already; choose another name, or --force" in err
    assert run("model", "import", "wenet", source, "--out", out, "--force")[0] == 0
    status, _, err = run("model", "import", "espnet", source, "--out", tmp_path / "other")
    assert status == 1 and not (tmp_path / "other").exists() and "Traceback" not in err
    status, _, err = run("model", "check", out)
    assert status == 1 and "normalised features of speech have mean" in err
    assert run("transcribe", ROOT / "data" / "sample" / "weather.flac", "--model", out)[0] == 0
