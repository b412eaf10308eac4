"""What the search found, as tokens of a transcript that have no times yet."""

import math

from asr.decoding.hypothesis import Hypothesis
from asr.text.tokenizer import Tokenizer
from asr.text.units import units
from asr.transcript import TranscriptToken


def heard_tokens(hypothesis: Hypothesis, tokenizer: Tokenizer) -> list[TranscriptToken]:
    """The units of the text, each with the confidence of the model's tokens that spell it; all begin and end at 0.

    The confidence of several tokens together is the geometric mean of theirs: long words are not thought worse of.
    """
    pieces = tokenizer.pieces(hypothesis.tokens)
    owners = [i for i, piece in enumerate(pieces) for _ in piece]  # character → model token
    found = []
    for unit in units("".join(pieces)):
        first, last = owners[unit.first], owners[unit.end - 1]
        log_probs = hypothesis.token_log_probs[first : last + 1]
        confidence = round(math.exp(sum(log_probs) / len(log_probs)), 4)
        found.append(TranscriptToken(unit.text, 0.0, 0.0, confidence, (first, last), unit.mark))
    return found
