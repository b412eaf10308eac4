"""What a recogniser and a speaker do to a text: wrong characters, and pauses."""

import numpy as np
from corpus import Line
from numpy.random import Generator
from pypinyin import Style, lazy_pinyin

from asr.punctuation.features import SPECIAL, Array, Vocabulary, pause_classes
from asr.punctuation.marks import MARKS

SUBSTITUTED, DELETED = 0.6, 0.2
"""Shares of the errors; the rest are insertions."""
NEARLY_THE_SAME = (("zh", "z"), ("ch", "c"), ("sh", "s"), ("n", "l"), ("ang", "an"), ("eng", "en"), ("ing", "in"))
"""Sounds that are taken for each other."""
CHOICES = 24
"""Entries of the table of homophones for each character: the more frequent one sounds, the more of them it has."""
PAUSE_BEHIND = {"": 0.04, "，": 0.6, "。": 0.92, "？": 0.9, "！": 0.9, "、": 0.3}
"""How often a speaker pauses behind a mark, and behind none."""
PAUSE_LENGTH = {"": 0.22, "，": 0.32, "。": 0.65, "？": 0.65, "！": 0.6, "、": 0.18}
"""The median of those pauses, seconds; they are log-normal."""
SPREAD = 0.6
"""Standard deviation of the logarithm of a pause."""
GAP = 0.03
"""The mean of what lies between two tokens where there is no pause, seconds."""


class Homophones:
    """Characters that a recogniser writes in the place of others."""

    def __init__(self, vocabulary: Vocabulary, random: Generator):
        heard = [_heard(lazy_pinyin(c, style=Style.NORMAL)[0]) for c in vocabulary.characters]
        ranks = np.arange(len(heard)) + SPECIAL
        alike = {sound: ranks[[other == sound for other in heard]] for sound in sorted(set(heard))}
        size = len(vocabulary.characters) + SPECIAL
        self.random = random
        self.table = random.integers(SPECIAL, size, (size, CHOICES))
        for i, sound in zip(ranks, heard, strict=True):
            others = alike[sound][alike[sound] != i]
            if len(others):  # characters are sorted by frequency: Zipf's law weighs them
                self.table[i] = random.choice(others, CHOICES, p=_zipf(others))
        self.everyday = random.choice(ranks, 4096, p=_zipf(ranks))

    def instead_of(self, ids: Array) -> Array:
        """For each id another that sounds alike, or nearly."""
        return self.table[ids, self.random.integers(0, CHOICES, len(ids))]

    def anything(self, count: int) -> Array:
        """Characters by their frequency alone."""
        return self.random.choice(self.everyday, count)


def _zipf(ranks: Array) -> Array:
    weights = 1 / (ranks + 20.0)
    return weights / weights.sum()


def _heard(syllable: str) -> str:
    for one, other in NEARLY_THE_SAME:
        if syllable.startswith(one) and one in ("zh", "ch", "sh", "n"):
            syllable = other + syllable[len(one) :]
        elif syllable.endswith(one):
            syllable = syllable[: -len(one)] + other
    return syllable


def with_errors(line: Line, rate: float, homophones: Homophones, vocabulary: Vocabulary) -> Line:
    """A line with a share of its units misrecognised. A mark behind a lost unit moves to the one before it."""
    random = homophones.random
    ids, codes, tags = line.ids.copy(), line.codes.copy(), line.tags.copy()
    wrong = random.random(len(ids)) < rate
    kind = random.random(len(ids))
    replaced = np.flatnonzero(wrong & (kind < SUBSTITUTED) & (ids >= SPECIAL))
    ids[replaced] = homophones.instead_of(ids[replaced])
    codes[replaced] = vocabulary.code_of[ids[replaced]]
    lost = wrong & (kind >= SUBSTITUTED) & (kind < SUBSTITUTED + DELETED)
    lost[0] = False
    for i in np.flatnonzero(lost)[::-1]:  # from the last: several may be lost in a row
        tags[i - 1] = tags[i - 1] or tags[i]
    kept = ~lost
    ids, codes, tags, added = ids[kept], codes[kept], tags[kept], (wrong & (kind >= SUBSTITUTED + DELETED))[kept]
    places = np.flatnonzero(added)
    new = homophones.anything(len(places))
    ids, codes = np.insert(ids, places, new), np.insert(codes, places, vocabulary.code_of[new])
    return Line(ids, codes, np.insert(tags, places, 0))


def pauses_for(tags: Array, random: Generator) -> Array:
    """Pauses behind units with such tags, seconds, (U,)."""
    names = ["", *MARKS]
    often = np.array([PAUSE_BEHIND[name] for name in names])[tags]
    median = np.array([PAUSE_LENGTH[name] for name in names])[tags]
    pauses = median * np.exp(SPREAD * random.standard_normal(len(tags)))
    return np.where(random.random(len(tags)) < often, pauses, random.exponential(GAP, len(tags)))


def simulated_pauses(tags: Array, random: Generator) -> Array:
    """The classes of such pauses, (U,)."""
    return pause_classes(pauses_for(tags, random))
