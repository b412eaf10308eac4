"""Whisper (Radford et al. 2022, arXiv:2212.04356) in its three layouts: a folder of Hugging Face, one of CTranslate2, which
faster-whisper runs, and OpenAI's own file."""

from pathlib import Path
from typing import Any

import torch

from asr.errors import CheckpointError
from asr.features.fbank import FeatureConfig
from asr.interop import ctranslate2, whisper_pt
from asr.interop.checkpoints import Tensors, existing, read_json
from asr.interop.foreign import Foreign, Settings, Weights
from asr.interop.hugging_face import WEIGHTS, generation_settings, suppressed, tensors_of
from asr.interop.whisper_tokens import PROMPT, never_spoken, read_tokens
from asr.model.decoder import DecoderConfig
from asr.model.encoder import EncoderConfig
from asr.model.model import ModelConfig
from asr.model.subsampling import SubsamplingConfig

RATE, FFT, HOP = 16000, 400, 160
"""Hz, samples of a frame and samples between two, of every Whisper model."""
FRAMES_PER_POSITION = 2
"""Stride of the second convolution."""
DECODE = {"beam": 5, "rule": "transformers", "max_chars_per_second": 20.0}
"""The beam of the authors' program. A character may be up to three tokens, which are what the limit is of."""
NO_MATTER = (
    "attention_dropout activation_dropout encoder_layerdrop decoder_layerdrop init_std use_cache dtype torch_dtype"
    " apply_spec_augment mask_feature_length mask_feature_min_masks mask_feature_prob mask_time_length mask_time_min_masks"
    " mask_time_prob classifier_proj_size median_filter_width num_hidden_layers transformers_version architectures"
    " bos_token_id eos_token_id pad_token_id decoder_start_token_id suppress_tokens begin_suppress_tokens forced_decoder_ids"
    " max_length use_weighted_layer_sum _name_or_path _attn_implementation_autoset attn_implementation is_multilingual"
    " return_dict output_hidden_states output_attentions torchscript gradient_checkpointing id2label label2id lang_ids"
    " alignment_heads lang_to_id task_to_id no_timestamps_token_id task_specific_params"
    " return_timestamps language task max_new_tokens num_beams"
).split()
"""Settings of training, of other tasks, and ids that are found by the names of their tokens."""


def read_whisper(source: Path) -> Foreign:
    """The model of a folder, or of OpenAI's file. Raises CheckpointError with the file, the setting or the tensors that cannot
    be imported."""
    folder = source if source.is_dir() else source.parent
    own = whisper_pt.find(source) if source.is_file() or not _other_layout(folder) else None
    names: dict[str, str] = {}
    if own:
        path, (tensors, values, names) = own, whisper_pt.published(own)
        stated = generation_settings(folder, "generation_config.json")
    else:
        path, tensors, values, stated = _of_folder(folder)
    settings = Settings(values, str(path))
    settings.pass_over(*(name for name, value in settings.values.items() if value is None))
    weights = Weights(tensors)
    vocabulary = _check_shapes(settings, weights.tensors)
    table, prompt = read_tokens(folder, vocabulary, of_weights=own)
    encoder, decoder = _sizes(settings, "encoder", "source"), _sizes(settings, "decoder", "target")
    config = ModelConfig(
        subsampling=SubsamplingConfig(FRAMES_PER_POSITION, over_time=True),
        encoder=EncoderConfig(width=settings.get("d_model", 384, int), **encoder),
        decoder=DecoderConfig(tied=True, prompt=prompt, alignment_heads=_alignment_heads(stated), **decoder),
    )
    features = _features(folder, settings.get("num_mel_bins", 80, int), config.encoder.places)
    _finish(settings)
    _map_encoder(weights, config.encoder)
    _map_decoder(weights, config.decoder)
    _put_normalisation(weights, features.n_mels)
    if own and not stated.values:
        stated.values["suppress_tokens"] = never_spoken(table)
    decode = DECODE | {"never_written": suppressed(stated, table)}
    remarks: tuple[str, ...] = (
        f"Was trained on windows of {features.window_seconds:g} s, whose silence takes as long as speech: pieces are heard with"
        " less of it, and again with all of it where that is not enough (--decode window).",
    )
    if own and not config.decoder.alignment_heads:
        remarks += (
            "OpenAI's file does not say which heads of attention follow the sound, so texts are not doubted for where these"
            " look; generation_config.json of the same model on Hugging Face says it, beside the file.",
        )
    origins = {name: names.get(origin, origin) for name, origin in weights.origins.items()}
    return Foreign(features, config, table, weights.named, origins, weights.tensors, decode=decode, remarks=remarks)


def _other_layout(folder: Path) -> bool:
    """Whether a folder holds weights as Hugging Face or CTranslate2 name them, or nothing of OpenAI's."""
    names = (*WEIGHTS, *(f"{name}.index.json" for name in WEIGHTS), ctranslate2.FILE)
    return any((folder / name).is_file() for name in names) or not any(folder.glob("*.pt"))


def _of_folder(folder: Path) -> tuple[Path, Tensors, Any, Settings]:
    """Of a folder of Hugging Face or CTranslate2: the file for messages, tensors, settings, and those of generation."""
    path = existing(folder / "config.json")
    values = read_json(path)
    if (folder / ctranslate2.FILE).is_file() and not (isinstance(values, dict) and "model_type" in values):
        path = folder / ctranslate2.FILE
        held, values, generation = ctranslate2.published(path, values)
        return path, Tensors.of(held, path), values, Settings(generation, str(folder / "config.json"))
    return (
        path,
        tensors_of(folder, "Whisper"),
        values,
        generation_settings(folder, "generation_config.json", "config.json"),
    )


def _check_shapes(settings: Settings, tensors: Tensors) -> int:
    """The size of the vocabulary. What settings and tensors both say must agree before anything of that size is made."""
    sizes = {}
    for setting, name, axis, n_axes in (
        ("vocab_size", "decoder.embed_tokens.weight", 0, 2),
        ("num_mel_bins", "encoder.conv1.weight", 1, 3),
        ("max_source_positions", "encoder.embed_positions.weight", 0, 2),
        ("max_target_positions", "decoder.embed_positions.weight", 0, 2),
    ):
        shape = tensors.take(name).shape
        if len(shape) != n_axes:
            raise CheckpointError(f"{tensors.path}: {name} is {tuple(shape)}, not of {n_axes} axes")
        sizes[setting] = shape[axis]
        settings.require(setting, shape[axis])
        if setting == "max_target_positions" and shape[axis] <= len(PROMPT) + 1:
            raise CheckpointError(
                f"{settings.where}.{setting}: {shape[axis]} leave no room for a text behind the prompt"
            )
    return sizes["vocab_size"]


def _sizes(settings: Settings, part: str, positions: str) -> dict[str, Any]:
    """What the settings of encoder and decoder have in common."""
    return {
        "layers": settings.get(f"{part}_layers", 4, int),
        "heads": settings.get(f"{part}_attention_heads", 6, int),
        "feed_forward": settings.get(f"{part}_ffn_dim", 1536, int),
        "activation": "gelu",
        "dropout": settings.get("dropout", 0.0, float),
        "positions": "learned",
        "places": settings.get(f"max_{positions}_positions", 1500 if part == "encoder" else 448, int),
    }


def _finish(settings: Settings) -> None:
    """Refuses settings that would compute something else, or that nobody knows."""
    settings.require("model_type", "whisper")
    settings.require("activation_function", "gelu")
    settings.require("scale_embedding", False)
    settings.require("is_encoder_decoder", True)
    settings.require("tie_word_embeddings", True)
    settings.pass_over(*NO_MATTER)
    settings.finish()


def _features(folder: Path, n_mels: int, positions: int) -> FeatureConfig:
    """Those of all Whisper models, for a window of so many positions; what is said of them in the folder must agree."""
    seconds = positions * FRAMES_PER_POSITION * HOP / RATE
    path = folder / "preprocessor_config.json"
    if path.is_file():
        stated = Settings(read_json(path), str(path))
        for name, value in (("feature_size", n_mels), ("sampling_rate", RATE), ("n_fft", FFT), ("hop_length", HOP)):
            stated.require(name, value)
        stated.require("chunk_length", int(seconds) if seconds == int(seconds) else seconds)
        stated.require("padding_value", 0.0)
    return FeatureConfig(
        kind="stft",
        n_mels=n_mels,
        low_hz=0.0,
        preemphasis=0.0,
        sample_scale=1.0,
        window="hann",
        fft_size=FFT,
        filters="slaney",
        floor=1e-10,
        decibels=True,
        range_db=80.0,
        window_seconds=seconds,
    )


def _map_encoder(weights: Weights, config: EncoderConfig) -> None:
    for i in range(2):
        weights.linear(f"subsampling.convolutions.{i}", f"encoder.conv{i + 1}")
    weights.move("encoder.places.weight", "encoder.embed_positions.weight")
    for i in range(config.layers):
        ours, theirs = f"encoder.blocks.{i}", f"encoder.layers.{i}"
        _map_attention(weights, f"{ours}.attention", f"{theirs}.self_attn")
        weights.norm(f"{ours}.attention_norm", f"{theirs}.self_attn_layer_norm")
        _map_feed_forward(weights, ours, theirs)
    weights.norm("encoder.norm", "encoder.layer_norm")


def _map_decoder(weights: Weights, config: DecoderConfig) -> None:
    weights.move("decoder.embedding.weight", "decoder.embed_tokens.weight")
    weights.move("decoder.places.weight", "decoder.embed_positions.weight")
    for i in range(config.layers):
        ours, theirs = f"decoder.layers.{i}", f"decoder.layers.{i}"
        for name, other in (("self", "self_attn"), ("cross", "encoder_attn")):
            _map_attention(weights, f"{ours}.{name}_attention", f"{theirs}.{other}")
            weights.norm(f"{ours}.{name}_norm", f"{theirs}.{other}_layer_norm")
        _map_feed_forward(weights, ours, theirs)
    weights.norm("decoder.norm", "decoder.layer_norm")
    vocabulary = len(weights.named["decoder.embedding.weight"])
    weights.put("decoder.out.bias", torch.zeros(vocabulary), "none: the output layer has no bias")
    weights.require_tied("proj_out.weight", "decoder.embedding.weight")


def _map_attention(weights: Weights, ours: str, theirs: str) -> None:
    for name, other in (("query", "q"), ("key", "k"), ("value", "v"), ("out", "out")):
        weights.linear(f"{ours}.{name}", f"{theirs}.{other}_proj", bias=name != "key")


def _map_feed_forward(weights: Weights, ours: str, theirs: str) -> None:
    weights.norm(f"{ours}.feed_forward_norm", f"{theirs}.final_layer_norm")
    weights.linear(f"{ours}.feed_forward.0", f"{theirs}.fc1")
    weights.linear(f"{ours}.feed_forward.3", f"{theirs}.fc2")


def _put_normalisation(weights: Weights, n_mels: int) -> None:
    """(log10 power + 4) / 4, of decibels."""
    weights.put("cmvn.mean", torch.full((n_mels,), -40.0), "none: fixed in the toolkit")
    weights.put("cmvn.inverse_std", torch.full((n_mels,), 1 / 40), "none: fixed in the toolkit")


def _alignment_heads(stated: Settings) -> tuple[tuple[int, ...], ...]:
    """The heads of cross-attention that times are taken from, where the authors say which."""
    listed = stated.get("alignment_heads", [], list)
    if not all(isinstance(pair, list) and all(type(number) is int for number in pair) for pair in listed):
        raise CheckpointError(f"{stated.where}: alignment_heads is no list of pairs")
    return tuple(map(tuple, listed))
