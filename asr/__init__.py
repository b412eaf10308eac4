"""Mandarin speech to text. `asr.load().transcribe("talk.wav").text` is all it takes.

Names are imported when they are used, so that `import asr` loads no PyTorch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from asr.version import VERSION as __version__

if TYPE_CHECKING:  # for editors and type checkers; _HOMES says the same to Python
    from asr.catalogue.opening import Decoding
    from asr.decoding.decode_config import DecodeConfig
    from asr.errors import AsrError, AudioError
    from asr.evaluation.evaluate import evaluate
    from asr.finishing.finishing import Finishing, finish
    from asr.outputs.style import Style
    from asr.outputs.writers import render, write
    from asr.punctuation.restoring import punctuate
    from asr.scoring.cer import CharErrors, char_errors
    from asr.scoring.compare import Comparison, compare_files
    from asr.scoring.score import Score, score_files
    from asr.scoring.speakers import SpeakerScore, score_speakers
    from asr.speakers.wanted import Speakers
    from asr.transcript import Segment, Transcript, TranscriptToken, Turn
    from asr.transcription.aligning import align
    from asr.transcription.transcriber import Transcriber, load, transcribe

_HOMES = {
    "load": "asr.transcription.transcriber",
    "transcribe": "asr.transcription.transcriber",
    "align": "asr.transcription.aligning",
    "evaluate": "asr.evaluation.evaluate",
    "finish": "asr.finishing.finishing",
    "punctuate": "asr.punctuation.restoring",
    "render": "asr.outputs.writers",
    "write": "asr.outputs.writers",
    "Transcriber": "asr.transcription.transcriber",
    "Decoding": "asr.catalogue.opening",
    "DecodeConfig": "asr.decoding.decode_config",
    "Transcript": "asr.transcript",
    "Segment": "asr.transcript",
    "TranscriptToken": "asr.transcript",
    "Turn": "asr.transcript",
    "Speakers": "asr.speakers.wanted",
    "Finishing": "asr.finishing.finishing",
    "Style": "asr.outputs.style",
    "char_errors": "asr.scoring.cer",
    "CharErrors": "asr.scoring.cer",
    "score_files": "asr.scoring.score",
    "Score": "asr.scoring.score",
    "score_speakers": "asr.scoring.speakers",
    "SpeakerScore": "asr.scoring.speakers",
    "compare_files": "asr.scoring.compare",
    "Comparison": "asr.scoring.compare",
    "AsrError": "asr.errors",
    "AudioError": "asr.errors",
}

__all__ = [
    "load",
    "transcribe",
    "align",
    "evaluate",
    "finish",
    "punctuate",
    "render",
    "write",
    "Transcriber",
    "Decoding",
    "DecodeConfig",
    "Transcript",
    "Segment",
    "TranscriptToken",
    "Turn",
    "Speakers",
    "Finishing",
    "Style",
    "char_errors",
    "CharErrors",
    "score_files",
    "Score",
    "score_speakers",
    "SpeakerScore",
    "compare_files",
    "Comparison",
    "AsrError",
    "AudioError",
    "__version__",
]


if not TYPE_CHECKING:  # or every name would have a type

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module 'asr' has no attribute {name!r}")
        return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
