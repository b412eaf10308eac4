"""Settings as recipes of other toolkits have published them, from 2020 to 2025: read where they change nothing, else refused."""

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from asr.features.utterance import length_mask
from asr.interop.importing import IMPORTERS, build
from asr.model.encoder import View
from tests.test_interop import FOLDERS, TOOLKITS, distance
from tests.test_interop_refusals import refused

TRAINING = {
    "accum_grad": 4,
    "grad_clip": 5,
    "max_epoch": 240,
    "log_interval": 100,
    "optim": "adam",
    "optim_conf": {"lr": 0.002},
    "scheduler": "warmuplr",
    "scheduler_conf": {"warmup_steps": 25000},
}
COLLATED = {
    "feature_dither": 0.0,
    "spec_aug": True,
    "spec_aug_conf": {"warp_for_time": False, "num_t_mask": 2, "num_f_mask": 2, "max_t": 50, "max_f": 10, "max_w": 80},
    "spec_sub": True,
    "spec_sub_conf": {"num_t_sub": 3, "max_t": 20},
}
OLD_DATA = {"max_length": 40960, "min_length": 0, "batch_type": "static", "batch_size": 20, "sort": True}
BY_TORCHAUDIO = {
    "feature_extraction_conf": {
        "feature_type": "fbank",
        "mel_bins": 80,
        "frame_shift": 10,
        "frame_length": 25,
        "using_pitch": False,
    },
    "wav_distortion_conf": {"wav_dither": 0.0, "wav_distortion_rate": 0.0, "distortion_methods": []},
    "speed_perturb": True,
}
DATA = {
    "filter_conf": {"max_length": 40960, "min_length": 0, "token_max_length": 200, "max_output_input_ratio": 0.25},
    "resample_conf": {"resample_rate": 16000},
    "fbank_conf": {"num_mel_bins": 80, "frame_shift": 10, "frame_length": 25, "dither": 1.0, "window_type": "povey"},
    "spec_trim": False,
    "spec_trim_conf": {"max_t": 50},
    "batch_conf": {"batch_type": "dynamic", "max_frames_in_batch": 36000},
    "language_conf": {"limited_langs": ["zh"]},
    "feats_type": "fbank",
    "cycle": 1,
}
WENET = {
    "of 2020, features by Kaldi": (
        "wenet-transformer-old",
        {"raw_wav": False, "collate_conf": COLLATED, "dataset_conf": OLD_DATA, "is_json_cmvn": False, **TRAINING},
    ),
    "of 2021, features by torchaudio": (
        "wenet-transformer-old",
        {
            "raw_wav": True,
            "collate_conf": COLLATED | BY_TORCHAUDIO,
            "dataset_conf": OLD_DATA,
            "encoder_conf": {"use_dynamic_chunk": True, "use_dynamic_left_chunk": False, "static_chunk_size": 0},
            "init_infos": {},
        },
    ),
    "of 2022": (
        "wenet-transformer-old",
        {"dataset_conf": DATA, "lfmmi_dir": "", "use_amp": False, "encoder_conf": {"concat_after": False}, **TRAINING},
    ),
    "of 2023, contrastive": (
        "wenet-conformer",
        {
            "encoder": "dual_conformer",
            "model": "ctl_model",
            "model_conf": {"ctl_weight": 1, "logit_temp": 0.4, "n_negatives": 100},
            "encoder_conf": {"macaron_style": True, "positionwise_conv_kernel_size": 1},
        },
    ),
    "of 2025": (
        "wenet-u2pp-conformer",
        {
            "model": "asr_model",
            "model_conf": {"apply_non_blank_embedding": False},
            "encoder_conf": {
                "gradient_checkpointing": True,
                "use_sdpa": True,
                "layer_norm_type": "layer_norm",
                "norm_eps": 1e-5,
                "query_bias": True,
                "key_bias": True,
                "value_bias": True,
                "mlp_type": "position_wise_feed_forward",
                "mlp_bias": True,
                "n_expert": 8,
                "n_expert_activated": 2,
                "n_kv_head": None,
                "head_dim": None,
                "conv_bias": True,
                "conv_norm_eps": 1e-5,
                "conv_inner_factor": 2,
                "final_norm": True,
            },
            "decoder_conf": {
                "input_layer": "embed",
                "use_output_layer": True,
                "normalize_before": True,
                "src_attention": True,
                "gradient_checkpointing": True,
                "tie_word_embedding": False,
                "use_sdpa": True,
                "activation_type": "relu",
                "src_query_bias": True,
                "src_key_bias": True,
                "src_value_bias": True,
            },
            "dataset_conf": DATA,
            "save_interval": 1000,
            "dtype": "fp32",
            "train_engine": "torch_ddp",
        },
    ),
}


@pytest.fixture
def changed(tmp_path):
    """A copy of a fixture with other settings: sections are added to, all else is replaced."""

    def make(name: str, changes: dict, file: str = "train.yaml") -> Path:
        folder = Path(shutil.copytree(FOLDERS[name], tmp_path / "foreign", dirs_exist_ok=True))
        path = next(folder.rglob(file))
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        for key, value in changes.items():
            added = isinstance(value, dict) and key.endswith("_conf") and key not in ("dataset_conf", "collate_conf")
            values[key] = values.get(key, {}) | value if added else value
        path.write_text(yaml.safe_dump(values, allow_unicode=True), encoding="utf-8")
        return folder

    return make


def same(folder: Path, name: str) -> None:
    """The folder is read as the fixture is."""
    toolkit = TOOLKITS[name.partition("-")[0]]
    found, expected = (IMPORTERS[toolkit](f) for f in (folder, FOLDERS[name]))
    found.tensors.finish()
    assert found.config == expected.config and found.features == expected.features
    assert found.table.tokens == expected.table.tokens
    assert found.weights.keys() == expected.weights.keys()
    assert all(torch.equal(tensor, expected.weights[n]) for n, tensor in found.weights.items())


@pytest.mark.parametrize("era", WENET)
def test_settings_of_wenets_recipes(era, changed):
    name, changes = WENET[era]
    same(changed(name, changes), name)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_conf": {"apply_non_blank_embedding": True}}, "apply_non_blank_embedding: True cannot be imported"),
        ({"dataset_conf": {"fbank_conf": {"window_type": "hamming"}}}, "window_type: 'hamming' cannot be imported"),
        ({"dataset_conf": OLD_DATA, "input_dim": 83}, "input_dim: 83 are mel bins and pitch, which cannot be imported"),
        (
            {"dataset_conf": {"feats_type": "log_mel_spectrogram"}},
            "feats_type: 'log_mel_spectrogram' cannot be imported",
        ),
        (
            {"encoder_conf": {"pos_enc_layer_type": "rope_pos"}},
            "pos_enc_layer_type 'rope_pos' with .* cannot be imported",
        ),
    ],
)
def test_what_changes_a_wenet_model_is_refused(changes, message, changed):
    refused("wenet", changed("wenet-conformer", changes), message)


@torch.inference_mode()
def test_a_conformer_without_positions_of_wenet_keeps_the_bias_of_its_content(changed):
    """Its positions are zero and its input is as it is: like positions whose weights are zero and an input that is scaled."""
    folder = changed("wenet-conformer", {"encoder_conf": {"pos_enc_layer_type": "no_pos"}})
    foreign = IMPORTERS["wenet"](folder)
    foreign.tensors.finish()
    without = build(foreign)
    assert foreign.config.encoder.positions == "none"
    state = torch.load(folder / "final.pt", weights_only=True)
    for key in state:
        if "linear_pos" in key:
            state[key] = torch.zeros_like(state[key])
        if key.startswith("encoder.embed.out"):
            state[key] = state[key] * 32**-0.5
    torch.save(state, folder / "final.pt")
    changed_back = changed("wenet-conformer", {})
    torch.save(state, changed_back / "final.pt")
    with_zeros = build(IMPORTERS["wenet"](changed_back))
    features = torch.from_numpy(np.load(folder / "golden.npz")["feats_cmvn"])[None]
    encoded = [
        model.encode_features(features, torch.tensor([features.shape[1]])).encoded for model in (without, with_zeros)
    ]
    assert distance(encoded[0], encoded[1].numpy()) < 1e-5


@torch.inference_mode()
def test_a_transformer_without_positions_of_wenet_does_not_scale_its_input(changed):
    golden = np.load(FOLDERS["wenet-transformer"] / "golden.npz")
    plain = build(IMPORTERS["wenet"](FOLDERS["wenet-transformer"]))
    without = build(
        IMPORTERS["wenet"](changed("wenet-transformer", {"encoder_conf": {"pos_enc_layer_type": "no_pos"}}))
    )
    features = torch.from_numpy(golden["feats_cmvn"])[None]
    x, lengths = plain.subsampling(features, torch.tensor([features.shape[1]]))
    for block in plain.encoder.blocks:
        x = block(x, View(length_mask(lengths, x.shape[1]), None, lengths, None))
    found = without.encode_features(features, torch.tensor([features.shape[1]])).encoded
    assert distance(found, plain.encoder.norm(x).numpy()) < 1e-5


def without_statistics(folder: Path) -> None:
    """Leaves the statistics to the file beside the checkpoint."""
    state = torch.load(folder / "final.pt", weights_only=True)
    kept = {key: tensor for key, tensor in state.items() if "global_cmvn" not in key}
    torch.save(kept, folder / "final.pt")


def kaldi_text(stats: dict) -> str:
    rows = [[*stats["mean_stat"], stats["frame_num"]], [*stats["var_stat"], 0]]
    return " [\n" + "\n".join("  " + " ".join(repr(float(x)) for x in row) for row in rows) + " ]\n"


def test_statistics_of_wenet_in_kaldis_text(changed):
    folder = changed("wenet-transformer-old", {"is_json_cmvn": False, "cmvn_file": "exp/sp/my_cmvn"})
    without_statistics(folder)
    by_json = IMPORTERS["wenet"](folder).weights
    stats = json.loads((folder / "global_cmvn").read_text())
    (folder / "global_cmvn").unlink()
    (folder / "my_cmvn").write_text(kaldi_text(stats))
    by_text = IMPORTERS["wenet"](folder).weights
    for name in ("cmvn.mean", "cmvn.inverse_std"):
        assert torch.equal(by_text[name], by_json[name])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "global_cmvn: is no Kaldi matrix of 2 rows and 81 columns"),
        (" [ 1 2 3 ]", "is no Kaldi matrix of 2 rows and 81 columns"),
        (" [ " + "1 " * 161 + "one ]", "is no Kaldi matrix of 2 rows and 81 columns"),
        (" [ " + "1 " * 162, "is no Kaldi matrix of 2 rows and 81 columns"),
        (" [ " + "0 " * 162 + "]", "holds no statistics, but a count of 0 frames"),
        (" [ " + "nan " * 80 + "5 " * 82 + "]", "holds no statistics, but a count of 5 frames"),
        ('{"mean_stat": [1], "var_stat": [1, 2], "frame_num": 5}', r"holds sums \(1,\) and squares \(2,\), not one of each"),
        ('{"mean_stat": ["a"], "var_stat": [1], "frame_num": 5}', "holds no numbers as mean_stat, var_stat and frame_num"),
        ('{"mean_stat": [1]}', "holds no numbers as mean_stat, var_stat and frame_num"),
        ('{"mean_stat": [1], "var_stat": [1], "frame_num": 0}', "holds no statistics, but a count of 0 frames"),
        ("{" * 5, "global_cmvn: not JSON"),
    ],
)  # fmt: skip
def test_damaged_statistics_of_wenet(text, message, changed):
    folder = changed("wenet-transformer-old", {})
    without_statistics(folder)
    (folder / "global_cmvn").write_text(text)
    refused("wenet", folder, message)


ESPNET = {
    "aishell conformer": {
        "dry_run": False,
        "iterator_type": "sequence",
        "num_att_plot": 3,
        "patience": None,
        "val_scheduler_criterion": ["valid", "loss"],
        "best_model_criterion": [["valid", "acc", "max"]],
        "grad_clip": 5,
        "accum_grad": 4,
        "use_amp": False,
        "batch_type": "numel",
        "train_data_path_and_name_and_type": [["dump/raw/train/wav.scp", "speech", "sound"]],
        "optim": "adam",
        "scheduler_conf": {"warmup_steps": 25000},
        "normalize_conf": {"norm_means": True, "norm_vars": True, "eps": 1e-20},
        "model_conf": {
            "ignore_id": -1,
            "report_cer": True,
            "sym_space": "<space>",
            "extract_feats_in_collect_stats": False,
        },
        "frontend_conf": {"n_mels": 80, "fmin": None, "fmax": None, "win_length": None, "frontend_conf": None},
        "encoder_conf": {
            "positionwise_layer_type": "linear",
            "positionwise_conv_kernel_size": 3,
            "zero_triu": False,
            "padding_idx": -1,
            "interctc_layer_idx": [],
            "interctc_use_conditioning": False,
            "stochastic_depth_rate": 0.0,
            "layer_drop_rate": 0.0,
            "max_pos_emb_len": 5000,
            "gradient_checkpoint_layers": [],
            "use_flash_attn": False,
            "qk_norm": False,
            "ctc_trim": False,
        },
        "decoder_conf": {
            "use_output_layer": True,
            "normalize_before": True,
            "concat_after": False,
            "layer_drop_rate": 0.0,
            "gradient_checkpoint_layers": [],
            "use_flash_attn": False,
            "qk_norm": False,
        },
    }
}


def test_settings_of_espnets_recipes(changed):
    folder = changed("espnet2-conformer", ESPNET["aishell conformer"], "config.yaml")
    same(folder, "espnet2-conformer")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder_conf": {"qk_norm": True}}, "encoder_conf.qk_norm: True cannot be imported"),
        ({"decoder_conf": {"qk_norm": True}}, "decoder_conf.qk_norm: True cannot be imported"),
        ({"encoder": "contextual_block_conformer"}, "encoder: 'contextual_block_conformer' cannot be imported"),
        ({"encoder_conf": {"interctc_use_conditioning": True}}, "interctc_use_conditioning: True cannot be imported"),
    ],
)
def test_what_changes_an_espnet_model_is_refused(changes, message, changed):
    refused("espnet", changed("espnet2-conformer", changes, "config.yaml"), message)


def test_arguments_of_fireredasrs_training_are_read_over(tmp_path):
    """The toolkit builds its network from ten of them, whatever else stands beside them."""
    folder = Path(shutil.copytree(FOLDERS["fireredasr2-aed"], tmp_path / "foreign"))
    data = torch.load(folder / "model.pth.tar", weights_only=False)
    data["args"] = argparse.Namespace(**vars(data["args"]), label_smoothing=0.1, ctc_weight=0.3, lr=1e-3)
    torch.save(data, folder / "model.pth.tar")
    same(folder, "fireredasr2-aed")
