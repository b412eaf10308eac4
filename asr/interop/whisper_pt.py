"""Whisper's own files (`base.pt`, `large-v3.pt`): sizes and tensors of the authors' program, under names of their own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from asr.errors import CheckpointError
from asr.foreign_bytes import listed
from asr.interop.checkpoints import Tensors, read_pickle
from asr.interop.foreign import Settings

DIMS, STATE = "dims", "model_state_dict"
"""What such a file holds."""
ENGLISH = 51864
"""Tokens of the models of English alone (`base.en.pt`); all others have more."""
SIZES = {
    "n_mels": ("num_mel_bins", "encoder.conv1.weight", 1),
    "n_audio_ctx": ("max_source_positions", "encoder.positional_embedding", 0),
    "n_audio_state": ("d_model", "encoder.conv1.weight", 0),
    "n_audio_head": ("encoder_attention_heads", "", 0),
    "n_audio_layer": ("encoder_layers", "", 0),
    "n_vocab": ("vocab_size", "decoder.token_embedding.weight", 0),
    "n_text_ctx": ("max_target_positions", "decoder.positional_embedding", 0),
    "n_text_state": ("", "decoder.token_embedding.weight", 1),
    "n_text_head": ("decoder_attention_heads", "", 0),
    "n_text_layer": ("decoder_layers", "", 0),
}
"""Size → Hugging Face's name of it, and the tensor and the axis that must have it."""
OUTSIDE = {
    "encoder.conv1": "encoder.conv1",
    "encoder.conv2": "encoder.conv2",
    "encoder.layer_norm": "encoder.ln_post",
    "decoder.layer_norm": "decoder.ln",
}
"""Hugging Face's name of a layer → the authors'."""
INSIDE = {
    "self_attn_layer_norm": "attn_ln",
    "encoder_attn_layer_norm": "cross_attn_ln",
    "final_layer_norm": "mlp_ln",
    "fc1": "mlp.0",
    "fc2": "mlp.2",
}
ATTENTION = {"q_proj": "query", "k_proj": "key", "v_proj": "value", "out_proj": "out"}


def find(source: Path) -> Path | None:
    """The file of a path: itself, or the only one that a folder has."""
    if source.is_file():
        return source
    found = sorted(path for path in source.glob("*.pt") if path.is_file())
    if len(found) > 1:
        raise CheckpointError(f"{source}: holds several models ({listed(p.name for p in found)}); give the path of one")
    return found[0] if found else None


def published(path: Path) -> tuple[Tensors, dict[str, Any], dict[str, str]]:
    """Tensors and settings as Hugging Face has them, and Hugging Face's names of tensors → those in the file.

    Raises CheckpointError for what is no such file, for sizes that its tensors do not have, and for a model of English alone.
    """
    data = read_pickle(path)
    if not isinstance(data, dict) or not isinstance(data.get(DIMS), dict):
        kind = f"it holds {listed(map(str, data))}" if isinstance(data, dict) else f"it is {type(data).__name__}"
        raise CheckpointError(
            f"{path}: is no file of OpenAI's Whisper, which holds {DIMS} and {STATE}; {kind}. Of a model in another form, give"
            " the folder"
        )
    held = Tensors.of(data.get(STATE), path)
    sizes = Settings(data[DIMS], f"{path}: {DIMS}")
    known = {name: sizes.get(name, 0, int) for name in SIZES}
    sizes.finish()
    if known["n_vocab"] == ENGLISH:
        raise CheckpointError(f"{path}: is a model of English alone ({ENGLISH:,} tokens), which knows no Mandarin")
    for size, (_, name, axis) in SIZES.items():
        if name:
            shape = held.take(name).shape
            sizes.require(size, shape[axis] if axis < len(shape) else 0)
    sizes.require("n_text_state", known["n_audio_state"])
    names = dict(_names(held, known))
    for side in ("encoder", "decoder"):
        feed_forward = held.take(f"{side}.blocks.0.mlp.0.weight")
        known[f"{side}_ffn_dim"] = len(feed_forward) if feed_forward.ndim else 0
    theirs = {name: ours for ours, name in names.items()}
    tensors = Tensors(path, {theirs.get(name, name): tensor for name, tensor in held.held.items()})
    own = {"model_type": "whisper", "activation_function": "gelu", "scale_embedding": False, "is_encoder_decoder": True}
    named = {SIZES[name][0] if name in SIZES else name: size for name, size in known.items()}
    named.pop("")
    return tensors, own | named | {"dropout": 0.0}, names


def _names(held: Tensors, sizes: dict[str, int]) -> Iterator[tuple[str, str]]:
    """(Hugging Face's name, the authors'), each of which is there. Raises CheckpointError for the first that is missing."""
    for ours, theirs in _layers(sizes):
        for kind in ("weight", "bias"):
            if kind == "bias" and theirs.endswith(".key"):
                continue  # keys have none
            held.take(f"{theirs}.{kind}")
            yield f"{ours}.{kind}", f"{theirs}.{kind}"
    for side in ("encoder", "decoder"):
        held.take(f"{side}.positional_embedding")
        yield f"{side}.embed_positions.weight", f"{side}.positional_embedding"
    yield "decoder.embed_tokens.weight", "decoder.token_embedding.weight"


def _layers(sizes: dict[str, int]) -> Iterator[tuple[str, str]]:
    yield from OUTSIDE.items()
    for side, n_layers in (("encoder", sizes["n_audio_layer"]), ("decoder", sizes["n_text_layer"])):
        attentions = {"self_attn": "attn"} | ({"encoder_attn": "cross_attn"} if side == "decoder" else {})
        for i in range(n_layers):
            ours, theirs = f"{side}.layers.{i}", f"{side}.blocks.{i}"
            for name, other in attentions.items():
                yield from ((f"{ours}.{name}.{a}", f"{theirs}.{other}.{b}") for a, b in ATTENTION.items())
            for name, other in INSIDE.items():
                if side == "decoder" or name != "encoder_attn_layer_norm":
                    yield f"{ours}.{name}", f"{theirs}.{other}"
