"""Subtitles as the text of one recording: what is shown, without numbers, times and styles.

SRT and WebVTT have cues behind a line of times, LRC a time before each line, ASS a `Dialogue:` for each cue.
"""

import html
import re
from collections.abc import Iterator, Sequence

_CLOCK = r"(?:\d+:)?\d{1,2}:\d{2}[.,]\d{1,3}"
_TIMES = re.compile(rf"\s*{_CLOCK}\s*-->\s*{_CLOCK}(?:\s.*)?")
_LRC_TIME = re.compile(r"\s*(?:\[\d{1,3}:\d{2}(?:[.:]\d{1,3})?\]\s*)+")
_LRC_TAG = re.compile(r"\s*\[[A-Za-z#]+:.*\]\s*")
_MARKUP = re.compile(r"</?(?:b|i|u|s|c|v|font|ruby|rt|lang)\b[^<>]*>|<(?:\d+:)?\d+:\d{2}[.:]\d+>|\{\\[^{}]*\}")
_BREAK = re.compile(r"\\[Nnh]")
_ASS_HEAD = "[script info]"


def are_subtitles(filled: Sequence[str]) -> bool:
    """Whether lines, without empty ones, are subtitles."""
    lines = [line.removeprefix("\ufeff") for line in filled]
    first = lines[0].strip()
    if first.lower() == _ASS_HEAD or re.fullmatch(r"WEBVTT(?:\s.*)?", first):
        return True
    if any(_TIMES.fullmatch(line) for line in lines[:2]):
        return True
    timed = sum(bool(_LRC_TIME.match(line)) for line in lines)
    return timed > 0 and all(_LRC_TIME.match(line) or _LRC_TAG.fullmatch(line) for line in lines)


def are_tags(filled: Sequence[str]) -> bool:
    """Whether lines, without empty ones, are what an LRC may have before its first line with a time."""
    return all(_LRC_TAG.fullmatch(line.removeprefix("\ufeff")) for line in filled)


def subtitle_text(lines: Sequence[str]) -> str:
    """What is shown, cue after cue."""
    lines = [line.removeprefix("\ufeff").rstrip() for line in lines]
    first = next((line.strip().lower() for line in lines if line.strip()), "")
    if first == _ASS_HEAD:
        shown = _of_ass(lines)
    elif any(_TIMES.fullmatch(line) for line in lines) or first.startswith("webvtt"):
        shown = _of_cues(lines)
    else:
        shown = (_LRC_TIME.sub("", line, count=1) for line in lines if _LRC_TIME.match(line))
    texts = (_BREAK.sub(" ", _MARKUP.sub("", text)).strip() for text in shown)
    text = " ".join(text for text in texts if text)
    return html.unescape(text) if first.startswith("webvtt") else text


def _of_cues(lines: Sequence[str]) -> Iterator[str]:
    """Lines behind one of times, up to an empty one: numbers, names of cues, notes and styles stand elsewhere."""
    inside = False
    for line in lines:
        if _TIMES.fullmatch(line):
            inside = True
        elif not line.strip():
            inside = False
        elif inside:
            yield line


def _of_ass(lines: Sequence[str]) -> Iterator[str]:
    """The last field of each dialogue; it alone may hold commas."""
    for line in lines:
        if line.startswith("Dialogue:"):
            yield line.split(",", 9)[-1]
