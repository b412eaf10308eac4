"""The names that WeNet took over from ESPnet: one map serves both toolkits."""

import re
from typing import NamedTuple

from asr.errors import CheckpointError
from asr.interop.foreign import Settings, Weights
from asr.model.decoder import DecoderConfig
from asr.model.encoder import EncoderConfig
from asr.model.relative import SCORES
from asr.model.subsampling import LAYOUTS

FACTORS = {"conv2d1": 1, "conv2d2": 2, "conv2d": 4, "conv2d6": 6, "conv2d8": 8}
"""input_layer → subsampling factor."""
ACTIVATIONS = {"relu": "relu", "gelu": "gelu", "swish": "swish"}
NO_MATTER = (
    "dropout_rate positional_dropout_rate attention_dropout_rate self_attention_dropout_rate src_attention_dropout_rate"
    " gradient_checkpointing use_sdpa padding_idx layer_drop_rate stochastic_depth_rate use_flash_attn max_pos_emb_len"
    " use_dynamic_chunk use_dynamic_left_chunk selfattention_layer_type gradient_checkpoint_layers"
).split()
"""Settings of training, or of streaming, which a whole recording does not need."""


class Biases(NamedTuple):
    """Which layers have one."""

    query: bool = True
    key: bool = True
    value: bool = True
    convolution: bool = True
    feed_forward: bool = True
    out: bool = True


ATTENTION = {"query": "linear_q", "key": "linear_k", "value": "linear_v", "out": "linear_out"}


def decoder_config(settings: Settings, eps: float, activations: dict[str, str]) -> DecoderConfig:
    """Sizes and kind of the decoder."""
    norm_first = settings.get("normalize_before", True, bool)
    config = DecoderConfig(
        layers=settings.get("num_blocks", 6, int),
        heads=settings.get("attention_heads", 4, int),
        feed_forward=settings.get("linear_units", 2048, int),
        activation=settings.choose("activation_type", "relu", activations),
        norm_first=norm_first,
        last_norm=norm_first,
        norm_eps=eps,
        tied=settings.get("tie_word_embedding", False, bool),
    )
    settings.require("input_layer", "embed")
    settings.require("use_output_layer", True)
    settings.require("src_attention", True)
    settings.require("concat_after", False)
    settings.pass_over(*NO_MATTER)
    return config


def map_subsampling(weights: Weights, factor: int) -> None:
    """Convolutions and the layer behind them."""
    tensors = weights.tensors
    for i in range(len(LAYOUTS[factor])):
        weights.linear(f"subsampling.convolutions.{2 * i}", f"encoder.embed.conv.{2 * i}")
    out = next((n for n in ("linear", "out") if f"encoder.embed.{n}.weight" in tensors), "out.0")
    out = f"encoder.embed.{out}"
    weights.linear("subsampling.out", out)
    tensors.ignore(r"encoder\.embed\.(pos_enc|out\.1)\.pe", "a table of sinusoids, computed anew")


def map_encoder(weights: Weights, config: EncoderConfig, conformer: bool, biases: Biases) -> None:
    """All blocks and the norm behind them. `conformer`: whether the blocks bear the names of a Conformer's."""
    for i in range(config.layers):
        ours, theirs = f"encoder.blocks.{i}", f"encoder.encoders.{i}"
        _map_self_attention(weights, config, f"{ours}.attention", f"{theirs}.self_attn", biases)
        weights.norm(f"{ours}.attention_norm", f"{theirs}.{'norm_mha' if conformer else 'norm1'}")
        second = "second_" if conformer else "feed_forward_"
        weights.norm(f"{ours}.{second}norm", f"{theirs}.{'norm_ff' if conformer else 'norm2'}")
        second = "second_feed_forward" if conformer else "feed_forward"
        _map_feed_forward(weights, f"{ours}.{second}", f"{theirs}.feed_forward", biases)
        if conformer and config.macaron:
            _map_feed_forward(weights, f"{ours}.first_feed_forward", f"{theirs}.feed_forward_macaron", biases)
            weights.norm(f"{ours}.first_norm", f"{theirs}.norm_ff_macaron")
        if conformer and config.convolution:
            _map_convolution(weights, ours, theirs, biases)
    _map_last_norm(weights, "encoder", "encoder", config.last_norm)
    weights.tensors.ignore(r".*\.num_batches_tracked", "a count that only training needs")
    weights.tensors.ignore(
        r"(encoder|decoder)\..*\.concat_linear[12]?\.(weight|bias)", "never used: concat_after is off"
    )


def map_e_branchformer(weights: Weights, config: EncoderConfig, biases: Biases) -> None:
    """All blocks of an E-Branchformer and the norm behind them."""
    for i in range(config.layers):
        ours, theirs = f"encoder.blocks.{i}", f"encoder.encoders.{i}"
        _map_self_attention(weights, config, f"{ours}.attention", f"{theirs}.attn", biases)
        weights.norm(f"{ours}.attention_norm", f"{theirs}.norm_mha")
        weights.norm(f"{ours}.gating_norm", f"{theirs}.norm_mlp")
        weights.linear(f"{ours}.gating.spread", f"{theirs}.cgmlp.channel_proj1.0")
        weights.norm(f"{ours}.gating.norm", f"{theirs}.cgmlp.csgu.norm")
        weights.linear(f"{ours}.gating.depthwise", f"{theirs}.cgmlp.csgu.conv")
        weights.linear(f"{ours}.gating.out", f"{theirs}.cgmlp.channel_proj2")
        weights.linear(f"{ours}.merge.depthwise", f"{theirs}.depthwise_conv_fusion")
        weights.linear(f"{ours}.merge.out", f"{theirs}.merge_proj")
        _map_feed_forward(weights, f"{ours}.second_feed_forward", f"{theirs}.feed_forward", biases)
        weights.norm(f"{ours}.second_norm", f"{theirs}.norm_ff")
        if config.macaron:
            _map_feed_forward(weights, f"{ours}.first_feed_forward", f"{theirs}.feed_forward_macaron", biases)
            weights.norm(f"{ours}.first_norm", f"{theirs}.norm_ff_macaron")
        weights.norm(f"{ours}.out_norm", f"{theirs}.norm_final")
    _map_last_norm(weights, "encoder", "encoder", config.last_norm)


def map_decoder(
    weights: Weights, config: DecoderConfig, ours: str, theirs: str, *, biases: Biases, cross: Biases
) -> None:
    """One decoder, the cross-attention of which has biases of its own, of which a bidirectional model has two."""
    tensors = weights.tensors
    if not any(name.startswith("decoder.") for name in tensors.held):
        raise CheckpointError(
            f"{tensors.path}: holds no decoder; it is a model of CTC alone, which cannot be imported: here a decoder searches"
        )
    weights.move(f"{ours}.embedding.weight", f"{theirs}.embed.0.weight")
    for i in range(config.layers):
        layer, other = f"{ours}.layers.{i}", f"{theirs}.decoders.{i}"
        _map_attention(weights, f"{layer}.self_attention", f"{other}.self_attn", biases)
        _map_attention(weights, f"{layer}.cross_attention", f"{other}.src_attn", cross)
        _map_feed_forward(weights, f"{layer}.feed_forward", f"{other}.feed_forward", biases)
        for name, number in (("self_norm", 1), ("cross_norm", 2), ("feed_forward_norm", 3)):
            weights.norm(f"{layer}.{name}", f"{other}.norm{number}")
    _map_last_norm(weights, ours, theirs, config.last_norm)
    if config.tied:
        weights.require_tied(f"{theirs}.output_layer.weight", f"{ours}.embedding.weight", "tie_word_embedding")
        weights.move(f"{ours}.out.bias", f"{theirs}.output_layer.bias")
    else:
        weights.linear(f"{ours}.out", f"{theirs}.output_layer")
    tensors.ignore(re.escape(f"{theirs}.embed.1.pe"), "a table of sinusoids, computed anew")


def map_ctc(weights: Weights) -> bool:
    """The CTC head, if there is one."""
    if "ctc.ctc_lo.weight" not in weights.tensors:
        return False
    weights.linear("ctc", "ctc.ctc_lo")
    return True


def _map_self_attention(weights: Weights, config: EncoderConfig, ours: str, theirs: str, biases: Biases) -> None:
    _map_attention(weights, ours, theirs, biases)
    if config.positions in SCORES:
        weights.move(f"{ours}.place.weight", f"{theirs}.linear_pos.weight")
        weights.move(f"{ours}.content_bias", f"{theirs}.pos_bias_u")
        weights.move(f"{ours}.place_bias", f"{theirs}.pos_bias_v")


def _map_attention(weights: Weights, ours: str, theirs: str, biases: Biases) -> None:
    for name, other in ATTENTION.items():
        weights.linear(f"{ours}.{name}", f"{theirs}.{other}", getattr(biases, name))


def _map_feed_forward(weights: Weights, ours: str, theirs: str, biases: Biases) -> None:
    weights.linear(f"{ours}.0", f"{theirs}.w_1", biases.feed_forward)
    weights.linear(f"{ours}.3", f"{theirs}.w_2", biases.feed_forward)


def _map_convolution(weights: Weights, ours: str, theirs: str, biases: Biases) -> None:
    module, other = f"{ours}.convolution", f"{theirs}.conv_module"
    weights.pointwise(f"{module}.gate", f"{other}.pointwise_conv1", biases.convolution)
    weights.linear(f"{module}.depthwise", f"{other}.depthwise_conv", biases.convolution)
    weights.norm(f"{module}.norm", f"{other}.norm")
    weights.pointwise(f"{module}.out", f"{other}.pointwise_conv2", biases.convolution)
    weights.norm(f"{ours}.convolution_norm", f"{theirs}.norm_conv")
    weights.norm(f"{ours}.out_norm", f"{theirs}.norm_final")


def _map_last_norm(weights: Weights, ours: str, theirs: str, used: bool) -> None:
    if used:
        weights.norm(f"{ours}.norm", f"{theirs}.after_norm")
    else:
        weights.tensors.ignore(re.escape(theirs) + r"\.after_norm\.(weight|bias)", "not applied in a post-norm model")
