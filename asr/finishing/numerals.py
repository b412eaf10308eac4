"""Numbers of transcripts as digits. Where a recording was cut within a number, its halves are not taken for two."""

from bisect import bisect_right
from collections.abc import Sequence

from asr.text.digits import Replacement, find_numbers
from asr.transcript import Segment, TranscriptToken, in_clauses, merged

ONE_BREATH = 0.6
"""Seconds of pause between two segments below which a number may go on from the one into the other."""
AROUND = 16
"""Tokens of other segments that are looked at before and behind one."""

Tokens = tuple[TranscriptToken, ...]


def in_digits(segments: Sequence[Segment], texts: Sequence[Tokens]) -> list[Tokens]:
    """The tokens of each segment with its numbers as digits. `texts`: the tokens as they are by now."""
    before: list[Tokens] = [()] * len(texts)
    behind: list[Tokens] = [()] * len(texts)
    last: dict[int | None, int] = {}
    for place, segment in enumerate(segments):
        earlier = last.get(segment.channel)
        if earlier is not None and _goes_on(texts[earlier], texts[place]):
            before[place], behind[earlier] = texts[earlier][-AROUND:], texts[place][:AROUND]
        last[segment.channel] = place
    return [with_digits(*text) for text in zip(texts, before, behind, strict=True)]


def with_digits(tokens: Tokens, before: Tokens = (), behind: Tokens = ()) -> Tokens:
    """Tokens with numbers as digits. A number of several tokens becomes one: it begins and ends with them.

    Of a number that begins in the tokens before, or ends in those behind, digits spoken one by one are written here as far as
    they are here; any other stays spoken.
    """
    text, starts = in_clauses((*before, *tokens, *behind))
    begin, end = len(before), len(before) + len(tokens)
    edges = [*starts, len(text)]
    found: list[TranscriptToken] = []
    at = 0
    for number in find_numbers(text):
        part = _within(number, edges[begin], edges[end])
        if part is None:
            continue
        first, last = (bisect_right(starts, place) - 1 for place in (part.first, part.end - 1))
        own = tokens[first - begin : last + 1 - begin]
        ahead = text[starts[first] : part.first]
        after = text[part.end : starts[last] + len(own[-1].text)]
        found += [*tokens[at : first - begin], merged(own, ahead + part.text + after)]
        at = last + 1 - begin
    return (*found, *tokens[at:])


def _goes_on(earlier: Tokens, later: Tokens) -> bool:
    """Whether one says both, without a pause between them."""
    if not earlier or not later or earlier[-1].speaker != later[0].speaker:
        return False
    return later[0].start - earlier[-1].end < ONE_BREATH


def _within(number: Replacement, begin: int, end: int) -> Replacement | None:
    """What of a number lies between two places of its text; None where it cannot be parted there, or lies elsewhere."""
    if begin <= number.first and number.end <= end:
        return number
    first, last = max(begin, number.first), min(end, number.end)
    one_by_one = number.text.isdecimal() and len(number.text) == number.end - number.first
    if first >= last or not one_by_one:
        return None
    return Replacement(first, last, number.text[first - number.first : last - number.first])
