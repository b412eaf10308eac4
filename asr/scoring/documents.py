"""JSON as other programs write it: one document for a recording (Whisper and its relatives), records without an id (NeMo)."""

import json
import re
from pathlib import Path, PurePosixPath

from asr.corpus.importing import JSON_NAMES
from asr.errors import ManifestError
from asr.foreign_bytes import quoted

PARTS = ("segments", "chunks", "transcription")
"""Where a document has its parts: Whisper, WhisperX, faster-whisper and OpenAI; transformers; whisper.cpp."""
_AUDIO_SUFFIX = re.compile(r"\.(?:wav|flac|mp3|ogg|opus|m4a|aac|wma|amr|webm|mp4|mkv|mov|avi|pcm|sph)$", re.IGNORECASE)


def json_or_none(text: str) -> object:
    """What a text of JSON says; None where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # the latter for what is nested too deeply
        return None


def is_document(data: object) -> bool:
    """Whether it is the transcript of one recording, which the file alone names."""
    return isinstance(data, dict) and not audio_id(data) and any(isinstance(data.get(name), list) for name in PARTS)


def text_of(data: dict, path: Path) -> str:
    """The text of such a document: as a whole, or of its parts in order."""
    text = data.get("text")
    if text is None:
        parts = next(data[name] for name in PARTS if isinstance(data.get(name), list))
        texts = [part.get("text") if isinstance(part, dict) else None for part in parts]
        if not all(isinstance(part, str) for part in texts):
            raise ManifestError(f"{path}: each segment must have a text, is {quoted(parts)}")
        text = " ".join(part.strip() for part in texts)
    if not isinstance(text, str):
        raise ManifestError(f"{path}: text must be a text, is {quoted(text)}")
    return text


def audio_id(data: object, *, with_folder: bool = False) -> str:
    """The id that a record has, or the name of its audio without suffix, with where it starts in it; empty for neither."""
    if not isinstance(data, dict):
        return ""
    if id := next((data[name] for name in JSON_NAMES["id"] if name in data), ""):
        return str(id)
    audio = next((data[name] for name in JSON_NAMES["audio"] if isinstance(data.get(name), str)), "")
    name = without_audio_suffix(audio if with_folder else PurePosixPath(audio).name)
    start = next((data[name] for name in JSON_NAMES["start"] if data.get(name)), 0)
    return f"{name}-{start}" if name and start else name


def without_audio_suffix(name: str) -> str:
    """A name without the ending of audio files: 2024.01 stays."""
    return _AUDIO_SUFFIX.sub("", name)
