"""`asr evaluate`: decode a manifest, write what was recognised, compute its CER."""

import dataclasses
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from asr.corpus.batching import check_texts
from asr.corpus.manifest import Utterance, read_manifest
from asr.decoding.recognizer import Recognized, Recognizer
from asr.decoding.search import DecodeConfig
from asr.errors import AsrError, ManifestError
from asr.files import atomic_write
from asr.model.device import pick_device
from asr.model.folder import load_model
from asr.scoring.cer import CharErrors, char_errors, errors_by
from asr.transcription.models import PRETRAINED, find_model

RESULTS = ("hyp.txt", "nbest.jsonl", "result.json")
CHUNK = 512
"""Utterances whose audio is in memory at once."""


def evaluate_manifest(
    model: str | Path,
    manifest: Path,
    out: Path | None = None,
    by: Sequence[str] = (),
    beam: int = 4,
    nbest: int = 1,
    swap_audio: bool = False,
    device: str = "auto",
    force: bool = False,
    say: Callable[[str], None] = print,
) -> Iterator[str]:
    """Writes hyp.txt, nbest.jsonl and result.json under `out`; yields the lines to print, the overall CER first."""
    folder = find_model(model)
    if out is None:
        name = f"{manifest.stem}-swapped" if swap_audio else manifest.stem
        out = (Path("eval") / folder.name if PRETRAINED in folder.parents else folder / "eval") / name
    if any((out / name).exists() for name in RESULTS) and not force:
        raise AsrError(f"{out}: holds results already; choose another --out, or --force to overwrite them")
    utterances = read_manifest(manifest)
    for name in by:
        if not any(u.value(name) for u in utterances):
            raise ManifestError(f"{manifest}: no utterance has the field {name!r}; there is {_fields(utterances)}")
    loaded = load_model(folder, pick_device(device))
    lacking = check_texts(utterances, loaded.tokenizer)
    if lacking:
        say(f"{sum(lacking.values())} characters of the references are not in the token table: {' '.join(lacking)}")
    config = DecodeConfig(beam=beam, nbest=nbest)
    heard = _swapped(utterances) if swap_audio else utterances
    started = time.monotonic()
    results = list(_decode(Recognizer(loaded.model, loaded.tokenizer, config), heard))
    seconds, audio = time.monotonic() - started, sum(u.duration for u in heard)
    say(f"decoded {audio / 3600:.3f} h in {seconds:.1f} s: RTF {seconds / audio:.4f}")

    errors = [char_errors(u.text, r[0].text) for u, r in zip(utterances, results, strict=True)]
    groups = {name: errors_by((u.value(name) for u in utterances), errors) for name in by}
    total = sum(errors, CharErrors())
    settings = {
        "model": str(folder),
        "manifest": str(manifest),
        "swap_audio": swap_audio,
        "decode": dataclasses.asdict(config),
    }
    _write(out, utterances, results, total, groups, settings)
    yield str(total)
    for name, sums in groups.items():
        for value, e in sums.items():
            yield f"{name} {value or '(none)'}: {e}"


def _fields(utterances: Sequence[Utterance]) -> str:
    names = {"speaker", "channel", "source"}.union(*(u.extra for u in utterances))
    return ", ".join(sorted(name for name in names if any(u.value(name) for u in utterances))) or "none"


def _decode(recognizer: Recognizer, utterances: Sequence[Utterance]) -> Iterator[list[Recognized]]:
    for first in range(0, len(utterances), CHUNK):
        chunk = utterances[first : first + CHUNK]
        yield from recognizer.recognize([u.read() for u in chunk])


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
    results: Sequence[Sequence[Recognized]],
    total: CharErrors,
    groups: dict[str, dict[str, CharErrors]],
    settings: dict,
) -> None:
    with atomic_write(out / "hyp.txt") as file:
        file.writelines(f"{u.id} {r[0].text}".rstrip() + "\n" for u, r in zip(utterances, results, strict=True))
    with atomic_write(out / "nbest.jsonl") as file:
        for u, nbest in zip(utterances, results, strict=True):
            hypotheses = [{"text": r.text, "score": round(r.hypothesis.score, 4)} for r in nbest]
            file.write(json.dumps({"id": u.id, "nbest": hypotheses}, ensure_ascii=False) + "\n")
    by = {name: {value: _numbers(e) for value, e in sums.items()} for name, sums in groups.items()}
    with atomic_write(out / "result.json") as file:
        file.write(json.dumps(_numbers(total) | {"by": by, "settings": settings}, ensure_ascii=False, indent=2) + "\n")


def _numbers(errors: CharErrors) -> dict:
    return {"cer": round(errors.cer, 6)} | dataclasses.asdict(errors)
