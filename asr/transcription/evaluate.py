"""`asr evaluate`: decode a manifest, write what was recognised, compute its CER."""

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from asr.corpus.batching import lacking_characters
from asr.corpus.manifest import Utterance, check_audio
from asr.corpus.texts import read_references
from asr.errors import AsrError, ManifestError
from asr.files import atomic_write, require_writable
from asr.model.folder import WEIGHTS
from asr.scoring.breakdown import Group, by_field
from asr.scoring.report import write_report
from asr.scoring.results import numbers, system_summary
from asr.scoring.score import Score, score_lines
from asr.scoring.transcripts import Line
from asr.transcription.decoded import UNFINISHED, Decoded, decoded
from asr.transcription.models import find_model, results_folder
from asr.transcription.opening import Decoding, without_effect
from asr.transcription.settings import changes, decode_settings
from asr.transcription.transcriber import load_decoding

RESULTS = ("hyp.txt", "nbest.jsonl", "result.json", "report.html")


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

    beam, nbest and `overrides` (key=value) change the decoding settings that are saved with the model.
    """
    folder = find_model(model)
    if out is None:
        name = f"{manifest.stem}-swapped" if swap_audio else manifest.stem
        out = results_folder(folder) / name
    if any((out / name).exists() for name in RESULTS) and not force:
        raise AsrError(f"{out}: holds results already; choose another --out, or --force to overwrite them")
    utterances = read_references(manifest)
    for name in by:
        if not any(u.value(name) for u in utterances):
            raise ManifestError(f"{manifest}: no utterance has the field {name!r}; there is {_field_names(utterances)}")
    decoding = Decoding(folder, changes(overrides, beam=beam, nbest=nbest), lm, hotwords, device, precision)
    config = decode_settings(folder, decoding.settings)
    require_writable(out)
    transcriber = load_decoding(decoding)
    for line in without_effect(decoding, transcriber.recognizer):
        say(line)
    loaded = transcriber.loaded
    lacking = lacking_characters(utterances, loaded.tokenizer)
    if lacking:
        say(f"{sum(lacking.values())} characters of the references are not in the token table: {' '.join(lacking)}")
    heard = _swapped(utterances) if swap_audio else utterances
    check_audio(heard)
    settings = {
        "model": str(folder),
        "manifest": str(manifest),
        "swap_audio": swap_audio,
        "precision": precision,
        "hotwords": str(hotwords) if hotwords else None,
        "lm": str(transcriber.recognizer.lm.path) if transcriber.recognizer.lm else None,
        "decode": dataclasses.asdict(config),
    }
    if force:
        (out / UNFINISHED).unlink(missing_ok=True)
    started_with = _started_with(settings, folder, heard)
    results = list(decoded(transcriber.recognizer, heard, out / UNFINISHED, started_with, say))

    references = {u.id: Line(u.text, fields=_fields(u)) for u in utterances}
    hypotheses = {u.id: _hypothesis(r) for u, r in zip(utterances, results, strict=True)}
    score = score_lines(references, hypotheses, name=str(out / "hyp.txt"))
    groups = {name: by_field(score, name) for name in by}
    _write(out, utterances, results, score, groups, settings)
    write_report(out / "report.html", [score], reference=manifest)
    (out / UNFINISHED).unlink()
    yield from score.lines()
    for name, members in groups.items():
        for group in members:
            yield f"{name} {group.name or '(none)'}: {group.errors}"


def _started_with(settings: dict, folder: Path, utterances: Sequence[Utterance]) -> dict:
    """All that the hypotheses depend on, as JSON has it."""
    files = [folder / WEIGHTS, *(Path(settings[name]) for name in ("lm", "hotwords") if settings[name])]
    states = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    audio = [(u.id, str(u.audio), u.start, u.duration, u.channel) for u in utterances]
    digest = hashlib.sha256(json.dumps(audio, ensure_ascii=False).encode()).hexdigest()
    return json.loads(json.dumps({"settings": settings, "files": states, "utterances": digest}))


def _hypothesis(results: Sequence[Decoded]) -> Line:
    nbest = tuple(result.text for result in results)
    return Line(nbest[0], nbest if len(nbest) > 1 else ())


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


def _write(
    out: Path,
    utterances: Sequence[Utterance],
    results: Sequence[Sequence[Decoded]],
    score: Score,
    groups: dict[str, list[Group]],
    settings: dict,
) -> None:
    with atomic_write(out / "hyp.txt") as file:
        file.writelines(f"{u.id} {r[0].text}".rstrip() + "\n" for u, r in zip(utterances, results, strict=True))
    with atomic_write(out / "nbest.jsonl") as file:
        for u, nbest in zip(utterances, results, strict=True):
            hypotheses = [result._asdict() for result in nbest]
            file.write(json.dumps({"id": u.id, "nbest": hypotheses}, ensure_ascii=False) + "\n")
    by = {name: {group.name: numbers(group.errors) for group in members} for name, members in groups.items()}
    with atomic_write(out / "result.json") as file:
        data = system_summary(score) | {"by": by, "settings": settings}
        file.write(json.dumps(data, ensure_ascii=False, indent=2) + "\n")
