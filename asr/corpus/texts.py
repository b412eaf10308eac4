"""Sentences out of whatever holds them."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from asr.corpus.manifest import Utterance, read_manifest
from asr.errors import ManifestError
from asr.files import read_lines
from asr.text.normalize import characters
from asr.text.numbers import read_aloud


def read_references(path: str | Path) -> list[Utterance]:
    """A manifest to compare with what is recognised. Raises ManifestError for one without any text."""
    utterances = read_manifest(path)
    if not any(characters(u.text) for u in utterances):
        raise ManifestError(f"{path}: holds no text to compare with what is recognised")
    return utterances


def texts_of(path: str | Path) -> Iterator[str]:
    """The texts of a manifest (.jsonl), or the lines of a plain text file. Raises ManifestError for a table."""
    path = Path(path)
    if path.suffix.lower() in (".tsv", ".csv"):
        raise ManifestError(
            f"{path}: is a table, whose lines are no sentences; `asr corpus import` makes a manifest of it"
        )
    if path.suffix == ".jsonl":
        yield from (utterance.text for utterance in read_manifest(path))
    else:
        yield from read_lines(path)


def spelled_out(utterances: Iterable[Utterance]) -> tuple[list[Utterance], int]:
    """Utterances whose numbers in digits are written as they are said, and how many of them had such."""
    before = list(utterances)
    after = [replace(u, text=read_aloud(u.text)) for u in before]
    return after, sum(old.text != new.text for old, new in zip(before, after, strict=True))
