"""What our own search needs of a folder of ONNX files besides the graphs (asr.exported reads it).

Settings, tokens and filters, and silero-vad, whose package would bring PyTorch to where the folder is used.
"""

import shutil
from collections.abc import Mapping
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from asr.audio.speech_probabilities import silero_file
from asr.audio.voice_activity_onnx import SILERO
from asr.decoding.decode_config import DecodeConfig
from asr.exported.folder import ARRAYS, FORMAT, SETTINGS
from asr.features.fbank import DECIBELS
from asr.files import save_json, write_file
from asr.model.folder import LM, LoadedModel
from asr.text.tokenizers import PIECES
from asr.version import VERSION

SILERO_LICENCE = "silero_vad.LICENSE"
"""What goes with silero-vad wherever it goes."""


def write_own(loaded: LoadedModel, settings: DecodeConfig, folder: Path, files: Mapping[str, str]) -> None:
    """Writes it. files: "encoder" and "decoder" → the names of these graphs."""
    model, log_mel = loaded.model, loaded.model.log_mel
    features = log_mel.config
    scale = DECIBELS if features.decibels else 1.0
    feature_names = ("kind", "frame_length", "frame_shift", "n_fft", "preemphasis", "sample_scale", "edges", "floor",
                     "window_samples", "tail_samples")  # fmt: skip
    range_ = features.range_db if features.decibels else features.range_db / DECIBELS
    known = bool(model.decoder.alignment_heads)
    values = {
        "format_version": FORMAT,
        "asr_version": VERSION,
        "name": loaded.name,
        "files": dict(files),
        "features": {name: getattr(features, name) for name in feature_names} | {"scale": scale, "range": range_},
        "whisper": features.kind == "stft",
        "prompt": list(model.config.decoder.prompt),
        "layers": len(model.decoder.layers),
        "heads": model.decoder.heads,
        "width": model.decoder_width,
        "longest_text": model.decoder.longest_text,
        "longest_samples": model.longest_samples,
        "shortest_samples": model.shortest_samples,
        "frame_seconds": model.frame_seconds,
        "first_frame": model.first_frame,
        "heads_are_known": known,
        "attention_is_trusted": known or not features.window_seconds,
        "decode": {name: value for name, value in asdict(settings).items()},
        "tokens": list(loaded.tokenizer.table.tokens),
    }
    save_json(folder / SETTINGS, values, indent=1)
    arrays = {
        "window": log_mel.window,
        "mel": log_mel.mel,
        "mean": model.cmvn.mean,
        "inverse_std": model.cmvn.inverse_std,
    }
    contents = {name: np.ascontiguousarray(x.float().cpu().numpy()) for name, x in arrays.items()}
    write_file(folder / ARRAYS, save(contents))
    for name in (PIECES, LM):
        if (loaded.folder / name).is_file():
            shutil.copyfile(loaded.folder / name, folder / name)
    shutil.copyfile(silero_file(SILERO), folder / SILERO)
    for file in metadata.files("silero-vad") or ():
        if file.name == "LICENSE":
            shutil.copyfile(file.locate(), folder / SILERO_LICENCE)
