"""CTM and STM: words and segments with their place in a recording, as sclite and Kaldi write them.

Words of a CTM are compared with the segments of an STM by time, and everything else a recording at a time.
"""

import math
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from asr.errors import ManifestError
from asr.foreign_bytes import quoted
from asr.scoring.alternatives import refuse_alternatives

IGNORED = "IGNORE_TIME_SEGMENT_IN_SCORING"
"""The text of a segment that is not scored, nor what is recognised in it."""
_LABEL = re.compile(r"<(?:[^<>\s]*,[^<>\s]*|NA|[Oo])>\s*")


@dataclass(frozen=True)
class TimedText:
    """A segment of an STM, or a word of a CTM."""

    recording: str
    channel: str
    start: float
    """Seconds."""
    end: float
    text: str
    speaker: str = ""
    """Empty in a CTM."""

    @property
    def middle(self) -> float:
        """Seconds."""
        return (self.start + self.end) / 2


def is_comment(line: str) -> bool:
    """Whether a line of an STM, a CTM or a trn says nothing."""
    return line.startswith(";;")


def timed_form(path: Path, lines: Sequence[str]) -> str | None:
    """`stm` where each line is `recording channel speaker start end [<label>] text`, `ctm` where it is
    `recording channel start duration word [confidence …]`, None for neither. Times have a point, or the file's name says it.
    """
    rows = [line.split() for line in lines if not is_comment(line)]
    ending = path.suffix.lower()[1:]
    stm, ctm = all(map(_is_of_stm, rows)), all(map(_is_of_ctm, rows))
    if not rows or not (stm or ctm):
        if ending in ("stm", "ctm") and (wrong := _wrong_row(rows, ending)):
            raise ManifestError(f"{path}: holds a line that is none of a {ending.upper()}: {quoted(' '.join(wrong))}")
        return None
    if stm and ctm and ending not in ("stm", "ctm"):
        stm = not any("." in row[2] for row in rows)  # who speaks there, or when
    form = ending if stm and ctm and ending in ("stm", "ctm") else "stm" if stm else "ctm"
    place = 3 if form == "stm" else 2
    return form if ending == form or any("." in row[place] + row[place + 1] for row in rows) else None


def _is_of_stm(row: Sequence[str]) -> bool:
    return len(row) >= 5 and 0 <= _number(row[3]) <= _number(row[4])


def _is_of_ctm(row: Sequence[str]) -> bool:
    return 5 <= len(row) <= 8 and 0 <= _number(row[2]) and 0 <= _number(row[3])


def _wrong_row(rows: Sequence[Sequence[str]], ending: str) -> Sequence[str] | None:
    """The first that is none of a format, where others are."""
    right = [_is_of_stm(row) if ending == "stm" else _is_of_ctm(row) for row in rows]
    return next((row for row, fine in zip(rows, right, strict=True) if not fine), None) if any(right) else None


def _number(text: str) -> float:
    """The number, or one that is below every bound."""
    try:
        return value if math.isfinite(value := float(text)) else -1.0
    except ValueError:
        return -1.0


def read_parts(path: Path, lines: Sequence[str], form: str, *, may_be_open: bool = False) -> Iterator[TimedText]:
    """Segments of an STM or words of a CTM, in their order in the file.

    may_be_open: whether the texts of an STM may hold alternatives; elsewhere they are refused.
    """
    for number, line in enumerate(lines, 1):
        if line.strip() and not is_comment(line):
            if form == "ctm" or not may_be_open:
                refuse_alternatives(line, f"{path}:{number}")
            if form == "ctm":
                recording, channel, start, duration, word = line.split()[:5]
                yield TimedText(recording, channel, float(start), float(start) + float(duration), word)
            else:
                recording, channel, speaker, start, end, *rest = line.split(maxsplit=5)
                text = rest[0].strip() if rest else ""
                label = _LABEL.match(text)
                yield TimedText(
                    recording, channel, float(start), float(end), text[label.end() :] if label else text, speaker
                )


def names_of(files: Sequence[Sequence[TimedText]]) -> dict[tuple[str, str], str]:
    """(recording, channel) → its id: the recording, and the channel where any of the files has several of it.

    A recording of which each file has one channel is the same, whether that is called 1 or A.
    """
    several: set[str] = set()
    places = [{(part.recording, part.channel) for part in file} for file in files]
    for inside in places:
        counts = Counter(recording for recording, _ in inside)
        several.update(recording for recording, n in counts.items() if n > 1)
    return {(r, c): f"{r}-{c}" if r in several else r for inside in places for r, c in inside}


def renamed_channels(files: Sequence[Sequence[TimedText]], names: dict[tuple[str, str], str]) -> list[tuple[str, ...]]:
    """The channels that the files call differently though they are taken for one: each time their names, in order."""
    called: dict[str, set[str]] = {}
    for part in (part for file in files for part in file if names[part.recording, part.channel] == part.recording):
        called.setdefault(part.recording, set()).add(part.channel)
    return sorted({tuple(sorted(channels)) for channels in called.values() if len(channels) > 1})


def by_recording(parts: Sequence[TimedText], names: dict[tuple[str, str], str]) -> dict[str, list[TimedText]]:
    """What is scored of each recording, in the order of time."""
    found: dict[str, list[TimedText]] = {}
    for part in sorted(parts, key=lambda part: part.start):
        inside = found.setdefault(names[part.recording, part.channel], [])
        if part.text != IGNORED:
            inside.append(part)
    return found


@dataclass
class Assigned:
    """Words of a CTM by the segments of an STM."""

    words: dict[int, list[str]]
    """Place of a segment → what is recognised in it."""
    outside: int = 0
    """Words that lie in no segment; they count in the nearest."""
    ignored: int = 0
    """Words in segments that are not scored."""
    unknown: int = 0
    """Words of recordings without a segment."""


def words_in_segments(
    segments: Sequence[TimedText], words: Sequence[TimedText], names: dict[tuple[str, str], str]
) -> Assigned:
    """Each word in the segment where its middle lies, or else in the nearest that is scored."""
    places: dict[str, list[int]] = {}
    for place in sorted(range(len(segments)), key=lambda place: segments[place].start):
        places.setdefault(names[segments[place].recording, segments[place].channel], []).append(place)
    scored = {name: [n for n in inside if segments[n].text != IGNORED] for name, inside in places.items()}
    found = Assigned({place: [] for place in range(len(segments))})
    for word in sorted(words, key=lambda word: word.start):
        name = names[word.recording, word.channel]
        if name not in places:
            found.unknown += 1
            continue
        place = _nearest(segments, places[name], word.middle)
        if (outside := _distance(segments[place], word.middle) > 0) and scored[name]:
            place = _nearest(segments, scored[name], word.middle)
        if segments[place].text == IGNORED:
            found.ignored += 1
        else:
            found.outside += outside
            found.words[place].append(word.text)
    return found


def _nearest(segments: Sequence[TimedText], places: Sequence[int], moment: float) -> int:
    """Of places in order of their starts the one whose segment is nearest."""
    begun = bisect_right(places, moment, key=lambda place: segments[place].start)
    return min(places[max(0, begun - 32) : begun + 1], key=lambda place: _distance(segments[place], moment))


def _distance(segment: TimedText, moment: float) -> float:
    return max(segment.start - moment, moment - segment.end, 0.0)
