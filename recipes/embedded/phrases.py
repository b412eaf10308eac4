"""What synthetic speech says: sentences, sentences crossed with each other, and words in random order."""

from collections.abc import Collection, Iterator, Sequence

import numpy as np

SHORTEST, LONGEST = 2, 24
"""Characters of a phrase."""


def spell(sentence: str, words: Collection[str], longest: int = 5) -> list[str] | None:
    """The sentence as recorded words, as few as possible; None where a character has no recording."""
    best: list[list[str] | None] = [[]]
    for end in range(1, len(sentence) + 1):
        options = [
            [*before, sentence[start:end]]
            for start in range(max(0, end - longest), end)
            if (before := best[start]) is not None and sentence[start:end] in words
        ]
        best.append(min(options, key=len, default=None))
    return best[-1]


def phrases(
    spelled: Sequence[Sequence[str]], words: Sequence[str], shares: tuple[float, float], random: np.random.Generator
) -> Iterator[list[str]]:
    """Endless phrases as lists of words: `shares` of them whole sentences and crossed ones, the rest random words.

    Where nothing follows from what was said before, a decoder must listen.
    """
    order: list[int] = []
    while True:
        kind = random.random()
        if kind < shares[0]:
            order = order or random.permutation(len(spelled)).tolist()
            phrase = list(spelled[order.pop()])
        elif kind < sum(shares):
            phrase = crossed([spelled[i] for i in random.integers(len(spelled), size=random.integers(2, 5))], random)
        else:
            phrase = [words[i] for i in random.integers(len(words), size=random.integers(1, 9))]
        if SHORTEST <= sum(map(len, phrase)) <= LONGEST:
            yield phrase


def crossed(sentences: Sequence[Sequence[str]], random: np.random.Generator) -> list[str]:
    """A few words in a row from each of the sentences."""
    phrase: list[str] = []
    for sentence in sentences:
        n = min(int(random.integers(1, 6)), len(sentence))
        start = random.integers(len(sentence) - n + 1)
        phrase += sentence[start : start + n]
    return phrase


def syllables(phrase: str) -> list[str]:
    """Its syllables as pinyin with tone digits, 5 for the neutral tone; 一, 不 and third tones as they sound in a row."""
    from pypinyin import Style, lazy_pinyin

    return lazy_pinyin(
        phrase, style=Style.TONE3, neutral_tone_with_five=True, tone_sandhi=True, v_to_u=False, errors=lambda c: list(c)
    )
