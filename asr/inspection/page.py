"""An inspection as one HTML page that needs nothing else."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from asr.audio.reading import SAMPLE_RATE
from asr.audio.speech_probabilities import WINDOW
from asr.files import write_file
from asr.inspection.inspecting import Inspection, Stretch
from asr.inspection.packing import attention, frames, packed, picture, share
from asr.inspection.trees import Labels, tree_data
from asr.language import templates
from asr.outputs.pages import page_of
from asr.version import VERSION

FOLDER = Path(__file__).parent / "page"
SCRIPTS = ("words.js", "data.js", "drawing.js", "panels.js", "search.js", "page.js")


def write_inspection(path: str | Path, inspection: Inspection) -> None:
    """Writes the page."""
    write_file(path, inspection_page(inspection))


def inspection_page(inspection: Inspection) -> str:
    """The page: HTML with everything in it."""
    return page_of(FOLDER, inspection_data(inspection), SCRIPTS)


def inspection_data(inspection: Inspection) -> dict[str, Any]:
    """What the page shows, as JSON; arrays are packed."""
    transcriber, transcript = inspection.transcriber, inspection.transcript
    labels = Labels(transcriber.loaded.tokenizer)
    stretches = [_stretch(inspection, stretch, labels) for stretch in inspection.stretches]
    weights = inspection.stretches[0].searched.tree.weights if inspection.stretches else {}
    hotwords, settings = transcriber.recognizer.hotwords, transcriber.segments
    return {
        **{"name": Path(transcript.audio).name, "version": VERSION, "model": _model(inspection)},
        **{"text": transcript.text, "warnings": _in_both(transcript.all_warnings)},
        **{"offset": inspection.offset, "seconds": len(inspection.samples) / SAMPLE_RATE, "rate": SAMPLE_RATE},
        "samples": packed((inspection.samples.clip(-1, 1) * 32767).astype(np.int16)),
        "speech": {
            **{"step": WINDOW / SAMPLE_RATE, "threshold": settings.threshold, "silence": settings.silence},
            "data": packed(share(inspection.speech)),
        },
        "search": _search(inspection)
        | {"weights": weights, "hotwords": list(hotwords.words.values() if hotwords else ())},
        **{"stretches": stretches, "labels": labels.used},
        **{"sos": labels.tokenizer.table.sos, "eos": labels.tokenizer.table.eos},
    }


def _in_both(messages: Sequence[str]) -> list[tuple[str, str]]:
    """Messages in English and in Chinese."""
    return [(message, templates().translate(message)) for message in messages]


def _model(inspection: Inspection) -> dict[str, Any]:
    loaded = inspection.transcriber.loaded
    model, config = loaded.model, loaded.model.config
    features = model.log_mel.config
    return {
        **{"name": loaded.name, "vocabulary": len(loaded.tokenizer.table), "ctc": model.ctc is not None},
        **{"mels": features.n_mels, "frame_ms": features.frame_ms, "shift_ms": features.shift_ms},
        **{"window": features.window_seconds, "tail": features.tail_seconds},
        **{"factor": config.subsampling.factor, "convolutions": len(config.subsampling.convolutions)},
        "encoder": {name: getattr(config.encoder, name) for name in ("kind", "layers", "width", "heads")},
        "decoder": {name: getattr(config.decoder, name) for name in ("layers", "heads")},
        "prompt": [loaded.tokenizer.table.tokens[i] for i in config.decoder.prompt],
        "following": [list(pair) for pair in config.decoder.alignment_heads],
    }


def _search(inspection: Inspection) -> dict[str, Any]:
    recognizer = inspection.transcriber.recognizer
    names = (
        "beam",
        "rule",
        "length_power",
        "gnmt_length",
        "length_bonus",
        "eos_threshold",
        "temperature",
        "candidates",
    )
    lm = getattr(recognizer.lm, "path", None)
    return {name: getattr(recognizer.config, name) for name in names} | {"lm": Path(lm).name if lm else ""}


def _stretch(inspection: Inspection, stretch: Stretch, labels: Labels) -> dict[str, Any]:
    searched, arrays, model = stretch.searched, stretch.insides, inspection.transcriber.loaded.model
    features, seconds = model.log_mel.config, len(searched.samples) / SAMPLE_RATE
    spoken_mels = min(len(arrays.mel), round(seconds * 1000 / features.shift_ms) + 1)
    step = features.shift_ms / 1000
    return {
        **{"start": stretch.start, "end": stretch.start + seconds, "text": searched.result.text},
        **{"reasons": _in_both(searched.reasons)},
        "mel": picture(arrays.mel[:spoken_mels]) | {"step": step, "first": features.first_centre},
        **{"step": model.frame_seconds, "first": model.first_frame},
        "subsampled": frames(arrays.subsampled[: arrays.spoken]),
        "encoded": frames(arrays.encoded[: arrays.spoken]),
        "ctc": _ctc(stretch, labels),
        "attention": attention(arrays.attention, arrays.spoken),
        "spans": [[round(x, 3) for x in span] for span in searched.result.spans],
        **tree_data(searched, labels),
    }


def _ctc(stretch: Stretch, labels: Labels) -> list | None:
    """[frame, token, probability] of each frame in which the CTC head hears a token; None without one."""
    log_probs = stretch.searched.log_probs
    if log_probs is None:
        return None
    best, blank = log_probs[: stretch.insides.spoken].max(-1), labels.tokenizer.table.blank
    found = enumerate(zip(best.indices.tolist(), best.values.exp().tolist(), strict=True))
    return [[frame, labels.id(token), round(p, 4)] for frame, (token, p) in found if token != blank]
