"""`asr evaluate`: decode a manifest, write what was recognised, compute its CER."""

import dataclasses
import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path

from asr.catalogue.finding import find_model, results_folder
from asr.catalogue.opening import Decoding, Opened, open_decoding, without_effect
from asr.corpus.batching import lacking_characters
from asr.corpus.manifest import Utterance, missing_audio
from asr.corpus.texts import read_references
from asr.errors import AsrError, AudioError, ManifestError
from asr.evaluation.decoded import UNFINISHED, Result, Unfinished, unfinished_files
from asr.files import atomic_write, save_json, several_errors
from asr.folders import locked
from asr.model.folder import weights_file
from asr.places import require_writable
from asr.recognition.recognizer import Recognizer
from asr.scoring.breakdown import Group, by_field
from asr.scoring.report import write_report
from asr.scoring.results import numbers, system_summary
from asr.scoring.score import Score, score_lines
from asr.scoring.transcripts import Line
from asr.transcription.sharing import Shares
from asr.version import VERSION

RESULT = "result.json"
"""Written last: where it is, and nothing unfinished beside it, the results are whole."""
RESULTS = ("hyp.txt", "nbest.jsonl", "report.html", RESULT)


@dataclass(frozen=True)
class Evaluation:
    """What a model recognised of a manifest, scored, and written into a folder."""

    score: Score
    """Rate, interval and counts over all utterances; its `lines()` are what is printed."""
    groups: dict[str, list[Group]]
    """Field → the score of each of its values."""
    folder: Path
    """Where hyp.txt, nbest.jsonl, result.json and report.html lie."""
    unreadable: dict[str, str]
    """Id → error of the utterances that could not be read, which count as ones of which nothing was recognised."""

    def lines(self) -> list[str]:
        """What a person wants to know: the overall rate first, then that of each group."""
        each = (f"{name} {g.name or '(none)'}: {g.errors}" for name, groups in self.groups.items() for g in groups)
        return [*self.score.lines(), *each]


def evaluate(
    decoding: Decoding | str | Path,
    manifest: str | Path,
    *,
    out: str | Path | None = None,
    by: Sequence[str] = (),
    swap_audio: bool = False,
    force: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Evaluation:
    """Decodes a manifest and scores it. Interrupted, the same call goes on where it was.

    decoding: which model, and how; a path or name alone for a model as it is. `out`: a folder, by default one in the model's.
    `by`: fields such as speaker, for each of whose values there is a score, too. `swap_audio` gives each utterance another
    one's audio. `say` is told how it goes. Several processes started by torchrun share the utterances; the first writes the
    results, each returns them. Raises AsrError where nothing can be decoded, or where `out` holds results already.
    """
    decoding = decoding if isinstance(decoding, Decoding) else Decoding(decoding)
    folder, manifest = find_model(decoding.model), Path(manifest)
    if out is None:
        name = f"{manifest.stem}-swapped" if swap_audio else manifest.stem
        out = results_folder(folder) / name
    out = Path(out)
    shares = Shares()
    first = shares.rank == 0
    if first:
        _refuse(out, force or bool(unfinished_files(out / UNFINISHED)))
    utterances = read_references(manifest)
    for name in by:
        if not any(u.value(name) for u in utterances):
            raise ManifestError(f"{manifest}: no utterance has the field {name!r}; there is {_field_names(utterances)}")
    heard = _swapped(utterances) if swap_audio else utterances
    with locked(out, AsrError, "evaluating") if first else nullcontext():
        if first:
            require_writable(out)
            shares.add("begun", 1)
        shares.wait_for("begun", 1)
        opened = open_decoding(decoding)
        recognizer = opened.recognizer()
        for line in _remarks(decoding, recognizer, utterances, heard) if first else ():
            say(line)
        settings = _settings(decoding, opened, manifest, swap_audio)
        unfinished = Unfinished(out / UNFINISHED, _started_with(settings, folder, heard), heard)
        if first:
            _refuse(out, force or unfinished.whole)
        results = unfinished.finish(recognizer, say if first else lambda line: None, shares)
        evaluation = _evaluation(out, utterances, results, by)
        if first and evaluation:
            _write(evaluation, utterances, results, settings)
        if first:
            unfinished.remove()
        shares.wait()
    if evaluation is None:
        errors = several_errors([result.error for result in results], "utterances cannot be read")
        raise AudioError(f"no utterance of {manifest} can be read; the first: {errors}")
    return evaluation


def _evaluation(
    out: Path, utterances: Sequence[Utterance], results: Sequence[Result], by: Sequence[str]
) -> Evaluation | None:
    """The score of what was decoded; None where nothing could be."""
    unreadable = {u.id: r.error for u, r in zip(utterances, results, strict=True) if r.error}
    if len(unreadable) == len(results):
        return None
    score = score_lines(
        {u.id: Line(u.text, fields=_fields(u)) for u in utterances},
        {u.id: _hypothesis(r) for u, r in zip(utterances, results, strict=True)},
        name=str(out / "hyp.txt"),
    )
    return Evaluation(score, {name: by_field(score, name) for name in by}, out, unreadable)


def _remarks(
    decoding: Decoding, recognizer: Recognizer, utterances: Sequence[Utterance], heard: Sequence[Utterance]
) -> Iterator[str]:
    """What a person should know before it is decoded."""
    yield from without_effect(decoding, recognizer)
    if lacking := lacking_characters(utterances, recognizer.tokenizer):
        yield f"{sum(lacking.values())} characters of the references are not in the token table: {' '.join(lacking)}"
    if missing := missing_audio(heard):
        gone = sum(u.audio in missing for u in heard)
        yield f"asr: {gone:,} of {len(heard):,} utterances have no audio: {next(iter(missing))} …"


def _settings(decoding: Decoding, opened: Opened, manifest: Path, swap_audio: bool) -> dict:
    """What result.json says of how it was decoded."""
    words = decoding.hotwords
    return {
        "model": str(opened.folder),
        "manifest": str(manifest),
        "swap_audio": swap_audio,
        "quantize": decoding.quantize,
        "hotwords": os.fspath(words) if isinstance(words, os.PathLike) else words,
        "lm": str(opened.lm.path) if opened.lm else None,
        "large_lm": str(opened.large_lm.path) if opened.large_lm else None,
        "decode": dataclasses.asdict(opened.settings),
    }


def _refuse(out: Path, goes_on: bool) -> None:
    if not goes_on and any((out / name).exists() for name in RESULTS):
        raise AsrError(f"{out}: holds results already; choose another --out, or --force to overwrite them")


def _started_with(settings: dict, folder: Path, utterances: Sequence[Utterance]) -> dict:
    """All that the hypotheses depend on, as JSON has it."""
    named = [settings[name] for name in ("lm", "large_lm", "hotwords")]  # hot words may be a list
    given = [Path(name) for name in named if isinstance(name, str) and os.path.exists(name)]
    inside = [sorted(path.iterdir()) if path.is_dir() else [path] for path in given]
    files = [weights_file(folder), *chain.from_iterable(inside)]
    states = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    state = cache(_state)
    audio = [(u.id, str(u.audio), state(u.audio), u.start, u.duration, u.channel, *_place(u)) for u in utterances]
    digest = hashlib.sha256(json.dumps(audio, ensure_ascii=False).encode()).hexdigest()
    return json.loads(json.dumps({"version": VERSION, "settings": settings, "files": states, "utterances": digest}))


def _place(utterance: Utterance) -> tuple[int, ...]:
    return dataclasses.astuple(utterance.member) if utterance.member else ()


def _state(path: Path) -> tuple[int, int] | None:
    """What changes with a file: its size, and when it was written; None where it is not there."""
    try:
        state = os.stat(path)
    except OSError:
        return None
    return state.st_size, state.st_mtime_ns


def _fields(utterance: Utterance) -> dict[str, object]:
    """What scoring may group by, and what a report links to."""
    named = {name: getattr(utterance, name) for name in ("speaker", "channel", "source", "start", "duration")}
    return {**utterance.extra, **named, "audio": str(utterance.audio)}


def _field_names(utterances: Sequence[Utterance]) -> str:
    names = {"speaker", "channel", "source"}.union(*(u.extra for u in utterances))
    return ", ".join(sorted(name for name in names if any(u.value(name) for u in utterances))) or "none"


def _swapped(utterances: Sequence[Utterance]) -> list[Utterance]:
    """For each utterance another one with a different text; each is used once.

    Sorted by text and turned by the size of the largest group of equal texts, nobody gets an equal one.
    """
    order = sorted(range(len(utterances)), key=lambda i: utterances[i].text)
    turn = max(Counter(u.text for u in utterances).values())
    if 2 * turn > len(utterances):
        raise ManifestError("more than half of the utterances have the same text: their audio cannot be swapped")
    swapped = list(utterances)
    for place, i in enumerate(order):
        swapped[i] = utterances[order[(place + turn) % len(order)]]
    return swapped


def _write(evaluation: Evaluation, utterances: Sequence[Utterance], results: Sequence[Result], settings: dict) -> None:
    """Writes everything. Killed at any moment, `RESULT` fits the rest."""
    out = evaluation.folder
    (out / RESULT).unlink(missing_ok=True)  # of the results that are replaced
    with atomic_write(out / "hyp.txt") as file:
        file.writelines(f"{u.id} {r.nbest[0].text}".rstrip() + "\n" for u, r in zip(utterances, results, strict=True))
    with atomic_write(out / "nbest.jsonl") as file:
        for u, result in zip(utterances, results, strict=True):
            file.write(json.dumps({"id": u.id} | result.to_json(), ensure_ascii=False) + "\n")
    write_report(out / "report.html", [evaluation.score], reference=settings["manifest"])
    counts = {name: {g.name: numbers(g.errors) for g in members} for name, members in evaluation.groups.items()}
    more = {"by": counts, "settings": settings, "unreadable": evaluation.unreadable}
    save_json(out / RESULT, system_summary(evaluation.score) | more)


def _hypothesis(result: Result) -> Line:
    nbest = tuple(hypothesis.text for hypothesis in result.nbest)
    return Line(nbest[0], nbest if len(nbest) > 1 else ())
