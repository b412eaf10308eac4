"""`asr evaluate`: decode a manifest, write what was recognised, compute its CER."""

import dataclasses
import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

from asr.corpus.batching import lacking_characters
from asr.corpus.manifest import Utterance, missing_audio
from asr.corpus.texts import read_references
from asr.errors import AsrError, AudioError, ManifestError
from asr.files import atomic_write, require_writable
from asr.folders import locked
from asr.model.folder import WEIGHTS
from asr.scoring.breakdown import by_field
from asr.scoring.report import write_report
from asr.scoring.results import numbers, system_summary
from asr.scoring.score import score_lines
from asr.scoring.transcripts import Line
from asr.transcription.decoded import UNFINISHED, Result, Unfinished
from asr.transcription.models import find_model, results_folder
from asr.transcription.settings import decode_settings, without_effect
from asr.transcription.transcriber import load
from asr.version import VERSION

RESULT = "result.json"
"""Written last: where it is, and nothing unfinished beside it, the results are whole."""
RESULTS = ("hyp.txt", "nbest.jsonl", "report.html", RESULT)
NAMED = 20
"""Utterances without audio that are named at the terminal; result.json names all."""


def evaluate_manifest(
    model: str | Path,
    manifest: Path,
    out: Path | None = None,
    by: Sequence[str] = (),
    beam: int | None = None,
    nbest: int = 1,
    swap_audio: bool = False,
    device: str = "auto",
    precision: str = "none",
    force: bool = False,
    say: Callable[[str], None] = print,
    overrides: Sequence[str] = (),
    hotwords: Path | None = None,
    lm: str | Path | None = None,
) -> Iterator[str]:
    """Writes hyp.txt, nbest.jsonl, result.json and report.html under `out`; yields the lines to print, the overall CER first.

    beam, nbest and `overrides` (key=value) change the decoding settings that are saved with the model. An utterance whose
    audio cannot be read counts as one of which nothing was recognised; AudioError says so when all is written and yielded.
    """
    folder = find_model(model)
    if out is None:
        name = f"{manifest.stem}-swapped" if swap_audio else manifest.stem
        out = results_folder(folder) / name
    _refuse(out, force or (out / UNFINISHED).exists())
    utterances = read_references(manifest)
    for name in by:
        if not any(u.value(name) for u in utterances):
            raise ManifestError(f"{manifest}: no utterance has the field {name!r}; there is {_field_names(utterances)}")
    config = decode_settings(folder, overrides, beam=beam, nbest=nbest)
    heard = _swapped(utterances) if swap_audio else utterances
    with locked(out, AsrError, "evaluating"):
        require_writable(out)
        transcriber = load(folder, device, config, precision, hotwords, lm)
        for line in without_effect(overrides, transcriber.recognizer, lm):
            say(line)
        if lacking := lacking_characters(utterances, transcriber.loaded.tokenizer):
            say(f"{sum(lacking.values())} characters of the references are not in the token table: {' '.join(lacking)}")
        if missing := missing_audio(heard):
            say(f"asr: {len(missing):,} of {len(heard):,} utterances have no audio: {missing[0].audio} …")
        settings = {
            "model": str(folder),
            "manifest": str(manifest),
            "swap_audio": swap_audio,
            "precision": precision,
            "hotwords": str(hotwords) if hotwords else None,
            "lm": str(transcriber.recognizer.lm.path) if transcriber.recognizer.lm else None,
            "decode": dataclasses.asdict(config),
        }
        unfinished = Unfinished(out / UNFINISHED, _started_with(settings, folder, heard), heard)
        _refuse(out, force or unfinished.whole)
        results = unfinished.finish(transcriber.recognizer, say)
        errors = [result.error for result in results if result.error]
        if len(errors) == len(results):
            (out / UNFINISHED).unlink()
            raise AudioError(f"no utterance of {manifest} can be read; the first: {errors[0]}")
        lines = _written(out, utterances, results, by, settings)
        (out / UNFINISHED).unlink()
    yield from lines
    for error in errors[:NAMED]:
        say(f"asr: {error}")
    if errors:
        more = f"; {out / RESULT} names all" if len(errors) > NAMED else ""
        raise AudioError(
            f"{len(errors):,} of {len(results):,} utterances could not be read, and count as nothing recognised{more}"
        )


def _refuse(out: Path, goes_on: bool) -> None:
    if not goes_on and any((out / name).exists() for name in RESULTS):
        raise AsrError(f"{out}: holds results already; choose another --out, or --force to overwrite them")


def _started_with(settings: dict, folder: Path, utterances: Sequence[Utterance]) -> dict:
    """All that the hypotheses depend on, as JSON has it."""
    files = [folder / WEIGHTS, *(Path(settings[name]) for name in ("lm", "hotwords") if settings[name])]
    states = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    state = cache(_state)
    audio = [(u.id, str(u.audio), state(u.audio), u.start, u.duration, u.channel) for u in utterances]
    digest = hashlib.sha256(json.dumps(audio, ensure_ascii=False).encode()).hexdigest()
    return json.loads(json.dumps({"version": VERSION, "settings": settings, "files": states, "utterances": digest}))


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


def _written(
    out: Path, utterances: Sequence[Utterance], results: Sequence[Result], by: Sequence[str], settings: dict
) -> list[str]:
    """Scores the results and writes everything; returns the lines to print. Killed at any moment, `RESULT` fits the rest."""
    references = {u.id: Line(u.text, fields=_fields(u)) for u in utterances}
    hypotheses = {u.id: _hypothesis(r) for u, r in zip(utterances, results, strict=True)}
    score = score_lines(references, hypotheses, name=str(out / "hyp.txt"))
    groups = {name: by_field(score, name) for name in by}
    (out / RESULT).unlink(missing_ok=True)  # of the results that are replaced
    with atomic_write(out / "hyp.txt") as file:
        file.writelines(f"{u.id} {r.nbest[0].text}".rstrip() + "\n" for u, r in zip(utterances, results, strict=True))
    with atomic_write(out / "nbest.jsonl") as file:
        for u, result in zip(utterances, results, strict=True):
            file.write(json.dumps({"id": u.id} | result.to_json(), ensure_ascii=False) + "\n")
    write_report(out / "report.html", [score], reference=settings["manifest"])
    counts = {name: {group.name: numbers(group.errors) for group in members} for name, members in groups.items()}
    with atomic_write(out / RESULT) as file:
        unreadable = {u.id: r.error for u, r in zip(utterances, results, strict=True) if r.error}
        data = system_summary(score) | {"by": counts, "settings": settings, "unreadable": unreadable}
        file.write(json.dumps(data, ensure_ascii=False, indent=2) + "\n")
    each = (f"{name} {g.name or '(none)'}: {g.errors}" for name, members in groups.items() for g in members)
    return [*score.lines(), *each]


def _hypothesis(result: Result) -> Line:
    nbest = tuple(hypothesis.text for hypothesis in result.nbest)
    return Line(nbest[0], nbest if len(nbest) > 1 else ())
