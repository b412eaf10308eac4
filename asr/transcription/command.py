"""`asr transcribe`: many files, one bad one of which does not stop the rest."""

import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from asr.audio.reading import AUDIO_SUFFIXES
from asr.errors import AsrError, AudioError
from asr.files import atomic_write
from asr.transcription.output import Output
from asr.transcription.transcriber import Transcriber


def transcribe_files(
    inputs: Sequence[str],
    transcriber: Callable[[], Transcriber],
    output: Output,
    out: Path | None,
    force: bool,
    say: Callable[[str], None],
) -> int:
    """Transcribes files and folders in the order given; returns how many inputs failed. The model is loaded only for some.

    Texts go to stdout, or to one file per recording under `out`; what is there already is left alone without `force`.
    """
    files, failed = _expand(inputs, say)
    if not files:
        return failed
    targets = _targets(files, out, output.suffix)
    output.check()
    loaded = transcriber()
    hot = loaded.recognizer.hotwords
    if hot and hot.ignored:
        say(f"asr: hot words with characters that the model cannot write are left out: {', '.join(hot.ignored)}")
    for number, (path, _) in enumerate(files, 1):
        target = targets.get(path)
        if target and target.exists() and not force:
            say(f"asr: {target}: is there already and stays as it is; --force overwrites it")
            continue
        if len(files) > 1 and sys.stderr.isatty():
            say(f"[{number}/{len(files)}] {path}")
        try:
            transcript = loaded.transcribe(path)
        except AudioError as error:
            say(f"asr: {error}")
            failed += 1
            if not target:
                _print_failure(path, error, output.format)
            continue
        for warning in [*transcript.warnings, *(w for segment in transcript.segments for w in segment.warnings)]:
            say(f"asr: {path}: warning: {warning}")
        for segment in transcript.segments:
            if segment.hotwords:
                say(f"{path}: {segment.start:.1f}–{segment.end:.1f} s: hot words {', '.join(segment.hotwords)}")
        if target:
            with atomic_write(target) as file:
                output.write(transcript, file)
        else:
            output.write(transcript, sys.stdout)
            sys.stdout.flush()
    return failed


def _print_failure(path: Path, error: AudioError, format: str) -> None:
    """A line in place of the transcript, so that the lines still belong to the files in their order."""
    data = {"audio": str(path), "error": str(error)}
    print(json.dumps(data, ensure_ascii=False) if format == "json" else "", flush=True)


def _expand(inputs: Sequence[str], say: Callable[[str], None]) -> tuple[list[tuple[Path, Path]], int]:
    """(file, name below the output folder) of every recording, folders searched to their depths; and the inputs that failed."""
    files: list[tuple[Path, Path]] = []
    failed = 0
    for path in map(Path, inputs):
        if not os.path.isdir(path):  # unlike Path.is_dir, False for a name that is too long
            files.append((path, Path(path.name)))
            continue
        unreadable: list[OSError] = []
        inside = sorted(
            Path(folder) / name
            for folder, _, names in os.walk(path, onerror=unreadable.append)
            for name in names
            if Path(name).suffix.lower() in AUDIO_SUFFIXES and not name.startswith(".")
        )
        for error in unreadable:
            say(f"asr: {error.filename}: cannot be searched ({error.strerror})")
            failed += 1
        if not inside:
            say(f"asr: {path}: a folder without audio files ({', '.join(sorted(AUDIO_SUFFIXES))})")
            failed += 1
        files += [(file, file.relative_to(path)) for file in inside]
    return files, failed


def _targets(files: Sequence[tuple[Path, Path]], out: Path | None, suffix: str) -> dict[Path, Path]:
    """The file each recording's transcript goes to; refuses two recordings that would get the same."""
    if out is None:
        return {}
    targets: dict[Path, Path] = {}
    owners: dict[Path, Path] = {}
    stems = Counter(name.with_suffix("") for _, name in files)
    for path, name in files:
        alone = stems[name.with_suffix("")] == 1  # a.wav and a.mp3 become a.wav.txt and a.mp3.txt
        target = out / (name.with_suffix(suffix) if alone else f"{name}{suffix}")
        if owners.setdefault(target, path) != path:
            raise AsrError(
                f"{owners[target]} and {path} would both be written to {target}; transcribe them into two folders"
            )
        targets[path] = target
    return targets
