"""FireRedASR-AED and FireRedASR2-AED: model.pth.tar, cmvn.ark, dict.txt, train_bpe1000.model (FireRedTeam, Apache-2.0)."""

from argparse import Namespace
from pathlib import Path

import torch

from asr.errors import CheckpointError
from asr.features.fbank import FeatureConfig
from asr.interop.checkpoints import Tensors, existing, find_file, read_pickle
from asr.interop.foreign import Foreign, Settings, Weights, read_pieces, read_token_lines, token_table
from asr.interop.statistics import put_kaldi_cmvn
from asr.model.decoder import DecoderConfig
from asr.model.encoder import EncoderConfig
from asr.model.model import ModelConfig
from asr.model.subsampling import SubsamplingConfig
from asr.text.tokenizer import BLANK, EOS, PAD, SOS, UNK

EXTRA_FRAMES = 6
"""Frames of zeros that the encoder adds behind an utterance: the context of its convolutions."""
DECODE = {"beam": 3, "rule": "wenet", "temperature": 1.25, "gnmt_length": True, "length_power": 0.6}
"""The settings of the toolkit's README."""


def read_firered(folder: Path) -> Foreign:
    """The model of a folder. Raises CheckpointError with the file, the setting or the tensors that cannot be imported."""
    path = find_file(folder, ["model.pth.tar", "*.pth.tar"], "weights of FireRedASR")
    data = read_pickle(path)
    if not isinstance(data, dict) or not {"args", "model_state_dict"} <= data.keys():
        raise CheckpointError(f"{path}: holds no args and model_state_dict; is it from FireRedASR?")
    args = data["args"]
    # The toolkit builds its network from these few alone, whatever else of a training run stands beside them; the widths
    # of feed-forward layers are read from the tensors, and sinusoids have no end.
    args = Settings(vars(args) if isinstance(args, Namespace) else args, f"{path}: args")
    tensors = Tensors.of(data["model_state_dict"], path)
    weights = Weights(tensors)
    width, heads = args.get("d_model", 1280, int), args.get("n_head", 20, int)
    encoder = EncoderConfig(
        kind="conformer",
        layers=args.get("n_layers_enc", 16, int),
        width=width,
        heads=heads,
        feed_forward=len(tensors.take("encoder.layer_stack.0.ffn1.net.1.weight")),
        kernel=args.get("kernel_size", 33, int),
        positions="relative",
        conv_expansion=2,
        last_norm=False,
    )
    decoder = DecoderConfig(
        layers=args.get("n_layers_dec", 16, int),
        heads=heads,
        feed_forward=len(tensors.take("decoder.layer_stack.0.mlp.w_1.weight")),
        activation="gelu",
        tied=True,
    )
    n_mels = args.get("idim", 80, int)
    _map_subsampling(weights, width)
    for i in range(encoder.layers):
        _map_encoder_block(weights, f"encoder.blocks.{i}", f"encoder.layer_stack.{i}")
    _map_decoder(weights, decoder)
    ctc = "ctc.ctc_lo.weight" in tensors
    if ctc:
        weights.linear("ctc", "ctc.ctc_lo")
    put_kaldi_cmvn(weights, existing(folder / "cmvn.ark"), n_mels)
    table = _tokens(folder, args)
    pieces = read_pieces(find_file(folder, ["train_bpe1000.model", "*.model"], "SentencePiece model"), table)
    config = ModelConfig(
        subsampling=SubsamplingConfig(
            channels=len(tensors.take("encoder.input_preprocessor.conv.0.weight")), extra_frames=EXTRA_FRAMES
        ),
        ctc=ctc,
        encoder=encoder,
        decoder=decoder,
    )
    decode = DECODE | ({"ctc_weight": 0.0} if ctc else {})
    features = FeatureConfig(n_mels=n_mels)
    return Foreign.of(weights, features, config, table, pieces=pieces, decode=decode)


def _map_subsampling(weights: Weights, width: int) -> None:
    ours, theirs = "subsampling", "encoder.input_preprocessor"
    for i in (0, 2):
        weights.linear(f"{ours}.convolutions.{i}", f"{theirs}.conv.{i}")
    weights.linear(
        f"{ours}.out", f"{theirs}.out", scale=width**-0.5
    )  # our encoder multiplies by sqrt(D), theirs does not
    weights.tensors.ignore(r"(encoder|decoder)\.positional_encoding\.pe", "a table of sinusoids, computed anew")


def _map_encoder_block(weights: Weights, ours: str, theirs: str) -> None:
    """x/2 + (x + f(x))/2 is x + f(x)/2: the usual macaron halves."""
    for name, other in (("first", "ffn1"), ("second", "ffn2")):
        weights.norm(f"{ours}.{name}_norm", f"{theirs}.{other}.net.0")
        weights.linear(f"{ours}.{name}_feed_forward.0", f"{theirs}.{other}.net.1")
        weights.linear(f"{ours}.{name}_feed_forward.3", f"{theirs}.{other}.net.4")
    _fold_attention(weights, ours, f"{theirs}.mhsa")
    weights.norm(f"{ours}.convolution_norm", f"{theirs}.conv.pre_layer_norm")
    weights.pointwise(f"{ours}.convolution.gate", f"{theirs}.conv.pointwise_conv1", bias=False)
    weights.linear(f"{ours}.convolution.depthwise", f"{theirs}.conv.depthwise_conv", bias=False)
    weights.norm(f"{ours}.convolution.norm", f"{theirs}.conv.batch_norm")  # by its name; it is a layer norm
    weights.pointwise(f"{ours}.convolution.out", f"{theirs}.conv.pointwise_conv2", bias=False)
    weights.norm(f"{ours}.out_norm", f"{theirs}.layer_norm")


def _fold_attention(weights: Weights, ours: str, theirs: str) -> None:
    """Queries, keys and values each have a norm's gain and bias of their own: folded into the layers behind, W (g n + b)."""
    take = weights.tensors.take
    for name, letter in (("query", "q"), ("key", "k"), ("value", "v")):
        weight, norm = take(f"{theirs}.w_{letter}s.weight"), f"{theirs}.layer_norm_{letter}"
        gain, bias = take(f"{norm}.weight"), take(f"{norm}.bias")
        origin = f"{theirs}.w_{letter}s.weight and {norm}"
        weights.put(f"{ours}.attention.{name}.weight", (weight.double() * gain.double()).float(), origin)
        weights.put(f"{ours}.attention.{name}.bias", (weight.double() @ bias.double()).float(), origin)
    width = len(gain)
    weights.put(f"{ours}.attention_norm.weight", torch.ones(width), f"{theirs}.layer_norm_*")
    weights.put(f"{ours}.attention_norm.bias", torch.zeros(width), f"{theirs}.layer_norm_*")
    weights.linear(f"{ours}.attention.out", f"{theirs}.fc", bias=False)
    weights.move(f"{ours}.attention.place.weight", f"{theirs}.linear_pos.weight")
    weights.move(f"{ours}.attention.content_bias", f"{theirs}.pos_bias_u")
    weights.move(f"{ours}.attention.place_bias", f"{theirs}.pos_bias_v")


def _map_decoder(weights: Weights, config: DecoderConfig) -> None:
    weights.move("decoder.embedding.weight", "decoder.tgt_word_emb.weight")
    vocabulary = len(weights.named["decoder.embedding.weight"])
    for i in range(config.layers):
        ours, theirs = f"decoder.layers.{i}", f"decoder.layer_stack.{i}"
        for name, other in (("self_attention", "self_attn"), ("cross_attention", "cross_attn")):
            for layer, letters, bias in (("query", "qs", True), ("key", "ks", False), ("value", "vs", True)):
                weights.linear(f"{ours}.{name}.{layer}", f"{theirs}.{other}.w_{letters}", bias)
            weights.linear(f"{ours}.{name}.out", f"{theirs}.{other}.fc")
        for name, other in (("self", "self_attn"), ("cross", "cross_attn"), ("feed_forward", "mlp")):
            weights.norm(f"{ours}.{name}_norm", f"{theirs}.{other}_norm")
        weights.linear(f"{ours}.feed_forward.0", f"{theirs}.mlp.w_1")
        weights.linear(f"{ours}.feed_forward.3", f"{theirs}.mlp.w_2")
    weights.norm("decoder.norm", "decoder.layer_norm_out")
    weights.put("decoder.out.bias", torch.zeros(vocabulary), "none: the output layer has no bias")
    weights.require_tied("decoder.tgt_word_prj.weight", "decoder.embedding.weight")


def _tokens(folder: Path, args: Settings):
    path = existing(folder / "dict.txt")
    tokens = read_token_lines(path)
    if len(tokens) != args.get("odim", len(tokens), int):
        raise CheckpointError(f"{path}: holds {len(tokens)} tokens, the model {args.values['odim']}")
    ids: dict[int, str] = {}
    for name, ours, usual in (("sos_id", SOS, 3), ("eos_id", EOS, 4), ("pad_id", PAD, 2)):
        number = args.get(name, usual, int)
        if not 0 <= number < len(tokens):
            raise CheckpointError(f"{args.where}.{name}: {number} is no id of {len(tokens)} tokens")
        if number in ids:
            raise CheckpointError(f"{args.where}.{name}: {number} is {ids[number]}, too; they must be different tokens")
        ids[number], tokens[number] = name, ours
    for name in (BLANK, UNK):
        if name not in tokens:
            raise CheckpointError(f"{path}: has no {name}")
    return token_table(tokens, path)
