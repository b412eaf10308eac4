"""Whisper (Radford et al. 2022, arXiv:2212.04356) as Hugging Face keeps it, or CTranslate2: the folders of faster-whisper."""

from pathlib import Path
from typing import Any

import torch

from asr.errors import CheckpointError
from asr.features.fbank import FeatureConfig
from asr.foreign_bytes import quoted, reading
from asr.interop import ctranslate2
from asr.interop.checkpoints import Tensors, existing, find_file, read_json, read_pickle, read_safetensors
from asr.interop.foreign import Foreign, Settings, Weights, token_table
from asr.model.decoder import DecoderConfig
from asr.model.encoder import EncoderConfig
from asr.model.model import ModelConfig
from asr.model.subsampling import SubsamplingConfig
from asr.text.byte_pairs import byte_symbols
from asr.text.tokenizer import BLANK_UNK, CONTROL, EOS, SOS, TokenTable

RATE, FFT, HOP = 16000, 400, 160
"""Hz, samples of a frame and samples between two, of every Whisper model."""
FRAMES_PER_POSITION = 2
"""Stride of the second convolution."""
PROMPT = ("<|startoftranscript|>", "<|zh|>", "<|transcribe|>")
"""What the decoder is told before a text: that it is to write down what is said in Mandarin …"""
BEGIN = "<|notimestamps|>"
"""… without times. The first token of the text follows this one."""
END = "<|endoftext|>"
NOTHING = ("<|nospeech|>", "<|nocaptions|>")
"""Never written: takes the places of blank and unknown, for which Whisper has no tokens."""
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


def read_whisper(folder: Path) -> Foreign:
    """The model of a folder. Raises CheckpointError with the file, the setting or the tensors that cannot be imported."""
    path = existing(folder / "config.json")
    values = read_json(path)
    if (folder / ctranslate2.FILE).is_file() and not (isinstance(values, dict) and "model_type" in values):
        path = folder / ctranslate2.FILE
        held, values, generation = ctranslate2.published(path, values)
        tensors, stated = Tensors.of(held, path), Settings(generation, str(folder / "config.json"))
    else:
        tensors, stated = _tensors(folder), _generation(folder)
    settings = Settings(values, str(path))
    settings.pass_over(*(name for name, value in settings.values.items() if value is None))
    weights = Weights(tensors)
    vocabulary = _check_shapes(settings, weights.tensors)
    table, prompt = read_tokens(folder, vocabulary)
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
    decode = DECODE | {"never_written": _suppressed(stated, table)}
    remarks = (
        f"Was trained on windows of {features.window_seconds:g} s, whose silence takes as long as speech: pieces are heard with"
        " less of it, and again with all of it where that is not enough (--decode window).",
    )
    return Foreign(
        features, config, table, weights.named, weights.origins, weights.tensors, decode=decode, remarks=remarks
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


def read_tokens(folder: Path, vocabulary: int) -> tuple[TokenTable, tuple[int, ...]]:
    """The table, in which the tokens around a text have our names, and the ids of the prompt."""
    path, ids = _vocabulary(folder)
    tokens = [f"<|unused-{i}|>" for i in range(vocabulary)]
    for token, i in ids.items():
        if not 0 <= i < vocabulary:
            raise CheckpointError(f"{path}: {quoted(token)} has the id {i}, the model has {vocabulary} tokens")
        if not tokens[i].startswith("<|unused-"):
            raise CheckpointError(f"{path}: {quoted(tokens[i])} and {quoted(token)} both have the id {i}")
        tokens[i] = token
    nothing = next((name for name in NOTHING if name in ids), NOTHING[0])
    for name in (*PROMPT, BEGIN, END, nothing):
        if name not in ids:
            hint = "; is it a model of English alone?" if name == PROMPT[1] else ""
            raise CheckpointError(f"{path}: has no token {name}{hint}")
    for name, ours in ((BEGIN, SOS), (END, EOS), (nothing, BLANK_UNK)):
        tokens[ids[name]] = ours
    return token_table(tokens, path), tuple(ids[name] for name in PROMPT)


def _vocabulary(folder: Path) -> tuple[Path, dict[str, int]]:
    """The file with the tokens of bytes, and these and the added ones, as bytes but for those in <|…|>, with their ids."""
    path, added = folder / "vocab.json", folder / "added_tokens.json"
    whole = folder / "tokenizer.json"
    path = path if path.is_file() or not whole.is_file() else whole
    ids = _ids(read_json(path) if path != whole else _part(whole, "vocab"), path)
    if added.is_file() and path != whole:
        others = _ids(read_json(added), added)
    else:
        others = _ids(_part(whole, "added_tokens"), whole) if whole.is_file() else {}
    symbols = byte_symbols()
    found: dict[str, int] = {}
    for tokens, in_bytes in ((ids, frozenset(symbols)), (others, frozenset())):
        for token, i in tokens.items():
            if not CONTROL.fullmatch(token) and not in_bytes.issuperset(token):
                token = "".join(symbols[byte] for byte in token.encode("utf-8", "replace"))  # stands there as it is
            if found.setdefault(token, i) != i:
                raise CheckpointError(f"{path}: {quoted(token)} has the ids {found[token]} and {i}")
    return path, found


def _part(path: Path, name: str) -> Any:
    """The tokens of bytes, or those that were added, in a tokenizer.json, with their ids."""
    data = read_json(path)
    with reading(path, CheckpointError, f"holds no {name}"):
        if name == "vocab":
            return data["model"]["vocab"]
        return {token["content"]: token["id"] for token in data["added_tokens"]}


def _ids(data: Any, path: Path) -> dict[str, int]:
    if not isinstance(data, dict) or not all(type(i) is int for i in data.values()):
        raise CheckpointError(f"{path}: is no table of tokens and ids")
    return data


def _tensors(folder: Path) -> Tensors:
    """All tensors, of one file or of several, without the prefix that most files have before their names."""
    names = ("model.safetensors", "pytorch_model.bin")
    indices = [folder / f"{name}.index.json" for name in names]
    index = next((path for path in indices if path.is_file()), None)
    if index and not any((folder / name).is_file() for name in names):
        files = Settings(read_json(index), str(index)).get("weight_map", {}, dict)
        names = sorted({str(name) for name in files.values()})
        if not names or not all(Path(name).name == name for name in names):
            raise CheckpointError(f"{index}: names no files of weights beside it")
        tensors = Tensors(index, {})
        for name in names:
            tensors.held |= Tensors.of(_read(existing(folder / name)), folder / name).held
    else:
        path = find_file(folder, names, "weights of Whisper as Hugging Face has them")
        tensors = Tensors.of(_read(path), path)
    named = {name.removeprefix("model."): tensor for name, tensor in tensors.held.items()}
    if len(named) < len(tensors.held):
        raise CheckpointError(f"{tensors.path}: holds tensors of one name with and without model. before it")
    tensors.held = named
    return tensors


def _read(path: Path) -> Any:
    return read_safetensors(path) if path.suffix == ".safetensors" else read_pickle(path)


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
    tensors = weights.tensors
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
    if "proj_out.weight" in tensors:
        if not torch.equal(tensors.take("proj_out.weight"), weights.named["decoder.embedding.weight"]):
            raise CheckpointError(f"{tensors.path}: proj_out.weight is not the embedding, to which it should be tied")


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


def _generation(folder: Path) -> Settings:
    """The settings of generation, which old folders have in config.json."""
    path = folder / "generation_config.json"
    path = path if path.is_file() else folder / "config.json"
    return Settings(read_json(path), str(path))


def _alignment_heads(stated: Settings) -> tuple[tuple[int, ...], ...]:
    """The heads of cross-attention that times are taken from, where the authors say which."""
    listed = stated.get("alignment_heads", [], list)
    if not all(isinstance(pair, list) and all(type(number) is int for number in pair) for pair in listed):
        raise CheckpointError(f"{stated.where}: alignment_heads is no list of pairs")
    return tuple(map(tuple, listed))


def _suppressed(stated: Settings, table: TokenTable) -> list[int]:
    """Ids of the texts that the toolkit never writes: brackets, notes of music and such. An empty text stays possible."""
    listed = stated.get("suppress_tokens", [], list)
    if not all(type(i) is int and i < len(table) for i in listed):
        raise CheckpointError(f"{stated.where}: suppress_tokens is no list of ids")
    return [i for i in listed if i >= 0 and i not in table.never_written and i != table.eos]
