"""SpeechBrain's asr-transformer recipes: hyperparams.yaml, asr.ckpt, normalizer.ckpt, tokenizer.ckpt (a SentencePiece model)."""

import ast
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from asr.errors import CheckpointError
from asr.features.fbank import FeatureConfig
from asr.interop.checkpoints import TAG, existing, find_file, read_pickle, read_tensors, read_yaml
from asr.interop.foreign import Foreign, Settings, Weights, token_table
from asr.model.decoder import DecoderConfig
from asr.model.encoder import EncoderConfig
from asr.model.model import ModelConfig
from asr.text.pieces import pieces_of
from asr.text.tokenizer import BLANK, BLANK_UNK, EOS, SOS, SOS_EOS, UNK

EPS = 1e-6
"""SpeechBrain's layer norms in encoder and decoder."""
ACTIVATIONS = {"torch.nn.GELU": "gelu", "torch.nn.ReLU": "relu", "torch.nn.SiLU": "swish"}
FACTORS = {(1, 1): 1, (2, 1): 2, (2, 2): 4, (2, 2, 2): 8}
"""Strides of the convolutions, which see three frames and bins each → subsampling factor."""
REFERENCE = re.compile(r"!ref <(\w+)>")
CONFORMER_ONLY = (
    "kernel_size bias conformer_activation branchformer_activation csgu_linear_units gate_activation".split()
)


def read_speechbrain(folder: Path) -> Foreign:
    """The model of a folder. Raises CheckpointError with the file, the setting or the tensors that cannot be imported."""
    path = find_file(folder, ["hyperparams.yaml", "*.yaml"], "settings of a SpeechBrain model")
    recipe = Recipe(read_yaml(path), path)
    transformer = recipe.section("TransformerASR.TransformerASR")
    factor, channels, last_channels = _convolutions(recipe.section("ConvolutionFrontEnd"))
    encoder, decoder = _sizes(transformer)
    features = _features(recipe.section("features.Fbank"))
    tensors = read_tensors(find_file(folder, ["asr.ckpt"], "weights"))
    weights = Weights(tensors)
    parts = recipe.parts()
    blocks = 3 if factor == 8 else 2
    for i in range(blocks):
        _map_convolution(weights, i, f"{parts['cnn']}.convblock_{i}.convs")
    body = parts["transformer"]
    _map_projection(weights, f"{body}.custom_src_module.layers.0.w", blocks, encoder.width)
    for i in range(encoder.layers):
        _map_encoder_block(weights, f"encoder.blocks.{i}", f"{body}.encoder.layers.{i}")
    weights.norm("encoder.norm", f"{body}.encoder.norm.norm")
    weights.move("decoder.embedding.weight", f"{body}.custom_tgt_module.layers.0.emb.Embedding.weight")
    for i in range(decoder.layers):
        _map_decoder_layer(weights, f"decoder.layers.{i}", f"{body}.decoder.layers.{i}")
    weights.norm("decoder.norm", f"{body}.decoder.norm.norm")
    weights.linear("decoder.out", f"{parts['seq_lin']}.w")
    ctc = "ctc_lin" in parts
    if ctc:
        weights.linear("ctc", f"{parts['ctc_lin']}.w")
    _map_cmvn(weights, existing(folder / "normalizer.ckpt"), recipe)
    tensors.ignore(rf"{body}\.positional_encoding(_decoder)?\.pe", "a table of sinusoids, computed anew")
    config = ModelConfig(
        subsampling=factor,
        channels=channels,
        last_channels=last_channels,
        subsampling_reflect=True,
        subsampling_norm=True,
        ctc=ctc,
        encoder=encoder,
        decoder=decoder,
    )
    pieces = find_file(folder, ["tokenizer.ckpt", "*.model"], "SentencePiece model")
    table = _tokens(pieces, recipe, transformer)
    return Foreign(
        features,
        config,
        table,
        weights.named,
        weights.origins,
        tensors,
        pieces.read_bytes(),
        _decoding(recipe, ctc),
        ("trained without a causal mask, whatever the present default of SpeechBrain is",),
    )


class Recipe:
    """hyperparams.yaml: values, and sections that the toolkit would build objects from; references are resolved."""

    def __init__(self, values: dict, path: Path):
        self.values, self.path = values, path

    def resolve(self, value: Any) -> Any:
        """What `!ref <name>` refers to, tuples written as text, and everything else as it is."""
        if isinstance(value, str) and (reference := REFERENCE.fullmatch(value)):
            if reference[1] not in self.values:
                raise CheckpointError(f"{self.path}: {value} refers to nothing")
            found = self.values[reference[1]]
            return found if isinstance(found, dict) else self.resolve(found)
        if isinstance(value, str) and value.startswith("!ref"):
            raise CheckpointError(f"{self.path}: {value!r} is a computation; write its result in its place")
        if isinstance(value, str) and re.fullmatch(r"\([\w\s,.]*\)", value):
            return ast.literal_eval(value)
        return value

    def get(self, name: str, default: Any) -> Any:
        """A value of the top level."""
        return self.resolve(self.values.get(name, default))

    def section(self, kind: str) -> Settings:
        """The arguments of the one object whose class ends like this."""
        found = {n: v for n, v in self.values.items() if isinstance(v, dict) and str(v.get(TAG, "")).endswith(kind)}
        if len(found) != 1:
            raise CheckpointError(f"{self.path}: {len(found)} sections are a {kind}, not one; is it from SpeechBrain?")
        ((name, values),) = found.items()
        resolved = {key: self.resolve(value) for key, value in values.items() if key != TAG}
        return Settings(resolved, f"{self.path}: {name}")

    def parts(self) -> dict[str, str]:
        """cnn, transformer, seq_lin and ctc_lin → their places in the list of modules that asr.ckpt was saved from."""
        lists = [v[0] for v in self.values.values() if isinstance(v, list) and v and isinstance(v[0], list)]
        names = next(([REFERENCE.fullmatch(str(r)) for r in one] for one in lists), [])
        if not names or not all(names):
            return {"cnn": "0", "transformer": "1", "seq_lin": "2", "ctc_lin": "3"}
        places = {}
        for i, name in enumerate(match[1] for match in names):
            kind = str((self.values.get(name) or {}).get(TAG, ""))
            if kind.endswith("ConvolutionFrontEnd"):
                places["cnn"] = str(i)
            elif kind.endswith("TransformerASR"):
                places["transformer"] = str(i)
            else:
                places["ctc_lin" if "ctc" in name.lower() else "seq_lin"] = str(i)
        if missing := {"cnn", "transformer", "seq_lin"} - places.keys():
            raise CheckpointError(f"{self.path}: the list of modules lacks {', '.join(sorted(missing))}")
        return places


def _convolutions(settings: Settings) -> tuple[int, int, int]:
    """Subsampling factor, channels, and channels of the last convolution."""
    blocks = settings.get("num_blocks", 3, int)
    settings.require("num_layers_per_block", 1)
    channels = tuple(settings.get("out_channels", (128, 256, 512)))
    kernels = tuple(settings.get("kernel_sizes", (3, 3, 3)))
    strides = tuple(settings.get("strides", (1, 2, 2)))
    residuals = tuple(settings.get("residuals", (True,) * blocks))
    plain = len(set(channels[:-1])) == 1 and set(kernels) == {3} and not any(residuals)
    if strides not in FACTORS or not plain or not len(channels) == len(kernels) == len(strides) == blocks:
        raise CheckpointError(
            f"{settings.where}: {blocks} blocks of channels {channels}, kernels {kernels}, strides {strides} and residuals"
            f" {residuals} cannot be imported; kernels of 3, strides {' or '.join(map(str, FACTORS))} and no residuals can"
        )
    settings.require("padding", "same")
    settings.require("conv_bias", True)
    settings.require("dilations", None, (1,) * blocks, [1] * blocks)
    for name in ("activation", "norm", "conv_module"):
        if name in settings.values and not re.search(r"LeakyReLU|LayerNorm|CNN\.Conv2d", str(settings.values[name])):
            raise CheckpointError(f"{settings.where}.{name}: {settings.values[name]!r} cannot be imported")
    settings.pass_over("input_shape", "dropout", "conv_init", "activation", "norm", "conv_module")
    settings.finish()
    return FACTORS[strides], channels[0], channels[-1] if channels[-1] != channels[0] else 0


def _sizes(settings: Settings) -> tuple[EncoderConfig, DecoderConfig]:
    settings.require("encoder_module", "transformer")
    settings.require("attention_type", "regularMHA")
    settings.require("positional_encoding", "fixed_abs_sine")
    settings.require("causal", False)
    activation = settings.get("activation", "!name:torch.nn.ReLU", str).removeprefix("!name:").strip()
    if activation not in ACTIVATIONS:
        raise CheckpointError(f"{settings.where}.activation: {activation!r} cannot be imported")
    common = {
        "heads": settings.get("nhead", 8, int),
        "feed_forward": settings.get("d_ffn", 2048, int),
        "activation": ACTIVATIONS[activation],
        "norm_first": settings.get("normalize_before", False, bool),
        "norm_eps": EPS,
    }
    width = settings.get("d_model", 512, int)
    encoder = EncoderConfig(layers=settings.get("num_encoder_layers", 6, int), width=width, **common)
    decoder = DecoderConfig(layers=settings.get("num_decoder_layers", 6, int), **common)
    settings.pass_over("input_size", "tgt_vocab", "dropout", "max_length", *CONFORMER_ONLY, "use_linear_after_conv")
    settings.require("output_hidden_states", False)
    settings.pass_over("layerdrop_prob")
    settings.finish()
    return encoder, decoder


def _features(settings: Settings) -> FeatureConfig:
    settings.require("sample_rate", 16000)
    settings.require("filter_shape", "triangular")
    settings.require("deltas", False)
    settings.require("context", False)
    config = FeatureConfig(
        kind="stft",
        n_mels=settings.get("n_mels", 40, int),
        frame_ms=settings.get("win_length", 25, float),
        shift_ms=settings.get("hop_length", 10, float),
        low_hz=settings.get("f_min", 0, float),
        high_hz=settings.get("f_max", 8000, float),
        sample_scale=1.0,
        window="hamming",
        fft_size=settings.get("n_fft", 400, int),
        edges="zero",
        filters="speechbrain",
        floor=1e-10,
        decibels=True,
        range_db=80.0,
    )
    settings.pass_over("requires_grad", "param_change_factor", "param_rand_factor", "left_frames", "right_frames")
    settings.finish()
    return config


def _map_convolution(weights: Weights, i: int, theirs: str) -> None:
    """Their kernels run over frequency, then time, and their norms over bins, then channels: both are turned around."""
    ours = f"subsampling.convolutions.{2 * i}"
    weights.linear(ours, f"{theirs}.conv_0.conv")
    weights.named[f"{ours}.weight"] = weights.named[f"{ours}.weight"].transpose(-1, -2).contiguous()
    for name in ("weight", "bias"):
        tensor = weights.tensors.take(f"{theirs}.norm_0.norm.{name}")
        weights.put(f"subsampling.norms.{i}.{name}", tensor.t().contiguous(), f"{theirs}.norm_0.norm.{name}")


def _map_projection(weights: Weights, theirs: str, blocks: int, width: int) -> None:
    """Their bins run outside, ours inside; our encoder multiplies by sqrt(D), theirs does not."""
    channels, bins = weights.named[f"subsampling.norms.{blocks - 1}.weight"].shape
    weights.linear("subsampling.out", theirs, scale=width**-0.5)
    weight = weights.named["subsampling.out.weight"]
    if weight.shape[1] == bins * channels:  # another shape is refused later, with its name
        weight = weight.unflatten(1, (bins, channels)).transpose(1, 2).flatten(1)
        weights.named["subsampling.out.weight"] = weight.contiguous()


def _map_encoder_block(weights: Weights, ours: str, theirs: str) -> None:
    _map_attention(weights, f"{ours}.attention", f"{theirs}.self_att.att")
    weights.norm(f"{ours}.attention_norm", f"{theirs}.norm1.norm")
    _map_feed_forward(weights, f"{ours}.feed_forward", f"{theirs}.pos_ffn.ffn")
    weights.norm(f"{ours}.feed_forward_norm", f"{theirs}.norm2.norm")


def _map_decoder_layer(weights: Weights, ours: str, theirs: str) -> None:
    misspelt = f"{theirs}.mutihead_attn.att.in_proj_weight" in weights.tensors  # in files before 2024
    cross = f"{theirs}.{'mutihead_attn' if misspelt else 'multihead_attn'}.att"
    _map_attention(weights, f"{ours}.self_attention", f"{theirs}.self_attn.att")
    _map_attention(weights, f"{ours}.cross_attention", cross)
    _map_feed_forward(weights, f"{ours}.feed_forward", f"{theirs}.pos_ffn.ffn")
    for name, number in (("self_norm", 1), ("cross_norm", 2), ("feed_forward_norm", 3)):
        weights.norm(f"{ours}.{name}", f"{theirs}.norm{number}.norm")


def _map_attention(weights: Weights, ours: str, theirs: str) -> None:
    """Queries, keys and values lie in one tensor, a third each."""
    for name in ("weight", "bias"):
        packed: Tensor = weights.tensors.take(f"{theirs}.in_proj_{name}")
        thirds = packed.chunk(3)
        if len(thirds) != 3:
            raise CheckpointError(
                f"{weights.tensors.path}: {theirs}.in_proj_{name} {tuple(packed.shape)} has no thirds"
            )
        for layer, third in zip(("query", "key", "value"), thirds, strict=True):
            weights.put(f"{ours}.{layer}.{name}", third.clone(), f"{theirs}.in_proj_{name}")
    weights.linear(f"{ours}.out", f"{theirs}.out_proj")


def _map_feed_forward(weights: Weights, ours: str, theirs: str) -> None:
    weights.linear(f"{ours}.0", f"{theirs}.0")
    weights.linear(f"{ours}.3", f"{theirs}.3")


def _map_cmvn(weights: Weights, path: Path, recipe: Recipe) -> None:
    settings = recipe.section("InputNormalization")
    settings.require("norm_type", "global")
    settings.require("mean_norm", True)
    divided = settings.get("std_norm", True, bool)
    data = read_pickle(path)
    if not isinstance(data, dict) or not all(isinstance(data.get(n), Tensor) for n in ("glob_mean", "glob_std")):
        raise CheckpointError(f"{path}: holds no glob_mean and glob_std")
    mean, deviation = data["glob_mean"].float().flatten(), data["glob_std"].float().flatten()
    if not bool(mean.isfinite().all()) or not bool((deviation > 0).all()):
        raise CheckpointError(f"{path}: glob_std must be above 0 in each of its {len(deviation)} bins")
    weights.put("cmvn.mean", mean, f"{path}: glob_mean")
    scale = 1 / torch.clamp(deviation, min=1e-10) if divided else torch.ones_like(deviation)
    weights.put("cmvn.inverse_std", scale, f"{path}: glob_std")


def _tokens(path: Path, recipe: Recipe, transformer: Settings):
    try:
        tokens = pieces_of(path)
    except Exception as error:
        raise CheckpointError(str(error)) from error
    vocabulary = transformer.get("tgt_vocab", len(tokens), int)
    if len(tokens) != vocabulary:
        raise CheckpointError(f"{path}: holds {len(tokens)} pieces, the model {vocabulary}")
    ids = {name: recipe.get(f"{name}_index", usual) for name, usual in (("blank", 0), ("bos", 1), ("eos", 2))}
    for name, number in ids.items():
        if not isinstance(number, int) or not 0 <= number < vocabulary:
            raise CheckpointError(f"{recipe.path}: {name}_index {number!r} is no id of {vocabulary} pieces")
    unk = tokens.index("<unk>") if "<unk>" in tokens else ids["blank"]
    if unk in (ids["bos"], ids["eos"]):
        unk = ids["blank"]
    if ids["bos"] == ids["eos"]:
        tokens[ids["bos"]] = SOS_EOS
    else:
        tokens[ids["bos"]], tokens[ids["eos"]] = SOS, EOS
    tokens[unk] = UNK
    tokens[ids["blank"]] = BLANK_UNK if unk == ids["blank"] else BLANK
    return token_table(tokens, path)


def _decoding(recipe: Recipe, ctc: bool) -> dict[str, Any]:
    """Their decoder weighs 1 - c, the CTC head c; our decoder always weighs 1."""
    share = recipe.get("ctc_weight_decode", 0.0)
    beam = recipe.get("test_beam_size", 10)
    weight = share / (1 - share) if ctc and isinstance(share, int | float) and 0 <= share < 1 else 0.0
    return {
        "rule": "speechbrain",
        "beam": beam if isinstance(beam, int) and beam > 0 else 10,
        "length_power": 1.0,
        "ctc_weight": round(weight, 4),
    }
