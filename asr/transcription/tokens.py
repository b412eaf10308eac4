"""What the search found as the tokens of a transcript."""

import math

from asr.decoding.recognizer import Recognized
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
    found = []
    for unit in units("".join(pieces)):
        first, last = owners[unit.first], owners[unit.end - 1]
        log_probs = hypothesis.token_log_probs[first : last + 1]
        found.append(
            TranscriptToken(
                unit.text,
                min(round(start + recognized.spans[first][0], 3), end),
                min(round(start + recognized.spans[last][1], 3), end),
                round(math.exp(sum(log_probs) / len(log_probs)), 4),
                (first, last),
                unit.mark,
            )
        )
    return tuple(found)
