"""What is in a manifest, in a few lines."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from asr.corpus.manifest import Utterance
from asr.text.normalize import characters, is_han

LISTED = 5
"""Speakers shown from each end."""


def summary(utterances: Sequence[Utterance], all_speakers: bool = False) -> list[str]:
    """Lines: size, lengths, characters, sources, hours of each speaker (those with the most and the least, or all)."""
    seconds = np.array([u.duration for u in utterances])
    lengths = "  ".join(f"{q} % {np.percentile(seconds, q):.2f}" for q in (1, 50, 99))
    lines = [
        f"{len(utterances):,} utterances, {seconds.sum() / 3600:.2f} h",
        f"seconds: shortest {seconds.min():.2f}  {lengths}  longest {seconds.max():.2f}",
        *_texts(utterances, seconds.sum()),
    ]
    for name in ("source", "channel"):
        hours = _hours(utterances, name)
        if set(hours) - {""}:
            lines.append(f"{name}s: " + ", ".join(f"{key or 'none'} {h:.2f} h" for key, h in hours.most_common()))
    return lines + _speakers(utterances, all_speakers)


def _texts(utterances: Sequence[Utterance], seconds: float) -> list[str]:
    counts: Counter[str] = Counter()
    latin = digits = 0
    for u in utterances:
        found = characters(u.text)
        counts.update(found)
        digits += any(c.isdigit() for c in found)
        latin += any(c.isalpha() and not is_han(c) for c in found)
    n = counts.total()
    once = sum(count == 1 for count in counts.values())
    lines = [
        f"characters: {n:,}, {n / seconds:.2f} a second; {len(counts):,} different ones, {once:,} of them only once"
    ]
    if latin or digits:
        lines.append(f"utterances with Latin letters: {latin:,}; with digits: {digits:,}")
    return lines


def _speakers(utterances: Sequence[Utterance], all_speakers: bool) -> list[str]:
    hours = _hours(utterances, "speaker")
    nameless = hours.pop("", 0.0)
    lines = [f"speakers: {len(hours):,}" + (f"; {nameless:.2f} h by nobody named" if nameless else "")]
    ranked = hours.most_common()
    if all_speakers or len(ranked) <= 2 * LISTED:
        return lines + [_speaker(*item) for item in ranked]
    return lines + [_speaker(*i) for i in ranked[:LISTED]] + ["  …"] + [_speaker(*i) for i in ranked[-LISTED:]]


def _speaker(name: str, hours: float) -> str:
    return f"  {name}\t{hours:.3f} h"


def _hours(utterances: Iterable[Utterance], name: str) -> Counter[str]:
    hours: Counter[str] = Counter()
    for u in utterances:
        hours[u.value(name)] += u.duration / 3600
    return hours
