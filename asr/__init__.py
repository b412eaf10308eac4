"""Mandarin speech to text. `asr.load().transcribe("talk.wav").text` is all it takes.

Names are imported when they are used, so that `import asr` loads no PyTorch.
"""

from importlib import import_module

from asr.version import VERSION as __version__

_HOMES = {
    "load": "asr.transcription.transcriber",
    "transcribe": "asr.transcription.transcriber",
    "align": "asr.transcription.aligning",
    "evaluate": "asr.evaluation.evaluate",
    "write": "asr.outputs.writers",
    "Transcriber": "asr.transcription.transcriber",
    "Decoding": "asr.catalogue.opening",
    "Transcript": "asr.transcript",
    "Segment": "asr.transcript",
    "TranscriptToken": "asr.transcript",
    "char_errors": "asr.scoring.cer",
    "CharErrors": "asr.scoring.cer",
    "score_files": "asr.scoring.score",
    "Score": "asr.scoring.score",
    "compare_files": "asr.scoring.compare",
    "Comparison": "asr.scoring.compare",
    "AsrError": "asr.errors",
}

__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'asr' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
