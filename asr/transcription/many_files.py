"""`asr transcribe`: many files, one bad one of which does not stop the rest."""

import errno
import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from asr.errors import AsrError, UsageError
from asr.files import another_name_would_help, atomic_write, content_state, remove_leftovers
from asr.foreign_bytes import on_one_line
from asr.launcher import processes
from asr.places import require_writable
from asr.transcript import Transcript
from asr.transcription.display import ProgressLine
from asr.transcription.inputs import Input, find_inputs, find_targets, listed_inputs
from asr.transcription.recordings import RecordingInProgress
from asr.transcription.results import RECORDING, MadeWith, Results, differences, form_of
from asr.transcription.sharing import Shares
from asr.transcription.transcribing import Transcribing


def transcribe_files(
    names: Sequence[str] | Path,
    transcriber: Callable[[], Transcribing],
    results: Results,
    *,
    say: Callable[[str], None],
    made_with: Callable[[], dict[str, Any]] = dict,
    split: bool = False,
    track: int | None = None,
    workers: int = 0,
) -> int:
    """Transcribes files, folders and stdin (`-`), or what a list at a path names; returns how many inputs failed.

    The model is loaded only for some. Texts go to stdout in the order given, behind their ids where these are listed, or to
    a file per recording and output. What is there already is left alone, unless it may be overwritten; AsrError is raised
    where it was made with anything but what `made_with` says now. `workers`: processes that read ahead. Several processes
    started by torchrun share the list; each returns the failures of all.
    """

    def tell(line: str) -> None:
        say(on_one_line(line))

    if processes() > 1 and not (results.folder or results.file):
        raise UsageError("several processes cannot print to one stdout in order; give them a folder with --out")
    inputs, failed = (listed_inputs(names), 0) if isinstance(names, Path) else find_inputs(names, tell)
    if len(inputs) > 1 and not results.folder:
        _require_one_each(len(inputs), results)
    shares = Shares()
    failed = failed if shares.rank == 0 else 0
    if inputs:
        for output in results.outputs:
            output.check()
            if output.hint and shares.rank == 0:
                say(f"asr: {output.hint}")
        job = _Job(inputs, results, made_with, say=tell, shares=shares)
        if job.todo:
            if results.folder:
                require_writable(results.folder)
            failed += job.run(transcriber(), split, track, workers)
    shares.add("failed", failed)
    shares.wait()
    return shares.add("failed", 0)


def _require_one_each(n: int, results: Results) -> None:
    """Raises UsageError where several recordings would go into one document."""
    output = results.outputs[0]
    if results.file:
        lines = "" if output.one_each else f", or `> {results.file}` for a line of each"
        raise UsageError(
            f"{results.file} is the name of one file, and there are {n} recordings; give them a folder{lines}"
        )
    if output.one_each:
        raise UsageError(
            f"{n} recordings cannot be printed as one {output.format} document; give them a folder with --out"
        )


class _Job:
    def __init__(
        self,
        inputs: list[Input],
        results: Results,
        made_with: Callable[[], dict[str, Any]],
        *,
        say: Callable[[str], None],
        shares: Shares,
    ):
        self.inputs, self.outputs, self.shares, self.force = inputs, results.outputs, shares, results.force
        self.targets = find_targets(inputs, results)
        self.made_with = cache(made_with)
        self.list = MadeWith(results.folder) if results.folder else None
        self.sizes = {one: _size(one.path) for one in inputs}
        if shares.processes > 1:  # the longest first, so that all end at about the same time
            self.inputs = sorted(inputs, key=lambda one: -self.sizes[one])
        for folder in {target.parent for files in self.targets.values() for target in files}:
            remove_leftovers(folder, older_than=3600)
        self.todo = [one for one in inputs if not self._is_done(one)]
        self.progress = ProgressLine(sum(self.sizes[one] for one in self.todo), len(self.todo), say)
        self.say = self._above(say)
        self.failed = 0
        if self.list and not self.force:
            self._tell_what_is_there(results.folder)

    def _tell_what_is_there(self, folder: Path) -> None:
        """Says which files stay as they are. Raises AsrError where some of them were made with other settings."""
        there = [
            (one, i) for one in dict.fromkeys(self.inputs) for i, t in enumerate(self.targets[one]) if _is_there(t)
        ]
        made = {self.targets[one][i]: self._made(one, i) for one, i in there}
        other = {target: told for target, told in made.items() if told}
        if other:
            first, told = next(iter(other.items()))
            raise AsrError(
                f"{first}: is there already, made with other settings ({told}); --force makes it anew, another --out keeps both"
                if len(other) == 1
                else f"{folder}: {len(other):,} of the transcripts that are there already were made with other settings, such"
                f" as {first.name} ({told}); --force makes them anew, another --out keeps both"
            )
        done = [one for one in self.inputs if self._is_done(one)]
        if not done or self.shares.rank:
            return
        first = self.targets[done[0]][0]
        self.say(
            f"asr: {first}: is there already and stays as it is; --force overwrites it"
            if len(done) == 1
            else f"asr: {len(done)} of {len(self.inputs)} transcripts are there already and stay as they are; --force overwrites"
            " them"
        )
        if unknown := [target for target, told in made.items() if told is None]:
            self.say(
                f"asr: {unknown[0]}: what it was made with is not known, it was written by something else or changed since"
                + (f"; so it is with {len(unknown) - 1:,} more" if unknown[1:] else "")
            )

    def _made(self, one: Input, i: int) -> str | None:
        """How the settings that a file was made with differ from those of now, empty if not at all; None if that is not known."""
        wanted = self._settings(one, i)
        made = self.list.of(self.targets[one][i], wanted)
        return None if made is None else differences(made, wanted)

    def _settings(self, one: Input, i: int) -> dict[str, Any]:
        """All that the text of a file depends on."""
        return {RECORDING: content_state(one.path)} | self.made_with() | form_of(self.outputs[i])

    def run(self, transcriber: Transcribing, split: bool, track: int | None = None, workers: int = 0) -> int:
        """The number of recordings that failed."""
        if workers == 0 or transcriber.finder:  # speakers are told apart where the recording is read
            return self._run(transcriber, lambda recordings: recordings, split, track)
        from asr.transcription.reading_ahead import ReadingAhead  # brings PyTorch

        with ReadingAhead(workers, transcriber.recognizer.config.batch_recordings) as readers:
            return self._run(transcriber, readers.recordings, split, track)

    def _run(
        self,
        transcriber: Transcribing,
        reading: Callable[[Iterator[RecordingInProgress]], Iterator[RecordingInProgress]],
        split: bool,
        track: int | None,
    ) -> int:
        taken: dict[RecordingInProgress, Input] = {}
        seconds = 0.0

        def recordings() -> Iterator[RecordingInProgress]:
            for one in self._take():
                recording = transcriber.open(one.path, split, one.shown, track=track)
                taken[recording] = one
                yield recording

        for recording, segment in transcriber.stream(reading(recordings())):
            one = taken[recording]
            if segment is None:
                self._finish(one, recording, transcriber)
                del taken[recording]
                seconds += recording.duration
                self.shares.add("bytes", self.sizes[one])
                self.shares.add("files", 1)
            self._show(one, recording, seconds, segment is None)
        self.progress.clear()
        return self.failed

    def _take(self) -> Iterator[Input]:
        for number in self.shares.items(len(self.inputs)):
            one = self.inputs[number]
            if not self._is_done(one) and not self._cannot_be_named(one):
                yield one

    def _cannot_be_named(self, one: Input) -> bool:
        """Whether the name of one of its files would be too long, which is said before hours of work, not after them."""
        for target in self.targets[one] if self.list else ():
            try:
                os.lstat(self.list.folder / target.name)
            except OSError as error:
                if error.errno == errno.ENAMETOOLONG:
                    self._tell_of_name(target, error)
                    return True
        return False

    def _tell_of_name(self, target: Path, error: OSError) -> None:
        self.say(f"asr: {target}: {error.strerror}; give the recording another name")
        self.failed += 1

    def _is_done(self, one: Input) -> bool:
        """Whether a folder has all of its files; a file that is named is written, and was refused where it may not be."""
        return not self.force and self.list is not None and all(map(_is_there, self.targets[one]))

    def _finish(self, one: Input, recording: RecordingInProgress, transcriber: Transcribing) -> None:
        if recording.error:
            error = str(recording.error)
            self.say(f"asr: {error}")
            self.failed += 1
            if one not in self.targets:
                self.progress.clear()
                _print_failure(one, error, self.outputs[0].format)
            return
        transcript = replace(transcriber.transcript(recording), id=one.id)
        for warning in transcript.all_warnings:
            self.say(f"asr: {one.shown}: warning: {warning}")
        for segment in transcript.segments:
            place = f"{one.shown}: {segment.start:.1f}–{segment.end:.1f} s"
            for correction in segment.corrections:
                self.say(f"{place}: {correction.heard} written as {correction.written}, a hot word that sounds like it")
            if segment.hotwords:
                self.say(f"{place}: hot words {', '.join(segment.hotwords)}")
        if one in self.targets:
            self._write(one, transcript)
        else:
            self.progress.clear()
            if one.id and self.outputs[0].format == "txt" and not self.outputs[0].one_each:
                sys.stdout.write(f"{one.id} ")
            self.outputs[0].write(transcript, sys.stdout)
            sys.stdout.flush()

    def _write(self, one: Input, transcript: Transcript) -> None:
        for i, target in enumerate(self.targets[one]):
            if self.force or self.list is None or not _is_there(target):
                try:
                    self._write_file(one, i, transcript)
                except OSError as error:
                    if not another_name_would_help(error):  # a full disk, say, which would stop all that follow, too
                        raise
                    self._tell_of_name(target, error)
                    return

    def _write_file(self, one: Input, i: int, transcript: Transcript) -> None:
        target, output = self.targets[one][i], self.outputs[i]
        if self.list is None:
            with atomic_write(target) as file:
                output.write(transcript, file)
            return
        text = io.StringIO()
        output.write(transcript, text)
        self.list.write(target, text.getvalue(), self._settings(one, i))

    def _show(self, one: Input, recording: RecordingInProgress, seconds: float, finished: bool) -> None:
        if self.shares.rank:
            return
        done, files = self.shares.add("bytes", 0), self.shares.add("files", 0)
        if not finished:
            seconds += recording.duration
            done += self.sizes[one] * min(1.0, recording.duration / recording.announced) if recording.announced else 0
        self.progress.show(done, files, seconds)

    def _above(self, say: Callable[[str], None]) -> Callable[[str], None]:
        """`say` that does not write into the line of progress."""

        def clean(line: str) -> None:
            self.progress.clear()
            say(line)

        return clean


def _is_there(target: Path) -> bool:
    try:
        return target.exists() and not target.is_dir()
    except OSError:  # a name that is too long
        return False


def _size(path: Path) -> int:
    try:
        return os.path.getsize(path)
    except (OSError, ValueError):
        return 0  # reading it will say why


def _print_failure(one: Input, error: str, format: str) -> None:
    """A line in place of the transcript, where a line belongs to each file."""
    if format == "txt":
        print(one.id, flush=True)
    elif format == "json":
        named = {"id": one.id, "text": ""} if one.id else {}  # scored as a text that is not there
        print(json.dumps(named | {"audio": one.shown, "error": error}, ensure_ascii=False), flush=True)
