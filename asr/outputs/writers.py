"""Transcripts as files. A new format is a function `write_x(transcript, file)` and a line in WRITERS."""

import dataclasses
import json
from typing import TextIO

from asr.transcript import Transcript


def write_txt(transcript: Transcript, file: TextIO) -> None:
    """The text on one line."""
    file.write(transcript.text + "\n")


def write_json(transcript: Transcript, file: TextIO) -> None:
    """All that is known, as one line of JSON."""
    data = {"text": transcript.text} | dataclasses.asdict(transcript)
    for segment, values in zip(transcript.segments, data["segments"], strict=True):
        values["text"] = segment.text
    file.write(json.dumps(data, ensure_ascii=False, allow_nan=False) + "\n")


WRITERS = {"txt": write_txt, "json": write_json}
"""Format → writer."""
