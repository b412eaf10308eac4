"""Manifests out of manifests: a split that shares nothing it should not, and a mixture of several corpora."""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from asr.corpus.manifest import Utterance
from asr.corpus.overlap import Recorded
from asr.errors import ManifestError, UsageError
from asr.foreign_bytes import quoted
from asr.text.normalize import normalize

TOGETHER: dict[str, Callable[[Utterance], str]] = {
    "speaker": lambda u: f"{u.source}/{u.speaker}" if u.speaker else f"utterance {u.id}",
    "text": lambda u: normalize(u.text),
    "utterance": lambda u: u.id,
}
"""What must not be in two splits: all that a speaker said, a sentence whoever says it, or an utterance."""


def path_and_times(manifest: str) -> tuple[Path, float]:
    """`a.jsonl=20` → the manifest, and how often it counts; once where nothing is said. Raises UsageError for other times."""
    match = re.fullmatch(r"(.+\.\w+)=(.*)", manifest)
    if not match:
        return Path(manifest), 1.0
    try:
        times = float(match[2])
    except ValueError:
        times = 0.0
    if not 0 < times < 1000:
        raise UsageError(
            f"{manifest}: must have the form MANIFEST or MANIFEST=TIMES, with TIMES above 0 and below 1000"
        )
    return Path(match[1]), times


def split(
    utterances: Sequence[Utterance], shares: dict[str, float], by: str, seed: int = 1
) -> dict[str, list[Utterance]]:
    """Utterances by split; those that belong together stay so. `shares` of the seconds, those of `train` are what is left.

    The same utterances in any order and the same seed give the same splits. Raises ManifestError where there are too few
    groups to have one in each.
    """
    groups: dict[str, list[Utterance]] = {}
    for utterance in sorted(utterances, key=lambda u: u.id):
        groups.setdefault(TOGETHER[by](utterance), []).append(utterance)
    if len(groups) <= len(shares):
        raise ManifestError(f"{len(groups)} different {by}s are too few for {len(shares) + 1} splits; try another --by")
    names = sorted(groups)
    random.Random(seed).shuffle(names)
    total = sum(u.duration for u in utterances)
    splits: dict[str, list[Utterance]] = {}
    seconds = {name: sum(u.duration for u in group) for name, group in groups.items()}
    for n, (name, share) in enumerate(shares.items()):
        most = len(names) - (len(shares) - n)  # one group at least is for each of the others
        taken, chosen = 0.0, []
        for group in names:
            if len(chosen) < most and taken + seconds[group] / 2 <= share * total:  # nearer with it than without
                chosen.append(group)
                taken += seconds[group]
        chosen = chosen or [min(names, key=seconds.__getitem__)]
        splits[name] = [u for group in chosen for u in groups[group]]
        gone = set(chosen)
        names = [group for group in names if group not in gone]
    return {"train": [u for group in names for u in groups[group]], **splits}


def mix(
    parts: Sequence[tuple[str, Sequence[Utterance], float]], excluded: Sequence[Utterance] = (), seed: int = 1
) -> tuple[list[Utterance], int]:
    """One list of several corpora, (name, utterances, times) each, and how many were left out for being `excluded`.

    0.5 times takes a random half of the utterances, 2.5 times all of them twice and a half of them once more. What shares its
    sentence or its audio with an excluded utterance, one of a test set, stays away. Ids that two of them have are made
    different by the name before them.
    """
    texts = {normalize(u.text) for u in excluded}
    recorded = Recorded(excluded)
    chooser = random.Random(seed)
    mixed: dict[str, Utterance] = {}
    left_out = 0
    names: list[str] = []
    lines: set[str] = set()  # of the manifests before
    for name, utterances, times in parts:
        names.append(name)
        name = f"{name}{names.count(name)}" if names.count(name) > 1 else name
        kept = [u for u in utterances if normalize(u.text) not in texts and recorded.sharing(u) is None]
        left_out += len(utterances) - len(kept)
        whole, rest = int(times), times - int(times)
        chosen = [(u, n) for n in range(whole) for u in kept]
        chosen += [(kept[i], whole) for i in sorted(chooser.sample(range(len(kept)), round(rest * len(kept))))]
        for u, n in chosen:
            id = u.id if n == 0 else f"{u.id}-{n + 1}"
            if n == 0 and u.where in lines:
                raise ManifestError(f"{u.where}: {quoted(id)} is in the mixture already; is a manifest named twice?")
            if id in mixed:
                id = f"{name}-{id}"
            if id in mixed:
                raise ManifestError(f"{u.where}: {quoted(id)} is in the mixture already; give it another id")
            mixed[id] = replace(u, id=id)
        lines |= {u.where for u in utterances if u.where}
    return list(mixed.values()), left_out
