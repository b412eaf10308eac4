"""Which person each stretch is: what it sounds like, and that most people say more than one word before another one speaks."""

from collections.abc import Sequence

import numpy as np

from asr.speakers.stretches import Stretch

NEAR = 40
"""Stretches before and after one that are looked at."""
WEIGHT = 10.0
"""Of the cosine for each second."""
LONGEST = 2.0
"""Seconds that count at most."""
CHANGE, WITHIN = 1.0, 2.0
"""Cost of another person where the segmentation hears another voice, or does not know; within what it takes for one voice."""
PAUSE = 1.0
"""Seconds of silence after which neither costs anything; before, a part of it."""


def labels_of(stretches: Sequence[Stretch], centres: np.ndarray) -> list[int]:
    """The person of each stretch, in order of time: the best path (Viterbi) of those that are heard alone.

    centres: what each person sounds like in each band, (K, BANDS, D).

    The others are whoever has the same voice near them, or else, where nobody has, who speaks nearest to them.
    """
    heard = [i for i, stretch in enumerate(stretches) if stretch.vector is not None]
    if not heard or not len(centres):
        return [0] * len(stretches)
    path = _best_path([stretches[i] for i in heard], centres)
    known = dict(zip(heard, path, strict=True))
    return [known[i] if i in known else _of_neighbours(i, stretches, known) for i in range(len(stretches))]


def _best_path(stretches: Sequence[Stretch], centres: np.ndarray) -> list[int]:
    n = len(centres)
    scores, came = np.zeros(n), []
    before: Stretch | None = None
    for stretch in stretches:
        if before is not None:
            cost = WITHIN if stretch.voice == before.voice else CHANGE
            cost *= max(0.0, 1 - max(0.0, stretch.start - before.end) / PAUSE)
            best = int(scores.argmax())
            stay = scores >= scores[best] - cost
            came.append(np.where(stay, np.arange(n), best))
            scores = np.where(stay, scores, scores[best] - cost)
        scores = scores + WEIGHT * min(stretch.alone, LONGEST) * (centres[:, int(stretch.narrow)] @ stretch.vector)
        before = stretch
    path = [int(scores.argmax())]
    for step in reversed(came):
        path.append(int(step[path[-1]]))
    return path[::-1]


def _of_neighbours(i: int, stretches: Sequence[Stretch], known: dict[int, int]) -> int:
    """The person of the nearest stretch of the same voice that is known, or else of any; nobody is two of those at once."""
    mine = stretches[i]
    near = [j for j in range(max(0, i - NEAR), min(len(stretches), i + NEAR + 1)) if j in known] or list(known)

    def distance(j: int) -> tuple[bool, bool, float]:
        other = stretches[j]
        apart = max(0.0, other.start - mine.end, mine.start - other.end)
        return other.voice != mine.voice, apart == 0, apart

    return known[min(near, key=distance)]
