"""Turns of a Praat TextGrid, in its long or its short form, as AISHELL-4 and AliMeeting have them: a tier for each speaker."""

import re
from collections.abc import Iterator

from asr.errors import ManifestError
from asr.foreign_bytes import quoted
from asr.scoring.diarization import SpokenTurn

_VALUE = re.compile(r'"((?:[^"]|"")*)"|(?<!\S)(-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)(?!\S)')
"""What counts of a TextGrid: texts, in which "" is a ", and numbers that stand alone; names and [1] do not."""
INTERVALS = "IntervalTier"
"""The kind of a tier whose texts have a start and an end; of points there are tiers, too."""


def is_text_grid(first: str) -> bool:
    """Whether a file that begins with this line is one."""
    return "ooTextFile" in first


def turns_of_text_grid(text: str, where: str) -> list[SpokenTurn]:
    """The intervals that hold a text; the name of their tier is the speaker. Raises ManifestError for what is none."""
    values = iter([m[1].replace('""', '"') if m[2] is None else float(m[2]) for m in _VALUE.finditer(text)])
    try:
        if (next(values), next(values)) != ("ooTextFile", "TextGrid"):
            raise ManifestError(f"{where}: is a file of Praat, but no TextGrid")
        next(values), next(values)  # where it begins and ends
        return [turn for _ in range(_number(values)) for turn in _tier(values)]
    except (StopIteration, RuntimeError, TypeError, ValueError) as error:
        raise ManifestError(f"{where}: is no whole TextGrid ({error or 'it ends too early'})") from error


def _tier(values: Iterator[str | float]) -> list[SpokenTurn]:
    kind, speaker = next(values), str(next(values))
    next(values), next(values)
    turns = []
    for _ in range(_number(values)):
        start = float(next(values))
        end = float(next(values)) if kind == INTERVALS else start
        said = next(values)
        if not isinstance(said, str):
            raise ValueError(f"a text is missing at {start:g} s of {quoted(speaker)}")
        if said.strip() and kind == INTERVALS:
            turns.append(SpokenTurn(start, end, speaker, said))
    return turns


def _number(values: Iterator[str | float]) -> int:
    return int(float(next(values)))
