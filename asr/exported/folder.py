"""A folder that `asr model export --format onnx` made, opened for our own search: ONNX Runtime, no PyTorch."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asr.audio.faint import made_audible
from asr.audio.reading import SAMPLE_RATE
from asr.errors import CheckpointError, UsageError
from asr.exported.features import Features, log_mel
from asr.foreign_bytes import json_in, reading
from asr.text.tokenizer import TokenTable
from asr.text.tokenizers import open_tokenizer

FORMAT = 1
SETTINGS, ARRAYS, LM = "asr.json", "asr.safetensors", "lm.safetensors"
"""Files of such a folder besides the graphs."""
CTC, NO_SPEECH = "ctc_log_probs", "no_speech"
"""Outputs of the encoder's graph behind keys and values, where the model has the heads."""
DECIBELS_PER_LOG10, SHIFT, SCALE = 10.0, 4.0, 4.0
"""The graph of a Whisper model takes log10 of power, plus the shift, over the scale, as sherpa-onnx gives it."""


def require_exported(folder: Path) -> None:
    """Raises CheckpointError for what is no such folder."""
    if not (folder / SETTINGS).is_file():
        raise CheckpointError(
            f"{folder}: is no folder of ONNX files for --backend onnx (it holds no {SETTINGS}): `asr model export MODEL --out"
            " FOLDER --format onnx` makes one, where PyTorch is installed"
        )


def read_settings(folder: Path) -> dict[str, Any]:
    """What the folder says of its model. Raises CheckpointError where there is nothing, or what is damaged."""
    require_exported(folder)
    path = folder / SETTINGS
    with reading(
        path, CheckpointError, "is not what `asr model export --format onnx` writes", "export the model again"
    ):
        values = json_in(path)
        if values["format_version"] != FORMAT:
            raise ValueError(f"its format is {values['format_version']}, this program knows {FORMAT}")
        return values


def session(path: Path, threads: int):
    """A graph, ready to run. threads: 0 for as many as ONNX Runtime chooses."""
    try:
        import onnxruntime
    except ImportError:
        raise UsageError("--backend onnx needs the package onnxruntime: pip install 'onnxruntime>=1.22,<2'") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    with reading(path, CheckpointError, "cannot be run by ONNX Runtime", "export the model again"):
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


@dataclass(frozen=True)
class EncoderOutput:
    """What the encoder makes of an utterance."""

    keys: np.ndarray
    """(layers, 1, L, D)."""
    values: np.ndarray
    ctc: np.ndarray | None
    """(L, V) log-probabilities of the CTC head, where there is one."""
    judged: np.ndarray | None
    """(L, 2): the weight of each frame and its sign that nobody speaks, where there is a no-speech head."""


class ExportedModel:
    """Graphs, tokens and settings of a folder."""

    def __init__(self, folder: Path, threads: int = 0):
        """Raises CheckpointError for what is missing or damaged, UsageError without ONNX Runtime."""
        from safetensors.numpy import load_file

        self.folder, self.settings = folder, read_settings(folder)
        with reading(folder / SETTINGS, CheckpointError, advice="export the model again"):
            self._take(self.settings)
        with reading(folder / ARRAYS, CheckpointError, advice="export the model again"):
            arrays = load_file(folder / ARRAYS)
            self.window, self.mel = arrays["window"], arrays["mel"]
            self.mean, self.inverse_std = arrays["mean"], arrays["inverse_std"]
        self.encoder, self.decoder = (session(folder / self.files[name], threads) for name in ("encoder", "decoder"))
        with reading(folder, CheckpointError, "holds files of several exports", "export the model again"):
            self._require_described()

    def _take(self, values: Mapping[str, Any]) -> None:
        self.name: str = values["name"]
        self.files = {name: Path(values["files"][name]).name for name in ("encoder", "decoder")}
        self.features = Features.read(values["features"])
        self.whisper = bool(values["whisper"])
        self.prompt = [int(i) for i in values["prompt"]]
        self.layers, self.heads, self.width = (int(values[name]) for name in ("layers", "heads", "width"))
        self.longest_text: int | None = values["longest_text"]
        self.longest_samples: int | None = values["longest_samples"]
        self.shortest_samples = int(values["shortest_samples"])
        self.frame_seconds, self.first_frame = float(values["frame_seconds"]), float(values["first_frame"])
        self.heads_are_known = bool(values["heads_are_known"])
        self.attention_is_trusted = bool(values["attention_is_trusted"])
        self.tokenizer = open_tokenizer(self.folder, TokenTable(values["tokens"]))

    def _require_described(self) -> None:
        """Raises ValueError where the graphs are not those of the settings, or their tokens not those of the table."""
        inside = [self.width] if self.whisper else [self.heads, self.width // self.heads]
        inputs = {x.name: x.shape for graph in (self.encoder, self.decoder) for x in graph.get_inputs()}
        bins = inputs["mel"][1:2] if self.whisper else inputs["x"][2:]
        cross, logits = self.encoder.get_outputs()[0].shape, self.decoder.get_outputs()[0].shape
        for what, found, wanted in (
            ("mel bins", bins, [self.mel.shape[1]]),
            ("layers and width of the encoder's output", [cross[0], cross[-1]], [self.layers, self.width]),
            ("layers and heads", inputs["in_n_layer_self_k_cache"], [self.layers, None, None, *inside]),
            ("tokens", logits[-1:], [len(self.tokenizer.table)]),
        ):
            if any(isinstance(a, int) and b is not None and a != b for a, b in zip(found, wanted, strict=True)):
                raise ValueError(f"{what}: a graph has {found}, {SETTINGS} {wanted}")

    def spoken_frames(self, n_frames: int, n_samples: int) -> int:
        """How many of an utterance's memory frames are of its samples, not of the silence behind these."""
        if not self.features.window_samples and not self.features.tail_samples:
            return n_frames
        return min(n_frames, max(1, int(np.ceil(n_samples / SAMPLE_RATE / self.frame_seconds))))

    def hear(self, samples: np.ndarray) -> EncoderOutput:
        """What the decoder listens to of an utterance (S,); a faint one is heard louder."""
        if len(samples) < self.shortest_samples:
            samples = np.concatenate([samples, np.zeros(self.shortest_samples - len(samples), np.float32)])
        features = log_mel(made_audible(samples), self.features, self.window, self.mel)
        if self.whisper:
            mel = (features / DECIBELS_PER_LOG10 + SHIFT) / SCALE
            given = {"mel": mel.T[None].astype(np.float32)}
        else:
            x = ((features - self.mean) * self.inverse_std)[None]
            given = {"x": x.astype(np.float32), "x_len": np.array([len(features)])}
        keys, values, *heads = self.encoder.run(None, given)
        by_name = dict(zip([output.name for output in self.encoder.get_outputs()[2:]], heads, strict=True))
        ctc, judged = (by_name[name][0] if name in by_name else None for name in (CTC, NO_SPEECH))
        return self._real(keys, values, ctc, judged)

    def no_speech(self, heard: EncoderOutput, n_samples: int) -> float | None:
        """The probability that nobody speaks in an utterance of so many samples; None without a head that tells it."""
        if heard.judged is None:
            return None
        weight, sign = heard.judged[: self.spoken_frames(len(heard.judged), n_samples)].T.astype(np.float64)
        shares = np.exp(weight - weight.max())
        return float(1 / (1 + np.exp(-(shares @ sign) / shares.sum())))

    def _real(
        self, keys: np.ndarray, values: np.ndarray, ctc: np.ndarray | None, judged: np.ndarray | None
    ) -> EncoderOutput:
        """Without frames behind the utterance's end, which the graph marks by keys that no network computes."""
        real = int((np.abs(keys[0, 0, :, 0]) < 1e19).sum())
        keys, values = (np.ascontiguousarray(x[:, :, :real]) for x in (keys, values))
        ctc, judged = (None if frames is None else frames[:real] for frames in (ctc, judged))
        return EncoderOutput(keys, values, ctc, judged)
