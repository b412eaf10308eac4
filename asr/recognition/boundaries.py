"""Where a token begins and ends, from the moment at which it was heard best and the audio around it.

A CTC head, and attention, say at which moment a token is heard: soon after it begins, when its vowel comes. They do not
say how long it lasts. Where between two such moments one token ends and the next begins is guessed from the audio: a start
lies where it is quiet, and before the moment by little voiced sound; but hiss belongs to the token that follows, since
syllables of Mandarin begin with it and do not end with it. Where it stays quiet for long there is a pause, which belongs to
neither token.

The weights are those of a conditional logit model, fitted on recordings joined from half of the recorded syllables that
benchmarks/timestamps.py joins; it measures on the other half. They may be changed by half without much harm.
"""

from collections.abc import Sequence

import numpy as np

from asr.transcript import Span

HOP = 0.01
"""Seconds over which sound is judged."""
SLOW = 5
"""Hops; what changes more slowly than over so many is no voice: an offset of all samples, a drift."""
BEFORE, BEHIND = 60, 6
"""Hops before and behind its moment in which a start is looked for."""
VOICED_WEIGHT, HISS_WEIGHT = 0.14, 0.1
"""What a hop of voiced sound between start and moment costs, and what a hop of hiss earns."""
BEHIND_WEIGHT = 0.25
"""What a hop costs by which a start lies behind its moment."""
LEVEL_WEIGHT = 0.06
"""What a decibel of loudness at the start costs."""
VOICED = 0.6
"""Correlation of neighbouring samples above which sound is voiced: vowels have 0.9, hiss less than 0.4."""
SOUND_DB, ABOVE_NOISE_DB = 30.0, 6.0
"""What is so far below the loudest moments, or less than that above the softest, is neither voice nor hiss."""
QUIET_DB = 45.0
"""What is so far below the loudest moments is quiet, however clean the recording."""
NOISE_DB, LEAST_DB = 3.0, 15.0
"""What is less above the softest moments than the first is quiet too, if it is below the loudest by the second."""
SHORTEST_PAUSE = 20
"""Hops of quiet that are a pause; less may be the closure before a plosive."""
SOFT_ONSET = 10
"""Hops of the quiet before it that may belong to a token: fricatives begin softly."""
LONGEST = 100
"""Hops that a token goes on for behind its moment, where nothing else ends it."""


def spans(moments: Sequence[float], samples: np.ndarray, rate: int) -> list[Span]:
    """Moments (U,) in seconds, in order, and the audio (S,) they lie in → start and end of each token.

    Starts are in order, a token ends where the next one begins or before, and none lies outside of the audio.
    """
    n, duration = len(moments), len(samples) / rate
    if not n:
        return []
    decibels, voiced = _judged(samples, round(HOP * rate))
    places = np.clip(np.round(np.array(moments) / HOP).astype(int), 0, len(decibels) - 1)
    loudest, softest = _extremes(decibels)
    pauses = _pauses(decibels)
    sounding = decibels > max(loudest - SOUND_DB, softest + ABOVE_NOISE_DB)
    costs = np.where(sounding, np.where(voiced, VOICED_WEIGHT, -HISS_WEIGHT), 0.0)
    starts = _starts(places, decibels.clip(min=loudest - QUIET_DB), costs, _earliest(places, pauses))
    step = min(HOP, duration / (n + 1))  # two tokens heard in one moment come one after the other
    order = step * np.arange(n)
    starts = np.maximum.accumulate(starts * HOP - order)
    starts = np.minimum(starts, duration - n * step) + order
    nexts = np.append(starts[1:], duration)
    ends = np.minimum(nexts, (places + LONGEST) * HOP)
    for first, last in pauses:
        within = (places < first) & (np.append(places[1:], len(decibels)) >= last)
        ends = np.where(within, np.minimum(ends, first * HOP), ends)
    ends = np.clip(ends, starts + step, nexts)
    return list(zip(starts.tolist(), ends.tolist(), strict=True))


def in_pause(moments: np.ndarray, samples: np.ndarray, rate: int) -> np.ndarray:
    """Whether each moment (n,) in seconds lies in a pause of the audio (S,): nothing is said there."""
    decibels, _ = _judged(samples, round(HOP * rate))
    pauses = _pauses(decibels)
    hops = np.clip(np.round(moments / HOP).astype(int), 0, len(decibels) - 1)
    return ((hops[:, None] >= pauses[:, 0]) & (hops[:, None] < pauses[:, 1])).any(1)


def _judged(samples: np.ndarray, hop: int) -> tuple[np.ndarray, np.ndarray]:
    """(S,) → loudness in decibels and whether it is voiced, of each hop; at least one hop."""
    hops = np.pad(_without_slow(samples, SLOW * hop), (0, max(hop - len(samples), 0)))
    hops = hops[: len(hops) // hop * hop].reshape(-1, hop)
    power = np.square(hops).sum(1) + 1e-9
    return 10 * np.log10(power / hop), (hops[:, 1:] * hops[:, :-1]).sum(1) > VOICED * power


def _without_slow(samples: np.ndarray, width: int) -> np.ndarray:
    """(S,) less their average over so many samples around each."""
    if not len(samples):
        return samples
    total = np.cumsum(np.pad(samples, (width // 2 + 1, width - width // 2), mode="edge"), dtype=np.float64)
    return samples - ((total[width:] - total[:-width])[: len(samples)] / width).astype(np.float32)


def _starts(places: np.ndarray, decibels: np.ndarray, costs: np.ndarray, earliest: np.ndarray) -> np.ndarray:
    """The hop at which each token begins: the median of where it may. places (U,), earliest (U,) → (U,).

    decibels (hops,); costs (hops,) of each hop between start and moment.
    """
    loud = np.convolve(
        np.pad(decibels, 1, mode="edge"), [0.5, 0.5], "valid"
    )  # (hops + 1,) around the edge before each hop
    total = np.concatenate([[0], np.cumsum(costs)])
    edges = places[:, None] + np.arange(-BEFORE, BEHIND + 1)  # (U, W)
    possible = (edges >= earliest[:, None]) & (edges < len(decibels))
    edges = edges.clip(0, len(decibels) - 1)
    cost = (
        total[places][:, None]
        - total[np.minimum(edges, places[:, None])]
        + BEHIND_WEIGHT * (edges - places[:, None]).clip(min=0)
        + LEVEL_WEIGHT * loud[edges]
    )
    cost = np.where(possible, cost, np.inf)
    likely = np.exp(cost.min(1, keepdims=True) - cost).cumsum(1)
    return np.take_along_axis(edges, (likely >= likely[:, -1:] / 2).argmax(1)[:, None], 1)[:, 0]


def _extremes(decibels: np.ndarray) -> tuple[float, float]:
    """The loudness of the loudest moments, and of the softest."""
    loudest, softest = np.quantile(decibels, [0.95, 0.02])
    return float(loudest), float(softest)


def _pauses(decibels: np.ndarray) -> np.ndarray:
    """(n, 2) first hop of each pause and the one behind its last; quiet of any length before and behind all sound is one."""
    loudest, softest = _extremes(decibels)
    quiet = decibels < max(loudest - QUIET_DB, min(softest + NOISE_DB, loudest - LEAST_DB))
    edges = np.flatnonzero(np.diff(np.concatenate([[False], quiet, [False]])))
    runs = edges.reshape(-1, 2)
    lasting = runs[:, 1] - runs[:, 0] >= SHORTEST_PAUSE
    return runs[lasting | (runs[:, 0] == 0) | (runs[:, 1] == len(quiet))]


def _earliest(places: np.ndarray, pauses: np.ndarray) -> np.ndarray:
    """(U,) the first hop that each token may have: behind the moment of the one before it, and the pause between them."""
    earliest = np.concatenate([[0], places[:-1] + 1])
    for first, last in pauses:
        behind = max(first, last - SOFT_ONSET)
        earliest = np.where((earliest < behind) & (places >= last), behind, earliest)
    return np.minimum(earliest, places)
