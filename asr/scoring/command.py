"""`asr score`: one system or two, printed and written to files."""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from asr.errors import AsrError
from asr.scoring.breakdown import by_field
from asr.scoring.compare import Comparison
from asr.scoring.score import Score, score_read
from asr.scoring.transcripts import read_together


@dataclass(frozen=True)
class Files:
    """What to write besides the lines on stdout; None for nothing."""

    html: Path | None = None
    json: Path | None = None
    details: Path | None = None

    def check(self, inputs: Sequence[Path], force: bool) -> None:
        """Raises AsrError before any work where a file is there already, or is one of the inputs."""
        wanted = [path for path in (self.html, self.json, self.details) if path]
        for path in wanted:
            if path.resolve() in [other.resolve() for other in inputs]:
                raise AsrError(f"{path}: is an input; choose another name")
            if path.is_dir():
                raise AsrError(f"{path}: is a folder; give the name of a file")
            if path.is_file() and not force:
                raise AsrError(f"{path}: is there already; choose another name, or --force to overwrite it")
        if len({path.resolve() for path in wanted}) < len(wanted):
            raise AsrError(f"{wanted[0]}: each output needs a name of its own")


def score_command(
    reference: Path,
    hypotheses: Sequence[Path],
    unit: str,
    rules: Sequence[str],
    *,
    ids: bool | None,
    by: Sequence[str],
    files: Files,
    say: Callable[[str], None],
) -> Score:
    """Prints the lines, then writes the files; returns the score of the last system."""
    with _nothing_collected():
        references, *systems = read_together([reference, *hypotheses], ids, say)
        scores = [score_read(references, system, unit, rules, say=say) for system in systems]
    if not scores[0].errors.reference:
        raise AsrError(f"{reference}: holds no text to compare with: are these ids alone, or empty lines?")
    comparison = Comparison(*scores) if len(scores) == 2 else None
    lines = comparison.lines() if comparison else scores[0].lines()
    for name in by:
        for letter, score in zip("AB" if comparison else [""], scores, strict=True):
            lines += [f"{letter} {line}".strip() for line in _groups(score, name, reference)]
    for line in lines:
        print(line)
    write_files(files, scores, comparison, reference)
    return scores[-1]


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


def write_files(files: Files, scores: Sequence[Score], comparison: Comparison | None, reference: Path) -> None:
    """The files that are wanted, each complete or not at all."""
    from asr.scoring.report import write_report
    from asr.scoring.results import write_details, write_json

    if files.details:
        write_details(files.details, scores)
    if files.json:
        write_json(files.json, scores, comparison)
    if files.html:
        write_report(files.html, scores, comparison, reference)


def _groups(score: Score, name: str, reference: Path) -> list[str]:
    groups = by_field(score, name)
    if not groups:
        known = sorted({field for u in score.utterances for field in u.fields})
        raise AsrError(f"{reference}: no utterance has the field {name!r}; there is {', '.join(known) or 'none'}")
    return [f"{name} {group.name or '(none)'}: {group.errors.line(score.rate_name)}" for group in groups]
