"""Cohere Transcribe (Cohere Labs 2026, Apache-2.0): a folder of Hugging Face, as published or as transformers saves it.

A Conformer as NeMo builds it, behind depthwise-separable convolutions; a projection; a small Transformer decoder, which is told
by tokens before each text what to do.
"""

from dataclasses import dataclass
from math import log2
from pathlib import Path

import torch

from asr.errors import CheckpointError
from asr.features.fbank import FeatureConfig, mel_matrix
from asr.interop.checkpoints import existing, read_json
from asr.interop.cohere_settings import STRIDE, DecoderSizes, Sizes, read_features, read_sizes
from asr.interop.cohere_tokens import PROMPT, read_tokens
from asr.interop.foreign import Foreign, Settings, Weights
from asr.interop.hugging_face import generation_settings, suppressed, tensors_of
from asr.model.decoder import DecoderConfig
from asr.model.encoder import EncoderConfig
from asr.model.model import ModelConfig
from asr.model.subsampling import ConvolutionBlock, SubsamplingConfig

DECODE = {"beam": 1, "rule": "transformers", "max_chars_per_second": 20.0}
"""The authors search greedily. A character that is no piece is three tokens, which are what the limit is of."""
MEL_TOLERANCE = 0.01
"""Share of the highest filter by which filters in a file may be off: they may lie there in 16 bits."""


@dataclass(frozen=True)
class Names:
    """What a file calls the parts whose names differ between both forms."""

    convolutions: str
    subsampled: str
    attention: tuple[str, ...]
    """Query, key, value, output and positions of the encoder's, and its two biases."""
    batch_norm: str
    embedding: str
    positions: str
    embedding_norm: str
    layers: str
    """Of the decoder."""
    parts: tuple[str, ...]
    """Of a layer: self-attention, attention to the memory, both linear layers behind them, and the norms before these three."""
    decoder_attention: tuple[str, ...]
    norm: str
    projection: str
    out: str


PUBLISHED = Names(
    convolutions="encoder.pre_encode.conv",
    subsampled="encoder.pre_encode.out",
    attention=("linear_q", "linear_k", "linear_v", "linear_out", "linear_pos", "pos_bias_u", "pos_bias_v"),
    batch_norm="batch_norm",
    embedding="transf_decoder._embedding.token_embedding",
    positions="transf_decoder._embedding.position_embedding.pos_enc",
    embedding_norm="transf_decoder._embedding.layer_norm",
    layers="transf_decoder._decoder.layers",
    parts=("first_sub_layer", "second_sub_layer", "third_sub_layer.dense_in", "third_sub_layer.dense_out")
    + ("layer_norm_1", "layer_norm_2", "layer_norm_3"),
    decoder_attention=("query_net", "key_net", "value_net", "out_projection"),
    norm="transf_decoder._decoder.final_layer_norm",
    projection="encoder_decoder_proj",
    out="log_softmax.mlp.layer0",
)
"""As in the published file, and as transformers writes them again."""
OF_THE_CLASS = Names(
    convolutions="encoder.subsampling.layers",
    subsampled="encoder.subsampling.linear",
    attention=("q_proj", "k_proj", "v_proj", "o_proj", "relative_k_proj", "bias_u", "bias_v"),
    batch_norm="norm",
    embedding="decoder.embed_tokens",
    positions="decoder.pos_emb.weight",
    embedding_norm="decoder.embedding_layernorm",
    layers="decoder.layers",
    parts=("self_attn", "encoder_attn", "mlp.fc1", "mlp.fc2")
    + ("input_layernorm", "post_attention_layernorm", "final_layernorm"),
    decoder_attention=("q_proj", "k_proj", "v_proj", "o_proj"),
    norm="decoder.norm",
    projection="decoder.proj",
    out="proj_out",
)
"""As the class of transformers names them."""
OURS = ("query", "key", "value", "out")


def read_cohere(folder: Path) -> Foreign:
    """The model of a folder. Raises CheckpointError with the file, the setting or the tensors that cannot be imported."""
    path = existing(folder / "config.json")
    settings = Settings(read_json(path), str(path))
    sizes = read_sizes(settings)
    features = read_features(folder, settings.values, sizes.n_mels)
    weights = Weights(tensors_of(folder, "Cohere Transcribe"))
    names = OF_THE_CLASS if f"{OF_THE_CLASS.subsampled}.weight" in weights.tensors else PUBLISHED
    _check_vocabulary(weights, names, sizes, str(path))
    table, prompt, pieces = read_tokens(folder, sizes.vocabulary)
    settings.require("eos_token_id", table.eos, [table.eos])
    projected = f"{names.projection}.weight" in weights.tensors
    config = _config(sizes, prompt, projected)
    _map_encoder(weights, names, sizes)
    _map_decoder(weights, names, sizes.decoder)
    if projected:
        weights.linear("projection", names.projection)
    _check_mel(weights, features)
    weights.put("cmvn.mean", torch.zeros(sizes.n_mels), "none: each utterance is normalised by itself")
    weights.put("cmvn.inverse_std", torch.ones(sizes.n_mels), "none: each utterance is normalised by itself")
    weights.tensors.ignore(
        r"preprocessor\.featurizer\..*", "filters and window of the features, which are computed here"
    )
    weights.tensors.ignore(r".*\.num_batches_tracked", "a counter of training")
    decode = DECODE | {"never_written": suppressed(generation_settings(folder, "generation_config.json"), table)}
    remarks = ("is told to write Mandarin with punctuation; its other languages are not asked for",)
    return Foreign.of(weights, features, config, table, pieces=pieces, decode=decode, remarks=remarks)


def _config(sizes: Sizes, prompt: tuple[int, ...], projected: bool) -> ModelConfig:
    decoder = sizes.decoder
    if not projected and decoder.width != sizes.width:
        raise CheckpointError(
            f"the widths of encoder ({sizes.width}) and decoder ({decoder.width}) differ, and there is no projection"
        )
    blocks = (ConvolutionBlock(sizes.channels, sizes.first_kernel, STRIDE),) * int(log2(sizes.factor))
    return ModelConfig(
        SubsamplingConfig(sizes.factor, sizes.channels, zeros=True, separable=True, blocks=blocks),
        encoder=EncoderConfig(
            kind="conformer",
            layers=sizes.layers,
            width=sizes.width,
            heads=sizes.heads,
            feed_forward=sizes.feed_forward,
            kernel=sizes.kernel,
            positions="relative",
            activation=sizes.activation,
            last_norm=False,
            conv_norm="batch",
        ),
        decoder=DecoderConfig(
            layers=decoder.layers,
            heads=decoder.heads,
            feed_forward=decoder.feed_forward,
            activation=decoder.activation,
            tied=decoder.tied,
            positions="learned",
            places=decoder.places,
            embedding_norm=True,
            prompt=prompt,
        ),
        decoder_width=decoder.width if projected else 0,
    )


def _check_vocabulary(weights: Weights, names: Names, sizes: Sizes, where: str) -> None:
    """What settings and tensors both say must agree before anything of that size is made."""
    for tensor, setting, size in (
        (f"{names.embedding}.weight", "vocab_size", sizes.vocabulary),
        (names.positions, "max_position_embeddings", sizes.decoder.places),
    ):
        shape = weights.tensors.take(tensor).shape
        if len(shape) != 2 or shape[0] != size:
            raise CheckpointError(
                f"{weights.tensors.path}: {tensor} is {tuple(shape)}, {where} says {setting} {size:,}"
            )
    if sizes.decoder.places <= len(PROMPT) + 1:
        raise CheckpointError(f"{where}: {sizes.decoder.places} places leave no room for a text behind the prompt")


def _map_encoder(weights: Weights, names: Names, sizes: Sizes) -> None:
    weights.linear("subsampling.convolutions.0", f"{names.convolutions}.0")
    for i in range(1, int(log2(sizes.factor))):  # behind each pair stands an activation, which takes a number
        for j in range(2):
            weights.linear(f"subsampling.convolutions.{2 * i}.{j}", f"{names.convolutions}.{3 * i - 1 + j}")
    scale = 1.0 if sizes.scaled else sizes.width**-0.5  # ours multiplies by the root
    weights.linear("subsampling.out", names.subsampled, scale=scale)
    for i in range(sizes.layers):
        _map_block(weights, names, f"encoder.blocks.{i}", f"encoder.layers.{i}", sizes)


def _map_block(weights: Weights, names: Names, ours: str, theirs: str, sizes: Sizes) -> None:
    for ordinal, number in (("first", 1), ("second", 2)):
        weights.norm(f"{ours}.{ordinal}_norm", f"{theirs}.norm_feed_forward{number}")
        for place, layer in ((0, 1), (3, 2)):
            name = f"{theirs}.feed_forward{number}.linear{layer}"
            weights.linear(f"{ours}.{ordinal}_feed_forward.{place}", name, sizes.biases)
    *linear, places, content_bias, place_bias = names.attention
    weights.norm(f"{ours}.attention_norm", f"{theirs}.norm_self_att")
    for name, other in zip(OURS, linear, strict=True):
        weights.linear(f"{ours}.attention.{name}", f"{theirs}.self_attn.{other}", sizes.biases)
    weights.move(f"{ours}.attention.place.weight", f"{theirs}.self_attn.{places}.weight")
    weights.move(f"{ours}.attention.content_bias", f"{theirs}.self_attn.{content_bias}")
    weights.move(f"{ours}.attention.place_bias", f"{theirs}.self_attn.{place_bias}")
    weights.norm(f"{ours}.convolution_norm", f"{theirs}.norm_conv")
    weights.pointwise(f"{ours}.convolution.gate", f"{theirs}.conv.pointwise_conv1", sizes.convolution_biases)
    weights.linear(f"{ours}.convolution.depthwise", f"{theirs}.conv.depthwise_conv", sizes.convolution_biases)
    weights.norm(f"{ours}.convolution.norm", f"{theirs}.conv.{names.batch_norm}")
    weights.pointwise(f"{ours}.convolution.out", f"{theirs}.conv.pointwise_conv2", sizes.convolution_biases)
    weights.norm(f"{ours}.out_norm", f"{theirs}.norm_out")


def _map_decoder(weights: Weights, names: Names, sizes: DecoderSizes) -> None:
    weights.move("decoder.embedding.weight", f"{names.embedding}.weight")
    weights.move("decoder.places.weight", names.positions)
    weights.norm("decoder.embedding_norm", names.embedding_norm)
    own, memory, wide, narrow, *norms = names.parts
    for i in range(sizes.layers):
        ours, theirs = f"decoder.layers.{i}", f"{names.layers}.{i}"
        for part, other in (("self", own), ("cross", memory)):
            for name, linear in zip(OURS, names.decoder_attention, strict=True):
                weights.linear(f"{ours}.{part}_attention.{name}", f"{theirs}.{other}.{linear}", sizes.biases)
        for part, norm in zip(("self", "cross", "feed_forward"), norms, strict=True):
            weights.norm(f"{ours}.{part}_norm", f"{theirs}.{norm}")
        weights.linear(f"{ours}.feed_forward.0", f"{theirs}.{wide}")
        weights.linear(f"{ours}.feed_forward.3", f"{theirs}.{narrow}")
    weights.norm("decoder.norm", names.norm)
    if not sizes.tied:
        weights.linear("decoder.out", names.out)
        return
    weights.move("decoder.out.bias", f"{names.out}.bias")
    weights.require_tied(f"{names.out}.weight", "decoder.embedding.weight", "tie_word_embeddings")


def _check_mel(weights: Weights, features: FeatureConfig) -> None:
    """The filters that a published file carries are computed from the settings here, and must come out the same."""
    name = "preprocessor.featurizer.fb"
    if name not in weights.tensors:
        return
    theirs, ours = weights.tensors.take(name).squeeze(0), mel_matrix(features).T
    if theirs.shape != ours.shape or float((theirs - ours).abs().max()) > MEL_TOLERANCE * float(ours.max()):
        raise CheckpointError(
            f"{weights.tensors.path}: {name} {tuple(theirs.shape)} are not the filters that the settings say {tuple(ours.shape)}"
        )
