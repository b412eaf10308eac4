"""What the search found as the tokens of a transcript."""

from dataclasses import replace

from asr.recognition.heard_tokens import heard_tokens
from asr.recognition.names import corrected
from asr.recognition.recognized import Recognized
from asr.text.tokenizer import Tokenizer
from asr.text.units import units
from asr.transcript import TranscriptToken


def transcript_tokens(
    recognized: Recognized, tokenizer: Tokenizer, start: float, end: float
) -> tuple[TranscriptToken, ...]:
    """The units of the text, each with its confidence and the span of the model's tokens that spell it.

    start, end: where in the recording the audio lies that was recognised. Times are rounded to milliseconds.
    """
    pieces = tokenizer.pieces(recognized.hypothesis.tokens)
    spans = [span for piece, whole in zip(pieces, recognized.spans, strict=False) for span in divided(piece, whole)]
    tokens = heard_tokens(recognized.hypothesis, tokenizer)
    return tuple(
        replace(
            token,
            start=min(round(start + spans[unit.first][0], 3), end),
            end=min(round(start + spans[unit.end - 1][1], 3), end),
        )
        for token, unit in zip(corrected(tokens, recognized.corrections), units("".join(pieces)), strict=True)
    )


def divided(piece: str, span: tuple[float, float]) -> list[tuple[float, float]]:
    """When each character of a model token is said: all take the same time, spaces none."""
    start, end = span
    share = (end - start) / max(1, sum(not c.isspace() for c in piece))
    spans, at = [], start
    for c in piece:
        spans.append((at, at if c.isspace() else at + share))
        at = spans[-1][1]
    return spans
