"""What may be wrong with manifests before a model learns from them or is measured by them."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from asr.audio.reading import audio_duration
from asr.corpus.manifest import Member, Utterance
from asr.corpus.overlap import Recorded
from asr.errors import AudioError
from asr.foreign_bytes import quoted
from asr.text.normalize import characters, is_han, normalize, tags_of
from asr.text.numbers import is_to_be_spelled

FASTEST, SLOWEST = 11.0, 0.5
"""Characters a second: nobody reads faster, and slower is mostly silence, or a text that lost its end."""
LETTERS = 4
"""Latin letters that take about as long as a character."""
IMPOSSIBLE = 50.0
"""A text that would have to be said so fast belongs to no audio; a very long one holds up training and fills the memory."""
SILENT = 1e-4
"""A recording whose loudest sample is below this holds nothing: -80 dB."""
SPELL_OUT = "asr corpus import MANIFEST --spell-numbers --out NEW writes them as they are said"
EXAMPLES = 3
"""Utterances named for each finding."""


@dataclass
class Finding:
    """One thing that is wrong, and with which utterances."""

    what: str
    """The rule that is broken."""
    serious: bool
    """True where training would stop or a test would be worthless."""
    items: list[tuple[Utterance, str]] = field(default_factory=list)
    """Utterances, and what exactly is wrong with each."""
    advice: str = ""
    """What can be done about it."""

    def line(self) -> str:
        """A line for the terminal: how many, and the first of them."""
        first = "; ".join(f"{u.where} {detail}" for u, detail in self.items[:EXAMPLES])
        advice = f"; {self.advice}" if self.advice else ""
        return f"{'ERROR' if self.serious else 'warning'}: {len(self.items):,} {self.what}: {first}{advice}"


def check_manifest(utterances: Sequence[Utterance], decode: bool = False) -> list[Finding]:
    """Findings in one manifest: audio, texts, and how they fit together. `decode` reads every sample, not headers alone."""
    audio = Finding("with audio that cannot be read", True)
    short = Finding("with a file that ends before the utterance does", True)
    empty = Finding("whose text holds no character", True)
    silent = Finding("without any sound", False)
    wrong = Finding(f"with more than {IMPOSSIBLE:g} characters a second", True)
    fast = Finding(f"with more than {FASTEST:g} characters a second", False)
    slow = Finding(f"with fewer than {SLOWEST:g} characters a second", False)
    digits = Finding("whose text holds numbers in digits, which are said as words", False, advice=SPELL_OUT)
    tags = Finding("whose text holds tags, which nobody says", False, advice="take them out of the texts")
    lengths: Lengths = {}
    for u in utterances:
        if found := tags_of(u.text):
            tags.items.append((u, f"({u.id}): {found[0]} in {u.text[:20]} is learned as {normalize(found[0])}"))
        if is_to_be_spelled(u.text):
            digits.items.append((u, f"({u.id}): {u.text[:20]} is learned as {normalize(u.text)[:20]}"))
        rate = spoken_length(u.text) / u.duration
        if rate == 0:
            empty.items.append((u, f"({u.id}): {quoted(u.text)}"))
        elif rate > FASTEST or rate < SLOWEST:
            (wrong if rate > IMPOSSIBLE else fast if rate > FASTEST else slow).items.append(
                (u, f"({u.id}): {rate:.1f} in {u.duration:.2f} s, {u.text[:20]}")
            )
        try:
            if decode:
                if np.abs(u.read()).max(initial=0) < SILENT:
                    silent.items.append((u, f"({u.id})"))
                continue
            length = _length(u, lengths)
        except AudioError as error:
            audio.items.append((u, f"({u.id}): {error}"))
            continue
        if length < u.start + u.shortest:
            short.items.append((u, f"({u.id}): ends at {u.start + u.duration:.2f} s of {length:.2f} s"))
    return [finding for finding in (audio, short, empty, wrong, silent, fast, slow, digits, tags) if finding.items]


Lengths = dict[tuple[Path, Member | None, int | None], float | AudioError]


def _length(u: Utterance, known: Lengths) -> float:
    """Seconds of the recording of an utterance, of which its channel is used; a header is read once."""
    of = u.audio, u.member, u.channel
    if of not in known:
        try:
            with u.recording() as path:
                known[of] = audio_duration(path, u.channel)
        except AudioError as error:
            known[of] = error
    if isinstance(known[of], AudioError):
        raise known[of]
    return known[of]


def spoken_length(text: str) -> float:
    """Characters of the normalised text; of Latin letters it takes several to make one."""
    counted = characters(text)
    letters = sum(c.isalpha() and not is_han(c) for c in counted)
    return len(counted) - letters + letters / LETTERS


def check_overlap(first: Sequence[Utterance], second: Sequence[Utterance]) -> list[Finding]:
    """What the second manifest shares with the first: recordings are serious, sentences and speakers may be meant."""
    recorded = Recorded(first)
    texts = {normalize(u.text): u for u in first}
    speakers = {(u.source, u.speaker): u for u in first if u.speaker}
    findings = [
        Finding("that share a piece of audio", True, list(_shared(second, recorded.sharing))),
        Finding(
            "of a sentence that is there too", False, list(_shared(second, lambda u: texts.get(normalize(u.text))))
        ),
        Finding(
            "by a speaker who is there too",
            False,
            list(_shared(second, lambda u: speakers.get((u.source, u.speaker)))),
        ),
    ]
    return [finding for finding in findings if finding.items]


def _shared(
    utterances: Iterable[Utterance], find: Callable[[Utterance], Utterance | None]
) -> Iterator[tuple[Utterance, str]]:
    for u in utterances:
        if (other := find(u)) is not None:
            yield u, f"({u.id}) and {other.where} ({other.id})"


@dataclass(frozen=True)
class Unknown:
    """Characters of a manifest that a model could not write."""

    counts: Counter[str]
    """How often each occurs."""
    running: int
    """Characters in all."""
    utterances: int
    """Utterances that hold one."""

    def line(self) -> str:
        if not self.counts:
            return "every character is known"
        most = " ".join(f"{c}×{n}" for c, n in self.counts.most_common(20))
        n = self.counts.total()
        share = f"{n:,} of {self.running:,} characters are unknown ({100 * n / self.running:.2f} %)"
        return f"{share}, in {self.utterances:,} utterances: {most}"


def unknown_characters(utterances: Iterable[Utterance], known: set[str]) -> Unknown:
    """The characters outside `known`: those of the training texts, or of a token table."""
    counts: Counter[str] = Counter()
    running = with_unknown = 0
    for u in utterances:
        found = characters(u.text)
        lacking = [c for c in found if c not in known]
        counts.update(lacking)
        running += len(found)
        with_unknown += bool(lacking)
    return Unknown(counts, running, with_unknown)
