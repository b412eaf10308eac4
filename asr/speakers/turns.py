"""Stretches with people's names to turns of a whole recording."""

from collections.abc import Sequence

from asr.speakers.stretches import Stretch
from asr.transcript import Turn

PAUSE = 0.1
"""Seconds of silence within a turn that do not end it."""
SHORTEST = 0.06
"""Seconds; what is shorter is no turn."""


def turns_of(stretches: Sequence[Stretch], people: Sequence[int], names: Sequence[str]) -> tuple[Turn, ...]:
    """The turns of all people, in order of time: stretches of one that hardly anything parts are one turn."""
    found: list[Turn] = []
    for person, name in enumerate(names):
        mine: list[tuple[float, float]] = []
        for stretch in (s for s, p in zip(stretches, people, strict=True) if p == person):
            if mine and stretch.start - mine[-1][1] <= PAUSE:
                mine[-1] = mine[-1][0], max(mine[-1][1], stretch.end)
            else:
                mine.append((stretch.start, stretch.end))
        found += [Turn(round(start, 3), round(end, 3), name) for start, end in mine if end - start >= SHORTEST]
    return tuple(sorted(found, key=lambda turn: (turn.start, turn.end, turn.speaker)))
