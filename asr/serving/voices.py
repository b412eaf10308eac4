"""What a request says of speakers: how many, and the voices of people who are known, as OpenAI's form has them."""

import base64
import binascii
import io
from collections.abc import Sequence

from asr.errors import ConfigError
from asr.serving.refusals import BadRequest
from asr.speakers.wanted import Speakers, speakers_wanted

MOST_VOICES, LONGEST_NAME = 16, 60
NAMES, REFERENCES = "known_speaker_names", "known_speaker_references"


def requested_speakers(asked: str, diarized: bool, names: Sequence[str], references: Sequence[str]) -> Speakers | None:
    """The speakers that a request wants; None for none. Raises BadRequest for what cannot be.

    asked: the field `speakers`; diarized: whether the format is one of who speaks.
    """
    if len(names) != len(references):
        raise BadRequest(f"{NAMES} and {REFERENCES} must be as many, are {len(names)} and {len(references)}", NAMES)
    if len(names) > MOST_VOICES:
        raise BadRequest(f"{NAMES} must be {MOST_VOICES} at most, are {len(names)}", NAMES)
    voices = {name: Clip(_audio(one), name) for name, one in zip(map(_one_line, names), references, strict=True)}
    if len(voices) < len(names) or not all(name.isprintable() and 1 <= len(name) <= LONGEST_NAME for name in voices):
        raise BadRequest(f"{NAMES} must be different names of 1 to {LONGEST_NAME} printable characters", NAMES)
    if not asked and not diarized and not voices:
        return None
    try:
        return speakers_wanted(asked or True, voices)
    except ConfigError as error:
        raise BadRequest(str(error), "speakers") from None


class Clip(io.BytesIO):
    """A recording of a known person, which messages call by its field and that name."""

    def __init__(self, data: bytes, person: str):
        super().__init__(data)
        self.name = f"{REFERENCES}[{person}]"


def _one_line(name: str) -> str:
    return " ".join(name.split())


def _audio(reference: str) -> bytes:
    """The bytes of a data URL: `data:audio/wav;base64,…`."""
    head, comma, data = reference.partition(",")
    try:
        if not (head.startswith("data:") and head.endswith(";base64") and comma):
            raise ValueError
        return base64.b64decode(data, validate=True)
    except (ValueError, binascii.Error):
        raise BadRequest(f"{REFERENCES} must be data URLs, data:audio/wav;base64,…", REFERENCES) from None
