"""What `asr evaluate` has decoded so far, kept on disk, so that the same command goes on after an interruption.

Each process adds to a file of its own, whose first line says what the hypotheses depend on; each other one is an utterance's.
Chunks of utterances, in whatever order, stand in it one behind the other. What a kill or a power cut has spoiled, and all behind
it, is decoded again.
"""

import json
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from asr.corpus.manifest import Utterance
from asr.errors import AsrError, AudioError, CheckpointError
from asr.files import naming
from asr.foreign_bytes import json_value, reading
from asr.recognition.recognizer import Recognizer
from asr.transcription.sharing import Shares

UNFINISHED = "decoded.part.jsonl"
"""Name of the first process's file beside the results; number 3 has decoded.part.3.jsonl. They go when the results are there."""
CHUNK = 256
"""Utterances whose audio is in memory at once, that are decoded together by one process, and that are lost at most."""


class Decoded(NamedTuple):
    """One hypothesis."""

    text: str
    score: float
    """What it is ranked by."""
    scores: Mapping[str, float] = {}
    """Total log-probability by scorer, before its weight."""


NOTHING = (Decoded("", 0.0),)
"""What is recognised of a recording that cannot be read."""


@dataclass(frozen=True)
class Result:
    """What became of an utterance."""

    nbest: tuple[Decoded, ...]
    """Hypotheses, best first; NOTHING where there is an error."""
    error: str = ""
    """Why its audio cannot be read."""

    def to_json(self) -> dict:
        nbest = [hypothesis._asdict() for hypothesis in self.nbest]
        return {"nbest": nbest} | ({"error": self.error} if self.error else {})


class Unfinished:
    """What stands in files already of the results of some utterances; they are only looked at until `finish` goes on with them.

    `path`: the file of the first process. `started_with`: all that the hypotheses depend on; a file that was started with
    anything else counts as none.
    """

    def __init__(self, path: Path, started_with: dict, utterances: Sequence[Utterance]):
        self.path, self.utterances = path, utterances
        self.head = json.dumps(started_with, ensure_ascii=False).encode() + b"\n"
        self.starts = {utterances[start].id: start for start in reversed(range(0, len(utterances), CHUNK))}
        """Id of the first utterance of each chunk → its place; of an id that comes again, the first."""
        self.results: dict[int, Result] = {}
        """Place of an utterance → its result; those of whole chunks, which are decoded as if never interrupted."""
        self.sizes: dict[Path, int] = {}
        """Bytes of each file in which they stand, and which have been read."""
        for file in unfinished_files(path):
            self._read_on(file)

    def _read_on(self, file: Path) -> None:
        """Takes what has come to a file since it was last read: each result is parsed once."""
        size, data = self.sizes.get(file, 0), b""
        if file.is_file():
            with file.open("rb") as opened:
                opened.seek(size)
                data = opened.read()
        if not size:
            if not data.startswith(self.head):
                return
            size, data = len(self.head), data[len(self.head) :]
        lines, first = data.split(b"\n")[:-1], 0
        while found := self._chunk(lines[first : first + CHUNK]):
            self.results |= found
            size += sum(len(line) + 1 for line in lines[first : first + len(found)])
            first += len(found)
        self.sizes[file] = size

    def _chunk(self, lines: list[bytes]) -> dict[int, Result]:
        """Place → result of the chunk that these lines begin with; nothing where it is not whole."""
        start = self.starts.get(_id(lines[0])) if lines else None
        if start is None:
            return {}
        ids = [u.id for u in self.utterances[start : start + CHUNK]]
        results = [_parsed(line, id) for line, id in zip(lines, ids, strict=False)]
        return {} if len(results) < len(ids) or None in results else dict(enumerate(results, start))

    @property
    def whole(self) -> bool:
        """Whether nothing is left to do."""
        return len(self.results) == len(self.utterances)

    def finish(self, recognizer: Recognizer, say: Callable[[str], None], shares: Shares | None = None) -> list[Result]:
        """The result of each utterance in order. What the files lack is decoded and added to them.

        `shares`: the processes that do so together; each returns the results of all.
        """
        if self.results:
            say(f"{self.path}: {len(self.results):,} of {len(self.utterances):,} utterances are decoded already")
        shares = shares or Shares()
        own = numbered(self.path, shares.rank)
        started, seconds = (
            time.monotonic(),
            sum(u.duration for i, u in enumerate(self.utterances) if i not in self.results),
        )
        size = self.sizes.get(own, 0)
        with naming(own), open(own, "ab") as file:
            os.ftruncate(file.fileno(), size)
            if not size:
                file.write(self.head)
            for number, heard in _read_ahead(self._left(shares.items(-(-len(self.utterances) // CHUNK)))):
                for u, result in zip(self._utterances(number), _recognized(recognizer, heard), strict=True):
                    file.write(json.dumps({"id": u.id} | result.to_json(), ensure_ascii=False).encode() + b"\n")
                file.flush()
        shares.meet("decoded")
        if seconds:
            took = time.monotonic() - started
            say(f"decoded {seconds / 3600:.3f} h in {took:.1f} s: RTF {took / seconds:.4f}")
        for file in map(partial(numbered, self.path), range(shares.processes)):
            self._read_on(file)
        shares.meet("read")
        if not self.whole:
            raise AsrError(f"{self.path.parent}: another process's results are not there; the same command goes on")
        return [self.results[place] for place in range(len(self.utterances))]

    def remove(self) -> None:
        """Removes the files."""
        for file in unfinished_files(self.path):
            file.unlink()

    def _utterances(self, number: int) -> Sequence[Utterance]:
        return self.utterances[number * CHUNK : (number + 1) * CHUNK]

    def _left(self, numbers: Iterable[int]) -> Iterator[tuple[int, Sequence[Utterance]]]:
        return ((number, self._utterances(number)) for number in numbers if number * CHUNK not in self.results)


def unfinished_files(path: Path) -> list[Path]:
    """The files of all processes that are there; `path`: the first one's."""
    return sorted(path.parent.glob(f"{path.stem}*{path.suffix}"))


def numbered(path: Path, rank: int) -> Path:
    """The file of process `rank`."""
    return path.with_suffix(f".{rank}{path.suffix}") if rank else path


ReadUtterances = list[tuple[Utterance, np.ndarray | AudioError]]
"""Utterances, and what they hold or why that cannot be read."""


def _read_ahead(chunks: Iterable[tuple[int, Sequence[Utterance]]]) -> Iterator[tuple[int, ReadUtterances]]:
    """Each chunk's number and audio, the next of which is read while one is decoded."""
    with ThreadPoolExecutor(1) as reader:
        waiting: deque[tuple[int, Future[ReadUtterances]]] = deque()
        for number, utterances in chunks:
            waiting.append((number, reader.submit(_heard, utterances)))
            if len(waiting) == 2:
                number, read = waiting.popleft()
                yield number, read.result()
        for number, read in waiting:
            yield number, read.result()


def _heard(utterances: Sequence[Utterance]) -> ReadUtterances:
    heard: ReadUtterances = []
    for u in utterances:
        try:
            heard.append((u, u.read()))
        except AudioError as error:
            heard.append((u, error))
    return heard


def _recognized(recognizer: Recognizer, heard: ReadUtterances) -> list[Result]:
    found = iter(recognizer.recognize([audio for _, audio in heard if not isinstance(audio, AudioError)]))
    return [
        Result(NOTHING, str(audio)) if isinstance(audio, AudioError) else _result(next(found)) for _, audio in heard
    ]


def _result(nbest: Sequence) -> Result:
    found = [r.hypothesis for r in nbest]
    scores = [{name: round(score, 2) for name, score in h.scores.items()} for h in found]
    return Result(tuple(Decoded(r.text, round(h.score, 4), s) for r, h, s in zip(nbest, found, scores, strict=True)))


def _id(line: bytes) -> str | None:
    """The id on a line; None where there is none."""
    try:
        with reading(UNFINISHED, CheckpointError):
            return str(json_value(line.decode())["id"])
    except CheckpointError:
        return None


def _parsed(line: bytes, id: str) -> Result | None:
    """The result on a line; None for a line that is not whole, or another utterance's."""
    try:
        with reading(UNFINISHED, CheckpointError):
            entry = json_value(line.decode())
            nbest = tuple(Decoded(each["text"], each["score"], dict(each["scores"])) for each in entry["nbest"])
            error = entry.get("error", "")
            sound = nbest and all(isinstance(d.text, str) and isinstance(d.score, float) for d in nbest)
            return Result(nbest, error) if sound and entry["id"] == id and isinstance(error, str) else None
    except CheckpointError:
        return None
