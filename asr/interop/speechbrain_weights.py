"""SpeechBrain's names and layouts of tensors to ours."""

from pathlib import Path

import torch
from torch import Tensor

from asr.errors import CheckpointError
from asr.interop.checkpoints import read_pickle
from asr.interop.foreign import Settings, Weights
from asr.interop.hyperparams import SavedModule
from asr.model.encoder import EncoderConfig
from asr.model.model import ModelConfig


def map_model(
    weights: Weights, config: ModelConfig, n_mels: int, parts: dict[str, SavedModule], *, conformer_bias: bool
) -> None:
    """All tensors of asr.ckpt. conformer_bias: whether the convolutions of a Conformer have biases."""
    body = parts["transformer"].place
    _map_convolutions(weights, config, parts["cnn"])
    _map_projection(weights, f"{body}.custom_src_module.layers.0.w", config, n_mels)
    for i in range(config.encoder.layers):
        ours, theirs = f"encoder.blocks.{i}", f"{body}.encoder.layers.{i}"
        if config.encoder.kind == "conformer":
            _map_conformer_block(weights, ours, theirs, config.encoder, conformer_bias)
        else:
            _map_transformer_block(weights, ours, theirs, config.encoder)
    weights.norm("encoder.norm", f"{body}.encoder.norm.norm")
    weights.move("decoder.embedding.weight", f"{body}.custom_tgt_module.layers.0.emb.Embedding.weight")
    for i in range(config.decoder.layers):
        _map_decoder_layer(weights, f"decoder.layers.{i}", f"{body}.decoder.layers.{i}")
    weights.norm("decoder.norm", f"{body}.decoder.norm.norm")
    for ours, name in (("decoder.out", "seq_lin"), ("ctc", "ctc_lin")):
        if name in parts:
            weights.linear(ours, f"{parts[name].place}.w", bool(parts[name].values.get("bias", True)))
    table = rf"{body}\.positional_encoding(_decoder)?\.(pe|inv_freq)"
    weights.tensors.ignore(table, "a table of sinusoids, computed anew")


def _map_convolutions(weights: Weights, config: ModelConfig, part: SavedModule) -> None:
    """Their kernels run over frequency, then time, and their norms over bins, then channels: both are turned around."""
    bias, i = bool(part.values.get("conv_bias", True)), 0
    for b, block in enumerate(config.subsampling.blocks):
        theirs = f"{part.place}.convblock_{b}"
        for layer in range(block.layers):
            _map_convolution(weights, f"subsampling.convolutions.{2 * i}", f"{theirs}.convs.conv_{layer}.conv", bias)
            if config.subsampling.norm:
                _map_norm(weights, f"subsampling.norms.{i}", f"{theirs}.convs.norm_{layer}.norm")
            i += 1
        if block.shortcut:
            ours = f"subsampling.shortcuts.{b}"
            _map_convolution(weights, f"{ours}.convolution", f"{theirs}.reduce_conv.conv.conv", True)
            _map_norm(weights, f"{ours}.norm", f"{theirs}.reduce_conv.norm.norm")


def _map_convolution(weights: Weights, ours: str, theirs: str, bias: bool) -> None:
    weights.linear(ours, theirs, bias)
    weight = weights.named[f"{ours}.weight"]
    if weight.ndim == 4:  # another shape is refused later, with its name, here and below
        weights.named[f"{ours}.weight"] = weight.transpose(2, 3).contiguous()


def _map_norm(weights: Weights, ours: str, theirs: str) -> None:
    for name in ("weight", "bias"):
        tensor = weights.tensors.take(f"{theirs}.{name}")
        weights.put(f"{ours}.{name}", tensor.t().contiguous() if tensor.ndim == 2 else tensor, f"{theirs}.{name}")


def _map_projection(weights: Weights, theirs: str, config: ModelConfig, n_mels: int) -> None:
    """Their bins run outside, ours inside; our encoder multiplies by sqrt(D), theirs does not."""
    weights.linear("subsampling.out", theirs, scale=config.encoder.width**-0.5)
    bins, channels = n_mels, config.subsampling.blocks[-1].channels
    for convolution in config.subsampling.convolutions:
        bins = config.subsampling.after(bins, convolution)
    weight = weights.named["subsampling.out.weight"]
    if weight.ndim == 2 and weight.shape[1] == bins * channels:
        weight = weight.unflatten(1, (bins, channels)).transpose(1, 2).flatten(1)
        weights.named["subsampling.out.weight"] = weight.contiguous()


def _map_transformer_block(weights: Weights, ours: str, theirs: str, config: EncoderConfig) -> None:
    _map_self_attention(weights, f"{ours}.attention", f"{theirs}.self_att", config)
    weights.norm(f"{ours}.attention_norm", f"{theirs}.norm1.norm")
    _map_feed_forward(weights, f"{ours}.feed_forward", f"{theirs}.pos_ffn.ffn")
    weights.norm(f"{ours}.feed_forward_norm", f"{theirs}.norm2.norm")


def _map_conformer_block(weights: Weights, ours: str, theirs: str, config: EncoderConfig, bias: bool) -> None:
    for name, other in (("first", "ffn_module1"), ("second", "ffn_module2")):
        weights.norm(f"{ours}.{name}_norm", f"{theirs}.{other}.0")
        _map_feed_forward(weights, f"{ours}.{name}_feed_forward", f"{theirs}.{other}.1.ffn")
    _map_self_attention(weights, f"{ours}.attention", f"{theirs}.mha_layer", config)
    weights.norm(f"{ours}.attention_norm", f"{theirs}.norm1.norm")
    module, other = f"{ours}.convolution", f"{theirs}.convolution_module"
    weights.norm(f"{ours}.convolution_norm", f"{other}.layer_norm")
    weights.pointwise(f"{module}.gate", f"{other}.bottleneck.0", bias)
    weights.linear(f"{module}.depthwise", f"{other}.conv", bias)
    weights.norm(f"{module}.norm", f"{other}.after_conv.0")
    weights.linear(f"{module}.out", f"{other}.after_conv.2", bias)
    weights.norm(f"{ours}.out_norm", f"{theirs}.norm2.norm")


def _map_decoder_layer(weights: Weights, ours: str, theirs: str) -> None:
    misspelt = f"{theirs}.mutihead_attn.att.in_proj_weight" in weights.tensors  # in files before 2024
    cross = f"{theirs}.{'mutihead_attn' if misspelt else 'multihead_attn'}.att"
    _map_attention(weights, f"{ours}.self_attention", f"{theirs}.self_attn.att")
    _map_attention(weights, f"{ours}.cross_attention", cross)
    _map_feed_forward(weights, f"{ours}.feed_forward", f"{theirs}.pos_ffn.ffn")
    for name, number in (("self_norm", 1), ("cross_norm", 2), ("feed_forward_norm", 3)):
        weights.norm(f"{ours}.{name}", f"{theirs}.norm{number}.norm")


def _map_self_attention(weights: Weights, ours: str, theirs: str, config: EncoderConfig) -> None:
    if config.positions == "mirrored":
        _map_relative_attention(weights, ours, theirs, config)
    else:
        _map_attention(weights, ours, f"{theirs}.att")


def _map_attention(weights: Weights, ours: str, theirs: str) -> None:
    """Queries, keys and values lie in one tensor, a third each."""
    for name in ("weight", "bias"):
        packed = weights.tensors.take(f"{theirs}.in_proj_{name}")
        for layer, third in zip(
            ("query", "key", "value"), _thirds(weights, packed, f"{theirs}.in_proj_{name}"), strict=True
        ):
            weights.put(f"{ours}.{layer}.{name}", third.clone(), f"{theirs}.in_proj_{name}")
    weights.linear(f"{ours}.out", f"{theirs}.out_proj")


def _thirds(weights: Weights, packed: Tensor, name: str) -> list[Tensor]:
    if packed.ndim == 0 or len(packed) % 3 or not len(packed):
        raise CheckpointError(f"{weights.tensors.path}: {name} {tuple(packed.shape)} has no thirds")
    return list(packed.chunk(3))


def _map_relative_attention(weights: Weights, ours: str, theirs: str, config: EncoderConfig) -> None:
    """Thirds for each head, and scores over the root of the whole width, not of a head's: the queries make up for that.

    The biases lie in memory as (heads, width of a head), whatever their shape says.
    """
    heads, width = config.heads, config.width
    name = f"{theirs}.in_proj_weight"
    packed = weights.tensors.take(name)
    if packed.shape != (3 * width, width):
        raise CheckpointError(
            f"{weights.tensors.path}: {name} is {tuple(packed.shape)}, not {(3 * width, width)} as the settings have it"
        )
    scales = (heads**-0.5, 1.0, 1.0)
    by_head = packed.unflatten(0, (heads, 3, width // heads))
    for i, (layer, scale) in enumerate(zip(("query", "key", "value"), scales, strict=True)):
        weights.put(f"{ours}.{layer}.weight", by_head[:, i].flatten(0, 1) * scale, name)
        weights.put(f"{ours}.{layer}.bias", packed.new_zeros(width), "none: the layer has no bias")
    weights.linear(f"{ours}.out", f"{theirs}.out_proj")
    weights.move(f"{ours}.place.weight", f"{theirs}.linear_pos.weight")
    for layer, letter in (("content_bias", "u"), ("place_bias", "v")):
        bias = weights.tensors.take(f"{theirs}.pos_bias_{letter}")
        if bias.shape == (width // heads, heads):
            bias = bias.reshape(heads, width // heads) * heads**-0.5
        weights.put(f"{ours}.{layer}", bias, f"{theirs}.pos_bias_{letter}")


def _map_feed_forward(weights: Weights, ours: str, theirs: str) -> None:
    weights.linear(f"{ours}.0", f"{theirs}.0")
    weights.linear(f"{ours}.3", f"{theirs}.3")


def map_cmvn(weights: Weights, path: Path, settings: Settings) -> None:
    """Mean and inverse deviation from normalizer.ckpt."""
    settings.require("norm_type", "global")
    settings.require("mean_norm", True)
    settings.require("length_dim", 1)
    divided, floor = settings.get("std_norm", True, bool), settings.get("epsilon", 1e-10, float)
    settings.pass_over("avg_factor", "update_until_epoch", "avoid_padding_norm", "device", "requires_grad")
    settings.finish()
    data = read_pickle(path)
    needed = ("glob_mean", "glob_std") if divided else ("glob_mean",)
    if not isinstance(data, dict) or not all(isinstance(data.get(n), Tensor) for n in needed):
        raise CheckpointError(f"{path}: holds no {' and '.join(needed)}")
    mean = data["glob_mean"].float().flatten()
    if not bool(mean.isfinite().all()):
        raise CheckpointError(f"{path}: glob_mean holds values that are not numbers")
    weights.put("cmvn.mean", mean, f"{path}: glob_mean")
    scale = torch.ones_like(mean)
    if divided:
        deviation = data["glob_std"].float().flatten()
        if not bool((deviation > 0).all()):
            raise CheckpointError(f"{path}: glob_std must be above 0 in each of its {len(deviation)} bins")
        scale = 1 / deviation.clamp(min=floor)
    weights.put("cmvn.inverse_std", scale, f"{path}: glob_std")
