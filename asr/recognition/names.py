"""Hot words in the place of what sounds like them and was not heard with certainty: 张珊 for 张三, where 张珊 is on the list.

Spans and confidences stay those of what was heard. What is a word of the dictionary or of the list is never replaced.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from asr.decoding.decode_config import DecodeConfig
from asr.decoding.hotword_trie import occurrences
from asr.decoding.wordlists import Hotwords
from asr.recognition.heard_tokens import heard_tokens
from asr.recognition.recognized import Recognized
from asr.text.normalize import is_han
from asr.text.pinyin import readings
from asr.text.sounding_alike import sound_cost
from asr.text.tokenizer import Tokenizer
from asr.text.units import units
from asr.text.words import in_words, is_known
from asr.transcript import Correction, TranscriptToken

MOST_COST = 0.35
"""What a character of a name may cost on average (asr.text.sounding_alike)."""
SURE, SURE_NEAR = 0.9, 0.6
"""Characters that are replaced are less certain than that: homophones, and the most distant that are replaced."""

Tokens = Sequence[TranscriptToken]


def require_readings() -> None:
    """Raises AsrError where readings or words are not known."""
    readings("一")
    is_known("一")


def with_hotwords(
    found: Recognized, tokenizer: Tokenizer, hotwords: Hotwords | None, config: DecodeConfig
) -> Recognized:
    """A hypothesis with the hot words in it named, and, where that is wanted, in the place of what sounds like them."""
    if not hotwords:
        return found
    fired = occurrences(found.hypothesis.tokens, hotwords.weights)
    found = replace(found, hotwords=tuple((place, hotwords.words[word]) for place, word in fired))
    return with_names(found, tokenizer, hotwords.words.values()) if config.correct_names else found


def with_names(found: Recognized, tokenizer: Tokenizer, names: Collection[str]) -> Recognized:
    """A hypothesis with names in its text in the place of what sounds like them."""
    tokens = heard_tokens(found.hypothesis, tokenizer)
    places, text = list(units(found.text)), found.text
    if len(places) != len(tokens):  # bytes that are no characters
        return found
    corrections = corrections_of(tokens, names)
    for unit, token in zip(places, corrected(tokens, corrections), strict=True):
        text = text[: unit.first] + token.text + text[unit.end :]  # a character for a character
    written = [(tokens[correction.place].source[0], correction.written) for correction in corrections]
    return replace(found, text=text, hotwords=tuple(sorted([*found.hotwords, *written])), corrections=corrections)


def corrections_of(tokens: Tokens, names: Collection[str]) -> tuple[Correction, ...]:
    """Which names are to stand in the place of what sounds like them, in order. Raises AsrError without pypinyin or jieba."""
    wanted = _wanted(tuple(names))
    if not wanted.by_first or not tokens:
        return ()
    ends = _beginnings(tokens)
    taken: set[int] = set()
    found = []
    for first, token in enumerate(tokens):
        for name in wanted.like(token.text):
            heard = tokens[first : first + len(name)]
            if _text(heard) == name:
                taken.update(range(first, first + len(name)))
            elif first in ends and first + len(name) in ends and (cost := _cost(heard, name)) is not None:
                changed = sum(token.text != c for token, c in zip(heard, name, strict=True))
                found.append((cost, changed, first, name))  # of homophones the one that changes least
    corrections = []
    for *_, first, name in sorted(found):
        covered = range(first, first + len(name))
        if taken.isdisjoint(covered):
            taken.update(covered)
            corrections.append(Correction(first, _text(tokens[first : first + len(name)]), name))
    return tuple(sorted(corrections, key=lambda correction: correction.place))


@dataclass(frozen=True)
class _Wanted:
    """Names by their first characters, so that of thousands only those are looked at that may begin at a place."""

    by_first: dict[str, list[str]] = field(default_factory=dict)
    """First character → names."""
    known: dict[str, list[str]] = field(default_factory=dict)
    """What `like` has found already."""

    def like(self, character: str) -> list[str]:
        """Names that begin with what sounds like a character."""
        if character not in self.known:
            alike = (c for c in self.by_first if c == character or sound_cost(character, c) < math.inf)
            self.known[character] = [name for c in alike for name in self.by_first[c]] if is_han(character[:1]) else []
        return self.known[character]


@lru_cache(maxsize=8)
def _wanted(names: tuple[str, ...]) -> _Wanted:
    """Of hot words those that can be corrected: of two or more Chinese characters."""
    wanted = _Wanted()
    for name in dict.fromkeys(names):
        if len(name) > 1 and all(map(is_han, name)):
            wanted.by_first.setdefault(name[0], []).append(name)
    return wanted


def corrected(tokens: Tokens, corrections: Sequence[Correction]) -> list[TranscriptToken]:
    """The tokens with the names written."""
    written = list(tokens)
    for correction in corrections:
        for place, character in enumerate(correction.written, correction.place):
            written[place] = replace(written[place], text=character)
    return written


def _text(tokens: Tokens) -> str:
    return "".join(token.text for token in tokens)


def _beginnings(tokens: Tokens) -> set[int]:
    """Places where a word begins, and the end: a name does not tear a word that is known."""
    places, at = {len(tokens)}, 0
    for word in in_words(tokens, invent=False):
        places.add(at)
        at += len(word)
    return places


def _cost(heard: Tokens, name: str) -> float | None:
    """What it costs to take what was heard for a name; None where it is not one."""
    if any(len(token.text) != 1 or not is_han(token.text) for token in heard) or any(t.mark for t in heard[:-1]):
        return None
    if is_known(_text(heard)):
        return None
    other = [(token, sound_cost(token.text, c)) for token, c in zip(heard, name, strict=True) if token.text != c]
    if not other:
        return None
    cost = sum(each for _, each in other) / len(name)
    confidences = [token.confidence for token, _ in other]
    # three syllables in a row are no coincidence: one that is uncertain is enough
    doubt = min(confidences) if len(name) > 2 else sum(confidences) / len(confidences)
    limit = SURE - (SURE - SURE_NEAR) * cost / MOST_COST
    return cost if cost <= MOST_COST and doubt < limit else None
