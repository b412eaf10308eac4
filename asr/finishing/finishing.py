"""Transcripts made ready to read: script, digits, punctuation. Tokens keep their spans, and `raw` what the model wrote."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

from asr.errors import ConfigError
from asr.finishing.disfluencies import cleaned, require_words
from asr.finishing.numerals import in_digits
from asr.finishing.punctuating import MODEL, PUNCTUATORS, with_marks
from asr.text.scripts import to_simplified, to_traditional
from asr.transcript import Correction, Segment, Transcript, TranscriptToken

SCRIPTS: dict[str, Callable[[str], str]] = {"simplified": to_simplified, "traditional": to_traditional}
"""Name → how a text is converted to it."""
NUMBERS = ("digits",)
"""How numbers may be written."""
VERBATIM, CLEAN = STYLES = ("verbatim", "clean")
"""What of hesitations and repetitions is written."""

Tokens = tuple[TranscriptToken, ...]


@dataclass(frozen=True)
class Finishing:
    """What is done to a transcript before it is written."""

    script: str = ""
    """`simplified` or `traditional`; empty leaves characters as they are."""
    numbers: str = ""
    """`digits` writes numbers as digits where it is sure that they are numbers; empty leaves them spoken."""
    punctuate: str | bool = ""
    """`model` sets marks by what is said and by pauses, `pauses` by these alone; empty leaves what the model wrote. True is
    `model`."""

    style: str = VERBATIM
    """`verbatim`, or `clean`: without hesitations (嗯) and words that were begun again (我我我)."""

    def __post_init__(self):
        if isinstance(self.punctuate, bool):
            object.__setattr__(self, "punctuate", MODEL if self.punctuate else "")
        choices = {"script": SCRIPTS, "numbers": NUMBERS, "punctuate": PUNCTUATORS, "style": STYLES}
        for name, known in choices.items():
            if (value := getattr(self, name)) and value not in known:
                raise ConfigError(f"{name} must be {' or '.join(known)}, is {value!r}")


def check(finishing: Finishing) -> None:
    """Raises AsrError now, not after hours, where something is missing that will be needed."""
    if finishing.script:
        SCRIPTS[finishing.script]("")
    if finishing.style == CLEAN:
        require_words()


def finish(transcript: Transcript, finishing: Finishing) -> Transcript:
    """The transcript in the form that is wanted; its times stay. Raises AsrError where OpenCC or jieba is needed and missing.

    Example: `asr.finish(transcript, asr.Finishing(numbers="digits", punctuate="model"))`
    """
    if finishing == Finishing():
        return transcript
    segments = _finished(transcript.segments, finishing)
    if finishing.punctuate:
        segments = with_marks(segments, finishing.punctuate)
    settings = transcript.settings | {"finishing": asdict(finishing)}
    return replace(transcript, segments=tuple(segments), settings=settings)


def _finished(heard: Sequence[Segment], finishing: Finishing) -> list[Segment]:
    """Digits are found in simplified text, so conversion to it comes first, and conversion from it last."""
    segments = [cleaned(segment) for segment in heard] if finishing.style == CLEAN else list(heard)
    texts = [segment.tokens for segment in segments]
    if finishing.script == "simplified":
        texts = [in_script(tokens, to_simplified) for tokens in texts]
    if finishing.numbers == "digits":
        texts = in_digits(segments, texts)
    if finishing.script == "traditional":
        texts = [in_script(tokens, to_traditional) for tokens in texts]
    return [
        replace(segment, tokens=tokens, corrections=_placed(one, tokens))
        for one, segment, tokens in zip(heard, segments, texts, strict=True)
    ]


def _placed(heard: Segment, tokens: Tokens) -> tuple[Correction, ...]:
    """The corrections of a segment where its tokens are now: some may be left out before them, or have become one."""

    def since(token: TranscriptToken) -> tuple[int, float]:
        return token.source[0], token.start

    starts = [since(token) for token in tokens]
    places = (bisect_right(starts, since(heard.tokens[one.place])) - 1 for one in heard.corrections)
    return tuple(replace(one, place=place) for one, place in zip(heard.corrections, places, strict=True) if place >= 0)


def in_script(tokens: Tokens, convert: Callable[[str], str]) -> Tokens:
    """Tokens written in another script: converted together, since 发 depends on its neighbours; one by one if lengths change."""
    texts = [token.text for token in tokens]
    together = convert("".join(texts))
    if len(together) == sum(map(len, texts)):
        converted, at = [], 0
        for text in texts:
            converted.append(together[at : at + len(text)])
            at += len(text)
    else:
        converted = [convert(text) for text in texts]
    return tuple(replace(token, text=text) for token, text in zip(tokens, converted, strict=True))
