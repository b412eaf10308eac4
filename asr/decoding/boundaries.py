"""Where a token begins and ends, from the moment at which it was heard best and the loudness of the audio around it.

A CTC head or attention says at which moment a token is heard, not how long it lasts: what is left to find is where between
two such moments one token ends and the next begins. That is where the audio is quietest; and where it stays quiet for a
while there is a pause, which belongs to neither.
"""

from collections.abc import Sequence

import numpy as np

HOP = 0.01
"""Seconds over which loudness is measured."""
QUIET_DB = 30.0
"""So far below the loudest moments of the audio it is quiet."""
SHORTEST_PAUSE = 0.15
"""Seconds of quiet that are a pause; less is the closure before a plosive."""
REACH = 0.35
"""Seconds that a token reaches beyond its moment at most, where no other token bounds it."""

Span = tuple[float, float]
"""Start and end in seconds."""


def spans(moments: Sequence[float], samples: np.ndarray, rate: int) -> list[Span]:
    """Moments (U,) in seconds, in order, and the audio (S,) they lie in → start and end of each token, in order, within it."""
    if not len(moments):
        return []
    hop = round(HOP * rate)
    duration = len(samples) / rate
    loudness = np.square(samples[: max(len(samples) // hop, 1) * hop].reshape(-1, hop)).mean(1)  # (hops,)
    quiet = loudness < np.quantile(loudness, 0.95) * 10 ** (-QUIET_DB / 10)
    places = np.clip(np.round(np.array(moments) / HOP).astype(int), 0, len(loudness) - 1)
    starts, ends = [_back(quiet, places[0])], []
    for left, right in zip(places, places[1:], strict=False):
        end, start = _between(loudness, quiet, left, max(right, left + 1))
        ends.append(end)
        starts.append(start)
    ends.append(_forward(quiet, places[-1]))
    return [(min(s * HOP, duration), min(e * HOP, duration)) for s, e in zip(starts, ends, strict=True)]


def _between(loudness: np.ndarray, quiet: np.ndarray, left: int, right: int) -> Span:
    """End of the token at hop `left` and start of that at `right`, in hops."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], quiet[left:right], [False]])))
    if len(edges):
        runs = edges.reshape(-1, 2) + left
        longest = runs[(runs[:, 1] - runs[:, 0]).argmax()]
        if (longest[1] - longest[0]) * HOP >= SHORTEST_PAUSE:
            return float(longest[0]), float(longest[1])
    boundary = left + int(loudness[left:right].argmin()) + 0.5
    return boundary, boundary


def _back(quiet: np.ndarray, place: int) -> float:
    """Where the first token begins: behind the last quiet hop before it, or as far as it reaches."""
    first = max(0, place - round(REACH / HOP))
    before = np.flatnonzero(quiet[first:place])
    return float(first + before[-1] + 1 if len(before) else first)


def _forward(quiet: np.ndarray, place: int) -> float:
    """Where the last token ends."""
    last = min(len(quiet), place + 1 + round(REACH / HOP))
    after = np.flatnonzero(quiet[place + 1 : last])
    return float(place + 1 + after[0] if len(after) else last)
