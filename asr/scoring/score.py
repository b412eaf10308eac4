"""What a test set shows: errors of every utterance, their sum, and how far it may be trusted."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from asr.errors import ManifestError
from asr.foreign_bytes import some
from asr.printable import readable_path
from asr.scoring.alternatives import nearest_text
from asr.scoring.bootstrap import Interval, rate_interval
from asr.scoring.cer import LANGUAGES, UNITS, CharErrors, align, language, scoring_rules, unit_errors
from asr.scoring.matching import shared_names
from asr.scoring.normalizing import Normalizer, both, dropped_note, hints
from asr.scoring.transcripts import Line, Transcripts, read_together


@dataclass(frozen=True)
class UtteranceScore:
    """One utterance: what was said, what was recognised, what separates them."""

    id: str
    reference: Sequence[str]
    """Units of the normalised reference."""
    hypothesis: Sequence[str]
    """Units of the normalised hypothesis."""
    errors: CharErrors
    best: CharErrors
    """Errors of the best of its n-best hypotheses (oracle); of the hypothesis where there is one only."""
    fields: Mapping[str, object]
    """What the reference file says of it besides."""

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Aligned units, "" where one is missing; not kept, for of a million utterances they take gigabytes."""
        return align(self.reference, self.hypothesis)

    def value(self, name: str) -> str:
        """A field as text; empty where there is none."""
        value = self.fields.get(name)
        return "" if value is None else str(value)


@dataclass(frozen=True)
class Score:
    """A hypothesis file against a reference file."""

    utterances: tuple[UtteranceScore, ...]
    """In the order of the references."""
    unit: str
    """What is counted: a key of UNITS."""
    rules: tuple[str, ...]
    """Rules by which both sides were normalised."""
    changed: Mapping[str, tuple[int, int]]
    """Rule → characters that it changed in references and in hypotheses."""
    dropped: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Character that is no punctuation → how often it was dropped with it, in references and in hypotheses."""
    hints: tuple[str, ...] = ()
    """Rules that might be meant, in words."""
    missing: tuple[str, ...] = ()
    """Ids without hypothesis: they count as deleted."""
    extra: tuple[str, ...] = ()
    """Ids without reference: they are left out."""
    depth: int = 1
    """Hypotheses in the longest n-best list."""
    name: str = field(default="", compare=False)
    """The file of the hypotheses."""

    @cached_property
    def errors(self) -> CharErrors:
        """Sum over all utterances."""
        return sum((u.errors for u in self.utterances), CharErrors())

    @cached_property
    def oracle(self) -> CharErrors:
        """What the errors would be if the best of each n-best list had been chosen."""
        return sum((u.best for u in self.utterances), CharErrors())

    @property
    def cer(self) -> float:
        """(S + D + I) / N."""
        return self.errors.cer

    @property
    def wrong_sentences(self) -> int:
        """Utterances with an error."""
        return sum(u.errors.total > 0 for u in self.utterances)

    @cached_property
    def interval(self) -> Interval | None:
        """95 % interval of the rate; None where there are too few utterances, or no error."""
        totals, lengths = zip(*((u.errors.total, u.errors.reference) for u in self.utterances), strict=True)
        return rate_interval(totals, lengths, [u.value("speaker") for u in self.utterances])

    @cached_property
    def languages(self) -> dict[str, CharErrors]:
        """Errors by LANGUAGES, for mixed units: of the reference's unit, and for an insertion of the hypothesis's."""
        if self.unit != "mixed":
            return {}
        counts = {name: [0, 0, 0, 0] for name in LANGUAGES}
        for utterance in self.utterances:
            for reference, hypothesis in utterance.pairs:
                sdin = counts[language(reference or hypothesis)]
                sdin[0] += bool(reference and hypothesis) and reference != hypothesis
                sdin[1] += not hypothesis
                sdin[2] += not reference
                sdin[3] += bool(reference)
        return {name: CharErrors(*sdin) for name, sdin in counts.items() if any(sdin)}

    @property
    def rate_name(self) -> str:
        """CER, or MER for mixed units."""
        return UNITS[self.unit]

    def lines(self) -> list[str]:
        """The score in words: rate, interval, sentence error rate; the oracle where there are n-best lists."""
        n = len(self.utterances)
        lines = [self.errors.line(self.rate_name)]
        lines += [f"{name} {errors.line('').strip()}" for name, errors in self.languages.items()]
        if self.interval:
            low, high = 100 * self.interval.low, 100 * self.interval.high
            lines.append(
                f"95 % interval {low:.2f} to {high:.2f} % (bootstrap over {self.interval.n:,} {self.interval.over})"
            )
        lines.append(f"SER {100 * self.wrong_sentences / n:.2f} % [ {self.wrong_sentences:,} / {n:,} ]")
        if self.depth > 1:
            lines.append(f"oracle of {self.depth} best: {self.oracle.line(self.rate_name)}")
        return lines

    def notes(self) -> list[str]:
        """What was done to the texts, and which ids did not match."""
        changes = [f"{rule} {a:,} + {b:,}" for rule, (a, b) in self.changed.items() if a or b]
        notes = [f"normalised by {', '.join(self.rules) or 'no rule'}"]
        if changes:
            notes[0] += f"; characters changed in references + hypotheses: {', '.join(changes)}"
        notes += [note for note in (dropped_note(self.dropped), *self.hints) if note]
        if self.missing:
            notes.append(
                f"{self.name}: {len(self.missing):,} of {len(self.utterances):,} ids are missing and count as deleted: "
                + some(self.missing)
            )
        if self.extra:
            notes.append(f"{self.name}: {len(self.extra):,} ids have no reference and are left out: {some(self.extra)}")
        return notes

    def __str__(self) -> str:
        return "\n".join(self.lines())


def score_files(
    reference: str | Path,
    hypothesis: str | Path,
    unit: str = "char",
    rules: str | Sequence[str] | None = None,
    *,
    ids: bool | None = None,
    utt2spk: str | Path | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Score:
    """A hypothesis file against a reference file, in any form that asr.scoring.transcripts reads, matched by id.

    `unit`: "char" or "mixed". `rules`: as char_errors takes them. `ids`: whether plain text lines begin with an id.
    `utt2spk`: Kaldi's file of `id speaker`, for the references.
    References without hypothesis count as deleted and hypotheses without reference are left out; both are told to `say`.
    """
    references, hypotheses = read_together([reference, hypothesis], ids, say, utt2spk)
    return score_read(references, hypotheses, unit, rules, say=say)


def score_read(
    references: Transcripts,
    hypotheses: Transcripts,
    unit: str = "char",
    rules: str | Sequence[str] | None = None,
    *,
    say: Callable[[str], None] = lambda line: None,
) -> Score:
    """A score of references and hypotheses that are read already. Raises ManifestError where no id is in both."""
    names, how = shared_names(references.lines, hypotheses.lines)
    if names:
        hypotheses = replace(hypotheses, lines={names[id]: line for id, line in hypotheses.lines.items()})
        say(f"{readable_path(hypotheses.path)}: has no id of {references.path} as it is; they are matched {how}")
    if not references.lines.keys() & hypotheses.lines.keys():
        raise ManifestError(
            f"{hypotheses.path}: has no id of {references.path}; its first id is {next(iter(hypotheses.lines), 'none')!r},"
            f" there it is {next(iter(references.lines), 'none')!r}"
        )
    score = score_lines(references.lines, hypotheses.lines, unit, rules, name=readable_path(hypotheses.path))
    for note in score.notes():
        say(note)
    return score


def score_lines(
    references: Mapping[str, Line],
    hypotheses: Mapping[str, Line],
    unit: str = "char",
    rules: str | Sequence[str] | None = None,
    *,
    name: str = "",
) -> Score:
    """Utterances matched by id. Raises ManifestError without any reference."""
    if not references:
        raise ManifestError("no reference to score against")
    rules = scoring_rules(rules, unit)
    sides = targets, guesses = Normalizer(rules, unit), Normalizer(rules, unit)
    others, missing = Normalizer(rules, unit), Line("")

    def said(line: Line, heard: Sequence[str]) -> str:
        return nearest_text(line.parts, heard, others.units) if line.parts else line.text

    scored = []
    for id, line in references.items():
        found = hypotheses.get(id, missing)
        guess = guesses.units(found.text)
        target = targets.units(said(line, guess))
        errors = best = unit_errors(target, guess)
        for text in found.nbest:
            other = others.units(text)
            nearest = others.units(said(line, other)) if line.parts else target
            best = min(best, unit_errors(nearest, other), key=lambda e: e.total)
        scored.append(UtteranceScore(id, target, guess, errors, best, line.fields))
    return Score(
        tuple(scored),
        unit,
        rules,
        {rule: (targets.changed[rule], guesses.changed[rule]) for rule in rules},
        both(*(side.dropped for side in sides)),
        hints(*sides),
        tuple(id for id in references if id not in hypotheses),
        tuple(id for id in hypotheses if id not in references),
        max(1, *(len(hypotheses[id].nbest) for id in references if id in hypotheses), 0),
        name,
    )
