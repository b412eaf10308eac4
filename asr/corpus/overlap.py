"""Utterances that are cut from the same place of a recording."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from asr.corpus.manifest import Member, Utterance

TOLERATED = 0.1
"""Seconds that neighbours may share, whose ends were rounded or padded."""


class Recorded:
    """Where some utterances lie in their recordings."""

    def __init__(self, utterances: Iterable[Utterance]):
        self.by_audio: dict[tuple[Path, Member | None], list[Utterance]] = defaultdict(list)
        for u in utterances:
            self.by_audio[_recording(u)].append(u)
        for some in self.by_audio.values():
            some.sort(key=lambda u: u.start)
        self.longest = {audio: max(u.duration for u in some) for audio, some in self.by_audio.items()}

    def sharing(self, u: Utterance) -> Utterance | None:
        """One of them that holds some of what `u` holds, if there is one. A channel is a part of the mixture of all."""
        some, end = self.by_audio.get(_recording(u), []), u.start + u.duration
        first = bisect_left(some, u.start - self.longest[_recording(u)], key=lambda other: other.start) if some else 0
        for other in some[first:]:
            if other.start >= end:
                return None
            shared = min(end, other.start + other.duration) - max(u.start, other.start)
            if shared > min(TOLERATED, 0.5 * u.duration) and (
                None in (u.channel, other.channel) or u.channel == other.channel
            ):
                return other
        return None


def _recording(u: Utterance) -> tuple[Path, Member | None]:
    return Path(u.audio), u.member
