"""Transcripts as files. A new format is a function `write_x(transcript, file)` and a line in WRITERS."""

import dataclasses
import json
from typing import TextIO

from asr.transcript import Transcript


def write_txt(transcript: Transcript, file: TextIO) -> None:
    """The text on one line; where channels were transcribed apart, a line for each, its number in front."""
    channels = sorted({segment.channel for segment in transcript.segments if segment.channel is not None})
    if not channels:
        file.write(transcript.text + "\n")
    for channel in channels:
        own = tuple(segment for segment in transcript.segments if segment.channel == channel)
        file.write(f"{channel}: {dataclasses.replace(transcript, segments=own).text}\n")


def write_json(transcript: Transcript, file: TextIO) -> None:
    """All that is known, as one line of JSON."""
    file.write(
        json.dumps({"text": transcript.text} | dataclasses.asdict(transcript), ensure_ascii=False, allow_nan=False)
        + "\n"
    )


WRITERS = {"txt": write_txt, "json": write_json}
"""Format → writer."""
