"""Scores as files for other programs: one JSON object, and a table with a line per utterance."""

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from asr.files import atomic_write, save_json
from asr.scoring import breakdown
from asr.scoring.bootstrap import Difference
from asr.scoring.breakdown import Group
from asr.scoring.cer import CharErrors
from asr.scoring.compare import Comparison
from asr.scoring.normalizing import visible
from asr.scoring.score import Score
from asr.scoring.systems import ALL, Table

DETAILS = ("system", "id", "speaker", "n", "s", "d", "i", "cer", "reference", "hypothesis", "alignment")
"""Columns of the table."""
CONFUSIONS = 200
"""The most frequent ones, which a summary lists."""


def write_json(path: str | Path, scores: Sequence[Score], comparison: Comparison | None = None) -> None:
    """Everything but the utterances: totals, tables, settings, ids that did not match."""
    save_json(path, summary(scores, comparison), indent=1)


def write_json_of_table(path: str | Path, table: Table) -> None:
    """The summary of each set, with all pairs of systems."""
    sets = [
        {"name": name, **summary(scores), "comparisons": _pairs(table, name)} for name, scores in table.sets.items()
    ]
    data = {"systems": list(table.systems), "sets": sets}
    if len(table.sets) > 1:
        together = [
            {"name": name, **numbers(s.errors)} for name, s in zip(table.systems, table.columns[ALL], strict=True)
        ]
        data["all_sets"] = {"systems": together, "comparisons": _pairs(table, ALL)}
    save_json(path, data, indent=1)


def _pairs(table: Table, name: str) -> list[dict]:
    return [
        {
            "a": table.systems[pair.a],
            "b": table.systems[pair.b],
            **_difference(pair.difference),
            "corrected_p_value": pair.corrected,
            "significant": pair.significant,
        }
        for pair in table.pairs
        if pair.set == name
    ]


def _difference(difference: Difference) -> dict:
    return {
        "difference": rate(difference.cer),
        "interval": asdict(difference.interval) if difference.interval else None,
        "p_value": difference.p_value,
        "p_text": difference.p_text,
        "over": difference.over,
        "n": difference.n,
    }


def write_details(path: str | Path, scores: Sequence[Score]) -> None:
    """A tab-separated table with a header: DETAILS, one line per utterance and system.

    The alignment lists what is wrong, by its place in the reference: `3:气>汽 5:好> 6:>吗`.
    """
    with atomic_write(path) as file:
        table = csv.writer(file, delimiter="\t", quoting=csv.QUOTE_NONE, quotechar=None, lineterminator="\n")
        table.writerow(DETAILS)
        for score in scores:
            joint = " " if score.unit == "mixed" else ""
            for u in score.utterances:
                e = u.errors
                counts = (e.reference, e.substitutions, e.deletions, e.insertions, f"{e.cer:.4f}")
                texts = (joint.join(u.reference), joint.join(u.hypothesis), _alignment(u.pairs) if e.total else "")
                row = (score.name, u.id, u.value("speaker"), *counts, *texts)
                table.writerow([re.sub(r"[\t\r\n]", " ", str(cell)) for cell in row])


def _alignment(pairs: Sequence[tuple[str, str]]) -> str:
    place, wrong = 0, []
    for reference, hypothesis in pairs:
        place += bool(reference)
        if reference != hypothesis:
            wrong.append(f"{place if reference else place + 1}:{reference}>{hypothesis}")
    return " ".join(wrong)


def summary(scores: Sequence[Score], comparison: Comparison | None = None) -> dict:
    """Plain values for JSON; rates are fractions of 1, None where they are infinite."""
    first = scores[0]
    data = {
        "unit": first.unit,
        "rate": first.rate_name,
        "rules": list(first.rules),
        "systems": [system_summary(score) for score in scores],
    }
    if comparison:
        changes = [{"id": id, "errors": change} for change, id in comparison.changes()]
        data["comparison"] = {**_difference(comparison.difference), "changes": changes}
    return data


def system_summary(score: Score) -> dict:
    """One system's part of the summary."""
    found = breakdown.confusions(score)
    substituted = [c for c in found if c.reference and c.hypothesis]
    readings = breakdown.readings_available()
    return {
        "name": score.name,
        **numbers(score.errors),
        "interval": asdict(score.interval) if score.interval else None,
        "utterances": len(score.utterances),
        "wrong_utterances": score.wrong_sentences,
        "oracle": numbers(score.oracle) | {"depth": score.depth} if score.depth > 1 else None,
        "syllables": numbers(breakdown.syllable_errors(score, found)) if readings else None,
        "sounds": {k: sum(c.kinds[k] for c in substituted) for k in breakdown.KINDS} if readings else None,
        "languages": {name: numbers(errors) for name, errors in score.languages.items()},
        "by_speaker": [group_summary(group) for group in breakdown.by_field(score, "speaker")],
        "by_length": [group_summary(group) for group in breakdown.by_length(score)],
        "histogram": breakdown.histogram(score),
        "deletions_at": asdict(breakdown.deletions(score)),
        "confusions": [asdict(confusion) for confusion in found[:CONFUSIONS]],
        "changed_characters": {rule: list(counts) for rule, counts in score.changed.items()},
        "dropped_characters": {visible(c): list(counts) for c, counts in score.dropped.items()},
        "hints": list(score.hints),
        "missing": list(score.missing),
        "extra": list(score.extra),
    }


def group_summary(group: Group) -> dict:
    """Name, size and errors of a group."""
    return {"name": group.name, "utterances": group.utterances, "wrong": group.wrong, **numbers(group.errors)}


def numbers(errors: CharErrors) -> dict:
    """Rate and counts."""
    return {"cer": rate(errors.cer), **asdict(errors)}


def rate(value: float) -> float | None:
    """Six decimals; None for infinity, which JSON does not have."""
    return round(value, 6) if math.isfinite(value) else None
