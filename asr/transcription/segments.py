"""What was recognised in a piece of a recording, as a segment of its transcript."""

from asr.recognition.recognized import Recognized
from asr.recognition.transcript_tokens import transcript_tokens
from asr.text.tokenizer import Tokenizer
from asr.transcript import Segment
from asr.transcription.pieces import Piece


def segment_of(best: Recognized, tokenizer: Tokenizer, piece: Piece, channel: int | None = None) -> Segment:
    """What was recognised in a piece, with times."""
    return Segment(
        piece.start,
        piece.end,
        tokens=transcript_tokens(best, tokenizer, piece.start, piece.end),
        raw=tokenizer.decode(best.hypothesis.tokens),
        score=best.hypothesis.score,
        warnings=best.hypothesis.warnings,
        hotwords=tuple(word for _, word in best.hotwords),
        channel=channel,
        corrections=best.corrections,
        no_speech=None if best.no_speech is None else float(f"{best.no_speech:.3g}"),
    )
