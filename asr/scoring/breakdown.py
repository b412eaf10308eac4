"""Where the errors are: by speaker and length, which characters are confused, where words go missing."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache

from asr.errors import AsrError
from asr.scoring.cer import CharErrors
from asr.scoring.score import Score, UtteranceScore
from asr.text.pinyin import readings, tonal_syllables

LENGTHS = (0, 1, 6, 11, 16, 21, 31, 51)
"""Where classes of reference length begin."""
HISTOGRAM = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
"""Upper ends of classes of an utterance's rate; above the last is a class of its own."""
KINDS = ("homophone", "other tone", "other")
"""How two confused characters sound: the same, the same but for the tone, different."""


@dataclass(frozen=True)
class Group:
    """Utterances that have something in common."""

    name: str
    utterances: int
    wrong: int
    """Utterances with an error."""
    errors: CharErrors


@dataclass(frozen=True)
class Confusion:
    """A unit of the references and what was recognised in its place; "" for nothing."""

    reference: str
    hypothesis: str
    count: int
    kinds: dict[str, int]
    """How often they sounded as KINDS has it, in the words they stood in; zeros unless one stands for the other."""


@dataclass(frozen=True)
class Deletions:
    """Where deleted characters stood in their references."""

    whole: int
    """In utterances of which nothing was recognised."""
    start: int
    """Before the first unit that has a counterpart."""
    middle: int
    end: int
    """After the last unit that has a counterpart."""


def groups(score: Score, key: Callable[[UtteranceScore], str]) -> list[Group]:
    """One group per value of the key, sorted by it."""
    members: dict[str, list[UtteranceScore]] = {}
    for utterance in score.utterances:
        members.setdefault(key(utterance), []).append(utterance)
    return [
        Group(name, len(us), sum(u.errors.total > 0 for u in us), sum((u.errors for u in us), CharErrors()))
        for name, us in sorted(members.items())
    ]


def by_field(score: Score, name: str) -> list[Group]:
    """One group per value of a field of the reference file; none if no utterance has it."""
    found = groups(score, lambda u: u.value(name))
    return [] if [group.name for group in found] == [""] else found


def by_length(score: Score) -> list[Group]:
    """One group per class of reference length, short ones first, empty ones left out."""
    firsts = {_range(first, after): first for first, after in zip(LENGTHS, (*LENGTHS[1:], None), strict=True)}

    def name(utterance: UtteranceScore) -> str:
        return [name for name, first in firsts.items() if first <= len(utterance.reference)][-1]

    return sorted(groups(score, name), key=lambda group: firsts[group.name])


def _range(first: int, after: int | None) -> str:
    if after is None:
        return f"{first}+"
    return str(first) if after == first + 1 else f"{first}–{after - 1}"


def histogram(score: Score) -> list[tuple[str, int]]:
    """(class, utterances): how many utterances have a rate in each class."""
    names = ["0 %"] + [f"≤ {100 * end:g} %" for end in HISTOGRAM[1:]] + [f"> {100 * HISTOGRAM[-1]:g} %"]
    places = (sum(u.errors.cer > end for end in HISTOGRAM) for u in score.utterances)
    counts = Counter(places)
    return [(name, counts[place]) for place, name in enumerate(names)]


def confusions(score: Score) -> list[Confusion]:
    """Every substitution, deletion and insertion that occurs, the most frequent first."""
    counts: Counter[tuple[str, str]] = Counter()
    kinds: dict[tuple[str, str], Counter] = {}
    for utterance in score.utterances:
        if not utterance.errors.total:
            continue
        pairs = utterance.pairs
        for pair, kind in zip(pairs, _kinds(utterance, pairs), strict=True):
            if pair[0] != pair[1]:
                counts[pair] += 1
                if kind:
                    kinds.setdefault(pair, Counter())[kind] += 1
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [Confusion(*pair, n, {kind: kinds.get(pair, {}).get(kind, 0) for kind in KINDS}) for pair, n in ordered]


def _kinds(utterance: UtteranceScore, pairs: Sequence[tuple[str, str]]) -> Iterable[str]:
    """For each aligned pair how the two sound; "" unless it is a substitution.

    The reference is read as the words around it have it; whatever stands in its place sounds the same if it may be read so.
    """
    if not readings_available() or not utterance.errors.substitutions:
        return [""] * len(pairs)
    heard = iter(syllables(utterance.reference))
    sounds = [next(heard) if r else "" for r, _ in pairs]
    return [_kind(sound, h) if r and h and r != h else "" for (r, h), sound in zip(pairs, sounds, strict=True)]


def _kind(sound: str, hypothesis: str) -> str:
    options = readings(hypothesis) if len(hypothesis) == 1 else ()
    if sound in options:
        return "homophone"
    has_tone = sound[:-1].isalpha() and sound[-1:].isdigit()
    return "other tone" if has_tone and sound[:-1] in [option[:-1] for option in options] else "other"


@cache
def readings_available() -> bool:
    """Whether pypinyin is installed."""
    try:
        tonal_syllables("好")
    except AsrError:
        return False
    return True


def syllables(units: Iterable[str]) -> list[str]:
    """One tonal syllable per unit, read in context; words that are not Chinese stay as they are."""
    units = list(units)
    text = "".join(unit if len(unit) == 1 else " " for unit in units)
    return [unit if len(unit) > 1 else read for unit, read in zip(units, tonal_syllables(text), strict=True)]


def syllable_errors(score: Score, found: list[Confusion] | None = None) -> CharErrors:
    """Errors in tonal syllables: characters that sound the same in their place count as right.

    `found`: the confusions of the score, where they are known already.
    """
    same = sum(c.kinds["homophone"] for c in (confusions(score) if found is None else found))
    return replace(score.errors, substitutions=score.errors.substitutions - same)


def deletions(score: Score) -> Deletions:
    """Where deleted units stood."""
    whole = start = middle = end = 0
    for utterance in score.utterances:
        if not utterance.errors.deletions:
            continue
        kept = [bool(h) for r, h in utterance.pairs if r]
        if not any(kept):
            whole += len(kept)
            continue
        first, last = kept.index(True), len(kept) - 1 - kept[::-1].index(True)
        start, end = start + first, end + len(kept) - 1 - last
        middle += kept[first : last + 1].count(False)
    return Deletions(whole, start, middle, end)
