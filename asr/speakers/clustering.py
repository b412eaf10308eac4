"""How many people speak in a whole recording, and what each of them sounds like; nobody changes their name on the way.

Stretches that follow each other in one voice are heard together, so that less of what was said is in the vector. These groups are
clustered (agglomerative, Ward); clusters too small for a person are nobody. Of all numbers of people the one is taken that
describes the groups best for what it costs: the logarithm of what is left of their spread within people, against a price for each
person (BIC, Schwarz 1978, of one spread that all people share). How wide it is need not be known, so that it does not matter how
alike all voices sound through a telephone; two clusters of about the same direction are one person.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage

from asr.speakers.stretches import Stretch

MOST_CLUSTERED = 4000
"""Groups that are compared with each other, of about 3 h; of more, so many from the whole recording."""
MOST_TELLING = 100
"""Groups that count when it is told how many people there are, of some five minutes; more of them repeat what rooms and moods
have done to the same voices, which would make two people of each in an hour."""
MOST_PEOPLE = 20
"""More are found only where somebody says that there are more."""
PAUSE = 0.35
"""Seconds of silence up to which stretches of one voice are heard together."""
TOGETHER = 4.0
"""Seconds that are heard together at most."""
FOUNDING = 0.8
"""Seconds that a group needs to found a cluster."""
PERSON, SHARE = 4.0, 0.015
"""Seconds of speech below which a cluster is no person; the same as a share of all speech, for long recordings."""
SAME = 0.8
"""Cosine of the centres of two clusters from which on they are one person."""
PRICE = 1.2
"""What one more person must be worth in logarithms of the number of groups: 1 if groups did not depend on each other."""


def people(stretches: Sequence[Stretch], fewest: int, most: int) -> np.ndarray:
    """What each person of a recording sounds like: (K, D), vectors of length 1; none without speech.

    fewest, most: how many people there are; `most` 0: any number. There are fewer only if there is less to hear.
    """
    vectors, seconds = _founders(list(_groups(stretches)), fewest)
    if len(vectors) < 2:
        return vectors
    tree = linkage(vectors, "ward")
    best = _centres(vectors, seconds, np.zeros(len(vectors), int))
    best_cost = _cost(vectors, best)
    halves = max(2, len(vectors) // 2)  # of few groups each would best be a person of its own
    most = min(most or max(MOST_PEOPLE, fewest), max(halves, fewest), len(vectors))
    for n in range(max(2, fewest), max(most, fewest) + 1):
        centres = _cut(tree, n, vectors, seconds)
        if centres is None or len(centres) <= len(best) < fewest:
            continue
        alike = float(np.triu(centres @ centres.T, 1).max())
        cost = _cost(vectors, centres)
        if len(best) < fewest or (alike < SAME and cost < best_cost):
            best, best_cost = centres, cost
    return best


def _groups(stretches: Sequence[Stretch]) -> Iterator[tuple[np.ndarray, float]]:
    """(vector, seconds) of what is heard together."""
    latest: dict[int, list[Stretch]] = {}
    groups: list[list[Stretch]] = []
    for stretch in stretches:
        if stretch.vector is None:
            continue
        group = latest.get(stretch.voice)
        if group and stretch.start - group[-1].end < PAUSE and sum(one.alone for one in group) < TOGETHER:
            group.append(stretch)
        else:
            latest[stretch.voice] = [stretch]
            groups.append(latest[stretch.voice])
    for group in groups:
        seconds = np.array([stretch.alone for stretch in group])
        yield _centre(np.array([stretch.vector for stretch in group]), seconds), float(seconds.sum())


def _founders(groups: Sequence[tuple[np.ndarray, float]], fewest: int) -> tuple[np.ndarray, np.ndarray]:
    """Vectors (N, D) and seconds (N,) of the groups that clusters are made of: of all, if too few are long enough."""
    chosen = [group for group in groups if group[1] >= FOUNDING]
    chosen = chosen if len(chosen) >= max(2, 2 * fewest) else list(groups)
    places = np.linspace(0, len(chosen) - 1, min(len(chosen), MOST_CLUSTERED)).round().astype(int)
    chosen = [chosen[place] for place in places]
    vectors = [vector for vector, _ in chosen] or np.zeros((0, 0))
    return np.array(vectors, np.float32), np.array([seconds for _, seconds in chosen])


def _cut(tree: np.ndarray, n: int, vectors: np.ndarray, seconds: np.ndarray) -> np.ndarray | None:
    """Centres (n, D) of the coarsest clusters of which n are large enough for a person; None where there are never so many."""
    least = max(PERSON, SHARE * float(seconds.sum()))
    for finer in range(n, min(len(vectors), 3 * n + 20) + 1):
        labels = fcluster(tree, finer, "maxclust")
        sizes = np.bincount(labels, seconds)
        large = np.flatnonzero(sizes >= least)
        if len(large) >= n:
            kept = large[(-sizes[large]).argsort(kind="stable")][:n]
            places = np.full(len(sizes), -1)
            places[kept] = np.arange(n)
            return _centres(vectors, seconds, places[labels])
    return None


def _cost(vectors: np.ndarray, centres: np.ndarray) -> float:
    """What it takes to describe vectors (N, D) by people (K, D), each with that one whom it sounds most like; less is better."""
    labels, n = (vectors @ centres.T).argmax(1), min(len(vectors), MOST_TELLING)
    left = sum(float(((vectors[labels == k] - vectors[labels == k].mean(0)) ** 2).sum()) for k in np.unique(labels))
    return n * math.log(max(left, 1e-9)) + PRICE * len(centres) * math.log(n)


def _centres(vectors: np.ndarray, seconds: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(K, D) of the labels 0 to K - 1; those below 0 are nobody."""
    return np.stack([_centre(vectors[labels == k], seconds[labels == k]) for k in range(int(labels.max()) + 1)])


def _centre(vectors: np.ndarray, weights: np.ndarray) -> np.ndarray:
    centre = (vectors * weights[:, None]).sum(0)
    return centre / max(float(np.linalg.norm(centre)), 1e-9)
