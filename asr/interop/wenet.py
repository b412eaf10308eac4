"""WeNet: final.pt, train.yaml, units.txt, global_cmvn (wenet.org.cn; layouts from 2021 to 2025)."""

import glob
import re
from collections.abc import Sequence
from pathlib import Path

import torch

from asr.errors import CheckpointError
from asr.features.fbank import FeatureConfig
from asr.foreign_bytes import quoted
from asr.interop.checkpoints import Tensors, find_file, read_tensors, read_yaml
from asr.interop.foreign import Foreign, Settings, Weights, read_pieces, read_token_lines, token_table
from asr.interop.statistics import put_json_cmvn, put_kaldi_cmvn
from asr.interop.transformer import (
    ACTIVATIONS,
    FACTORS,
    NO_MATTER,
    Biases,
    decoder_config,
    map_ctc,
    map_decoder,
    map_encoder,
    map_subsampling,
)
from asr.model.decoder import DecoderConfig
from asr.model.encoder import EncoderConfig
from asr.model.model import ModelConfig
from asr.model.subsampling import SubsamplingConfig
from asr.text.tokenizer import BLANK, EOS, SOS, SOS_EOS, UNK, TokenTable

KINDS = {"transformer": "transformer", "conformer": "conformer"}
KINDS |= {f"dual_{name}": kind for name, kind in KINDS.items()}
"""encoder → ours; those called dual are trained with chunks and without, and hear whole recordings like the others."""
POSITIONS = {
    ("abs_pos", "selfattn"): "absolute",
    ("rel_pos", "rel_selfattn"): "unshifted",
    ("no_pos", "selfattn"): "none",
}
"""(pos_enc_layer_type, selfattention_layer_type) → our positions: WeNet's relative attention does not shift."""
DECODER = "bitransformer"
"""The decoder of a train.yaml that names none."""
WITH_PITCH = (43, 83)
"""Kaldi's features of 40 or 80 mel bins with three of pitch."""
SUBSAMPLING = {name: FACTORS[name] for name in ("conv2d", "conv2d6", "conv2d8")}
"""ESPnet's and WeNet's conv2d2 are different layers of one name."""


def read_wenet(folder: Path) -> Foreign:
    """The model of a folder. Raises CheckpointError with the file, the setting or the tensors that cannot be imported."""
    path = find_file(folder, ["train.yaml", "*.yaml"], "settings of a WeNet model")
    values = read_yaml(path)
    if "encoder_conf" not in values or "input_dim" not in values:
        raise CheckpointError(f"{path}: has no encoder_conf and input_dim; is it from WeNet?")
    top = Settings(values, str(path))
    top.require("model", "asr_model", "asrmodel", "u2++", "ctl_model", "k2_model")
    Settings(top.get("model_conf", {}), f"{path}: model_conf").require("apply_non_blank_embedding", False)
    encoder, biases = _encoder(top)
    tensors = read_tensors(find_file(folder, ["final.pt", "avg*.pt", "*.pt"], "weights"))
    decoder, reverse_layers, (own, cross) = _decoder(top, tensors)
    weights = Weights(tensors)
    factor = Settings(values["encoder_conf"], f"{path}: encoder_conf").choose("input_layer", "conv2d", SUBSAMPLING)
    map_subsampling(weights, factor)
    map_encoder(weights, encoder, encoder.kind == "conformer", biases)
    if encoder.positions == "none":
        _without_positions(weights, encoder)
    two_ways = top.get("decoder", DECODER, str) == "bitransformer"
    map_decoder(
        weights, decoder, "decoder", "decoder.left_decoder" if two_ways else "decoder", biases=biases, cross=cross
    )
    if reverse_layers:
        settings = DecoderConfig(**{**decoder.__dict__, "layers": reverse_layers})
        map_decoder(weights, settings, "reverse_decoder", "decoder.right_decoder", biases=own, cross=cross)
    ctc = map_ctc(weights)
    _map_cmvn(weights, folder, top)
    tensors.ignore(r"encoder\.global_cmvn\.(mean|istd)", "read from global_cmvn")
    config = ModelConfig(
        subsampling=SubsamplingConfig(factor, encoder.width),
        ctc=ctc,
        encoder=encoder,
        decoder=decoder,
        reverse_layers=reverse_layers,
    )
    table = token_table(*named_units(folder, top))
    pieces, doubts = pieces_beside(folder, values, table)
    decode = {"rule": "wenet", "length_power": 0.0, "ctc_weight": 0.3 if ctc else 0.0}
    remarks = (*_remarks(values, reverse_layers), *doubts)
    return Foreign.of(weights, kaldi_features(top), config, table, pieces=pieces, decode=decode, remarks=remarks)


def _encoder(top: Settings) -> tuple[EncoderConfig, Biases]:
    kind = top.choose("encoder", "conformer", KINDS)
    settings = Settings(top.get("encoder_conf", {}), f"{top.where}: encoder_conf")
    conformer = kind == "conformer"
    norm_first = settings.get("normalize_before", True, bool)
    pair = (
        settings.get("pos_enc_layer_type", "rel_pos" if conformer else "abs_pos", str),
        settings.get("selfattention_layer_type", "rel_selfattn" if conformer else "selfattn", str),
    )
    if pair[0] in ("abs_pos", "no_pos") and "rel_" in pair[1] and conformer:
        pair = (pair[0], "selfattn")  # before 2023-11 the type of positions alone decided
    if pair not in POSITIONS:
        raise CheckpointError(
            f"{settings.where}: pos_enc_layer_type {quoted(pair[0])} with selfattention_layer_type {quoted(pair[1])}"
            " cannot be imported"
        )
    config = EncoderConfig(
        kind=kind,
        layers=settings.get("num_blocks", 6, int),
        width=settings.get("output_size", 256, int),
        heads=settings.get("attention_heads", 4, int),
        feed_forward=settings.get("linear_units", 2048, int),
        kernel=settings.get("cnn_module_kernel", 15, int) if conformer else 15,
        positions=POSITIONS[pair],
        activation=settings.choose("activation_type", "swish" if conformer else "relu", ACTIVATIONS),
        norm_first=norm_first,
        last_norm=norm_first and settings.get("final_norm", True, bool),
        norm_eps=settings.get("norm_eps", 1e-5, float),
        macaron=settings.get("macaron_style", True, bool),
        convolution=settings.get("use_cnn_module", True, bool),
        conv_norm=settings.choose("cnn_module_norm", "batch_norm", {"batch_norm": "batch", "layer_norm": "layer"}),
        causal=settings.get("causal", False, bool),
        conv_expansion=_expansion(settings),
    )
    if conformer and config.convolution:  # the norm in the convolution has the eps of the others in our layers
        settings.require("conv_norm_eps", 1e-5 if config.conv_norm == "batch" else config.norm_eps)
    settings.pass_over("conv_norm_eps")
    if not settings.get("use_dynamic_chunk", False, bool):  # then each frame sees its chunk and what is before, always
        settings.require("static_chunk_size", 0)
    settings.pass_over("static_chunk_size")
    biases = _biases(settings, "")
    settings.choose("input_layer", "conv2d", SUBSAMPLING)
    _require_plain(settings)
    settings.require("positionwise_conv_kernel_size", 1)
    settings.require("concat_after", False)
    settings.pass_over(*NO_MATTER)
    settings.finish()
    return config, biases


def _without_positions(weights: Weights, encoder: EncoderConfig) -> None:
    """Ours multiplies the input by sqrt(D) whatever the positions, theirs then does not.

    Since 2023-11 attention may be the relative one all the same: its positions are zero, its bias of the content is left.
    """
    for name in ("subsampling.out.weight", "subsampling.out.bias"):
        weights.named[name] = weights.named[name] * encoder.width**-0.5
    for i in range(encoder.layers):
        theirs, bias = f"encoder.encoders.{i}.self_attn", f"encoder.blocks.{i}.attention.query.bias"
        if f"{theirs}.pos_bias_u" in weights.tensors:
            content = weights.tensors.take(f"{theirs}.pos_bias_u").flatten()
            if content.shape != weights.named[bias].shape:
                raise CheckpointError(
                    f"{weights.tensors.path}: {theirs}.pos_bias_u has not the {encoder.width} numbers of the width"
                )
            weights.put(bias, weights.named[bias] + content, f"{theirs}.linear_q.bias and pos_bias_u")
            weights.tensors.ignore(
                re.escape(theirs) + r"\.(linear_pos\.weight|pos_bias_v)", "of positions, which are zero"
            )


def _decoder(top: Settings, tensors: Tensors) -> tuple[DecoderConfig, int, tuple[Biases, Biases]]:
    """The decoder, the layers of the one from right to left, and the biases of both: of all layers, and of cross-attention."""
    kind = top.choose("decoder", DECODER, {"transformer": 1, "bitransformer": 2})
    settings = Settings(top.get("decoder_conf", {}), f"{top.where}: decoder_conf")
    config = decoder_config(settings, settings.get("norm_eps", 1e-5, float), ACTIVATIONS)
    reverse_layers = settings.get("r_num_blocks", 0, int)
    biases = _biases(settings, "")
    # without a setting of its own, cross-attention followed the others until 2025, and has all biases since
    there = [any(n.endswith(f"src_attn.linear_{letter}.bias") for n in tensors.held) for letter in "qkv"]
    cross = _biases(settings, "src_", there)
    _require_plain(settings)
    settings.finish()
    return config, reverse_layers if kind == 2 else 0, (biases, cross)


def _biases(settings: Settings, prefix: str, default: Sequence[bool] = (True, True, True)) -> Biases:
    """Which layers have one; that of the queries speaks for the layer behind attention, too."""
    names = ("query", "key", "value")
    query, key, value = (settings.get(f"{prefix}{n}_bias", d, bool) for n, d in zip(names, default, strict=True))
    convolution, feed_forward = (settings.get(f"{name}_bias", True, bool) for name in ("conv", "mlp"))
    return Biases(query, key, value, convolution, feed_forward, query)


def _expansion(settings: Settings) -> int:
    """Channels of the depthwise convolution over the width, half of what the gate is given."""
    factor = settings.get("conv_inner_factor", 2, int)
    if factor < 2 or factor % 2:
        raise CheckpointError(f"{settings.where}.conv_inner_factor: {factor} cannot be imported; only even numbers can")
    return factor // 2


def _require_plain(settings: Settings) -> None:
    """Settings of newer versions that bring other layers."""
    settings.require("layer_norm_type", "layer_norm")
    settings.require("mlp_type", "position_wise_feed_forward")
    heads = settings.get("attention_heads", 4, int)
    settings.require("n_kv_head", None, heads)
    settings.require("head_dim", None)
    settings.pass_over("n_expert", "n_expert_activated")


def kaldi_features(top: Settings) -> FeatureConfig:
    """Those that dataset_conf names."""
    data = Settings(top.get("dataset_conf", {}), f"{top.where}: dataset_conf")
    data.require("feats_type", "fbank")
    resample = Settings(data.get("resample_conf", {}), f"{data.where}.resample_conf")
    resample.require("resample_rate", 16000)
    collate = Settings(top.get("collate_conf", {}), f"{top.where}: collate_conf")
    input_dim = top.get("input_dim", 80, int)
    if "feature_extraction_conf" in collate.values:  # in files before 2021-06
        fbank = Settings(collate.get("feature_extraction_conf", {}), f"{collate.where}.feature_extraction_conf")
        fbank.require("feature_type", "fbank")
        fbank.require("using_pitch", False)
        n_mels = fbank.get("mel_bins", input_dim, int)
    else:  # in the oldest Kaldi had made the features, of which its file names nothing but the width
        fbank = Settings(data.get("fbank_conf", {}), f"{data.where}.fbank_conf")
        n_mels = fbank.get("num_mel_bins", input_dim, int)
        if not fbank.values and n_mels in WITH_PITCH:
            raise CheckpointError(f"{top.where}.input_dim: {n_mels} are mel bins and pitch, which cannot be imported")
    fbank.require("window_type", "povey")
    if n_mels != top.get("input_dim", n_mels, int):
        raise CheckpointError(f"{fbank.where}.num_mel_bins: {n_mels} is not input_dim {top.values['input_dim']}")
    fbank.pass_over("dither")  # for training; a transcript should not change from one run to the next
    config = FeatureConfig(
        n_mels=n_mels,
        frame_ms=fbank.get("frame_length", 25, float),
        shift_ms=fbank.get("frame_shift", 10, float),
    )
    fbank.finish()
    return config


def named_units(folder: Path, top: Settings) -> tuple[list[str], Path]:
    """The tokens of units.txt, the special ones by our names, and its path."""
    path = find_file(folder, ["units.txt", "*units*.txt", "lang_char.txt", "*.txt"], "token table")
    tokens = read_token_lines(path)
    vocabulary = top.get("output_dim", len(tokens), int)
    if len(tokens) != vocabulary:
        raise CheckpointError(f"{path}: holds {len(tokens)} tokens, train.yaml says output_dim {vocabulary}")
    given = Settings(top.get("tokenizer_conf", {}), f"{top.where}: tokenizer_conf").get("special_tokens", {}, dict)
    named = {token: i for i, token in enumerate(tokens)}
    blank = Settings(top.get("ctc_conf", {}), f"{top.where}: ctc_conf").get("ctc_blank_id", given.get(BLANK, 0), int)
    unk = given.get(UNK, named.get(UNK, 1))
    sos, eos = given.get("<sos>", vocabulary - 1), given.get("<eos>", vocabulary - 1)
    for number in (blank, unk, sos, eos):
        if type(number) is not int or not 0 <= number < vocabulary:
            raise CheckpointError(f"{top.where}: special token {quoted(number)} is no id of {vocabulary} tokens")
    if UNK not in given and UNK not in named and not re.fullmatch("<.*>", tokens[unk]):
        raise CheckpointError(
            f"{path}: holds no {UNK}, nor does tokenizer_conf.special_tokens in train.yaml say which it is"
        )
    if len({blank, unk, sos, eos}) < (3 if sos == eos else 4):
        raise CheckpointError(
            f"{top.where}: blank {blank}, unk {unk}, sos {sos} and eos {eos} must be different tokens"
        )
    tokens[blank], tokens[unk] = BLANK, UNK
    if sos == eos:
        tokens[sos] = SOS_EOS
    else:
        tokens[sos], tokens[eos] = SOS, EOS
    return tokens, path


def _map_cmvn(weights: Weights, folder: Path, top: Settings) -> None:
    """Mean and inverse deviation: the buffers of the checkpoint, else the sums of global_cmvn, else none."""
    if "encoder.global_cmvn.mean" in weights.tensors:
        weights.move("cmvn.mean", "encoder.global_cmvn.mean")
        weights.move("cmvn.inverse_std", "encoder.global_cmvn.istd")
        return
    n_mels = top.get("input_dim", 80, int)
    conf = Settings(top.get("cmvn_conf", top.values), f"{top.where}: cmvn_conf")  # before 2023-12 there is no section
    if not (top.get("cmvn_file", None) or top.get("cmvn", None)):
        weights.put("cmvn.mean", torch.zeros(n_mels), "no CMVN")
        weights.put("cmvn.inverse_std", torch.ones(n_mels), "no CMVN")
        return
    name = Path(str(conf.get("cmvn_file", "global_cmvn", str)).replace("\\", "/")).name
    path = find_file(folder, ["global_cmvn", *([glob.escape(name)] if name else [])], "statistics of the features")
    if not path.read_bytes().lstrip().startswith(b"{"):
        put_kaldi_cmvn(weights, path, n_mels)
        return
    put_json_cmvn(weights, path)


def pieces_beside(folder: Path, values: dict, table: TokenTable) -> tuple[bytes | None, tuple[str, ...]]:
    """The SentencePiece model of Latin words, where the folder has it, and what a user should know where it lacks it."""
    conf = values.get("tokenizer_conf") or {}
    name = Path(str(conf.get("bpe_path") or "")).name
    if not name:
        return None, ()
    if (folder / name).is_file():
        return read_pieces(folder / name, table), ()
    return None, (
        f"its SentencePiece model {quoted(name)} is not in the folder: it writes Latin words, but learns none",
    )


def _remarks(values: dict, reverse_layers: int) -> tuple[str, ...]:
    remarks = []
    if (values.get("encoder_conf") or {}).get("use_dynamic_chunk"):
        remarks.append("trained for streaming with chunks; here it hears each piece whole")
    if reverse_layers:
        remarks.append("its right-to-left decoder is there for rescoring: decode.reverse_weight")
    return tuple(remarks)
