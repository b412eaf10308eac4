"""What a request asks for: the fields of OpenAI's form."""

from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from asr.errors import AsrError
from asr.outputs.writers import WRITERS
from asr.printable import printable
from asr.serving.refusals import BadRequest

FORMATS = ("json", "text", "verbose_json", *(name for name, writer in WRITERS.items() if writer.served))
"""What `response_format` may be; the first five are OpenAI's."""
IGNORED = ("model", "prompt", "temperature", "chunking_strategy", "include")
"""Fields of OpenAI's that change nothing here."""
MANDARIN = ("", "zh", "zho", "cmn", "chinese", "mandarin")
"""What `language` may begin with, up to a hyphen."""
GRANULARITIES = "timestamp_granularities"
FIELDS = (*IGNORED, "file", "language", "response_format", GRANULARITIES, "stream")
REPEATED = ("chunking_strategy", "include", GRANULARITIES)
"""Fields that may be sent several times."""
TYPE = "multipart/form-data"
LIMITS = {"max_files": 16, "max_fields": 64, "max_part_size": 2**16}
"""The most that a form may hold: files, other fields, and bytes of each of these, which are in memory."""
LONGEST_QUOTE = 100
LONGEST_NAME = 200


@dataclass(frozen=True)
class Wanted:
    """A request that can be answered."""

    upload: Any
    """The recording, as the form has it."""
    format: str
    """One of FORMATS."""
    words: bool
    """Whether with the times of words."""

    @property
    def name(self) -> str:
        """What the recording is called in messages: without the folders that it lies in, and as a terminal shows it."""
        return printable(PurePath(self.upload.filename or "").name[-LONGEST_NAME:].replace("\n", " ")) or "recording"


async def read_form(request: Any) -> list[tuple[str, Any]]:
    """The fields of a request's form. Raises BadRequest for what is none: whatever a parser raises is the form's fault."""
    from starlette.exceptions import HTTPException
    from starlette.requests import ClientDisconnect

    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != TYPE:
        raise BadRequest(f"the recording must come as the field file of a form of the type {TYPE}, not {_quoted(kind)}")
    try:
        return (await request.form(**LIMITS)).multi_items()
    except (HTTPException, ClientDisconnect, OSError, AsrError):  # AsrError: from what counts the bytes as they come
        raise
    except Exception as error:
        raise BadRequest(f"the form cannot be read ({type(error).__name__}: {_quoted(str(error))})") from error


def read_request(fields: list[tuple[str, Any]]) -> Wanted:
    """What a form asks for. Raises BadRequest for what cannot be."""
    form: dict[str, list] = {}
    for name, value in fields:
        name = name.partition("[")[0]
        if name not in FIELDS:
            raise BadRequest(f"there is no field {_quoted(name)}; there are {', '.join(FIELDS)}", name[:LONGEST_QUOTE])
        if isinstance(value, str) == (name == "file"):
            kind = "an audio file" if name == "file" else "a text, not a file"
            raise BadRequest(f"{name} must be {kind}, in a form of the type {TYPE}", name)
        if name in form and name not in REPEATED:
            raise BadRequest(f"{name} must come once, comes several times", name)
        form.setdefault(name, []).append(value)
    if "file" not in form:
        raise BadRequest(f"file must be an audio file, one, in a form of the type {TYPE}", "file")
    format, language, stream = (form.get(name, [""])[-1] for name in ("response_format", "language", "stream"))
    if (format or "json") not in FORMATS:
        one_of = ", ".join(FORMATS)
        raise BadRequest(f"response_format must be one of {one_of}, is {_quoted(format)}", "response_format")
    if language.lower().replace("_", "-").partition("-")[0] not in MANDARIN:
        raise BadRequest(f"language must be zh, is {_quoted(language)}: the model is for Mandarin", "language")
    if stream.lower() not in ("", "false", "0"):
        raise BadRequest("stream is not offered: the answer comes when all is transcribed", "stream")
    granularities = form.get(GRANULARITIES, [])
    if not set(granularities) <= {"word", "segment"}:
        wrong = ", ".join(granularities)[:LONGEST_QUOTE]
        raise BadRequest(f"{GRANULARITIES} must be word or segment, is {wrong}", GRANULARITIES)
    return Wanted(form["file"][0], format or "json", "word" in granularities)


def _quoted(text: str) -> str:
    return repr(text[:LONGEST_QUOTE])
