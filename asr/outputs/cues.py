"""Cues of subtitles: a few lines that are shown together, broken at pauses and between words, long enough to be read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from asr.outputs.style import Style
from asr.text.words import in_words
from asr.transcript import Transcript, TranscriptToken, joined, parted

ALWAYS = 1.0
"""Seconds of pause at which a cue always ends, within a word twice as many."""
SHORTEST = 1.0
"""Seconds that a cue stays at least, if the next one lets it."""
COST_OF_CUE, COST_OF_FEW, FEW = 1.0, 1.0, 4
"""What a cue costs, and what is added for one of fewer characters than FEW."""
COST_OF_BREAK, FREE_PAUSE = 2.0, 0.4
"""What a break costs between words without a pause; nothing after a pause of FREE_PAUSE seconds, or punctuation."""
COST_OF_TEARING, TRAILING = 1.0, "的地得了着过们吗呢吧啊%年月日号点分"
"""What a break costs besides between a number and what is counted, within a number, or before a suffix."""
COST_OF_FULLNESS = 1.0
"""What a full cue costs, and a half full one a quarter of: two of one length are better than a long and a short one."""
COST_OF_PAUSE = 6.0
"""What a second of pause inside of a cue costs."""
COST_OF_HURRY = 8.0
"""What it costs for a cue to be twice as fast as it may be read."""
STOPS = "，。、；：？！…,.;:?!"
"""Marks that are dropped at the end of a cue; a quotation mark or bracket closes what was opened, and stays."""


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
    speaker: str = ""
    """Who says it, where that was asked."""

    @property
    def talker(self) -> str:
        """The speaker, or else the channel; empty for neither."""
        return self.speaker or ("" if self.channel is None else str(self.channel))

    @property
    def label(self) -> str:
        """What tells speakers, or channels, apart: `S1: `, `0: `."""
        return f"{self.talker}: " if self.talker else ""


@dataclass(frozen=True)
class _Word:
    """Tokens that are not parted."""

    tokens: tuple[TranscriptToken, ...]
    text: str
    """With the mark behind it."""

    @property
    def start(self) -> float:
        return self.tokens[0].start

    @property
    def end(self) -> float:
        return self.tokens[-1].end


Words = Sequence[_Word]


def cues(transcript: Transcript, style: Style) -> list[Cue]:
    """The cues of all channels in order of time. Every token is in exactly one, but for marks at the end of a cue."""
    found: list[Cue] = []
    for channel, segments in transcript.by_channel().items():
        tokens = [token for segment in segments for token in segment.tokens]
        made: list[Cue] = []
        for speaker, said in groupby(tokens, key=lambda token: token.speaker):
            label = Cue(0, 0, (), channel, speaker).label
            room = replace(style, line_characters=max(1, style.line_characters - len(label)))
            made += [
                Cue(part[0].start, part[-1].end, tuple(map(_tokens, _lines(part, room))), channel, speaker)
                for paragraph in _paragraphs(_words(list(said), room))
                for part in _parts(paragraph, room)
            ]
        found += _readable(made, transcript.duration, style)
    found.sort(key=lambda cue: (cue.start, cue.channel or 0))
    return found if style.end_marks else [_without_end_mark(cue) for cue in found]


def _words(tokens: Sequence[TranscriptToken], style: Style) -> list[_Word]:
    """The words of the tokens. One that no line holds, or that is said with long pauses, may be broken after all."""
    found = []
    for word in in_words(tokens):
        pauses = [b.start - a.end for a, b in zip(word, word[1:], strict=False)]
        whole = len(joined(word)) <= style.line_characters and max(pauses, default=0) < 2 * ALWAYS
        whole = whole and word[-1].end - word[0].start <= style.longest
        found += [_Word(part, joined(part)) for part in ([word] if whole else [(token,) for token in word])]
    return found


def _tokens(words: Words) -> tuple[TranscriptToken, ...]:
    return tuple(token for word in words for token in word.tokens)


def _text(words: Words) -> str:
    return joined(_tokens(words))


def _paragraphs(words: Words) -> Iterator[Words]:
    """Words between long pauses."""
    first = 0
    for i in range(1, len(words) + 1):
        if i == len(words) or words[i].start - words[i - 1].end >= ALWAYS:
            yield words[first:i]
            first = i


def _parts(words: Words, style: Style) -> list[Words]:
    """The cheapest way to part words into cues, found from the first one on."""
    n, room = len(words), style.lines * style.line_characters
    pauses = [0.0] + [max(0.0, b.start - a.end) for a, b in zip(words, words[1:], strict=False)] + [ALWAYS]
    breaks = [0.0] + [_cost_of_break(words[i - 1], words[i], pauses[i]) for i in range(1, n)] + [0.0]
    best, came_from = [0.0] + [float("inf")] * n, [0] * (n + 1)
    for first in range(n):
        inside = 0.0
        for end, characters in _ends(words, first, style):
            inside += pauses[end - 1] if end > first + 1 else 0.0
            following = words[end].start if end < n else ALWAYS + words[-1].end
            seconds = max(following - words[first].start, 0.01)
            hurry = characters / seconds / style.characters_per_second - 1
            cost = best[first] + COST_OF_CUE + breaks[end] + COST_OF_PAUSE * inside
            cost += COST_OF_FULLNESS * (characters / room) ** 2 + COST_OF_FEW * (characters < FEW)
            cost += COST_OF_HURRY * max(0.0, hurry)
            if cost < best[end]:
                best[end], came_from[end] = cost, first
    parts = []
    while n:
        parts.append(words[came_from[n] : n])
        n = came_from[n]
    return parts[::-1]


def _ends(words: Words, first: int, style: Style) -> Iterator[tuple[int, int]]:
    """Where a cue that begins with a word may end, and its characters: its lines, filled one after the other, hold it."""
    lines, width, characters = 1, 0, 0
    for end in range(first + 1, len(words) + 1):
        word = words[end - 1]
        characters += len(word.text)
        space = end > first + 1 and parted(words[end - 2].text, word.text)
        if width and width + space + len(word.text) > style.line_characters:
            lines, width = lines + 1, len(word.text)
        else:
            width += space + len(word.text)
        if end > first + 1 and (lines > style.lines or word.end - words[first].start > style.longest):
            return
        yield end, characters


def _cost_of_break(before: _Word, after: _Word, pause: float) -> float:
    if before.tokens[-1].mark:
        return 0.0
    last, first = before.text[-1], after.text[0]
    torn = (
        last.isdigit() or (last.isnumeric() and first.isnumeric()) or after.tokens[0].text in TRAILING
    )  # 五 is numeric, no digit
    return COST_OF_BREAK * max(0.0, 1 - pause / FREE_PAUSE) + COST_OF_TEARING * torn


def _fits(words: Words, style: Style) -> bool:
    """Whether the lines of a cue can hold them."""
    return max((end for end, _ in _ends(words, 0, style)), default=0) == len(words)


def _lines(words: Words, style: Style) -> tuple[Words, ...]:
    """The words of a cue in as few lines as it takes, broken where it sounds best and about the middle."""
    length = len(_text(words))
    if length <= style.line_characters or len(words) == 1:
        return (words,)
    left = replace(style, lines=max(1, style.lines - 1))
    needed = -(-length // style.line_characters)

    def cost(place: int) -> tuple[bool, float]:
        first = len(_text(words[:place]))
        fits = (first <= style.line_characters or place == 1) and _fits(words[place:], left)
        uneven = abs(first - length / needed) / style.line_characters
        pause = words[place].start - words[place - 1].end
        return not fits, 2 * uneven + _cost_of_break(words[place - 1], words[place], pause)

    place = min(range(1, len(words)), key=cost)
    return (words[:place], *_lines(words[place:], left))


def _readable(made: list[Cue], duration: float, style: Style) -> list[Cue]:
    """Each cue stays as long as it takes to read, as far as its neighbours let it: first later, then also earlier."""
    found: list[Cue] = []
    for i, cue in enumerate(made):
        characters = sum(len(joined(line)) for line in cue.lines)
        needed = min(max(SHORTEST, characters / style.characters_per_second), style.longest)
        latest = made[i + 1].start if i + 1 < len(made) else max(duration, cue.end)
        end = min(max(cue.end, cue.start + needed), latest, cue.start + style.longest)
        start = max(min(cue.start, end - needed), found[-1].end if found else 0.0)
        found.append(replace(cue, start=start, end=end))
    return found


def _without_end_mark(cue: Cue) -> Cue:
    """Nobody needs a comma or full stop where the text ends anyway."""
    *lines, last = cue.lines
    kept = "".join(c for c in last[-1].mark if c not in STOPS)
    return replace(cue, lines=(*lines, (*last[:-1], replace(last[-1], mark=kept))))
