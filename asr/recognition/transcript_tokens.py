"""What the search found as the tokens of a transcript."""

import math

from asr.recognition.recognized import Recognized
from asr.text.tokenizer import Tokenizer
from asr.text.units import units
from asr.transcript import TranscriptToken


def transcript_tokens(
    recognized: Recognized, tokenizer: Tokenizer, start: float, end: float
) -> tuple[TranscriptToken, ...]:
    """The units of the text, each with the span and confidence of the model's tokens that spell it.

    start, end: where in the recording the audio lies that was recognised. Times are rounded to milliseconds. The
    confidence of several tokens together is the geometric mean of theirs: long words are not thought worse of.
    """
    hypothesis = recognized.hypothesis
    pieces = tokenizer.pieces(hypothesis.tokens)
    owners = [i for i, piece in enumerate(pieces) for _ in piece]  # character → model token
    spans = [span for piece, whole in zip(pieces, recognized.spans, strict=False) for span in divided(piece, whole)]
    found = []
    for unit in units("".join(pieces)):
        first, last = owners[unit.first], owners[unit.end - 1]
        log_probs = hypothesis.token_log_probs[first : last + 1]
        found.append(
            TranscriptToken(
                unit.text,
                min(round(start + spans[unit.first][0], 3), end),
                min(round(start + spans[unit.end - 1][1], 3), end),
                round(math.exp(sum(log_probs) / len(log_probs)), 4),
                (first, last),
                unit.mark,
            )
        )
    return tuple(found)


def divided(piece: str, span: tuple[float, float]) -> list[tuple[float, float]]:
    """When each character of a model token is said: all take the same time, spaces none."""
    start, end = span
    share = (end - start) / max(1, sum(not c.isspace() for c in piece))
    spans, at = [], start
    for c in piece:
        spans.append((at, at if c.isspace() else at + share))
        at = spans[-1][1]
    return spans
