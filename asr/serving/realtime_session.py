"""What a client of a live session may set: the session of OpenAI's realtime transcription, read and shown."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from asr.serving.forms import LONGEST_PROMPT, is_mandarin, one_of
from asr.serving.refusals import BadRequest
from asr.transcription.pcm import LAWS
from asr.transcription.segmenting import SegmentConfig
from asr.transcription.stream_utterances import PAUSE

RATE = 24000
"""Samples a second where nobody says how many."""
TELEPHONE = 8000
"""The same of the codes of telephones."""
KINDS = {
    "audio/pcm": "",
    "pcm16": "",
    "audio/pcmu": "pcmu",
    "g711_ulaw": "pcmu",
    "audio/pcma": "pcma",
    "g711_alaw": "pcma",
}
"""What a format may be called, now and in the API's first version → the code of its samples; none where they are 16 bits."""
LEAST_RATE, MOST_RATE = 8000, 48000
INCLUDED = {"logprobs": "item.input_audio_transcription.logprobs"}
INCLUDED["provisional"] = "item.input_audio_transcription.provisional"
"""What `include` may hold; the second is ours: text that may still change."""
LEAST_PAUSE, MOST_PAUSE = 100, 10_000
"""Milliseconds of silence that may end an utterance."""


@dataclass(frozen=True)
class Session:
    """How a client wants to be heard."""

    rate: int = RATE
    """Samples a second of what it sends."""
    law: str = ""
    """The code that they are in, of LAWS; else they are 16 bits."""
    pause: float | None = PAUSE
    """Seconds of silence that end an utterance; None where the client says when one is over."""
    padding: float | None = None
    """Seconds that are heard before and behind speech; None for what the model is used to."""
    threshold: float | None = None
    """Probability from which on there is speech; None for the usual one."""
    prompt: str = ""
    """Words that are likely to come."""
    keywords: tuple[str, ...] = ()
    """More of them."""
    logprobs: bool = False
    """Whether with the log-probability of each token."""
    provisional: bool = False
    """Whether text is told that may still change."""

    @property
    def bytes_a_second(self) -> int:
        """Of what a client sends."""
        return self.rate * (1 if self.law else 2)

    def segments(self, usual: SegmentConfig) -> SegmentConfig:
        """Where the stream is cut."""
        pause = usual.pause if self.pause is None else self.pause
        padding = min(usual.padding if self.padding is None else self.padding, pause)
        threshold = usual.threshold if self.threshold is None else self.threshold
        return replace(usual, pause=pause, padding=padding, threshold=threshold, silence=min(usual.silence, threshold))

    def shown(self, id: str) -> dict:
        """The session as events show it."""
        detection = None
        if self.pause is not None:
            detection = {"type": "server_vad", "silence_duration_ms": round(1000 * self.pause)}
            detection |= {} if self.threshold is None else {"threshold": self.threshold}
            detection |= {} if self.padding is None else {"prefix_padding_ms": round(1000 * self.padding)}
        format = {"type": f"audio/{self.law}"} if self.law else {"type": "audio/pcm", "rate": self.rate}
        words = {"prompt": self.prompt} if self.prompt else {}
        words |= {"keywords": list(self.keywords)} if self.keywords else {}
        return {
            "id": id,
            "object": "realtime.transcription_session",
            "type": "transcription",
            "include": [long for short, long in INCLUDED.items() if getattr(self, short)],
            "audio": {
                "input": {
                    "format": format,
                    "transcription": {"language": "zh"} | words,
                    "noise_reduction": None,
                    "turn_detection": detection,
                }
            },
        }


def of_query(query: Mapping[str, str]) -> Session:
    """The session that an address asks for: `rate`, `format` and `provisional`. Raises BadRequest."""
    law = one_of(query.get("format", "pcm"), ("pcm", *LAWS), "format").removesuffix("pcm")
    session = Session(law=law, provisional=query.get("provisional", "").lower() in ("true", "1"))
    try:
        rate = int(query.get("rate", TELEPHONE if law else RATE))
    except ValueError:
        rate = 0
    return replace(session, rate=_rate(rate))


def updated(session: Session, change: Any) -> Session:
    """A session with what `session.update` changes; what is unknown is left alone. Raises BadRequest for what cannot be."""
    change = _table(change, "session")
    if change.get("type", "transcription") != "transcription":
        raise BadRequest("session.type must be transcription: this server only transcribes", "session.type")
    audio = _table(_table(change.get("audio"), "session.audio").get("input"), "session.audio.input")
    if (format := audio.get("format")) is not None:
        session = _format(session, format)
    if (transcription := audio.get("transcription")) is not None:
        session = _words(session, _table(transcription, "session.audio.input.transcription"))
    if "turn_detection" in audio:
        session = _turns(session, audio["turn_detection"])
    if (include := change.get("include")) is not None:
        if not isinstance(include, list):
            raise BadRequest("session.include must be a list", "session.include")
        session = replace(session, **{short: long in include for short, long in INCLUDED.items()})
    return session


def _format(session: Session, format: Any) -> Session:
    place = "session.audio.input.format"
    format = {"type": format} if isinstance(format, str) else _table(format, place)
    law = KINDS.get(str(format.get("type", "audio/pcm")))
    if law is None:
        raise BadRequest(
            f"{place} must be audio/pcm (16 bits, little endian, one channel), audio/pcmu or audio/pcma", place
        )
    usual = session.rate if law == session.law else TELEPHONE if law else RATE
    return replace(session, law=law, rate=_rate(format.get("rate") or usual))


def _rate(rate: Any) -> int:
    if not isinstance(rate, int) or not LEAST_RATE <= rate <= MOST_RATE:
        raise BadRequest(f"the rate must be from {LEAST_RATE} to {MOST_RATE} samples a second", "rate")
    return rate


def _words(session: Session, transcription: Mapping[str, Any]) -> Session:
    place = "session.audio.input.transcription"
    asked = [transcription.get("language") or "", *_texts(transcription.get("languages"), f"{place}.languages")]
    asked = [language for language in asked if language]
    if asked and not any(is_mandarin(str(language)) for language in asked):
        raise BadRequest(f"the language must be zh, is {str(asked[0])[:100]!r}: the model is for Mandarin", place)
    prompt = transcription.get("prompt") or ""
    if not isinstance(prompt, str):
        raise BadRequest(f"{place}.prompt must be a text", f"{place}.prompt")
    keywords = _texts(transcription.get("keywords"), f"{place}.keywords")
    if len(prompt) + sum(len(word) + 1 for word in keywords) > LONGEST_PROMPT:
        raise BadRequest(f"prompt and keywords may have {LONGEST_PROMPT:,} characters together", f"{place}.prompt")
    return replace(session, prompt=prompt, keywords=tuple(keywords))


def _turns(session: Session, detection: Any) -> Session:
    place = "session.audio.input.turn_detection"
    if detection is None:
        return replace(session, pause=None)
    detection = _table(detection, place)
    if detection.get("type", "server_vad") not in ("server_vad", "semantic_vad"):
        raise BadRequest(f"{place}.type must be server_vad, or all of it null", place)
    pause = _number(detection, "silence_duration_ms", LEAST_PAUSE, MOST_PAUSE)
    padding = _number(detection, "prefix_padding_ms", 0, MOST_PAUSE)
    session = replace(session, pause=PAUSE if pause is None else pause / 1000)
    session = replace(session, padding=None if padding is None else padding / 1000)
    return replace(session, threshold=_number(detection, "threshold", 0, 0.99))


def _number(table: Mapping[str, Any], name: str, least: float, most: float) -> float | None:
    value = table.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise BadRequest(
            f"{name} must be a number from {least} to {most}", f"session.audio.input.turn_detection.{name}"
        )
    return value


def _table(value: Any, place: str) -> dict:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadRequest(f"{place} must be an object", place)
    return value


def _texts(value: Any, place: str) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise BadRequest(f"{place} must be a list of texts", place)
    return value
