"""Turns of speakers to the tokens of a transcript: each word is whose turn it lies in, and a segment is one speaker's."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from asr.text.units import units
from asr.text.words import in_words
from asr.transcript import Correction, Segment, TranscriptToken, Turn, joined

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
        found += by_speaker(replace(segment, tokens=tuple(named)))
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


def by_speaker(segment: Segment) -> Iterator[Segment]:
    """A segment for each run of tokens of one speaker."""
    parts = [tuple(part) for _, part in groupby(segment.tokens, key=lambda token: token.speaker)]
    if len(parts) < 2:
        yield segment
        return
    borders = [(a[-1].end + b[0].start) / 2 for a, b in zip(parts, parts[1:], strict=False)]
    moments = [segment.start, *(round(border, 3) for border in borders), segment.end]
    at = 0
    for n, (part, raw) in enumerate(zip(parts, _raw_of(segment, parts), strict=True)):
        first = part[0].source[0]
        own = tuple(replace(token, source=(token.source[0] - first, token.source[1] - first)) for token in part)
        cut = replace(segment, start=moments[n], end=moments[n + 1], tokens=own, raw=raw)
        yield replace(cut, hotwords=_hotwords_of(segment, part), corrections=_corrections_of(segment, at, len(part)))
        at += len(part)


def _hotwords_of(segment: Segment, part: Sequence[TranscriptToken]) -> tuple[str, ...]:
    text, words = joined(part), segment.hotwords
    return tuple(word for i, word in enumerate(words) if words[:i].count(word) < text.count(word))


def _corrections_of(segment: Segment, first: int, length: int) -> tuple[Correction, ...]:
    """Those that begin in a part, with their places in it."""
    moved = (replace(correction, place=correction.place - first) for correction in segment.corrections)
    return tuple(correction for correction in moved if 0 <= correction.place < length)


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
