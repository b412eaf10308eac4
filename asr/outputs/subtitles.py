"""Transcripts as subtitles: cues of a few lines, broken at pauses, long enough to be read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TextIO

from asr.outputs.style import Style
from asr.transcript import Transcript, TranscriptToken, joined

ALWAYS = 1.0
"""Seconds of pause at which a cue always ends."""
SHORTEST = 1.0
"""Seconds that a cue stays at least, if the next one lets it."""
COST_OF_CUE, COST_OF_FEW, FEW = 1.0, 1.0, 4
"""What a cue costs, and what is added for one of fewer characters than FEW."""
COST_OF_BREAK, FREE_PAUSE = 2.0, 0.4
"""What a break costs between tokens without a pause; nothing after a pause of FREE_PAUSE seconds, or punctuation."""
COST_OF_TEARING, TRAILING = 1.0, "的地得了着过们吗呢吧啊%年月日号点分"
"""What a break costs besides between a number and what is counted, within a number, or before a suffix."""
COST_OF_FULLNESS = 1.0
"""What a full cue costs, and a half full one a quarter of: two of one length are better than a long and a short one."""
COST_OF_PAUSE = 6.0
"""What a second of pause inside of a cue costs."""
COST_OF_HURRY = 8.0
"""What it costs for a cue to be twice as fast as it may be read."""

Tokens = Sequence[TranscriptToken]


@dataclass(frozen=True)
class Cue:
    """What is shown at one time."""

    start: float
    """Seconds."""
    end: float
    """Seconds; not after the next cue of its channel starts."""
    lines: tuple[tuple[TranscriptToken, ...], ...]
    """The tokens of each line."""
    channel: int | None = None
    """The channel, where each was transcribed for itself."""

    @property
    def label(self) -> str:
        """What tells channels apart: `0: `."""
        return "" if self.channel is None else f"{self.channel}: "


def cues(transcript: Transcript, style: Style) -> list[Cue]:
    """The cues of all channels in order of time. Every token is in exactly one."""
    found: list[Cue] = []
    for channel, segments in transcript.by_channel().items():
        tokens = [token for segment in segments for token in segment.tokens]
        label = Cue(0, 0, (), channel).label
        room = replace(style, line_characters=max(1, style.line_characters - len(label)))
        made = [
            Cue(part[0].start, part[-1].end, _lines(part, room), channel)
            for paragraph in _paragraphs(tokens)
            for part in _parts(paragraph, room)
        ]
        found += _readable(made, transcript.duration, style)
    return sorted(found, key=lambda cue: (cue.start, cue.channel or 0))


def _paragraphs(tokens: Tokens) -> Iterator[Tokens]:
    """Tokens between long pauses."""
    first = 0
    for i in range(1, len(tokens) + 1):
        if i == len(tokens) or tokens[i].start - tokens[i - 1].end >= ALWAYS:
            yield tokens[first:i]
            first = i


def _parts(tokens: Tokens, style: Style) -> list[Tokens]:
    """The cheapest way to part tokens into cues, found from the first token on."""
    n, room = len(tokens), style.lines * style.line_characters
    pauses = [0.0] + [max(0.0, b.start - a.end) for a, b in zip(tokens, tokens[1:], strict=False)] + [ALWAYS]
    breaks = [0.0] + [_cost_of_break(tokens[i - 1], tokens[i], pauses[i]) for i in range(1, n)] + [0.0]
    narrow = [0, *accumulate(len(t.text + t.mark) > 1 or t.text.isascii() for t in tokens)]
    best, came_from = [0.0] + [float("inf")] * n, [0] * (n + 1)
    for first in range(n):
        characters, inside = 0, 0.0
        for end in range(first + 1, n + 1):
            characters += len(tokens[end - 1].text) + len(tokens[end - 1].mark)
            inside += pauses[end - 1] if end > first + 1 else 0.0
            plain = narrow[first] == narrow[end]  # a character a token: no spaces, and lines may break anywhere
            if end > first + 1 and (characters > room or not (plain or _fits(tokens[first:end], style))):
                break
            seconds = (
                tokens[end].start - tokens[first].start if end < n else ALWAYS + tokens[-1].end - tokens[first].start
            )
            hurry = characters / max(seconds, 0.01) / style.characters_per_second - 1
            cost = best[first] + COST_OF_CUE + breaks[end] + COST_OF_PAUSE * inside
            cost += (
                COST_OF_FULLNESS * (characters / room) ** 2
                + COST_OF_FEW * (characters < FEW)
                + COST_OF_HURRY * max(0.0, hurry)
            )
            if cost < best[end]:
                best[end], came_from[end] = cost, first
    parts = []
    while n:
        parts.append(tokens[came_from[n] : n])
        n = came_from[n]
    return parts[::-1]


def _cost_of_break(before: TranscriptToken, after: TranscriptToken, pause: float) -> float:
    if before.mark:
        return 0.0
    last, first = before.text[-1], after.text[0]
    torn = (
        last.isdigit() or (last.isnumeric() and first.isnumeric()) or after.text in TRAILING
    )  # 五 is numeric, no digit
    return COST_OF_BREAK * max(0.0, 1 - pause / FREE_PAUSE) + COST_OF_TEARING * torn


def _fits(tokens: Tokens, style: Style) -> bool:
    """Whether the lines of a cue can hold them, filled one after the other."""
    lines, first = 1, 0
    for end in range(1, len(tokens) + 1):
        if len(joined(tokens[first:end])) > style.line_characters and end > first + 1:
            lines, first = lines + 1, end - 1
    return lines <= style.lines


def _lines(tokens: Tokens, style: Style) -> tuple[tuple[TranscriptToken, ...], ...]:
    """The tokens of a cue in as few lines as it takes, broken where it sounds best and about the middle."""
    if len(joined(tokens)) <= style.line_characters or len(tokens) == 1:
        return (tuple(tokens),)
    left = replace(style, lines=max(1, style.lines - 1))
    needed = -(-len(joined(tokens)) // style.line_characters)

    def cost(place: int) -> tuple[bool, float]:
        first, rest = joined(tokens[:place]), tokens[place:]
        fits = (len(first) <= style.line_characters or place == 1) and _fits(rest, left)
        uneven = abs(len(first) - len(joined(tokens)) / needed) / style.line_characters
        pause = tokens[place].start - tokens[place - 1].end
        return not fits, 2 * uneven + _cost_of_break(tokens[place - 1], tokens[place], pause)

    place = min(range(1, len(tokens)), key=cost)
    return (tuple(tokens[:place]), *_lines(tokens[place:], left))


def _readable(made: list[Cue], duration: float, style: Style) -> list[Cue]:
    """Each cue stays as long as it takes to read, as far as its neighbours let it: first later, then also earlier."""
    found: list[Cue] = []
    for i, cue in enumerate(made):
        characters = sum(len(joined(line)) for line in cue.lines)
        needed = max(SHORTEST, characters / style.characters_per_second)
        latest = made[i + 1].start if i + 1 < len(made) else max(duration, cue.end)
        end = min(max(cue.end, cue.start + needed), latest)
        start = max(min(cue.start, end - needed), found[-1].end if found else 0.0)
        found.append(replace(cue, start=start, end=end))
    return found


def write_srt(transcript: Transcript, file: TextIO, style: Style) -> None:
    """SubRip."""
    for number, cue in enumerate(cues(transcript, style), 1):
        lines = "\n".join(joined(line) for line in cue.lines)
        file.write(f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n{cue.label}{lines}\n\n")


def write_vtt(transcript: Transcript, file: TextIO, style: Style) -> None:
    """WebVTT; with `words` the time at which each token begins stands before it."""
    file.write("WEBVTT\n")
    for cue in cues(transcript, style):
        lines = "\n".join(_timed(line, cue) if style.words else _escaped(joined(line)) for line in cue.lines)
        voice = "" if cue.channel is None else f"<v {cue.channel}>"
        file.write(f"\n{_clock(cue.start)} --> {_clock(cue.end)}\n{voice}{lines}\n")


def _timed(line: Tokens, cue: Cue) -> str:
    text = ""
    for i, token in enumerate(line):
        space = joined(line[: i + 1])[len(joined(line[:i])) :].startswith(" ")
        begun = cue.start < token.start < cue.end and _clock(token.start) != _clock(cue.start)
        stamp = f"<{_clock(token.start)}>" if begun else ""
        text += " " * space + stamp + _escaped(token.text + token.mark)
    return text


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _clock(seconds: float, point: str = ".") -> str:
    """1.5 → 00:00:01.500."""
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}{point}{rest % 1000:03}"
