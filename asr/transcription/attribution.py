"""Turns of speakers to the tokens of a transcript: each word is whose turn it lies in, and a segment is one speaker's."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from asr.text.units import units
from asr.text.words import in_words
from asr.transcript import Segment, TranscriptToken, Turn, joined

WITHIN_WORDS = 0.3
"""Seconds of pause that are not within a word."""
LONGEST_LOOK = 64
"""Turns before a moment that may still go on."""


def attributed(segments: Sequence[Segment], turns: Sequence[Turn]) -> list[Segment]:
    """The segments with a speaker for each token, cut where another one speaks. `turns` are in order of time.

    Where two speak at once a token is whoever spoke before it; where nobody does, whoever speaks nearest to it.
    """
    if not turns:
        return list(segments)
    starts = [turn.start for turn in turns]
    found: list[Segment] = []
    for segment in segments:
        named: list[TranscriptToken] = []
        for word in _words(segment.tokens):
            before = named[-1].speaker if named else ""
            speaker = _speaker(word[0].start, word[-1].end, turns, starts, before)
            named += [replace(token, speaker=speaker) for token in word]
        found += _cut(segment, named)
    return found


def _words(tokens: Sequence[TranscriptToken]) -> Iterator[Sequence[TranscriptToken]]:
    """The words of a segment, which one speaker says; one with a pause in it may be two words after all."""
    for word in in_words(tokens):
        pauses = (b.start - a.end for a, b in zip(word, word[1:], strict=False))
        yield from [word] if max(pauses, default=0.0) < WITHIN_WORDS else [(token,) for token in word]


def _speaker(start: float, end: float, turns: Sequence[Turn], starts: Sequence[float], before: str) -> str:
    """Who has most of the time of a word, or of those who have all of it the one who spoke before; else the nearest."""
    place = bisect_right(starts, end)
    near = turns[max(0, place - LONGEST_LOOK) : place + 1]

    def fits(turn: Turn) -> tuple[float, bool, float]:
        shared = min(end, turn.end) - max(start, turn.start)  # below 0: how far away it is
        return round(shared, 3), turn.speaker == before, -turn.start

    return max(near, key=fits).speaker


def _cut(segment: Segment, tokens: Sequence[TranscriptToken]) -> Iterator[Segment]:
    """A segment for each run of tokens of one speaker."""
    parts = [tuple(part) for _, part in groupby(tokens, key=lambda token: token.speaker)]
    if len(parts) < 2:
        yield replace(segment, tokens=tuple(tokens))
        return
    borders = [(a[-1].end + b[0].start) / 2 for a, b in zip(parts, parts[1:], strict=False)]
    moments = [segment.start, *(round(border, 3) for border in borders), segment.end]
    for n, (part, raw) in enumerate(zip(parts, _raw_of(segment, parts), strict=True)):
        first = part[0].source[0]
        own = tuple(replace(token, source=(token.source[0] - first, token.source[1] - first)) for token in part)
        hotwords = tuple(word for word in segment.hotwords if word in joined(part))
        yield replace(segment, start=moments[n], end=moments[n + 1], tokens=own, raw=raw, hotwords=hotwords)


def _raw_of(segment: Segment, parts: Sequence[Sequence[TranscriptToken]]) -> list[str]:
    """What the model wrote, cut where its tokens are."""
    written = list(units(segment.raw))
    if len(written) != sum(map(len, parts)):
        return [joined(part) for part in parts]
    places, at = [0], 0
    for part in parts[:-1]:
        at += len(part)
        places.append(written[at].first)
    return [segment.raw[a:b].strip() for a, b in zip(places, [*places[1:], len(segment.raw)], strict=True)]
