"""`asr score`: one system, two, or many on many test sets, printed and written to files."""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from asr.errors import AsrError
from asr.places import require_file
from asr.scoring.breakdown import by_field
from asr.scoring.compare import Comparison
from asr.scoring.rendering import rendered
from asr.scoring.score import Score, score_read
from asr.scoring.sets import FileSet, file_sets, short_names
from asr.scoring.speakers import score_speakers, write_speaker_scores
from asr.scoring.systems import Table, letter
from asr.scoring.transcripts import read_together


@dataclass(frozen=True)
class Output:
    """What to print, and what to write besides; None for nothing."""

    table: str = ""
    """How a table of systems is written: a key of asr.scoring.rendering.STYLES; empty for lines, or text if there are many."""
    by: Sequence[str] = ()
    """Fields whose values have a rate each."""
    html: Path | None = None
    json: Path | None = None
    details: Path | None = None

    def check(self, inputs: Sequence[Path], force: bool) -> None:
        """Raises AsrError before any work where a file is there already, or is one of the inputs; OSError where one cannot be
        written."""
        wanted = [path for path in (self.html, self.json, self.details) if path]
        for path in wanted:
            require_file(path, force, inputs)
        if len({path.resolve() for path in wanted}) < len(wanted):
            raise AsrError(f"{wanted[0]}: each output needs a name of its own")


def score_command(
    reference: Path,
    hypotheses: Sequence[Path],
    unit: str,
    rules: Sequence[str],
    *,
    ids: bool | None,
    utt2spk: Path | None,
    output: Output,
    say: Callable[[str], None],
) -> list[Score]:
    """Prints the lines or the table, then writes the files; returns the score of the last system on each set."""
    sets = file_sets(reference, hypotheses)
    if len(sets) > 1 and (output.html or output.details):
        raise AsrError(f"--html and --details are of one test set, {reference} holds {len(sets)}")
    if len(hypotheses) > 2 and output.html:
        raise AsrError(f"--html shows one system or two, there are {len(hypotheses)}")
    say = _once(say)
    with _nothing_collected():
        scores: dict[str, list[Score]] = {}
        for one in sets:
            read = read_together([one.reference, *one.hypotheses], ids, say, utt2spk or one.utt2spk)
            scores[one.name] = [score_read(read[0], system, unit, rules, say=say) for system in read[1:]]
            if not scores[one.name][0].errors.reference:
                raise AsrError(f"{one.reference}: holds no text to compare with: are these ids alone, or empty lines?")
    table = Table(tuple(short_names(hypotheses)), scores)
    for line in [*_lines(table, output.table), *_by_fields(table, output.by, reference)]:
        print(line)
    _write_files(output, table, sets)
    return [systems[-1] for systems in scores.values()]


def speaker_command(
    reference: Path,
    hypotheses: Sequence[Path],
    unit: str,
    rules: Sequence[str],
    *,
    collar: float,
    by_recording: bool,
    json: Path | None,
    say: Callable[[str], None],
) -> tuple[float, str]:
    """Prints who said what of each system, and writes it; returns the rate of the last one (cpCER, else DER) and its name."""
    say = _once(say)
    scores = [score_speakers(reference, path, unit, rules, collar=collar, say=say) for path in hypotheses]
    for n, (score, name) in enumerate(zip(scores, short_names(hypotheses), strict=True)):
        before = f"{letter(n)} {name}: " if len(scores) > 1 else ""
        for line in [*score.lines(), *(score.recording_lines() if by_recording else [])]:
            print(before + line)
    if json:
        write_speaker_scores(json, scores)
    last = scores[-1]
    return (last.exact.der, "DER") if last.text is None else (last.text.cer, last.rate_name)


def _lines(table: Table, style: str) -> list[str]:
    first, *others = table.sets.values()
    if style or others or len(first) > 2:
        return rendered(table, style or "text")
    return Comparison(*first).lines() if len(first) == 2 else first[0].lines()


def _once(say: Callable[[str], None]) -> Callable[[str], None]:
    """Says each line once: what holds for many systems need not be read for each."""
    said: set[str] = set()

    def once(line: str) -> None:
        if line not in said:
            said.add(line)
            say(line)

    return once


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """Without Python's search for cycles: there are none among a million utterances, and it took a third of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _write_files(output: Output, table: Table, sets: Sequence[FileSet]) -> None:
    """The files that are wanted, each complete or not at all."""
    from asr.scoring.report import write_report
    from asr.scoring.results import write_details, write_json, write_json_of_table

    scores = next(iter(table.sets.values()))
    comparison = Comparison(*scores) if len(scores) == 2 else None
    if output.details:
        write_details(output.details, scores)
    if output.json and (len(sets) > 1 or len(scores) > 2):
        write_json_of_table(output.json, table)
    elif output.json:
        write_json(output.json, scores, comparison)
    if output.html:
        write_report(output.html, scores, comparison, sets[0].reference)


def _by_fields(table: Table, fields: Sequence[str], reference: Path) -> Iterator[str]:
    """A line for each value of the fields, of each system on each set."""
    for field in fields:
        for name, scores in table.sets.items():
            for n, score in enumerate(scores):
                groups = by_field(score, field)
                if not groups:
                    known = sorted({name for u in score.utterances for name in u.fields})
                    raise AsrError(
                        f"{reference}: no utterance has the field {field!r}; there is {', '.join(known) or 'none'}"
                    )
                before = " ".join(part for part in (name, letter(n) if len(scores) > 1 else "") if part)
                for group in groups:
                    yield f"{before} {field} {group.name or '(none)'}: {group.errors.line(score.rate_name)}".strip()
