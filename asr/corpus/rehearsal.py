"""Old data among the new, so that a model that goes on from another does not forget (rehearsal, Robins 1995)."""

import numpy as np
import torch

from asr.errors import ConfigError


def with_rehearsal(
    order: np.ndarray, durations: np.ndarray, first_old: int, *, share: float, generator: torch.Generator
) -> np.ndarray:
    """The order in which utterances fill the batches of an epoch, with so many old ones that they are a share of its audio.

    order: utterances, shortest first; those from number `first_old` on are old data. All new ones come, once each; old ones
    are drawn, and none comes again before all have come. In any part of the result the share is right to within an utterance
    of each kind: short old ones come with short new ones, so that batches are filled well. Raises ConfigError where none is
    old.
    """
    new, old = order[order < first_old], order[order >= first_old]
    if not len(old):
        raise ConfigError(
            "data.rehearsal: none of its utterances is between data.min_seconds and data.max_seconds long"
        )
    wanted = share / (1 - share) * durations[new].sum()
    drawn = old[np.sort(_places(durations[old], wanted, generator))]
    before_new = np.concatenate([[0.0], np.cumsum(durations[new])]) * share
    before_old = np.cumsum(durations[drawn]) - durations[drawn]
    comes_behind = np.searchsorted(before_new, before_old * (1 - share), side="right")  # so many new ones
    comes_behind = np.minimum(comes_behind, len(new))
    merged = np.empty(len(new) + len(drawn), order.dtype)
    places = comes_behind + np.arange(len(drawn))
    merged[places] = drawn
    is_new = np.ones(len(merged), bool)
    is_new[places] = False
    merged[is_new] = new
    return merged


def _places(seconds: np.ndarray, wanted: float, generator: torch.Generator) -> np.ndarray:
    """Places in old data of these lengths, drawn in random order until they have so many seconds."""
    drawn: list[np.ndarray] = []
    while wanted > 0:
        places = torch.randperm(len(seconds), generator=generator).numpy()
        total = np.cumsum(seconds[places])
        drawn.append(places[: np.searchsorted(total, wanted) + 1])
        wanted -= total[-1]
    return np.concatenate(drawn) if drawn else np.empty(0, np.int64)
