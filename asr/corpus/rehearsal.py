"""Old data among the new, so that a model that goes on from another does not forget (rehearsal, Robins 1995)."""

from collections import deque
from collections.abc import Iterator, Sequence

import torch

from asr.errors import ConfigError


def with_rehearsal(
    order: Sequence[int], durations: Sequence[float], first_old: int, *, share: float, generator: torch.Generator
) -> list[int]:
    """The order in which utterances fill the batches of an epoch, with so many old ones that they are a share of its audio.

    order: utterances, shortest first; those from number `first_old` on are old data. All new ones come, once each; old ones
    are drawn, and none comes again before all have come. In any part of the result the share is right to within an utterance
    of each kind: short old ones come with short new ones, so that batches are filled well. Raises ConfigError where none is
    old.
    """
    new, old = deque(i for i in order if i < first_old), [i for i in order if i >= first_old]
    if not old:
        raise ConfigError(
            "data.rehearsal: none of its utterances is between data.min_seconds and data.max_seconds long"
        )
    wanted = share / (1 - share) * sum(durations[i] for i in new)
    drawn = deque(old[place] for place in sorted(_places(old, durations, wanted, generator)))
    merged: list[int] = []
    seconds_new = seconds_old = 0.0
    while new or drawn:
        if drawn and (not new or seconds_old * (1 - share) < seconds_new * share):
            merged.append(drawn.popleft())
            seconds_old += durations[merged[-1]]
        else:
            merged.append(new.popleft())
            seconds_new += durations[merged[-1]]
    return merged


def _places(old: Sequence[int], durations: Sequence[float], wanted: float, generator: torch.Generator) -> Iterator[int]:
    """Places in `old`, drawn in random order until they have so many seconds."""
    seconds = 0.0
    while seconds < wanted:
        for place in torch.randperm(len(old), generator=generator).tolist():
            if seconds >= wanted:
                return
            yield place
            seconds += durations[old[place]]
