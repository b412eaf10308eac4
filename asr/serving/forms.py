"""What a request asks for: the fields of OpenAI's form."""

from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from asr.decoding.wordlists import split_words
from asr.errors import AsrError
from asr.outputs.writers import WRITERS
from asr.printable import printable
from asr.serving.refusals import BadRequest
from asr.serving.voices import NAMES, REFERENCES, requested_speakers
from asr.speakers.wanted import Speakers

DIARIZED = "diarized_json"
FORMATS = ("json", "text", "verbose_json", DIARIZED, *(name for name, writer in WRITERS.items() if writer.served))
"""What `response_format` may be; the first six are OpenAI's."""
STREAMED = ("json", "text", "verbose_json", DIARIZED)
"""Those that go with `stream`."""
GRANULARITIES = "timestamp_granularities"
UNHEEDED = {
    "chunking_strategy": "recordings are cut at pauses as the server's model needs it",
}
"""Fields of OpenAI's that change nothing here, and why not."""
FIELDS = (
    *("file", "model", "language", "languages", "prompt", "keywords", "response_format", "temperature", "include"),
    *(GRANULARITIES, "stream", "speakers", NAMES, REFERENCES, *UNHEEDED),
)
REPEATED = ("chunking_strategy", "include", "keywords", NAMES, REFERENCES, "languages", GRANULARITIES)
"""Fields that may be sent several times."""
MANDARIN = ("", "zh", "zho", "chi", "cmn", "chinese", "mandarin")
"""What a language may begin with, up to a hyphen."""
YES, NO = ("true", "1"), ("", "false", "0")
LOGPROBS = "logprobs"
TYPE = "multipart/form-data"
LIMITS = {"max_files": 16, "max_fields": 64, "max_part_size": 2**24}
"""The most that a form may hold: files, other fields, and bytes of all these together, which are in memory."""
LONGEST_QUOTE = 100
LONGEST_NAME = 200
MOST_NOTES = 10
MOST_WORDS, LONGEST_WORD, LONGEST_PROMPT = 200, 20, 20_000
"""Hot words of a request, and characters of one: a longer part of a prompt is no name or term. Characters of a prompt."""


@dataclass(frozen=True)
class Wanted:
    """A request that can be answered."""

    upload: Any
    """The recording, as the form has it."""
    format: str = "json"
    """One of FORMATS."""
    words: bool = False
    """Whether with the times of words."""
    segments: bool = True
    """Whether with segments."""
    logprobs: bool = False
    """Whether with the log-probability of each token."""
    stream: bool = False
    """Whether the text is wanted as it is found, as server-sent events."""
    hotwords: tuple[str, ...] = ()
    """Words that are likely to come."""
    speakers: Speakers | None = None
    """What is known of those who speak, where it is wanted who does."""
    notes: tuple[str, ...] = ()
    """What of the request changes nothing, and why."""

    @property
    def name(self) -> str:
        """What the recording is called in messages: without the folders that it lies in, and as a terminal shows it."""
        return printable(PurePath(self.upload.filename or "").name[-LONGEST_NAME:].replace("\n", " ")) or "recording"


async def read_form(request: Any) -> Any:
    """The form of a request, to be closed in the end. Raises BadRequest for what is none: all else would be the form's fault."""
    from starlette.formparsers import MultiPartException
    from starlette.requests import ClientDisconnect

    from asr.serving.form_parser import FormParser

    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != TYPE:
        raise BadRequest(f"the recording must come as the field file of a form of the type {TYPE}, not {_quoted(kind)}")
    try:
        return await FormParser(request.headers, request.stream(), **LIMITS).parse()
    except MultiPartException as error:
        raise BadRequest(f"the form cannot be read: {error.message}") from error
    except (ClientDisconnect, OSError, AsrError):  # AsrError: from what counts the bytes as they come
        raise
    except Exception as error:
        raise BadRequest(f"the form cannot be read ({type(error).__name__}: {_quoted(str(error))})") from error


def read_request(fields: list[tuple[str, Any]]) -> Wanted:
    """What a form asks for. Raises BadRequest for what cannot be; what is unknown is left alone, with a note."""
    form, notes = _by_name(fields)
    if "file" not in form:
        raise BadRequest(f"file must be an audio file, one, in a form of the type {TYPE}", "file")

    def last(name: str) -> str:
        return form.get(name, [""])[-1]

    format = one_of(last("response_format") or "json", FORMATS, "response_format")
    _require_mandarin(form)
    stream = one_of(last("stream").lower(), (*YES, *NO), "stream") in YES
    if stream and format not in STREAMED:
        raise BadRequest(f"stream goes with response_format {', '.join(STREAMED)}, not with {format}", "stream")
    granularities = [one_of(one, ("word", "segment"), GRANULARITIES) for one in form.get(GRANULARITIES, [])]
    include = form.get("include", [])
    notes += [f"include {_quoted(one)} is not known" for one in include if one != LOGPROBS]
    if granularities and format != "verbose_json":
        notes.append(f"{GRANULARITIES} changes nothing: it goes with response_format verbose_json")
    if _temperature(last("temperature")):
        notes.append("temperature changes nothing: nothing is drawn by chance")
    notes += [f"{name} changes nothing: {why}" for name, why in UNHEEDED.items() if set(form.get(name, [])) - {"auto"}]
    diarized = format in (DIARIZED, "rttm")
    speakers = requested_speakers(last("speakers"), diarized, form.get(NAMES, []), form.get(REFERENCES, []))
    words, unused = hotwords_of_fields(last("prompt"), form.get("keywords", []))
    return Wanted(
        form["file"][0],
        format,
        words="word" in granularities,
        segments="segment" in granularities or not granularities,
        logprobs=LOGPROBS in include,
        stream=stream,
        hotwords=words,
        speakers=speakers,
        notes=(*notes[:MOST_NOTES], *unused),
    )


def _by_name(fields: list[tuple[str, Any]]) -> tuple[dict[str, list], list[str]]:
    form: dict[str, list] = {}
    notes: list[str] = []
    for full_name, value in fields:
        name = full_name.partition("[")[0]
        if name not in FIELDS:
            notes.append(f"there is no field {_quoted(name)}")
            continue
        if isinstance(value, str) == (name == "file"):
            kind = "an audio file" if name == "file" else "a text, not a file"
            raise BadRequest(f"{name} must be {kind}, in a form of the type {TYPE}", name)
        if name in form and name not in REPEATED:
            raise BadRequest(f"{name} must come once, comes several times", name)
        form.setdefault(name, []).append(value)
    return form, list(dict.fromkeys(notes))


def one_of(value: str, known: tuple[str, ...], name: str) -> str:
    """The value of a field that may have these; "" among them is for none. Raises BadRequest for another one."""
    if value not in known:
        raise BadRequest(f"{name} must be one of {', '.join(filter(None, known))}, is {_quoted(value)}", name)
    return value


def _require_mandarin(form: dict[str, list]) -> None:
    for name in ("language", "languages"):
        asked = form.get(name, [])
        if asked and not any(is_mandarin(language) for language in asked):
            wrong = ", ".join(map(_quoted, asked[:3]))
            raise BadRequest(f"{name} must be zh, is {wrong}: the model is for Mandarin", name)


def is_mandarin(language: str) -> bool:
    """Whether what a client calls a language is Mandarin, or not said."""
    return language.strip().lower().replace("_", "-").partition("-")[0] in MANDARIN


def _temperature(value: str) -> float:
    try:
        temperature = float(value or 0)
    except ValueError:
        temperature = -1.0
    if not 0 <= temperature <= 1:
        raise BadRequest(f"temperature must be a number from 0 to 1, is {_quoted(value)}", "temperature")
    return temperature


def hotwords_of_fields(prompt: str, keywords: list[str]) -> tuple[tuple[str, ...], list[str]]:
    """Words of a request, and notes on what of it is none. A single character of a prompt is everywhere."""
    parts = [part for part in split_words(prompt[:LONGEST_PROMPT]) if len(part) > 1]
    wanted = [" ".join(word.split()) for word in [*keywords, *parts] if word.strip()]
    words = list(dict.fromkeys(word for word in wanted if len(word) <= LONGEST_WORD))
    notes = []
    if len(prompt) > LONGEST_PROMPT:
        notes.append(f"prompt has {len(prompt):,} characters; only the first {LONGEST_PROMPT:,} are read")
    if long := [word for word in wanted if len(word) > LONGEST_WORD]:
        notes.append(
            f"{len(long)} parts of prompt and keywords are too long for hot words, the first {_quoted(long[0][:LONGEST_WORD])}:"
            f" at most {LONGEST_WORD} characters; part words by commas"
        )
    if len(words) > MOST_WORDS:
        notes.append(f"prompt and keywords hold {len(words)} hot words; only the first {MOST_WORDS} are listened for")
    return tuple(words[:MOST_WORDS]), notes


def _quoted(text: str) -> str:
    return repr(text[:LONGEST_QUOTE])
