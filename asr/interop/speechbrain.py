"""SpeechBrain's asr-transformer recipes: hyperparams.yaml, asr.ckpt, normalizer.ckpt, tokenizer.ckpt (a SentencePiece model)."""

import math
from pathlib import Path
from typing import Any

from asr.errors import CheckpointError, TokenError
from asr.features.fbank import FeatureConfig
from asr.foreign_bytes import quoted
from asr.interop.checkpoints import existing, find_file, read_tensors, read_yaml
from asr.interop.foreign import Foreign, Settings, Weights, token_table
from asr.interop.hyperparams import Recipe
from asr.interop.speechbrain_weights import map_cmvn, map_model
from asr.model.decoder import DecoderConfig
from asr.model.encoder import EncoderConfig
from asr.model.model import ModelConfig
from asr.model.subsampling import ConvolutionBlock, SubsamplingConfig
from asr.text.sentence_pieces import pieces_of
from asr.text.tokenizer import BLANK, BLANK_UNK, EOS, SOS, SOS_EOS, UNK

EPS = 1e-6
"""SpeechBrain's layer norms in the layers of Transformers, and behind the last layer."""
CONFORMER_EPS = 1e-5
"""In the layers of Conformers."""
ACTIVATIONS = {
    "torch.nn.GELU": "gelu",
    "torch.nn.ReLU": "relu",
    "torch.nn.SiLU": "swish",
    "speechbrain.nnet.activations.Swish": "swish",
}
CNN_ACTIVATIONS = ACTIVATIONS | {"torch.nn.LeakyReLU": "leaky_relu"}
NORMS = {"speechbrain.nnet.normalization.LayerNorm": True}
CONVOLUTIONS = {"speechbrain.nnet.CNN.Conv2d": True}
POSITIONS = {"regularMHA": "absolute", "RelPosMHAXL": "mirrored"}
"""attention_type → our positions: SpeechBrain's sinusoids of distances ahead are those of distances behind."""
SEARCHES = ("S2STransformerBeamSearcher", "S2STransformerBeamSearch")
"""Classes of the search, of which the second had the weight of the CTC head among its own settings."""


def read_speechbrain(folder: Path) -> Foreign:
    """The model of a folder. Raises CheckpointError with the file, the setting or the tensors that cannot be imported."""
    path = find_file(folder, ["hyperparams.yaml", "*.yaml"], "settings of a SpeechBrain model")
    recipe = Recipe(read_yaml(path), path)
    transformer = recipe.section("TransformerASR.TransformerASR")
    encoder, decoder, conformer_bias = _sizes(transformer)
    parts = recipe.parts()
    config = _model(recipe.section("ConvolutionFrontEnd"), encoder, decoder, "ctc_lin" in parts)
    features = _features(recipe.section("features.Fbank"))
    tensors = read_tensors(find_file(folder, ["asr.ckpt"], "weights"))
    weights = Weights(tensors)
    map_model(weights, config, features.n_mels, parts, conformer_bias=conformer_bias)
    map_cmvn(weights, existing(folder / "normalizer.ckpt"), recipe.section("InputNormalization"))
    pieces = find_file(folder, ["tokenizer.ckpt", "*.model"], "SentencePiece model")
    table, decode = _tokens(pieces, recipe, transformer), _decoding(recipe, config.ctc)
    remarks = ("trained without a causal mask, whatever the present default of SpeechBrain is",)
    return Foreign.of(weights, features, config, table, pieces=pieces.read_bytes(), decode=decode, remarks=remarks)


def _model(settings: Settings, encoder: EncoderConfig, decoder: DecoderConfig, ctc: bool) -> ModelConfig:
    """The whole network, with the convolutions of these settings."""
    n_blocks = settings.get("num_blocks", 3, int)
    layers = settings.get("num_layers_per_block", 5, int)
    columns = [
        _of_each_block(settings, name, n_blocks, default, kind)
        for name, default, kind in (
            ("out_channels", (128, 256, 512), int),
            ("kernel_sizes", (3, 3, 3), int),
            ("strides", (1, 2, 2), int),
            ("residuals", (True, True, True), bool),
        )
    ]
    if set(_of_each_block(settings, "dilations", n_blocks, (1,) * len(columns[0]), int)) != {1}:
        raise CheckpointError(
            f"{settings.where}.dilations: {quoted(settings.values['dilations'])} cannot be imported; only 1 can"
        )
    blocks = tuple(
        ConvolutionBlock(channels, kernel, stride, layers, shortcut)
        for channels, kernel, stride, shortcut in zip(*columns, strict=True)
    )
    padding = settings.choose("padding", "same", {"same": True, "valid": False})
    if padding and any(block.kernel % 2 == 0 for block in blocks):
        raise CheckpointError(f"{settings.where}.kernel_sizes: {columns[1]} must be odd")
    _class_of(settings, "conv_module", "speechbrain.nnet.CNN.Conv2d", CONVOLUTIONS)
    activation = _class_of(settings, "activation", "torch.nn.LeakyReLU", CNN_ACTIVATIONS)
    without_norm = "norm" in settings.values and settings.values["norm"] is None
    norm = not without_norm and _class_of(settings, "norm", "speechbrain.nnet.normalization.LayerNorm", NORMS)
    settings.pass_over("input_shape", "dropout", "conv_init", "norm", "conv_bias")
    settings.finish()
    return ModelConfig(
        subsampling=SubsamplingConfig(
            factor=math.prod(block.stride for block in blocks),
            blocks=blocks,
            reflect=padding,
            norm=norm,
            activation=activation,
        ),
        ctc=ctc,
        encoder=encoder,
        decoder=decoder,
    )


def _of_each_block(settings: Settings, name: str, n_blocks: int, default: tuple, kind: type) -> tuple:
    """A setting that has a value for each block, or for more than there are."""
    values = settings.get(name, default)
    if not isinstance(values, list | tuple) or not 1 <= n_blocks <= len(values):
        raise CheckpointError(f"{settings.where}.{name}: {quoted(values)} is no list of {n_blocks} values")
    values = tuple(values[:n_blocks])
    if not all(type(value) is kind for value in values):
        raise CheckpointError(
            f"{settings.where}.{name}: {quoted(values)} cannot be imported; only one {kind.__name__} a block can"
        )
    return values


def _class_of(settings: Settings, name: str, default: str, known: dict[str, Any]) -> Any:
    """What a setting that names a class, `!name:torch.nn.GELU`, means."""
    value = settings.get(name, default)
    named = value.removeprefix("!name:").strip() if isinstance(value, str) else value
    if not isinstance(named, str) or named not in known:
        raise CheckpointError(
            f"{settings.where}.{name}: {quoted(value)} cannot be imported; known are {', '.join(known)}"
        )
    return known[named]


def _sizes(settings: Settings) -> tuple[EncoderConfig, DecoderConfig, bool]:
    """Encoder, decoder, and whether the convolutions of a Conformer have biases."""
    kind = settings.choose("encoder_module", "transformer", {"transformer": "transformer", "conformer": "conformer"})
    positions = settings.choose("attention_type", "regularMHA", POSITIONS)
    if positions == "absolute" and settings.values.get("positional_encoding", "fixed_abs_sine") != "fixed_abs_sine":
        raise CheckpointError(f"{settings.where}.positional_encoding: must be 'fixed_abs_sine' with regularMHA")
    settings.require("causal", False)
    settings.require("output_hidden_states", False)
    conformer = kind == "conformer"
    activation = _class_of(settings, "activation", "torch.nn.ReLU", ACTIVATIONS)
    swish = "speechbrain.nnet.activations.Swish"
    of_conformer = _class_of(settings, "conformer_activation", swish, ACTIVATIONS if conformer else {swish: ""})
    norm_first = settings.get("normalize_before", False, bool)
    if conformer and not norm_first:
        raise CheckpointError(f"{settings.where}.normalize_before: must be True of a Conformer")
    sizes = {"heads": settings.get("nhead", 8, int), "feed_forward": settings.get("d_ffn", 2048, int)}
    encoder = EncoderConfig(
        kind=kind,
        layers=settings.get("num_encoder_layers", 6, int),
        width=settings.get("d_model", 512, int),
        kernel=settings.get("kernel_size", 31, int) if conformer else 15,
        positions=positions,
        activation=of_conformer if conformer else activation,
        norm_first=norm_first,
        norm_eps=CONFORMER_EPS if conformer else EPS,
        last_norm_eps=EPS,
        **sizes,
    )
    decoder = DecoderConfig(
        layers=settings.get("num_decoder_layers", 6, int),
        activation=activation,
        norm_first=norm_first,
        norm_eps=EPS,
        **sizes,
    )
    bias = settings.get("bias", True, bool)
    settings.pass_over("input_size", "tgt_vocab", "dropout", "max_length", "layerdrop_prob", "positional_encoding")
    settings.pass_over("kernel_size", "conformer_activation", "branchformer_activation", "csgu_linear_units")
    settings.pass_over("gate_activation", "use_linear_after_conv")
    settings.finish()
    return encoder, decoder, bias


def _features(settings: Settings) -> FeatureConfig:
    settings.require("sample_rate", 16000)
    settings.require("filter_shape", "triangular")
    settings.require("deltas", False)
    settings.require("context", False)
    settings.require("requires_grad", False)  # trained filters lie in no file of the folder
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
    settings.pass_over("param_change_factor", "param_rand_factor", "left_frames", "right_frames")
    settings.finish()
    return config


def _tokens(path: Path, recipe: Recipe, transformer: Settings):
    try:
        tokens = pieces_of(path)
    except TokenError as error:
        raise CheckpointError(str(error)) from error
    vocabulary = transformer.get("tgt_vocab", len(tokens), int)
    if len(tokens) != vocabulary:
        raise CheckpointError(f"{path}: holds {len(tokens)} pieces, the model {vocabulary}")
    ids = {name: recipe.get(f"{name}_index", usual) for name, usual in (("blank", 0), ("bos", 1), ("eos", 2))}
    for name, number in ids.items():
        if type(number) is not int or not 0 <= number < vocabulary:
            raise CheckpointError(f"{recipe.path}: {name}_index {quoted(number)} is no id of {vocabulary} pieces")
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
    """The settings of the recipe's own search. Their decoder weighs 1 - c, the CTC head c; our decoder always weighs 1."""
    searches = recipe.sections(*SEARCHES)
    search = next((s for name, s in searches.items() if "valid" not in name), {})
    scorer = search.get("scorer") or {}
    weights = scorer.get("weights", {}) if isinstance(scorer, dict) else {}
    share = recipe.resolve(weights.get("ctc", 0.0)) if isinstance(weights, dict) else 0.0
    share = search.get("ctc_weight", share) or recipe.get("ctc_weight_decode", 0.0)
    weight = share / (1 - share) if ctc and _number(share) and 0 <= share < 1 else 0.0
    beam = search.get("beam_size", recipe.get("test_beam_size", 10))
    threshold = search.get("eos_threshold", 1.5) if search and search.get("using_eos_threshold", True) else 0.0
    temperature = search.get("temperature", 1.0)
    return {
        "rule": "speechbrain",
        "beam": beam if type(beam) is int and beam > 0 else 10,
        "length_power": 0.0 if search.get("length_normalization", True) is False else 1.0,
        "ctc_weight": round(weight, 4),
        "eos_threshold": threshold if _number(threshold) and threshold >= 0 else 0.0,
        "temperature": temperature if _number(temperature) and temperature > 0 else 1.0,
    }


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
