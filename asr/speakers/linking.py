"""The people of a recording that mixes bands, as a programme with callers does: what a telephone leaves of a voice sounds
more like other telephones than like that voice. So people are found in each band for itself, and those of one are then
linked with those of the other who sound most like them."""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from asr.speakers.bands import BANDS
from asr.speakers.clustering import people
from asr.speakers.stretches import Stretch

LEAST = 30.0
"""Seconds of speech below which a band has no people of its own."""
LINKED = 0.3
"""Cosine from which on two centres are one person: of one it is 0.3 and more, of two below 0.26 in nine of ten cases."""


def people_by_band(stretches: Sequence[Stretch], fewest: int, most: int) -> np.ndarray:
    """What each person sounds like in each band: (K, BANDS, D), the same in both where they are heard in one alone.

    fewest, most: as in `people`.
    """
    heard = [stretch for stretch in stretches if stretch.vector is not None]
    bands = [[stretch for stretch in heard if stretch.narrow == narrow] for narrow in (False, True)]
    mixed = all(sum(stretch.alone for stretch in band) >= LEAST for band in bands)
    if mixed:
        wide, narrow = (people(band, 1, most) for band in bands)
        if len(wide) + len(narrow) >= fewest:
            return _linked(wide, narrow, fewest, most)
    larger = max(bands, key=lambda band: sum(stretch.alone for stretch in band))
    centres = people(heard if mixed or len(larger) < 2 else _of_one_band(heard, larger), fewest, most)
    return np.repeat(centres[:, None], len(BANDS), axis=1)


def _of_one_band(heard: Sequence[Stretch], larger: Sequence[Stretch]) -> Sequence[Stretch]:
    """All that is heard, but what little another band has where there is much of this one."""
    return larger if sum(stretch.alone for stretch in larger) >= LEAST else heard


def _linked(wide: np.ndarray, narrow: np.ndarray, fewest: int, most: int) -> np.ndarray:
    """(K, BANDS, D) of (W, D) and (N, D): those who sound alike are one, as many as need be for the number that is asked."""
    alike = wide @ narrow.T
    pairs = sorted(zip(*linear_sum_assignment(alike, maximize=True), strict=True), key=lambda pair: -alike[pair])
    n = sum(bool(alike[pair] >= LINKED) for pair in pairs)
    total = len(wide) + len(narrow)
    n = max(min(n, total - fewest), total - most if most else 0)
    linked = dict(pairs[:n])
    alone = [i for i in range(len(narrow)) if i not in linked.values()]
    of_wide = [(one, narrow[linked[i]] if i in linked else one) for i, one in enumerate(wide)]
    return np.array(of_wide + [(narrow[i], narrow[i]) for i in alone])
