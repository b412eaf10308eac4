"""`asr transcribe --backend onnx`: transcripts by an exported model, without PyTorch."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from asr.audio.reading import SAMPLE_RATE
from asr.audio.voice_activity_onnx import SILERO, OnnxVoiceActivity
from asr.config_values import from_dict, parse_changes
from asr.decoding.decode_config import NO_LM, DecodeConfig
from asr.decoding.wordlists import HotwordList, read_hotwords
from asr.errors import CheckpointError, UsageError
from asr.exported.folder import LM, SETTINGS, ExportedModel, read_settings
from asr.exported.recognizer import ExportedRecognizer, check_settings
from asr.files import content_state
from asr.transcription.results import named, of_hotwords, of_the_text, states
from asr.transcription.segmenting import SegmentConfig
from asr.transcription.transcribing import Transcribing


class Exported:
    """An exported model, and how it is to decode; nothing is loaded until it is asked to."""

    def __init__(
        self,
        folder: str | Path,
        decode: Sequence[str] = (),
        *,
        beam: int | None = None,
        lm: str | Path | None = None,
        hotwords: HotwordList | None = None,
        correct_names: bool | None = None,
        vad: Mapping[str, Any] | None = None,
        threads: int = 0,
    ):
        """decode, such as ["ctc_weight=0.3"]: what is to differ from what the model was exported with; so does `vad`.

        Raises CheckpointError for a model that is not whole, UsageError for settings that it cannot be searched with.
        """
        self.folder, self.lm, self.hotwords, self.threads = Path(folder), lm, hotwords, threads
        if lm and Path(lm).is_dir():
            raise UsageError(
                f"--lm {lm}: with --backend onnx files of n-grams only; a network works with --backend torch"
            )
        values = read_settings(self.folder)
        saved = values["decode"]
        changes = parse_changes(decode, "--decode", beam=beam, correct_names=correct_names)
        self.settings = from_dict(DecodeConfig, saved | changes, "decode")
        window = values["features"]["window_samples"] / SAMPLE_RATE
        check_settings(self.settings, from_dict(DecodeConfig, saved, "decode"), window)
        names = [SETTINGS, SILERO, *(Path(name).name for name in values["files"].values())]
        self.files = [self.folder / name for name in names]
        for path in self.files:
            if not path.is_file():
                raise CheckpointError(f"{self.folder}: lacks {path.name}: export the model again")
        self.segments = SegmentConfig.changed(window, vad or {})

    def load(self) -> Transcribing:
        """A transcriber of it."""
        model = ExportedModel(self.folder, self.threads)
        table, weight = model.tokenizer.table, self.settings.hotword_weight
        words = read_hotwords(self.hotwords, model.tokenizer, table, weight) if self.hotwords else None
        recognizer = ExportedRecognizer(model, self.settings, self.lm, hotwords=words)
        voice_activity = OnnxVoiceActivity(self.folder / SILERO)
        return Transcribing(
            recognizer, model.tokenizer, model.name, segments=self.segments, voice_activity=voice_activity
        )

    def made_with(self, split: bool, track: int | None) -> dict[str, Any]:
        """All that a text depends on besides its recording and its form."""
        lm = Path(self.lm) if self.lm else self.folder / LM
        with_lm = str(self.lm) != NO_LM and self.settings.lm_weight
        return {
            "model": f"{self.folder.name} {states(self.files)}",
            "lm": content_state(lm) if with_lm else NO_LM,
            "hotwords": of_hotwords(self.hotwords),
            "backend": "onnx",
            "channels": "split" if split else "mix",
            "track": track,
            **named("decode", of_the_text(asdict(self.settings))),
            **named("vad", asdict(self.segments)),
        }
