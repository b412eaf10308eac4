"""Lists of recordings without texts: a wav.scp, or JSON lines of other toolkits."""

from collections.abc import Iterator
from pathlib import Path

from asr.corpus.importing import holds_json, json_rows, kaldi_lines
from asr.errors import ManifestError
from asr.files import read_lines
from asr.foreign_bytes import quoted, reading

LONGEST_ID = 200
"""Bytes of an id that becomes the name of a file."""


def recordings(path: Path) -> Iterator[tuple[str, Path]]:
    """(id, audio) of each line of a list without texts.

    Paths of a wav.scp are relative to the current folder, as Kaldi has it, those of JSON lines to the list's. Raises
    ManifestError where a line is wrong, or names no whole file.
    """
    with reading(path, ManifestError, "cannot be read"):
        yield from _recordings(path)


def _recordings(path: Path) -> Iterator[tuple[str, Path]]:
    lines, root, seen = read_lines(path), Path(), {}
    if holds_json(lines):
        root = path.parent
        named = ((row.line, row.fields["id"], row.fields) for row in json_rows(path, lines, ("audio",)))
    else:
        named = ((where, id, {"audio": audio}) for where, id, audio in kaldi_lines(path, lines))
    for where, id, fields in named:
        _check_id(id, where)
        if seen.setdefault(id, where) != where:
            raise ManifestError(f"{where}: id must be unique, {quoted(id)} is already at {seen[id]}")
        if fields["audio"].rstrip().endswith("|"):
            raise ManifestError(
                f"{where}: {quoted(id)} names a command, {quoted(fields['audio'])}, which is not run: write what it gives to"
                " a file, and name that"
            )
        if not fields["audio"]:
            raise ManifestError(f"{where}: each line must be `id path`, {quoted(id)} has {quoted(fields['audio'])}")
        if float(fields.get("start") or 0) or "channel" in fields:
            raise ManifestError(f"{where}: names a part of a file; `asr evaluate` decodes manifests of utterances")
        yield id, root / fields["audio"]
    if not seen:
        raise ManifestError(f"{path}: names no recording")


def _check_id(id: str, where: str) -> None:
    """An id may become the name of a file, below folders even, but not anywhere else."""
    if (
        not id.isprintable()
        or len(id.split()) != 1
        or ".." in id.split("/")
        or id != Path(id).as_posix()
        or id[0] == "/"
    ):
        raise ManifestError(f"{where}: id must be a word without spaces that can name a file, is {quoted(id)}")
    if len(id.encode()) > LONGEST_ID:
        raise ManifestError(f"{where}: id must have at most {LONGEST_ID} bytes, is {id[:40]!r} …")
