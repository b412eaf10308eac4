"""All that a transcript depends on besides its recording and its form, as plain values that are kept beside it."""

import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from asr.catalogue.decode_settings import decode_settings
from asr.catalogue.finding import find_model
from asr.catalogue.opening import Decoding
from asr.decoding.decode_config import NO_LM
from asr.model.bases import ADAPTER, ADAPTERS
from asr.model.companions import language_model_of
from asr.model.folder import CONFIG, TOKENS, WEIGHTS, read_config
from asr.model.no_speech import NO_SPEECH
from asr.recognition.large_lm import files_of_large_lm, is_large_lm
from asr.speakers.wanted import Speakers
from asr.text.tokenizers import PIECES
from asr.transcription.results import TEXTS, named, of_hotwords, of_the_text, states
from asr.transcription.segmenting import SegmentConfig

OF_A_MODEL = (CONFIG, TOKENS, WEIGHTS, PIECES, NO_SPEECH, ADAPTER, ADAPTERS)
"""Files of a model's folder that texts depend on, as far as they are there; adapters name the weights of their base."""


def made_with(
    decoding: Decoding,
    vad: Mapping[str, Any],
    split: bool = False,
    track: int | None = None,
    *,
    speakers: Speakers | None = None,
) -> dict[str, Any]:
    """All that a text depends on besides its recording and its form: the contents of files, not what they are called.

    Raises AsrError where there is no such model, or a setting cannot be.
    """
    folder = find_model(decoding.model)
    settings = decode_settings(folder, decoding.settings)
    large = is_large_lm(decoding.lm)
    lm = language_model_of(folder) if not decoding.lm or large else Path(decoding.lm)
    with_lm = str(decoding.lm) != NO_LM and settings.lm_weight
    segments = SegmentConfig.changed(read_config(folder)[0].window_seconds, vad)
    return {
        "model": f"{folder.name} {states(folder / name for name in OF_A_MODEL)}",
        "lm": states(_files_of_lm(lm)) if with_lm else NO_LM,
        "large_lm": states(files_of_large_lm(decoding.lm), TEXTS) if large and settings.large_lm_weight else NO_LM,
        "hotwords": of_hotwords(decoding.hotwords),
        "quantize": decoding.quantize,
        "channels": "split" if split else "mix",
        "track": track,
        "speakers": _of_speakers(speakers),
        **named("decode", of_the_text(asdict(settings))),
        **named("vad", asdict(segments)),
    }


def _files_of_lm(lm: Path | None) -> list[Path]:
    """What a language model consists of, a file or the folder of a network; nothing without one."""
    if lm is None:
        return []
    return [lm / name for name in (CONFIG, TOKENS, WEIGHTS)] if lm.is_dir() else [lm]


def _of_speakers(speakers: Speakers | None) -> str:
    if speakers is None:
        return "none"
    heard = states(Path(voice) for voice in speakers.voices.values() if isinstance(voice, str | os.PathLike))
    named = f" {', '.join(sorted(speakers.voices))} {heard}" if speakers.voices else ""
    return f"{speakers.fewest}-{speakers.most or 'any'}{named}"
