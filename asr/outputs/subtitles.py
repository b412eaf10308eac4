"""Transcripts as subtitles and lyrics: SubRip, WebVTT, Advanced SubStation, LRC."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TextIO

from asr.outputs.cues import Cue, cues
from asr.outputs.style import Style
from asr.text.words import in_words
from asr.transcript import Transcript, TranscriptToken, joined, merged

ASS_HEADER = """[Script Info]
ScriptType: v4.00+
WrapStyle: 0
ScaledBorderAndShadow: yes
PlayResX: 1920
PlayResY: 1080

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, \
StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Noto Sans CJK SC,72,&H00FFFFFF,&H00808080,&H00000000,&H80000000,0,0,0,0,100,100,0,0,1,3,1,2,60,60,50,1

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""
"""What a player needs to know of letters and their place, before the first line; karaoke lights up what was grey."""

Tokens = Sequence[TranscriptToken]


def write_srt(transcript: Transcript, file: TextIO, style: Style) -> None:
    """SubRip."""
    for number, cue in enumerate(cues(transcript, style), 1):
        lines = "\n".join(joined(line) for line in cue.lines)
        file.write(f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n{cue.label}{lines}\n\n")


def write_vtt(transcript: Transcript, file: TextIO, style: Style) -> None:
    """WebVTT; with times of characters or words each one's stands before it."""
    file.write("WEBVTT\n")
    for cue in cues(transcript, style):
        lines = "\n".join(
            _timed(line, cue, style, _clock) if style.timed else _escaped(joined(line)) for line in cue.lines
        )
        voice = f"<v {_escaped(cue.talker)}>" if cue.talker else ""
        file.write(f"\n{_clock(cue.start)} --> {_clock(cue.end)}\n{voice}{lines}\n")


def write_lrc(transcript: Transcript, file: TextIO, style: Style) -> None:
    """Lyrics: the time of each line before it, and of each character or word if wanted (enhanced LRC).

    A line is shown until the next one; where there is a pause, an empty one ends it.
    """
    made = cues(transcript, replace(style, lines=1))
    for i, cue in enumerate(made):
        (line,) = cue.lines
        text = _timed(line, cue, style, _lrc_clock) if style.timed else joined(line)
        file.write(f"[{_lrc_clock(cue.start)}]{cue.label}{text}\n")
        if i + 1 == len(made) or _lrc_clock(made[i + 1].start) > _lrc_clock(cue.end):
            file.write(f"[{_lrc_clock(cue.end)}]\n")


def write_ass(transcript: Transcript, file: TextIO, style: Style) -> None:
    """Advanced SubStation Alpha; with times of characters or words they light up one after the other (karaoke)."""
    file.write(ASS_HEADER)
    for cue in cues(transcript, style):
        lines = "\\N".join(_lit(cue, style) if style.timed else (_plain(joined(line)) for line in cue.lines))
        times = f"{_ass_clock(cue.start)},{_ass_clock(cue.end)}"
        name = cue.talker.replace(",", "，")  # a comma would begin the next field
        file.write(f"Dialogue: 0,{times},Default,{name},0,0,0,,{_plain(cue.label)}{lines}\n")


def _units(line: Tokens, style: Style) -> Iterator[TranscriptToken]:
    """What of a line has a time: its tokens, or its words, each as a token; a space before it where one stands."""
    groups = in_words(line) if style.word_times else [(token,) for token in line]
    at = 0
    for group in groups:
        before, at = line[:at], at + len(group)
        text = joined(line[:at])[len(joined(before)) :]
        yield replace(merged(group, text), mark="")


def _timed(line: Tokens, cue: Cue, style: Style, clock: Callable[[float], str]) -> str:
    text = ""
    for unit in _units(line, style):
        begun = cue.start < unit.start < cue.end and clock(unit.start) != clock(cue.start)
        space = " " * unit.text.startswith(" ")
        text += space + (f"<{clock(unit.start)}>" if begun else "") + _escaped(unit.text.lstrip(" "))
    return text


def _lit(cue: Cue, style: Style) -> Iterator[str]:
    """Lines of ASS in which each unit has the hundredths of a second that it takes: from its start to that of the next."""
    lines = [list(_units(line, style)) for line in cue.lines]
    starts = [unit.start for line in lines for unit in line]
    changes = [cue.start, *(min(max(start, cue.start), cue.end) for start in starts[1:]), cue.end]
    durations = [round(100 * b) - round(100 * a) for a, b in zip(changes, changes[1:], strict=False)]
    for line in lines:
        yield "".join(f"{{\\k{durations.pop(0)}}}{_plain(unit.text)}" for unit in line)


def _plain(text: str) -> str:
    """ASS reads braces as orders and backslashes as breaks, and has no way to write them: wide ones look alike."""
    return text.translate(str.maketrans("{}\\", "｛｝＼"))


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _clock(seconds: float, point: str = ".") -> str:
    """1.5 → 00:00:01.500."""
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}{point}{rest % 1000:03}"


def _lrc_clock(seconds: float) -> str:
    """1.5 → 00:01.50; minutes go on beyond the hour."""
    minutes, rest = divmod(round(seconds * 100), 6000)
    return f"{minutes:02}:{rest // 100:02}.{rest % 100:02}"


def _ass_clock(seconds: float) -> str:
    """1.5 → 0:00:01.50."""
    minutes, rest = divmod(round(seconds * 100), 6000)
    return f"{minutes // 60}:{minutes % 60:02}:{rest // 100:02}.{rest % 100:02}"
