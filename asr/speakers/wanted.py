"""What is asked about speakers: how many there are, and whose voices are known."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asr.audio.given import Audio
from asr.audio.reading import looks_like_a_recording
from asr.errors import AsrError, ConfigError
from asr.foreign_bytes import quoted

MOST = 100
"""No recording has more speakers."""


@dataclass(frozen=True)
class Speakers:
    """That it is wanted who says what, and what is known of them."""

    fewest: int = 1
    """How many there are at least."""
    most: int = 0
    """How many there are at most; 0: any number."""
    voices: Mapping[str, Audio] = field(default_factory=dict)
    """Name → a recording of that person alone, of some seconds; who is not among them is S1, S2 …"""

    def __post_init__(self):
        if not (1 <= self.fewest <= MOST and (self.most == 0 or self.fewest <= self.most <= MOST)):
            raise ConfigError(
                f"speakers must be a number from 1 to {MOST}, or two such as 2-5, are {self.fewest}-{self.most}"
            )


Wanted = Speakers | bool | int | str | None
"""Speakers; True for any number, 2, "2" or "2-5"; False, 0 or "" for not asked."""


def speakers_wanted(wanted: Wanted, voices: Mapping[str, Audio] | None = None) -> Speakers | None:
    """What is wanted, None for nothing. Raises ConfigError for what is no number."""
    if wanted is None or wanted is False or wanted == "" or (wanted == 0 and wanted is not True):
        return None
    if isinstance(wanted, Speakers):
        return wanted
    if wanted is True or str(wanted).strip().lower() in ("auto", "true"):
        return Speakers(voices=voices or {})
    match = re.fullmatch(r"\s*(\d{1,4})\s*(?:[-–~]\s*(\d{1,4})\s*)?", str(wanted))
    if not match:
        raise ConfigError(f"speakers must be a number such as 2, or two such as 2-5, are {quoted(wanted)}")
    fewest, most = int(match[1]), int(match[2] or match[1])
    if most < 1:
        raise ConfigError(f"speakers must be 1 or more, are {quoted(wanted)}")
    return Speakers(fewest, most, voices or {})


def voices_of(folder: str | Path) -> dict[str, Audio]:
    """A clip for each person from a folder: 王芳.wav is 王芳. Raises AsrError where there are none, or two of one name."""
    folder = Path(folder)
    if not folder.is_dir():
        raise AsrError(f"{folder}: is no folder; voices are a folder with a clip for each person, named after them")
    found: dict[str, Any] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or not path.is_file() or not looks_like_a_recording(path):
            continue
        if path.stem in found:
            raise AsrError(f"{path}: {found[path.stem].name} is of the same person; one clip for each is heard")
        found[path.stem] = path
    if not found:
        raise AsrError(
            f"{folder}: holds no recording; it should have a clip for each person, named after them: 王芳.wav"
        )
    return found
