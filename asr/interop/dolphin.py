"""Dolphin and Dolphin-CN-Dialect (DataoceanAI, Apache-2.0): train.yaml, small.pt or the like, units.txt, statistics, bpe.model.

Its files are WeNet's, its networks and the names in them ESPnet's. The decoder is told by tokens before each text what to do.
"""

from pathlib import Path

from asr.errors import CheckpointError
from asr.features.fbank import FeatureConfig
from asr.foreign_bytes import quoted, reading
from asr.interop.checkpoints import existing, find_file, read_tensors, read_yaml
from asr.interop.espnet import check_mel, mean_and_deviation, stft_features
from asr.interop.foreign import Foreign, Settings, Weights, token_table
from asr.interop.statistics import put_json_cmvn
from asr.interop.transformer import (
    NO_MATTER,
    Biases,
    decoder_config,
    map_ctc,
    map_decoder,
    map_e_branchformer,
    map_subsampling,
)
from asr.interop.wenet import kaldi_features, named_units, pieces_beside
from asr.model.decoder import DecoderConfig
from asr.model.encoder import EncoderConfig
from asr.model.model import ModelConfig
from asr.model.subsampling import SubsamplingConfig
from asr.text.tokenizer import SOS, SOS_EOS, TokenTable

START = "<|startoftranscript|>"
"""What its `<sos>` is called here, where sos is the last token before the text."""
HOTWORDS = ("<PROMPT_START>", "<PROMPT_END>")
"""Tokens between which models that have them are told of hot words; of none, here."""
TASK = ("<zh>", "<CN>", "<asr>")
"""Language, region and what to do: Mandarin is to be written down …"""
BEGIN = "<notimestamp>"
"""… without times. The first token of the text follows this one."""
FACTOR = 4
EPS = 1e-5
"""Of norms, where train.yaml does not say."""
DECODE = {"beam": 10, "rule": "wenet", "length_power": 0.0}
"""The beam of the authors' program."""
STD, INVERSE = "encoder.global_cmvn.std", "encoder.global_cmvn.istd"


def read_dolphin(folder: Path) -> Foreign:
    """The model of a folder. Raises CheckpointError with the file, the setting or the tensors that cannot be imported."""
    path = find_file(folder, ["train.yaml", "*.yaml"], "settings of a Dolphin model")
    values = read_yaml(path)
    if "encoder_conf" not in values or "input_dim" not in values or "cmvn" not in values:
        raise CheckpointError(f"{path}: has no encoder_conf, input_dim and cmvn; is it from Dolphin?")
    top = Settings(values, str(path))
    top.require("encoder", "e_branchformer", "ebranchformer")
    top.require("decoder", "transformer")
    Settings(top.get("model_conf", {}), f"{path}: model_conf").require("apply_non_blank_embedding", False)
    eps = _eps(top)
    encoder, decoder = _encoder(top, eps), _decoder(top, eps)
    table, prompt = _tokens(folder, top)
    tensors = read_tensors(find_file(folder, ["final.pt", "*.pt"], "weights"))
    weights = Weights(tensors)
    map_subsampling(weights, FACTOR)
    map_e_branchformer(weights, encoder, Biases())
    map_decoder(weights, decoder, "decoder", "decoder", biases=Biases(), cross=Biases())
    ctc = map_ctc(weights)
    features = _features(top)
    _map_cmvn(weights, folder, top)
    check_mel(weights, features)
    tensors.ignore(r"context_module\..*", "the toolkit's own network for hot words; here they join the search")
    config = ModelConfig(
        SubsamplingConfig(FACTOR, encoder.width),
        ctc=ctc,
        encoder=encoder,
        decoder=DecoderConfig(**decoder.__dict__ | {"prompt": prompt}),
    )
    decode = DECODE | {"ctc_weight": 0.3 if ctc else 0.0}
    pieces, doubts = pieces_beside(folder, values, table)
    remarks = (*_remarks(values), *doubts)
    return Foreign.of(weights, features, config, table, pieces=pieces, decode=decode, remarks=remarks)


def _eps(top: Settings) -> float | None:
    """layer_norm_eps, of all norms; YAML takes 1e-12 for a text."""
    value = top.get("layer_norm_eps", None)
    if value is None:
        return None
    with reading(Path(top.where), CheckpointError, f"layer_norm_eps {quoted(value)} is no number"):
        return Settings({"layer_norm_eps": float(value)}, top.where).get("layer_norm_eps", EPS, float)


def _encoder(top: Settings, eps: float | None) -> EncoderConfig:
    settings = Settings(top.get("encoder_conf", {}), f"{top.where}: encoder_conf")
    last_eps = settings.get("norm_eps", EPS, float)
    config = EncoderConfig(
        kind="e_branchformer",
        layers=settings.get("num_blocks", 12, int),
        width=settings.get("output_size", 256, int),
        heads=settings.get("attention_heads", 4, int),
        feed_forward=settings.get("linear_units", 2048, int),
        kernel=settings.get("cgmlp_conv_kernel", 31, int),
        gate_units=settings.get("cgmlp_linear_units", 2048, int),
        merge_kernel=settings.get("merge_conv_kernel", 3, int),
        causal=settings.get("causal", False, bool),
        positions=_positions(settings),
        norm_eps=eps or EPS,
        last_norm_eps=eps or last_eps,
    )
    settings.require("input_layer", "conv2d")
    settings.require("activation_type", "swish")
    settings.require("gate_activation", "identity")
    settings.require("use_linear_after_conv", False)
    settings.require("use_ffn", True)
    settings.require("macaron_style", True)
    settings.require("conv_bias", True)
    if not settings.get("use_dynamic_chunk", False, bool):  # then each frame sees its chunk and what is before, always
        settings.require("static_chunk_size", 0)
    settings.pass_over("static_chunk_size")
    _require_plain(settings, "")
    return config


def _positions(settings: Settings) -> str:
    """Models from ESPnet shift the scores by distance, those from WeNet do not, and need use_sdpa for it."""
    kind, fused = settings.get("pos_enc_layer_type", "rel_pos", str), settings.get("use_sdpa", False, bool)
    settings.require("selfattention_layer_type", "rel_selfattn")
    positions = {("rel_pos_v1", False): "relative", ("rel_pos", True): "unshifted"}
    if (kind, fused) not in positions:
        raise CheckpointError(
            f"{settings.where}: pos_enc_layer_type {quoted(kind)} with use_sdpa {fused} cannot be imported;"
            " only rel_pos_v1 without it and rel_pos with it can"
        )
    return positions[kind, fused]


def _decoder(top: Settings, eps: float | None) -> DecoderConfig:
    settings = Settings(top.get("decoder_conf", {}), f"{top.where}: decoder_conf")
    own_eps = settings.get("norm_eps", EPS, float)
    config = decoder_config(settings, eps or own_eps, {"relu": "relu"})
    settings.require("tie_word_embedding", False)
    _require_plain(settings, "src_")
    return config


def _require_plain(settings: Settings, prefix: str) -> None:
    """Refuses layers of other kinds, biases that are missing, and what is not known."""
    for name in ("query_bias", "key_bias", "value_bias"):
        settings.require(name, True)
        settings.require(prefix + name, True)
    settings.require("mlp_bias", True)
    settings.require("layer_norm_type", "layer_norm")
    settings.require("mlp_type", "position_wise_feed_forward")
    settings.require("n_kv_head", None, settings.get("attention_heads", 4, int))
    settings.require("head_dim", None)
    settings.pass_over("n_expert", "n_expert_activated", *NO_MATTER)
    settings.finish()


def _tokens(folder: Path, top: Settings) -> tuple[TokenTable, tuple[int, ...]]:
    """The table, in which sos is the token that the text follows, and the ids of those before it."""
    tokens, path = named_units(folder, top)
    if SOS_EOS in tokens:
        raise CheckpointError(f"{path}: sos and eos are one token; is it from Dolphin?")
    ids = {token: i for i, token in enumerate(tokens)}
    told = (*(HOTWORDS if HOTWORDS[0] in ids else ()), *TASK)
    missing = [token for token in (*told, BEGIN) if token not in ids]
    if missing:
        raise CheckpointError(f"{path}: has no {missing[0]}, with which a Dolphin model is told to write Mandarin")
    tokens[ids[SOS]], tokens[ids[BEGIN]] = START, SOS
    return token_table(tokens, path), tuple(ids[token] for token in (SOS, *told))


def _features(top: Settings) -> FeatureConfig:
    """ESPnet's, where dataset_conf has a front end, else Kaldi's."""
    data = Settings(top.get("dataset_conf", {}), f"{top.where}: dataset_conf")
    if "frontend_conf" not in data.values:
        return kaldi_features(top)
    features = stft_features(Settings(data.get("frontend_conf", {}), f"{data.where}.frontend_conf"))
    if features.n_mels != top.get("input_dim", 80, int):
        raise CheckpointError(
            f"{data.where}.frontend_conf.n_mels: {features.n_mels} is not input_dim {top.values['input_dim']}"
        )
    return features


def _map_cmvn(weights: Weights, folder: Path, top: Settings) -> None:
    """Mean and inverse deviation: the buffers of the checkpoint, else the sums of the file that cmvn names."""
    tensors, cmvn = weights.tensors, top.choose("cmvn", "none", {"global_mvn": "espnet", "global_cmvn": "wenet"})
    for mean, deviation in (("normalize.mean", "normalize.std"), ("encoder.global_cmvn.mean", STD)):
        if mean in tensors and deviation in tensors:
            weights.move("cmvn.mean", mean)
            weights.put("cmvn.inverse_std", 1 / tensors.take(deviation), deviation)
            return
    if INVERSE in tensors:
        weights.move("cmvn.mean", "encoder.global_cmvn.mean")
        weights.move("cmvn.inverse_std", INVERSE)
    elif cmvn == "espnet":
        path = existing(folder / "feats_stats.npz")
        mean, deviation = mean_and_deviation(path, 1e-20)
        weights.put("cmvn.mean", mean, str(path))
        weights.put("cmvn.inverse_std", 1 / deviation, str(path))
    else:
        put_json_cmvn(weights, existing(folder / "global_cmvn"))


def _remarks(values: dict) -> tuple[str, ...]:
    told = "is told to write Mandarin of China; its other languages and regions are not asked for"
    if (values.get("encoder_conf") or {}).get("use_dynamic_chunk"):
        return told, "trained for streaming with chunks; here it hears each piece whole"
    return (told,)
