"""Which files are scored against which: one test set, or a folder with a file for each of several."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from asr.errors import ManifestError
from asr.files import read_lines, several_errors
from asr.scoring.readers import recording_form, visible

TEXTS = ("text", "hyp.txt")
"""The file of a folder that holds its texts: a Kaldi directory's, and that of `asr evaluate`."""


@dataclass(frozen=True)
class FileSet:
    """References, and what each system made of them."""

    name: str
    """Empty where there is one set only."""
    reference: Path
    hypotheses: tuple[Path, ...]
    """A system each, in one order for all sets."""
    utt2spk: Path | None = None
    """Speakers of the references, where a Kaldi directory tells them."""


def file_sets(reference: Path, hypotheses: Sequence[Path]) -> list[FileSet]:
    """One set; or one for each file in the folder `reference`, if what lies in it are files of many utterances.

    A system is then a folder with a file, or a folder with a file of TEXTS, of the same name without its suffix. Raises
    ManifestError where one is missing.
    """
    if not reference.is_dir() or _texts(reference) or _holds_recordings(reference):
        return [_one_set("", reference, hypotheses)]
    places = [_entries(reference), *map(_entries, hypotheses)]
    if not places[0]:
        raise ManifestError(f"{reference}: holds no transcript")
    lacking = [
        f"{folder}: has no file for the test set {name}; it has {', '.join(found) or 'none'}"
        for folder, found in zip(hypotheses, places[1:], strict=True)
        for name in places[0]
        if name not in found
    ]
    if lacking:
        raise ManifestError(several_errors(lacking, "are missing"))
    references, *systems = places
    return [_one_set(name, path, [found[name] for found in systems]) for name, path in references.items()]


def _one_set(name: str, reference: Path, hypotheses: Sequence[Path]) -> FileSet:
    utt2spk = reference / "utt2spk"
    return FileSet(
        name,
        _texts(reference) or reference,
        tuple(_texts(path) or path for path in hypotheses),
        utt2spk if utt2spk.is_file() else None,
    )


def _texts(path: Path) -> Path | None:
    return next((path / name for name in TEXTS if (path / name).is_file()), None)


def _entries(folder: Path) -> dict[str, Path]:
    """Test set → file, or folder with texts, in order of names."""
    if not folder.is_dir():
        raise ManifestError(f"{folder}: is no folder; if the references are a file for each test set, a system is, too")
    found: dict[str, Path] = {}
    for path in visible(folder):
        if path.is_file() or _texts(path):
            name = path.name if path.is_dir() else path.stem
            if name in found:
                raise ManifestError(f"{path}: {found[name].name} is another file of the test set {name}")
            found[name] = path
    return found


def _holds_recordings(folder: Path) -> bool:
    """Whether its files are the text of a recording each."""
    files = [path for path in visible(folder) if path.is_file()]
    return bool(files) and all(recording_form(path, read_lines(path)) for path in files)


def short_names(paths: Sequence[Path]) -> list[str]:
    """What tells paths apart: exp/a/hyp.txt and exp/b/hyp.txt are a and b. A single one is its name."""
    parts = [os.fspath(path).strip("/").split("/") for path in paths]
    if len(set(map(tuple, parts))) == 1:
        return [part[-1] for part in parts]
    while min(map(len, parts)) > 1 and len({part[0] for part in parts}) == 1:
        parts = [part[1:] for part in parts]
    while min(map(len, parts)) > 1 and len({part[-1] for part in parts}) == 1:
        parts = [part[:-1] for part in parts]
    return ["/".join(part) for part in parts]
