"""Punctuation of transcripts, by a model or by pauses. No character changes, and marks that are there already stay."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import zip_longest

from asr.text.normalize import holds_han
from asr.transcript import Segment, TranscriptToken

MODEL, PAUSES = "model", "pauses"
COMMA_PAUSE, STOP_PAUSE = 0.3, 0.8
"""Seconds of pause that are a comma, and a full stop."""
SHORTEST_CLAUSE = 3
"""Tokens that must stand before a comma."""

Tokens = Sequence[TranscriptToken]


def by_pauses(tokens: Tokens) -> list[TranscriptToken]:
    """A comma after a short pause; a full stop after a long one, at the end and before another speaker, a question mark after 吗.

    A baseline: it knows pauses, not sentences.
    """
    found: list[TranscriptToken] = []
    clause = 0
    for token, following in zip_longest(tokens, tokens[1:]):
        clause += 1
        ends = following is None or _another_speaks(token, following)
        pause = STOP_PAUSE if ends else following.start - token.end
        mark = token.mark
        if not mark and pause >= STOP_PAUSE:
            mark = "？" if token.text == "吗" or token.text == "嗎" else "。"
        elif not mark and pause >= COMMA_PAUSE and clause >= SHORTEST_CLAUSE:
            mark = "，"
        clause = 0 if mark else clause
        found.append(replace(token, mark=mark))
    return found


def by_model(tokens: Tokens) -> list[TranscriptToken]:
    """The marks that the network sees in what is said and in the pauses; none between two Latin words or numbers of a speaker.

    Where another one speaks a sentence ends, too.
    """
    if not any(holds_han(token.text) for token in tokens):
        return list(tokens)
    from asr.punctuation.restoring import punctuator  # brings PyTorch: others need not wait for it

    pauses = [max(0.0, b.start - a.end) for a, b in zip(tokens, tokens[1:], strict=False)] + [STOP_PAUSE]
    ends = [_another_speaks(a, b) for a, b in zip(tokens, tokens[1:], strict=False)] + [True]
    marks = punctuator().marks([token.text for token in tokens], pauses, ends=ends)
    found = []
    for token, following, mark, end in zip_longest(tokens, tokens[1:], marks, ends):
        latin = not end and not holds_han(token.text) and not holds_han(following.text)
        found.append(token if token.mark or latin else replace(token, mark=mark))
    return found


def _another_speaks(token: TranscriptToken, following: TranscriptToken) -> bool:
    return token.speaker != following.speaker


PUNCTUATORS: dict[str, Callable[[Tokens], list[TranscriptToken]]] = {MODEL: by_model, PAUSES: by_pauses}
"""Name → what sets marks behind the tokens of a recording."""


def with_marks(segments: Sequence[Segment], how: str) -> list[Segment]:
    """Segments with marks; those of one channel are looked at together, since sentences go on behind a pause."""
    found = list(segments)
    for channel in {segment.channel for segment in segments}:
        places = [i for i, segment in enumerate(segments) if segment.channel == channel and segment.tokens]
        marked = PUNCTUATORS[how]([token for i in places for token in segments[i].tokens])
        for i in places:
            n = len(segments[i].tokens)
            found[i] = replace(segments[i], tokens=tuple(marked[:n]))
            marked = marked[n:]
    return found
