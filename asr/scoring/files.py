"""Scoring transcripts that stand in files."""

import json
from collections.abc import Callable
from pathlib import Path

from asr.errors import ManifestError
from asr.files import read_lines
from asr.scoring.cer import CharErrors, corpus_errors

LISTED = 10
"""Ids named in a message; the rest are counted."""


def score_files(
    reference: str | Path, hypothesis: str | Path, say: Callable[[str], None] = lambda line: None
) -> CharErrors:
    """Errors of a hypothesis file against a reference file, matched by id.

    References without hypothesis count as deleted and hypotheses without reference are left out; both are listed with `say`.
    """
    references, hypotheses = read_transcripts(reference), read_transcripts(hypothesis)
    missing = [id for id in references if id not in hypotheses]
    extra = [id for id in hypotheses if id not in references]
    if len(missing) == len(references):
        raise ManifestError(
            f"{hypothesis}: has no id of {reference}; its first id is {next(iter(hypotheses), 'none')!r}"
        )
    if missing:
        say(f"{hypothesis}: {len(missing)} of {len(references)} ids are missing and count as deleted: {_some(missing)}")
    if extra:
        say(f"{hypothesis}: {len(extra)} ids are not in {reference} and are left out: {_some(extra)}")
    return corpus_errors(references, hypotheses)


def read_transcripts(path: str | Path) -> dict[str, str]:
    """Texts by id, from Kaldi `text` lines (`id text`) or JSON objects with `id` and `text`, told apart by the first line."""
    numbered = [(number, line) for number, line in enumerate(read_lines(path), 1) if line.strip()]
    if not numbered:
        raise ManifestError(f"{path}: is empty")
    parse = _json_line if numbered[0][1].lstrip().startswith("{") else _kaldi_line
    texts: dict[str, str] = {}
    for number, line in numbered:
        id, text = parse(line, f"{path}:{number}")
        if id in texts:
            raise ManifestError(f"{path}:{number}: id must be unique, {id!r} occurs twice")
        texts[id] = text
    return texts


def _kaldi_line(line: str, where: str) -> tuple[str, str]:
    id, *text = line.split(maxsplit=1)
    return id, text[0].strip() if text else ""


def _json_line(line: str, where: str) -> tuple[str, str]:
    try:
        data = json.loads(line)
        id, text = data["id"], data["text"]
    except (ValueError, KeyError, TypeError) as error:
        raise ManifestError(f"{where}: must be a JSON object with id and text, is {line[:60]!r} ({error!r})") from None
    if not isinstance(text, str):
        raise ManifestError(f"{where}: text must be a text, is {text!r}")
    return str(id), text


def _some(ids: list[str]) -> str:
    return ", ".join(ids[:LISTED]) + (" …" if len(ids) > LISTED else "")
