"""Transcripts made ready to read: script, digits, punctuation. Tokens keep their spans, and `raw` what the model wrote."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import zip_longest

from asr.errors import ConfigError
from asr.text.digits import find_numbers
from asr.text.scripts import to_simplified, to_traditional
from asr.transcript import Segment, Transcript, TranscriptToken, merged, parted

SCRIPTS: dict[str, Callable[[str], str]] = {"simplified": to_simplified, "traditional": to_traditional}
"""Name → how a text is converted to it."""
NUMBERS = ("digits",)
"""How numbers may be written."""
COMMA_PAUSE, STOP_PAUSE = 0.3, 0.8
"""Seconds of pause that are a comma, and a full stop."""
SHORTEST_CLAUSE = 3
"""Tokens that must stand before a comma."""

Tokens = tuple[TranscriptToken, ...]


@dataclass(frozen=True)
class Finishing:
    """What is done to a transcript before it is written."""

    script: str = ""
    """`simplified` or `traditional`; empty leaves characters as they are."""
    numbers: str = ""
    """`digits` writes numbers as digits where it is sure that they are numbers; empty leaves them spoken."""
    punctuate: bool = False
    """Whether pauses become punctuation where the model wrote none."""

    def __post_init__(self):
        for name, value, known in (("script", self.script, SCRIPTS), ("numbers", self.numbers, NUMBERS)):
            if value and value not in known:
                raise ConfigError(f"{name} must be {' or '.join(known)}, is {value!r}")


def finish(transcript: Transcript, finishing: Finishing) -> Transcript:
    """The transcript in the form that is wanted; its times stay. Raises AsrError where a script is wanted and OpenCC is missing.

    Example: `asr.finish(transcript, asr.Finishing(numbers="digits", punctuate=True))`
    """
    if finishing == Finishing():
        return transcript
    segments = [_finished(segment, finishing) for segment in transcript.segments]
    if finishing.punctuate:
        segments = _punctuated(segments)
    settings = transcript.settings | {"finishing": asdict(finishing)}
    return replace(transcript, segments=tuple(segments), settings=settings)


def _finished(segment: Segment, finishing: Finishing) -> Segment:
    """Digits are found in simplified text, so conversion to it comes first, and conversion from it last."""
    tokens = segment.tokens
    if finishing.script == "simplified":
        tokens = in_script(tokens, to_simplified)
    if finishing.numbers == "digits":
        tokens = with_digits(tokens)
    if finishing.script == "traditional":
        tokens = in_script(tokens, to_traditional)
    return replace(segment, tokens=tokens)


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


def with_digits(tokens: Tokens) -> Tokens:
    """Tokens with numbers as digits. A number of several tokens becomes one: it begins and ends with them."""
    text, starts, owners = "", [], []  # starts: token → its first character; owners: character → token
    for i, token in enumerate(tokens):
        text += " " if parted(text, token.text) else ""
        starts.append(len(text))
        text += token.text + ("\n" if token.mark else "")  # no number goes beyond punctuation
        owners += [i] * (len(text) - len(owners))
    found: list[TranscriptToken] = []
    at = 0
    for number in find_numbers(text):
        first, last = owners[number.first], owners[number.end - 1]
        before = text[starts[first] : number.first]
        after = text[number.end : starts[last] + len(tokens[last].text)]
        found += [*tokens[at:first], merged(tokens[first : last + 1], before + number.text + after)]
        at = last + 1
    return (*found, *tokens[at:])


def _punctuated(segments: Sequence[Segment]) -> list[Segment]:
    """Marks where there are pauses, and at the end. Segments of one channel are looked at together."""
    found = list(segments)
    for channel in {segment.channel for segment in segments}:
        places = [i for i, segment in enumerate(segments) if segment.channel == channel and segment.tokens]
        tokens = [token for i in places for token in segments[i].tokens]
        marked = punctuated(tokens)
        for i in places:
            n = len(segments[i].tokens)
            found[i] = replace(segments[i], tokens=tuple(marked[:n]))
            marked = marked[n:]
    return found


def punctuated(tokens: Sequence[TranscriptToken]) -> list[TranscriptToken]:
    """A comma after a short pause, a full stop after a long one and at the end, after 吗 a question mark.

    A baseline: it knows pauses, not sentences. No character changes, and marks that are there already stay.
    """
    found: list[TranscriptToken] = []
    clause = 0
    for token, following in zip_longest(tokens, tokens[1:]):
        clause += 1
        pause = following.start - token.end if following else STOP_PAUSE
        mark = token.mark
        if not mark and pause >= STOP_PAUSE:
            mark = "？" if token.text == "吗" or token.text == "嗎" else "。"
        elif not mark and pause >= COMMA_PAUSE and clause >= SHORTEST_CLAUSE:
            mark = "，"
        clause = 0 if mark else clause
        found.append(replace(token, mark=mark))
    return found
