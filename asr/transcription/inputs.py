"""What `asr transcribe` is given, and where each transcript goes."""

import atexit
import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from asr.audio.reading import looks_like_a_recording
from asr.corpus.lists import recordings
from asr.errors import AsrError, AudioError
from asr.files import on_disk
from asr.foreign_bytes import some
from asr.places import require_file
from asr.transcription.results import Results

STDIN = "-"
NAMED = 8
"""Suffixes that a message lists."""


@dataclass(frozen=True)
class Input:
    """One recording."""

    path: Path
    """The file to read."""
    name: Path
    """Its path below the output folder, but for the suffix."""
    shown: str
    """What messages and the transcript call it."""
    id: str = ""
    """Its id in the list that names it."""


def listed_inputs(path: Path) -> list[Input]:
    """The recordings of a wav.scp or of JSON lines, each under its id."""
    return [Input(audio, Path(id + (audio.suffix or ".wav")), str(audio), id) for id, audio in recordings(path)]


def find_inputs(names: Sequence[str], say: Callable[[str], None]) -> tuple[list[Input], int]:
    """Every recording, folders searched to their depths, `-` for stdin; and how many names failed."""
    inputs: list[Input] = []
    failed = 0
    for name in names:
        path = Path(name)
        if name == STDIN:
            inputs.append(Input(Path(file_of(name)), Path("stdin"), "stdin"))
        elif not os.path.isdir(path):  # unlike Path.is_dir, False for a name that is too long
            inputs.append(Input(Path(file_of(name)), Path(path.name), str(path)))
        else:
            unreadable: list[OSError] = []
            inside, others, special = _recordings_in(path, unreadable)
            for one in special:
                say(f"asr: {one}: is a pipe or a device, which is not read where a folder is; give it by its own name")
            if others:
                say(f"asr: {path}: {_left_out(others)}")
            for error in unreadable:
                say(f"asr: {error.filename}: cannot be searched ({error.strerror})")
                failed += 1
            if not inside:
                say(
                    f"asr: {path}: a folder without audio files, that is, names that end in .wav, .mp3, .m4a and the like"
                )
                failed += 1
            inputs += [Input(file, file.relative_to(path), str(file)) for file in inside]
    return inputs, failed


def _recordings_in(folder: Path, unreadable: list[OSError]) -> tuple[list[Path], list[Path], list[Path]]:
    """The recordings in a folder and below, other files, and what is no file, which would be waited for; hidden ones are none."""
    found: list[Path] = []
    others: list[Path] = []
    special: list[Path] = []
    searched: set[str] = set()
    for inside, folders, names in os.walk(folder, onerror=unreadable.append, followlinks=True):
        if (real := os.path.realpath(inside)) in searched:  # links can lead in a circle
            folders.clear()
            continue
        searched.add(real)
        for path in (Path(inside) / name for name in names if not name.startswith(".")):
            if path.exists() and not path.is_file():
                special.append(path)
            else:
                (found if looks_like_a_recording(path) else others).append(path)
    return sorted(found), others, sorted(special)


def _left_out(others: list[Path]) -> str:
    """`3 files are left out, by their names no recordings: 2 .txt, 1 .jpg`."""
    counts = Counter(path.suffix.lower() for path in others).most_common()
    kinds = some([f"{n:,} {suffix}" if suffix else f"{n:,} without a suffix" for suffix, n in counts], NAMED)
    files = "1 file is" if len(others) == 1 else f"{len(others):,} files are"
    return f"{files} left out, by their names no recordings: {kinds}"


def file_of(name: str) -> str | Path:
    """The file to read where a recording is named: all of stdin, or of a pipe such as `<(…)` of a shell, in a file that vanishes
    with this process, for most containers cannot be read from a pipe; else the name itself.

    Raises AudioError where stdin has been closed.
    """
    if name == STDIN:
        require_stdin()
        return _SPOOLED.enter_context(on_disk(sys.stdin.buffer))
    return readable_again(name)


def readable_again(path: str | Path) -> str | Path:
    """A path, or where it is a pipe, which can be read once only, that of a file with all that came through it."""
    if os.path.exists(path) and Path(path).is_fifo():  # Path alone raises for a name that is too long
        with open(path, "rb") as source:
            return _SPOOLED.enter_context(on_disk(source))
    return path


def require_stdin() -> None:
    """Raises AudioError where stdin has been closed."""
    if sys.stdin is None:
        raise AudioError("stdin: is closed, there is nothing to read")


_SPOOLED = ExitStack()
"""Keeps the files until the process ends."""
atexit.register(_SPOOLED.close)


def find_targets(inputs: Sequence[Input], results: Results) -> dict[Input, list[Path]]:
    """The files each transcript goes to, one an output; none where they go to stdout.

    Raises AsrError where two recordings would get the same, or one that is there and may not be overwritten.
    """
    targets: dict[Input, list[Path]] = {}
    if results.folder:
        targets = _in_folder(inputs, results.folder, [output.suffix for output in results.outputs])
    elif results.file:
        targets = {one: [results.file] for one in inputs}
    heard = {one.path.resolve() for one in inputs}
    for files in targets.values():
        if own := heard & {target.resolve() for target in files}:
            raise AsrError(f"{own.pop()}: is an input, and would be written to; choose another name for --out")
    if results.file:
        require_file(results.file, results.force)
    return targets


def _in_folder(inputs: Sequence[Input], folder: Path, suffixes: Sequence[str]) -> dict[Input, list[Path]]:
    targets: dict[Input, list[Path]] = {}
    owners: dict[Path, Input] = {}
    stems = Counter(name.with_suffix("") for name in {one.name for one in inputs})  # one given twice counts once
    for one in inputs:
        alone = stems[one.name.with_suffix("")] == 1  # a.wav and a.mp3 become a.wav.txt and a.mp3.txt
        targets[one] = [folder / (one.name.with_suffix(end) if alone else f"{one.name}{end}") for end in suffixes]
        first = targets[one][0]
        if owners.setdefault(first, one).path != one.path:
            raise AsrError(
                f"{owners[first].path} and {one.path} would both be written to {first}; transcribe them into two folders,"
                " or give each an id (--list)"
            )
    return targets
