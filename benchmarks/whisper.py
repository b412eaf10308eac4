"""Encoder and search of Whisper's shapes, ours and other programs', in turn in one run.

    python benchmarks/whisper.py --peer transformers=VENV/bin/python --peer openai=… --peer ctranslate2=…

A folder as Hugging Face keeps Whisper is made with random weights of the shape of whisper-small (12 and 12 layers of width 768,
242 M parameters, 51,865 tokens); a window of 30 s is encoded, and a search takes exactly 40 steps; one thread; float32 but for
int8. transformers, openai (its package is openai-whisper) and ctranslate2 (which is under faster-whisper, and needs transformers
beside it) each need a Python with their package. Turns are taken as in benchmarks/decoding.py, one search each.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from decoding import compare
from safetensors.torch import save_file

from asr.text.byte_pairs import byte_symbols

VOCABULARY = 51865
PLAIN = 50257
"""Tokens of text; what comes behind them tells the model what to do."""
CONTROL = ["endoftext", "startoftranscript", "en", "zh", *(f"language{i}" for i in range(97)), "translate", "transcribe",
           "startoflm", "startofprev", "nospeech", "notimestamps", *(f"{i / 50:.2f}" for i in range(1501))]  # fmt: skip


@dataclass(frozen=True)
class Shape:
    """Sizes of a model, those of whisper-small by default."""

    width: int = 768
    heads: int = 12
    layers: int = 12
    """Of the encoder, and as many of the decoder."""
    feed_forward: int = 3072


SMALL = Shape()


def make_folder(folder: Path, shape: Shape = SMALL) -> None:
    """Writes the model: its tokens are the bytes and pairs of them."""
    symbols = byte_symbols()
    pairs = [f"{a} {b}" for a in symbols for b in symbols][: PLAIN - len(symbols)]
    tokens = [*symbols, *(pair.replace(" ", "") for pair in pairs)]
    control = {f"<|{name}|>": PLAIN + i for i, name in enumerate(CONTROL)}
    config = {
        "model_type": "whisper", "architectures": ["WhisperForConditionalGeneration"], "d_model": shape.width,
        "encoder_layers": shape.layers, "decoder_layers": shape.layers, "encoder_attention_heads": shape.heads,
        "decoder_attention_heads": shape.heads, "encoder_ffn_dim": shape.feed_forward, "decoder_ffn_dim": shape.feed_forward,
        "num_mel_bins": 80, "max_source_positions": 1500, "max_target_positions": 448, "vocab_size": VOCABULARY,
        "bos_token_id": PLAIN, "eos_token_id": PLAIN, "pad_token_id": PLAIN, "decoder_start_token_id": PLAIN + 1,
        "activation_function": "gelu", "is_encoder_decoder": True,
    }  # fmt: skip
    special = {f"{name}_token": "<|endoftext|>" for name in ("bos", "eos", "unk", "pad")}
    files = {
        "config.json": config,
        "vocab.json": {token: i for i, token in enumerate(tokens)},
        "added_tokens.json": control,
        "tokenizer_config.json": {"tokenizer_class": "WhisperTokenizer"} | special,
        "preprocessor_config.json": {"feature_extractor_type": "WhisperFeatureExtractor", "feature_size": 80,
                                     "sampling_rate": 16000, "n_fft": 400, "hop_length": 160, "chunk_length": 30},
        "generation_config.json": {"decoder_start_token_id": PLAIN + 1, "eos_token_id": PLAIN, "pad_token_id": PLAIN},
    }  # fmt: skip
    for name, values in files.items():
        (folder / name).write_text(json.dumps(values), encoding="utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *pairs]) + "\n", encoding="utf-8")
    save_file(random_weights(shape), folder / "model.safetensors", {"format": "pt"})


def random_weights(shape: Shape) -> dict[str, torch.Tensor]:
    """All tensors by the names that Hugging Face gives them."""
    generator, tensors, width = torch.Generator().manual_seed(0), {}, shape.width

    def draw(name: str, *sizes: int, bias: bool = True) -> None:
        tensors[f"model.{name}.weight"] = torch.randn(sizes, generator=generator) * 0.05
        if bias:
            tensors[f"model.{name}.bias"] = torch.zeros(sizes[0])

    def norm(name: str) -> None:
        draw(name, width)
        tensors[f"model.{name}.weight"] = torch.ones(width)

    draw("encoder.conv1", width, 80, 3)
    draw("encoder.conv2", width, width, 3)
    draw("encoder.embed_positions", 1500, width, bias=False)
    draw("decoder.embed_tokens", VOCABULARY, width, bias=False)
    draw("decoder.embed_positions", 448, width, bias=False)
    for part, attentions in (("encoder", ["self_attn"]), ("decoder", ["self_attn", "encoder_attn"])):
        for layer in (f"{part}.layers.{i}" for i in range(shape.layers)):
            for attention in (f"{layer}.{name}" for name in attentions):
                for letter in ("q", "k", "v", "out"):
                    draw(f"{attention}.{letter}_proj", width, width, bias=letter != "k")
                norm(f"{attention}_layer_norm")
            draw(f"{layer}.fc1", shape.feed_forward, width)
            draw(f"{layer}.fc2", width, shape.feed_forward)
            norm(f"{layer}.final_layer_norm")
        norm(f"{part}.layer_norm")
    return tensors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON", help="may be repeated")
    parser.add_argument("--beam", type=int, action="append", help="default: 5 and 1")
    parser.add_argument("--rounds", type=int, default=5, help="turns (default: %(default)s)")
    options = parser.parse_args()
    pythons = {"ours": sys.executable} | dict(peer.split("=", 1) for peer in options.peer)
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "model"
        folder.mkdir()
        make_folder(folder)
        for part, beam in [("encoder", 1), *(("search", beam) for beam in options.beam or [5, 1])]:
            commands = {}
            for name, python in pythons.items():
                variants = {"ours": ("none", "int8"), "ctranslate2": ("float32", "int8")}.get(name, ("float32",))
                for variant in variants:
                    shown = f"{name}:int8" if variant == "int8" else name
                    commands[shown] = [python, "whisper", name, part, str(folder), str(beam), variant]
            medians = compare(commands, options.rounds)
            print(f"{part}{f', beam {beam}' if part == 'search' else ''}, medians of {options.rounds}")
            for name, seconds in medians.items():
                print(f"  {name:16} {seconds:6.2f} s   {seconds / medians['ours']:6.2f} x ours", flush=True)


if __name__ == "__main__":
    main()
