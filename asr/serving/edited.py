"""Transcripts that a person has corrected: written in any format of the server's, and counted against what was said."""

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from asr.errors import ConfigError
from asr.scoring.cer import CharErrors, align, in_runs, scoring_rules, units_of
from asr.serving.answers import Ids, answer_of
from asr.serving.forms import FORMATS, Wanted, one_of
from asr.serving.refusals import BadRequest
from asr.serving.sent import read_json
from asr.serving.service import Service
from asr.text.normalize import normalize
from asr.transcript import Segment, Transcript, TranscriptToken
from asr.transcription.attribution import by_speaker

MOST_BYTES = 2**25
"""Of a request: hours of text, each character with its times."""
MOST_WRITTEN = 300_000
"""Characters of a text that is written: a day of speech is less."""
MOST_SCORED = 20_000
"""Characters of a text that is scored, more than an hour of speech: nothing else is done for the half second that it may take."""
EDITED = "the text was edited by hand"
BODY = "the body"


async def rendered(service: Service, request: Request) -> Response:
    """A transcript that is sent as JSON, in the format that it asks for."""
    ids = service.transcriber.loaded.tokenizer.encode
    answer = await _answered(service, request, lambda asked: _rendered(asked, ids))
    return PlainTextResponse(answer) if isinstance(answer, str) else JSONResponse(answer)


async def scored(service: Service, request: Request) -> Response:
    """Errors of a hypothesis against a reference."""
    return JSONResponse(await _answered(service, request, _scored))


async def _answered(service: Service, request: Request, answer: Callable[[dict], Any]) -> Any:
    body = service.body(request, MOST_BYTES)
    with service.clients.slot():
        sent = await Request(request.scope, body.receive).body()
        return await asyncio.to_thread(lambda: answer(_object(sent)))


def _object(sent: bytes) -> dict:
    try:
        asked = read_json(sent)
    except ValueError:
        asked = None
    if not isinstance(asked, dict):
        raise BadRequest("the body must be an object in JSON")
    return asked


def _rendered(asked: dict, ids: Ids) -> str | dict:
    format = one_of(str(asked.get("response_format", "json")), FORMATS, "response_format")
    transcript = transcript_of(asked)
    if format == "rttm" and transcript.text and not transcript.speakers:
        raise BadRequest("rttm says who speaks when: tokens must have a speaker", "segments")
    wanted = Wanted(None, format, words=True, logprobs=format == "verbose_json")
    return answer_of(transcript, wanted, ids)


def transcript_of(asked: dict) -> Transcript:
    """The transcript that JSON describes: `duration`, `edited`, and `segments`, each with `start`, `end` and `tokens`; of a token
    `text`, `mark`, `start`, `end`, `confidence`, and `speaker`; where another one speaks a segment is cut. Raises BadRequest for
    what is none.
    """
    segments = tuple(_segment(one, f"segments[{i}]") for i, one in enumerate(_list(asked, "segments", BODY)))
    _in_order(segments, "segments")
    if sum(len(token.text) + len(token.mark) for segment in segments for token in segment.tokens) > MOST_WRITTEN:
        raise BadRequest(f"a text may have {MOST_WRITTEN:,} characters at most; send it in parts", "segments")
    edited = (EDITED,) if asked.get("edited") else ()
    parts = tuple(part for segment in segments for part in by_speaker(segment))
    return Transcript(_text(asked, "name", BODY), _number(asked, "duration", BODY), parts, "", edited)


def _segment(asked: Any, place: str) -> Segment:
    tokens = tuple(_token(one, i, f"{place}.tokens[{i}]") for i, one in enumerate(_list(asked, "tokens", place)))
    _in_order(tokens, f"{place}.tokens")
    start, end = _number(asked, "start", place), _number(asked, "end", place)
    segment = Segment(start, end, tokens)
    return Segment(start, end, tokens, segment.text)


def _token(asked: Any, number: int, place: str) -> TranscriptToken:
    text, mark = _text(asked, "text", place), _text(asked, "mark", place)
    if not text:
        raise BadRequest(f"{place}.text must hold something", place)
    confidence = _number(asked, "confidence", place, 1.0)
    start, end = _number(asked, "start", place), _number(asked, "end", place)
    speaker = _text(asked, "speaker", place)
    return TranscriptToken(text, start, end, confidence, (number, number), mark, speaker)


def _in_order(parts: Sequence[Segment] | Sequence[TranscriptToken], place: str) -> None:
    """Raises BadRequest where something ends before it starts, or starts before what is in front of it."""
    at = 0.0
    for i, part in enumerate(parts):
        if not at <= part.start <= part.end:
            raise BadRequest(f"{place}[{i}] must be from a time to a later one, and behind what is before it", place)
        at = part.start


def _list(asked: Any, name: str, place: str) -> list:
    value = asked.get(name) if isinstance(asked, dict) else None
    if not isinstance(value, list):
        raise BadRequest(f"{place} must have a list of {name}", _field(name, place))
    return value


def _text(asked: Any, name: str, place: str) -> str:
    """A text on one line; empty where there is none."""
    value = asked.get(name, "") if isinstance(asked, dict) else None
    if not isinstance(value, str):
        raise BadRequest(f"{place} must have a text as its {name}", _field(name, place))
    return " ".join(value.split())


def _number(asked: dict, name: str, place: str, most: float = 1e9) -> float:
    value = asked.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        value = -1
    if not 0 <= value <= most:
        raise BadRequest(f"{place} must have a number from 0 to {most:g} as its {name}", _field(name, place))
    return float(value)


def _field(name: str, place: str) -> str:
    return name if place == BODY else f"{place}.{name}"


def _scored(asked: dict) -> dict:
    texts = _text(asked, "reference", BODY), _text(asked, "hypothesis", BODY)
    if max(map(len, texts)) > MOST_SCORED:
        raise BadRequest(
            f"a text of more than {MOST_SCORED:,} characters is scored by `asr score`, not here", "reference"
        )
    try:
        rules = scoring_rules(_text(asked, "rules", BODY) or None)
        reference, hypothesis = (units_of(normalize(text, rules), "char", "spaces" in rules) for text in texts)
    except ConfigError as error:
        raise BadRequest(str(error), "rules") from error
    pairs = align(reference, hypothesis)
    deletions, insertions = sum(not written for _, written in pairs), sum(not said for said, _ in pairs)
    substitutions = sum(said != written for said, written in pairs) - deletions - insertions
    errors = CharErrors(substitutions, deletions, insertions, len(reference))
    return {
        "cer": errors.cer if math.isfinite(errors.cer) else None,
        "substitutions": errors.substitutions,
        "deletions": errors.deletions,
        "insertions": errors.insertions,
        "reference": errors.reference,
        "rules": list(rules),
        "pairs": in_runs(pairs),
    }
