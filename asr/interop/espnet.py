"""ESPnet2: a folder with config.yaml, or an unpacked model with meta.yaml; weights, token list and statistics that these name."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch

from asr.errors import CheckpointError
from asr.features.fbank import FeatureConfig, mel_matrix
from asr.foreign_bytes import quoted, reading
from asr.interop.checkpoints import existing, find_file, inside, read_tensors, read_yaml
from asr.interop.foreign import Foreign, Settings, Weights, read_pieces, token_table
from asr.interop.transformer import (
    ACTIVATIONS,
    FACTORS,
    NO_MATTER,
    Biases,
    decoder_config,
    map_ctc,
    map_decoder,
    map_e_branchformer,
    map_encoder,
    map_subsampling,
)
from asr.model.encoder import EncoderConfig
from asr.model.model import ModelConfig
from asr.model.relative import LEGACY_PLACES
from asr.model.subsampling import SubsamplingConfig
from asr.text.tokenizer import BLANK, EOS, SOS, SOS_EOS, UNK, TokenTable

EPS = 1e-12
"""ESPnet's layer norms in encoder and decoder."""
MEL_TOLERANCE = 1e-5
"""Largest difference between the filters of the checkpoint and ours; their peaks are near 0.02."""


def read_espnet(folder: Path) -> Foreign:
    """The model of a folder. Raises CheckpointError with the file, the setting or the tensors that cannot be imported."""
    path, checkpoint = _files(folder)
    values = read_yaml(path)
    if "token_list" not in values or "encoder_conf" not in values:
        raise CheckpointError(f"{path}: has no token_list and encoder_conf; is it from ESPnet2?")
    top = Settings(values, str(path))
    _require_plain(top)
    encoder = _encoder(top)
    decoder_settings = Settings(top.get("decoder_conf", {}), f"{path}: decoder_conf")
    top.require("decoder", "transformer")
    decoder = decoder_config(decoder_settings, EPS, {"relu": "relu"})
    decoder_settings.require("qk_norm", False)
    decoder_settings.finish()
    tensors = read_tensors(checkpoint)
    weights = Weights(tensors)
    factor = Settings(values["encoder_conf"], f"{path}: encoder_conf").choose("input_layer", "conv2d", FACTORS)
    map_subsampling(weights, factor)
    if encoder.kind == "e_branchformer":
        map_e_branchformer(weights, encoder, Biases())
    else:
        map_encoder(weights, encoder, encoder.kind == "conformer", Biases())
    map_decoder(weights, decoder, "decoder", "decoder", biases=Biases(), cross=Biases())
    ctc = map_ctc(weights)
    features = _features(top)
    _map_cmvn(weights, top, folder, features.n_mels)
    check_mel(weights, features)
    tensors.ignore(r"normalize\.(mean|std)", "read from the statistics")
    config = ModelConfig(SubsamplingConfig(factor, encoder.width), ctc=ctc, encoder=encoder, decoder=decoder)
    decode = {"rule": "espnet", "length_power": 0.0, "ctc_weight": 0.43 if ctc else 0.0}
    table = _tokens(top)
    return Foreign.of(weights, features, config, table, pieces=_pieces(folder, top, table), decode=decode)


def _files(folder: Path) -> tuple[Path, Path]:
    """The settings and the weights: by meta.yaml, or by their usual names."""
    if (folder / "meta.yaml").is_file():
        meta = Settings(read_yaml(folder / "meta.yaml"), str(folder / "meta.yaml"))
        named = Settings({**meta.get("yaml_files", {}, dict), **meta.get("files", {}, dict)}, f"{meta.where}: files")
        config, weights = (named.get(name, "", str) for name in ("asr_train_config", "asr_model_file"))
        if not weights:
            raise CheckpointError(f"{named.where}: names no asr_model_file; is it of a model that recognises speech?")
        return existing(inside(folder, config or "config.yaml")), existing(inside(folder, weights))
    return find_file(folder, ["config.yaml"], "settings of an ESPnet model"), find_file(
        folder, ["valid.acc.ave.pth", "valid.acc.ave*.pth", "valid.acc.best.pth", "*.pth"], "weights"
    )


def _require_plain(top: Settings) -> None:
    for name in ("specaug", "preencoder", "postencoder", "preprocessor"):
        top.pass_over(name)
    top.require("preencoder", None)
    top.require("postencoder", None)
    top.require("model", "espnet")
    top.require("frontend", "default")
    model = Settings(top.get("model_conf", {}), f"{top.where}: model_conf")
    model.require("transducer_multi_blank_durations", [], None)
    model.require("aux_ctc_tasks", [], None)


def _encoder(top: Settings) -> EncoderConfig:
    kinds = {kind: kind for kind in ("transformer", "conformer", "e_branchformer")}
    kind = top.choose("encoder", "rnn", kinds)
    settings = Settings(top.get("encoder_conf", {}), f"{top.where}: encoder_conf")
    settings.require("positionwise_layer_type", "linear")
    settings.require("interctc_use_conditioning", False)
    settings.pass_over("interctc_layer_idx")  # heads on layers in between, of which training alone makes use
    settings.require("zero_triu", False)
    settings.require("qk_norm", False)
    settings.choose("input_layer", "conv2d", FACTORS)
    own = _of_e_branchformer(settings) if kind == "e_branchformer" else _of_others(settings, kind == "conformer")
    config = EncoderConfig(
        kind=kind,
        layers=settings.get("num_blocks", 12 if kind == "e_branchformer" else 6, int),
        width=settings.get("output_size", 256, int),
        heads=settings.get("attention_heads", 4, int),
        feed_forward=settings.get("linear_units", 2048, int),
        norm_eps=EPS,
        **own,
    )
    settings.pass_over(*NO_MATTER)
    settings.finish()
    return config


def _of_others(settings: Settings, conformer: bool) -> dict[str, Any]:
    """What the settings of a Transformer or a Conformer say beside the sizes."""
    settings.require("concat_after", False)
    settings.require("ctc_trim", False)
    settings.pass_over("positionwise_conv_kernel_size")
    norm_first = settings.get("normalize_before", True, bool)
    if not conformer:
        settings.require("pos_enc_layer_type", "abs_pos")
    return {
        "kernel": settings.get("cnn_module_kernel", 31, int) if conformer else 15,
        "positions": _positions(settings, "selfattention_layer_type", "legacy") if conformer else "absolute",
        "activation": settings.choose("activation_type", "swish" if conformer else "relu", ACTIVATIONS),
        "norm_first": norm_first,
        "last_norm": norm_first,
        "macaron": settings.get("macaron_style", False, bool),
        "convolution": settings.get("use_cnn_module", True, bool),
        "conv_norm": "batch",
    }


def _of_e_branchformer(settings: Settings) -> dict[str, Any]:
    """What the settings of an E-Branchformer say beside the sizes."""
    if not settings.get("use_ffn", False, bool):
        raise CheckpointError(f"{settings.where}.use_ffn: False cannot be imported; only True can")
    settings.require("use_linear_after_conv", False)
    settings.require("gate_activation", "identity")
    return {
        "kernel": settings.get("cgmlp_conv_kernel", 31, int),
        "gate_units": settings.get("cgmlp_linear_units", 2048, int),
        "merge_kernel": settings.get("merge_conv_kernel", 3, int),
        "positions": _positions(settings, "attention_layer_type", "latest"),
        "activation": settings.choose("ffn_activation_type", "swish", ACTIVATIONS),
        "macaron": settings.get("macaron_ffn", False, bool),
    }


def _positions(settings: Settings, attention_setting: str, usual: str) -> str:
    """Two things are called rel_pos; which of them, rel_pos_type says."""
    kind = settings.get("pos_enc_layer_type", "rel_pos", str)
    attention = settings.get(attention_setting, "rel_selfattn", str)
    legacy = settings.choose("rel_pos_type", usual, {"legacy": True, "latest": False})
    if kind == "abs_pos" and attention == "selfattn":
        return "absolute"
    if (kind, attention) == ("legacy_rel_pos", "legacy_rel_selfattn"):
        legacy = True
    elif (kind, attention) != ("rel_pos", "rel_selfattn"):
        raise CheckpointError(
            f"{settings.where}: pos_enc_layer_type {quoted(kind)} with {attention_setting} {quoted(attention)}"
            " cannot be imported"
        )
    if legacy:
        settings.require("max_pos_emb_len", LEGACY_PLACES)  # its sinusoids are counted from the end of that table
    return "relative_legacy" if legacy else "relative"


def _features(top: Settings) -> FeatureConfig:
    top.require("input_size", None)
    top.require("feats_type", None, "raw")
    return stft_features(Settings(top.get("frontend_conf", {}), f"{top.where}: frontend_conf"))


def stft_features(settings: Settings) -> FeatureConfig:
    """Those of a section with the arguments of the default front end."""
    rate = settings.get("fs", 16000)
    if str(rate).lower().replace("k", "000") != "16000":
        raise CheckpointError(f"{settings.where}.fs: {quoted(rate)} cannot be imported; only 16000 can")
    fft = settings.get("n_fft", 512, int)
    window = settings.choose("window", "hann", {"hann": "hann", "hamming": "hamming"})
    settings.require("center", True)
    settings.require("normalized", False)
    settings.require("onesided", True)
    settings.require("apply_stft", True)
    htk = settings.get("htk", False, bool)
    settings.require("log_base", None)
    settings.pass_over("frontend_conf")  # of a beam former, which one channel does not use
    config = FeatureConfig(
        kind="stft",
        n_mels=settings.get("n_mels", 80, int),
        frame_ms=settings.get("win_length", fft, int) / 16,
        shift_ms=settings.get("hop_length", 128, int) / 16,
        low_hz=settings.get("fmin", 0, float),
        high_hz=settings.get("fmax", 8000, float),
        sample_scale=1.0,
        window=window,
        fft_size=fft,
        filters="htk" if htk else "slaney",
        floor=1e-10,
    )
    settings.finish()
    return config


def check_mel(weights: Weights, features: FeatureConfig) -> None:
    """The filters that the checkpoint carries are computed from the settings here, and must come out the same."""
    name = "frontend.logmel.melmat"
    if name not in weights.tensors:
        return
    theirs, ours = weights.tensors.take(name), mel_matrix(features)
    ours = ours.to(weights.tensors.held[name].dtype).float()  # a file in half precision has rounded them
    if theirs.shape != ours.shape or float((theirs - ours).abs().max()) > MEL_TOLERANCE:
        raise CheckpointError(
            f"{weights.tensors.path}: {name} {tuple(theirs.shape)} are not the filters of frontend_conf"
            f" {tuple(ours.shape)}: other edges or another scale than the settings say"
        )


def _tokens(top: Settings) -> TokenTable:
    tokens = top.get("token_list", [], list)
    if not tokens or not all(isinstance(token, str) for token in tokens):
        raise CheckpointError(f"{top.where}: token_list is no list of tokens inside the file")
    model = Settings(top.get("model_conf", {}), f"{top.where}: model_conf")
    tokens = list(tokens)
    for name, ours in (("sym_blank", BLANK), ("sym_space", "<space>")):
        symbol = model.get(name, ours, str)
        tokens = [ours if token == symbol else token for token in tokens]
    if BLANK not in tokens:
        tokens[0] = BLANK
    named = {token: i for i, token in enumerate(tokens)}
    sos, eos = (named.get(model.get(name, SOS_EOS, str), len(tokens) - 1) for name in ("sym_sos", "sym_eos"))
    tokens[sos], tokens[eos] = (SOS, EOS) if sos != eos else (SOS_EOS, SOS_EOS)
    if UNK not in tokens:
        raise CheckpointError(f"{top.where}: token_list has no {UNK}")
    return token_table(tokens, Path(top.where))


def _map_cmvn(weights: Weights, top: Settings, folder: Path, n_mels: int) -> None:
    """Mean and inverse deviation: the buffers of the checkpoint, else the sums of the statistics file, else none."""
    kind = top.choose("normalize", "none", {"global_mvn": "global", "none": "none"})
    settings = Settings(top.get("normalize_conf", {}), f"{top.where}: normalize_conf")
    means, variances = settings.get("norm_means", True, bool), settings.get("norm_vars", True, bool)
    if kind == "none":
        weights.put("cmvn.mean", torch.zeros(n_mels), "no CMVN")
        weights.put("cmvn.inverse_std", torch.ones(n_mels), "no CMVN")
    elif "normalize.mean" in weights.tensors:
        weights.move("cmvn.mean", "normalize.mean")
        weights.put("cmvn.inverse_std", 1 / weights.tensors.take("normalize.std"), "normalize.std")
    else:
        path = existing(inside(folder, settings.get("stats_file", "feats_stats.npz", str)))
        mean, deviation = mean_and_deviation(path, settings.get("eps", 1e-20, float))
        weights.put("cmvn.mean", mean, str(path))
        weights.put("cmvn.inverse_std", 1 / deviation, str(path))
    for name, used, neutral in (("mean", means, torch.zeros), ("inverse_std", variances, torch.ones)):
        if not used:
            weights.put(f"cmvn.{name}", neutral(n_mels), "normalize_conf has it switched off")


def mean_and_deviation(path: Path, eps: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and deviation from sums: named arrays, or one of two rows with the count at the end of the first."""
    with reading(path, CheckpointError, "holds no count, sum and sum_square"):
        stats = np.load(io.BytesIO(path.read_bytes()), allow_pickle=False)
        if isinstance(stats, np.ndarray):
            count, total, squares = stats[0, -1], stats[0, :-1], stats[1, :-1]
        else:
            count, total, squares = (stats[name] for name in ("count", "sum", "sum_square"))
        mean = np.asarray(total, np.float64) / count
        variance = np.asarray(squares, np.float64) / count - mean**2
        deviation = np.sqrt(np.maximum(variance, eps))
    if mean.ndim != 1 or not np.isfinite(mean).all() or not (np.isfinite(deviation) & (deviation > 0)).all():
        raise CheckpointError(
            f"{path}: holds no statistics: their means and deviations are not numbers for each mel bin"
        )
    return torch.from_numpy(mean).float(), torch.from_numpy(deviation).float()


def _pieces(folder: Path, top: Settings, table: TokenTable) -> bytes | None:
    if top.choose("token_type", "char", {"char": "char", "bpe": "bpe"}) == "char":
        return None
    return read_pieces(inside(folder, top.get("bpemodel", "bpe.model", str)), table)
