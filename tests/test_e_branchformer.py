"""The parts of an E-Branchformer by their formulas; models of ESPnet and Dolphin that have one, and what of them is refused."""

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml

from asr.interop.importing import IMPORTERS, import_model
from asr.model.convolution import GatingModule, Merge
from asr.model.encoder import EBranchformerBlock, EncoderConfig, View
from asr.model.folder import load_model
from tests.test_interop import FOLDERS, distance
from tests.test_interop_refusals import Runs, change, refused

ESPNET = "espnet2-e-branchformer"


def randomised(module: torch.nn.Module) -> torch.nn.Module:
    random = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=random) * 0.5)
    return module.eval()


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(4))


@pytest.mark.parametrize(("kernel", "causal"), [(3, False), (5, False), (4, True)])
@torch.inference_mode()
def test_a_gate_is_a_convolution_of_the_other_half(kernel, causal):
    """GELU of the wider frame; half of it times the normalised other half, summed over its neighbours with their weights."""
    module, x = randomised(GatingModule(6, 8, kernel, eps=1e-5, causal=causal, dropout=0.1)), noise(1, 7, 6)
    wide = F.gelu(x[0] @ module.spread.weight.T + module.spread.bias)
    none = F.layer_norm(torch.zeros(1, 4), (4,), module.norm.weight, module.norm.bias) if causal else torch.zeros(1, 4)
    seen = F.layer_norm(wide[:, 4:], (4,), module.norm.weight, module.norm.bias)
    ahead = kernel - 1 if causal else kernel // 2
    seen = torch.cat([none.expand(ahead, 4), seen, torch.zeros(0 if causal else ahead, 4)])
    gate = torch.stack([(seen[t : t + kernel] * module.depthwise.weight[:, 0].T).sum(0) for t in range(7)])
    expected = (wide[:, :4] * (gate + module.depthwise.bias)) @ module.out.weight.T + module.out.bias
    assert torch.allclose(module(x, torch.ones(1, 7, dtype=torch.bool))[0], expected, atol=1e-5)


@torch.inference_mode()
def test_a_merge_adds_a_convolution_to_both_branches():
    merge, one, other = randomised(Merge(4, 3, causal=False)), noise(1, 5, 4), noise(1, 5, 4) + 1
    both = torch.cat([one, other], dim=2)[0]
    seen = torch.cat([torch.zeros(1, 8), both, torch.zeros(1, 8)])
    near = torch.stack([(seen[t : t + 3] * merge.depthwise.weight[:, 0].T).sum(0) for t in range(5)])
    expected = (both + near + merge.depthwise.bias) @ merge.out.weight.T + merge.out.bias
    assert torch.allclose(merge(one, other, torch.ones(1, 5, dtype=torch.bool))[0], expected, atol=1e-5)


def test_a_new_gate_lets_everything_pass():
    module = GatingModule(6, 8, 3, eps=1e-5, causal=False, dropout=0.0)
    x = noise(2, 5, 6)
    expected = module.out(module.activation(module.spread(x))[..., :4])
    assert torch.allclose(module(x, torch.ones(2, 5, dtype=torch.bool)), expected, atol=1e-3)


@pytest.mark.parametrize("causal", [False, True])
@torch.inference_mode()
def test_convolutions_see_what_they_may(causal):
    """Without attention the future changes nothing where they are causal; padding never does, whatever lies in it."""
    config = EncoderConfig(
        kind="e_branchformer", width=8, heads=2, feed_forward=8, gate_units=8, kernel=3, merge_kernel=3, causal=causal
    )
    block = randomised(EBranchformerBlock(config))
    for part in (block.attention.out, block.attention.value):
        part.weight.zero_()
    x, real = noise(1, 9, 8), torch.ones(1, 9, dtype=torch.bool)
    later = x.clone()
    later[:, 5:] = noise(1, 4, 8)
    whole, other = (block(y, View(real, real[:, None, None, :], torch.tensor([9]), None)) for y in (x, later))
    assert torch.equal(whole[:, :5], other[:, :5]) == causal
    real[:, 5:] = False
    ends, padded = (block(y, View(real, real[:, None, None, :], torch.tensor([5]), None))[:, :5] for y in (x, later))
    alone = block(x[:, :5], View(real[:, :5], None, torch.tensor([5]), None))
    assert torch.allclose(ends, alone, atol=1e-6) and torch.allclose(padded, alone, atol=1e-6)


@pytest.fixture
def changed(tmp_path):
    """A copy of a fixture with other settings: a section and a key in it, or None and a key of the top."""

    def make(name: str, section: str | None = None, key: str = "", value=None) -> Path:
        folder = Path(shutil.copytree(FOLDERS[name], tmp_path / "foreign", dirs_exist_ok=True))
        path = next(folder.glob("*.yaml"))
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        if key:
            (values if section is None else values[section])[key] = value
            path.write_text(yaml.safe_dump(values, allow_unicode=True), encoding="utf-8")
        return folder

    return make


@pytest.mark.parametrize(
    ("name", "section", "key", "value", "message"),
    [
        (ESPNET, "encoder_conf", "use_ffn", False, "use_ffn: False cannot be imported; only True can"),
        (ESPNET, "encoder_conf", "use_linear_after_conv", True, "use_linear_after_conv: True cannot be imported"),
        (ESPNET, "encoder_conf", "gate_activation", "gelu", "gate_activation: 'gelu' cannot be imported"),
        (ESPNET, "encoder_conf", "attention_layer_type", "fast_selfattn", "attention_layer_type 'fast_selfattn' cannot"),
        (ESPNET, "encoder_conf", "cgmlp_linear_units", 33, "encoder.gate_units must be even, is 33"),
        (ESPNET, "encoder_conf", "cgmlp_linear_units", 64, r"proj1.0.weight is \(48, 16\), not \(64, 16\)"),
        (ESPNET, "encoder_conf", "merge_conv_kernel", 4, "encoder.merge_kernel must be odd, is 4"),
        (ESPNET, "encoder_conf", "macaron_ffn", False, "place for: encoder.encoders.0.feed_forward_macaron"),
        (ESPNET, "encoder_conf", "cnn_module_kernel", 15, "cnn_module_kernel: this importer does not"),
        (ESPNET, None, "encoder", "branchformer", "known are transformer, conformer, e_branchformer"),
        ("dolphin", "encoder_conf", "pos_enc_layer_type", "rel_pos", "'rel_pos' with use_sdpa False cannot be imported"),
        ("dolphin", "encoder_conf", "macaron_style", False, "macaron_style: False cannot be imported; only True can"),
        ("dolphin", "encoder_conf", "key_bias", False, "encoder_conf.key_bias: False cannot be imported; only True can"),
        ("dolphin", "encoder_conf", "novelty", 1, "encoder_conf.novelty: this importer does not know the setting"),
        ("dolphin", "encoder_conf", "static_chunk_size", 16, "static_chunk_size: 16 cannot be imported; only 0 can"),
        ("dolphin", "decoder_conf", "src_key_bias", False, "decoder_conf.src_key_bias: False cannot be imported"),
        ("dolphin", "decoder_conf", "layer_norm_type", "rms_norm", "layer_norm_type: 'rms_norm' cannot be imported"),
        ("dolphin", None, "cmvn", "utterance", "cmvn: 'utterance' cannot be imported; known are global_mvn, global_cmvn"),
        ("dolphin", None, "encoder", "conformer", "encoder: 'conformer' cannot be imported; only 'e_branchformer'"),
        ("dolphin", None, "layer_norm_eps", "tiny", "layer_norm_eps 'tiny' is no number"),
        ("dolphin", None, "input_dim", 80, "frontend_conf.n_mels: 24 is not input_dim 80"),
        ("dolphin", None, "output_dim", 60, "units.txt: holds 64 tokens, train.yaml says output_dim 60"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_computed_are_named(name, section, key, value, message, changed):
    refused("dolphin" if name == "dolphin" else "espnet", changed(name, section, key, value), message)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("<CN>", "<TW>", "has no <CN>, with which a Dolphin model is told to write Mandarin"),
        ("<notimestamp>", "<always>", "has no <notimestamp>, with which a Dolphin model is told"),
        ("一 8", "一 9", "the ids are not 0 to 63"),
    ],
)
def test_tokens_of_a_dolphin_folder(old, new, message, changed):
    folder = changed("dolphin")
    text = (folder / "units.txt").read_text(encoding="utf-8")
    assert old in text
    (folder / "units.txt").write_text(text.replace(old, new), encoding="utf-8")
    refused("dolphin", folder, message)


def test_sos_and_eos_of_a_dolphin_model_are_two(changed):
    folder = changed("dolphin", "tokenizer_conf", "special_tokens", {"<sos>": 63, "<eos>": 63})
    refused("dolphin", folder, r"units.txt: sos and eos are one token; is it from Dolphin\?")


def test_damaged_and_hostile_dolphin_folders(changed):
    folder = changed("dolphin")
    weights, evidence = folder / "small.pt", folder.parent / "evidence"
    whole = weights.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], b"not a checkpoint"):
        weights.write_bytes(damaged)
        refused("dolphin", folder, "small.pt: (damaged or no PyTorch checkpoint|is refused)")
    for trap in (pickle.dumps({"a": Runs(evidence)}), b""):
        weights.write_bytes(trap)
        if not trap:
            torch.save({"a": torch.zeros(1), "b": Runs(evidence)}, weights)
        refused("dolphin", folder, "is refused, .* which could run code; nothing of it was run")
    assert not evidence.exists()
    weights.unlink()
    refused("dolphin", folder, "holds no weights")
    (folder / "train.yaml").write_text("encoder_conf: {}\n")
    refused("dolphin", folder, r"has no encoder_conf, input_dim and cmvn; is it from Dolphin\?")


def test_missing_unknown_and_misshapen_tensors_are_named(changed):
    folder, bias = changed("dolphin"), "encoder.encoders.1.cgmlp.csgu.conv.bias"
    kept = {}
    change(folder, "small.pt", lambda state: kept.update({bias: state.pop(bias)}))
    refused("dolphin", folder, f"{bias} is missing; the nearest are ")
    change(folder, "small.pt", lambda state: state.update({bias: torch.zeros(7)}))
    refused("dolphin", folder, rf"{bias} is \(7,\), not \(16,\) as the settings have it")
    change(folder, "small.pt", lambda state: state.update(kept | {"adapter.weight": torch.zeros(3, 2)}))
    refused("dolphin", folder, r"tensors that this importer knows no place for: adapter.weight \(3, 2\)")


@pytest.mark.parametrize("name", ["dolphin", "dolphin-cn-streaming"])
def test_statistics_are_read_where_the_checkpoint_has_none(name, changed):
    folder = changed(name)
    given = IMPORTERS["dolphin"](folder).weights
    change(
        folder, "small.pt", lambda state: [state.pop(n) for n in list(state) if "global_cmvn" in n or "normalize" in n]
    )
    read = IMPORTERS["dolphin"](folder).weights
    for tensor in ("cmvn.mean", "cmvn.inverse_std"):
        assert torch.allclose(given[tensor], read[tensor], rtol=1e-4)
    statistics = next(path for path in folder.iterdir() if path.name in ("feats_stats.npz", "global_cmvn"))
    statistics.write_bytes(b"{}")
    refused("dolphin", folder, f"{statistics.name}: holds no")
    statistics.unlink()
    refused("dolphin", folder, f"{statistics.name}: is missing")


def test_the_network_for_hot_words_and_names_of_newer_files_change_nothing(changed):
    """Positions as buffers, and the toolkit's own network for hot words, which the search here does without."""
    folder = changed("dolphin")
    pe = {"encoder.embed.pos_enc.pe": torch.zeros(1, 9, 16), "decoder.embed.1.pe": torch.zeros(1, 9, 16)}
    change(folder, "small.pt", lambda state: state.update(pe | {"context_module.extractor.bias": torch.zeros(3)}))
    imported = import_model("dolphin", folder, folder.parent / "model")
    assert any("hot words" in reason for reason in imported.ignored.values())
    loaded, golden = load_model(imported.folder), np.load(folder / "golden.npz")
    with torch.inference_mode():
        memory = loaded.model.encode(
            torch.from_numpy(golden["waveform"])[None], torch.tensor([len(golden["waveform"])])
        )
    assert distance(memory.encoded[0], golden["encoder_out"]) < 1e-3
    assert "is told to write Mandarin of China" in (imported.folder / "README.md").read_text(encoding="utf-8")


def test_a_dolphin_model_transcribes_from_the_command_line(run, tmp_path, wav):
    out = tmp_path / "mine"
    assert run("model", "import", "dolphin", FOLDERS["dolphin-cn-streaming"], "--out", out)[0] == 0
    status, stdout, err = run("transcribe", "--model", out, wav("a.wav"))
    assert status == 0 and "<" not in stdout and "Traceback" not in err
