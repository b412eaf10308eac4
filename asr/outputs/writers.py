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
    file.write(
        json.dumps({"text": transcript.text} | dataclasses.asdict(transcript), ensure_ascii=False, allow_nan=False)
        + "\n"
    )


WRITERS = {"txt": write_txt, "json": write_json}
"""Format → writer."""
