"""Sentences out of whatever holds them."""

from collections.abc import Iterator
from pathlib import Path

from asr.corpus.manifest import read_manifest
from asr.errors import ManifestError
from asr.files import read_lines


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
