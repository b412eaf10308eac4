"""Transcripts for Praat: a TextGrid in its long text format.

For each speaker, or channel, there are tiers of segments, tokens, and words if wanted.
"""

from collections.abc import Iterable, Iterator
from typing import TextIO

from asr.outputs.style import Style
from asr.text.words import in_words
from asr.transcript import Transcript, joined

Interval = tuple[float, float, str]
"""Start, end, text."""


def write_textgrid(transcript: Transcript, file: TextIO, style: Style) -> None:
    """Intervals cover the whole recording; where nothing was said, they are empty."""
    end = max([transcript.duration, *(segment.end for segment in transcript.segments)])
    tiers: dict[str, list[Interval]] = {}
    for talker, segments in transcript.by_talker().items():
        of = f" {talker}" if talker else ""
        spoken = [segment for segment in segments if segment.tokens]
        tiers[f"segments{of}"] = [(s.tokens[0].start, s.tokens[-1].end, s.text) for s in spoken]
        if style.word_times:
            words = [(word, joined(word)) for s in spoken for word in in_words(s.tokens)]
            tiers[f"words{of}"] = [(word[0].start, word[-1].end, text) for word, text in words]
        tiers[f"tokens{of}"] = [(t.start, t.end, t.text + t.mark) for s in spoken for t in s.tokens]
    file.write('File type = "ooTextFile"\nObject class = "TextGrid"\n\n')
    file.write(f"xmin = 0\nxmax = {end:.6f}\ntiers? <exists>\nsize = {len(tiers)}\nitem []:\n")
    for number, (name, spoken) in enumerate(tiers.items(), 1):
        intervals = list(covering(spoken, end))
        file.write(f'    item [{number}]:\n        class = "IntervalTier"\n        name = "{quoted(name)}"\n')
        file.write(f"        xmin = 0\n        xmax = {end:.6f}\n        intervals: size = {len(intervals)}\n")
        for i, (start, stop, text) in enumerate(intervals, 1):
            file.write(
                f"        intervals [{i}]:\n            xmin = {start:.6f}\n            xmax = {stop:.6f}\n"
                f'            text = "{quoted(text)}"\n'
            )


def quoted(text: str) -> str:
    """A text as Praat writes it between quotation marks."""
    return text.replace('"', '""')


def covering(spoken: Iterable[Interval], end: float) -> Iterator[Interval]:
    """The intervals, and empty ones between them, so that together they reach from 0 to `end` without a gap."""
    at = 0.0
    for start, stop, text in spoken:
        start = max(start, at)
        if start > at:
            yield at, start, ""
            at = start
        if stop > start:
            yield start, stop, text
            at = stop
    if end > at:
        yield at, end, ""
