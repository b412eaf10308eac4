"""A transcript as the answer to a request, in the shapes that OpenAI's API describes."""

import math
import re
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from string import ascii_uppercase
from urllib.parse import quote

from asr.outputs.writers import render
from asr.serving.forms import DIARIZED, Wanted
from asr.speakers.diarizer import UNKNOWN
from asr.transcript import Segment, Transcript, TranscriptToken

FRAMES = 100
"""Steps a second in which Whisper counts where a segment is (`seek`)."""
LEAST = 1e-10
"""The least probability of which a logarithm is given."""
LONGEST_HEADER = 2000
CAUSED_BY_PROMPT = "X-Hotwords"
"""Header that names the words of prompt and keywords that were listened for, percent-encoded, parted by commas."""

_NUMBERED = re.compile(rf"{UNKNOWN}[1-9][0-9]{{0,8}}")

Ids = Callable[[str], Sequence[int]]
"""The ids of the model's tokens for a text."""


def answer_of(transcript: Transcript, wanted: Wanted, ids: Ids) -> str | dict:
    """A transcript as text or as an object to be written as JSON."""
    if wanted.format == "text":
        return render(transcript, "txt") if transcript.speakers else transcript.text + "\n"
    if wanted.format == DIARIZED:
        return diarized(transcript, wanted.speakers.voices if wanted.speakers else ())
    if wanted.format not in ("json", "verbose_json"):
        return render(transcript, wanted.format)
    answer: dict = {"text": transcript.text}
    spoken = [segment for segment in transcript.segments if segment.tokens]
    tokens = [token for segment in spoken for token in segment.tokens]
    if wanted.logprobs:
        answer["logprobs"] = logprobs_of(tokens)
    if wanted.format == "json":
        return answer
    answer |= {"task": "transcribe", "language": "chinese", "duration": transcript.duration}
    answer |= {"usage": {"type": "duration", "seconds": transcript.duration}}
    answer |= {"warnings": [*transcript.all_warnings, *wanted.notes], "hotwords": list(wanted.hotwords)}
    if wanted.segments:
        answer["segments"] = [_segment(i, segment, ids) for i, segment in enumerate(spoken)]
    if wanted.words:
        answer["words"] = [{"word": token.text, "start": token.start, "end": token.end} for token in tokens]
    return answer


def diarized(transcript: Transcript, known: Collection[str] = ()) -> dict:
    """The text, and a segment for each stretch of one speaker: of those who are not known A, B …, as they appear."""
    labels = _labels(transcript.speakers, known)
    segments = [
        {
            "type": "transcript.text.segment",
            "id": f"seg_{i}",
            "start": segment.tokens[0].start,
            "end": segment.tokens[-1].end,
            "speaker": labels.get(segment.speaker, segment.speaker),
            "text": segment.text,
        }
        for i, segment in enumerate(segment for segment in transcript.segments if segment.tokens)
    ]
    answer = {"task": "transcribe", "duration": transcript.duration, "text": transcript.text, "segments": segments}
    return answer | {"usage": {"type": "duration", "seconds": transcript.duration}}


def _labels(speakers: Sequence[str], known: Collection[str]) -> dict[str, str]:
    """A letter that is nobody's name for S1, S2 …, unless these are names of known people; others are what they are called."""
    unknown = [one for one in speakers if one not in known and _NUMBERED.fullmatch(one)]
    letters = [letter for letter in ascii_uppercase if letter not in speakers]
    return dict(zip(sorted(unknown, key=lambda one: int(one.removeprefix(UNKNOWN))), letters, strict=False))


def _segment(i: int, segment: Segment, ids: Ids) -> dict:
    """`no_speech_prob` is 0 without a no-speech head: a segment is where the network that finds speech has heard it."""
    mean_log = sum(_log(token) for token in segment.tokens) / len(segment.tokens)
    written = segment.text.encode()
    return {
        "id": i,
        "seek": int(segment.start * FRAMES),
        "start": segment.start,
        "end": segment.end,
        "text": segment.text,
        "tokens": list(ids(segment.raw)),
        "temperature": 0.0,
        "avg_logprob": round(mean_log, 4),
        "compression_ratio": round(len(written) / len(zlib.compress(written)), 4),
        "no_speech_prob": segment.no_speech or 0.0,
        "confidence": round(segment.confidence or 0.0, 4),
        **({"speaker": segment.speaker} if segment.speaker else {}),
    }


def logprobs_of(tokens: Sequence[TranscriptToken]) -> list[dict]:
    """What OpenAI's API calls logprobs: each token, its bytes in UTF-8 and its log-probability."""
    return [
        {"token": token.text, "bytes": list(token.text.encode()), "logprob": round(_log(token), 4)} for token in tokens
    ]


def _log(token: TranscriptToken) -> float:
    return math.log(max(token.confidence, LEAST))


def headers_of(wanted: Wanted) -> dict[str, str]:
    """Headers that say what of a request changes nothing (`Warning`), and which hot words its prompt gave."""
    headers = {}
    if wanted.notes:
        notes = (note.encode("ascii", "backslashreplace").decode().replace("\\", "\\\\") for note in wanted.notes)
        quoted = (note.replace('"', "'") for note in notes)
        warnings = (f'299 asr "{note}"' for note in quoted if note.isprintable())
        headers["Warning"] = ", ".join(_within(warnings, LONGEST_HEADER))
    if wanted.hotwords:
        headers[CAUSED_BY_PROMPT] = ",".join(_within(map(quote, wanted.hotwords), LONGEST_HEADER))
    return headers


def _within(texts: Iterator[str], most: int) -> Iterator[str]:
    """The first of several texts, as many as have so many characters together, with a comma each."""
    for text in texts:
        most -= len(text) + 1
        if most < 0:
            return
        yield text
