"""What `asr evaluate` has decoded so far, kept on disk, so that the same command goes on after an interruption.

The first line of the file says what the hypotheses depend on, each other one is an utterance's, in the manifest's order. What
a kill or a power cut has spoiled, and all behind it, is decoded again.
"""

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from asr.corpus.manifest import Utterance
from asr.errors import AudioError, CheckpointError
from asr.files import naming
from asr.foreign_bytes import json_value, reading
from asr.recognition.recognizer import Recognizer

UNFINISHED = "decoded.part.jsonl"
"""Name of the file beside the results; it goes when they are there."""
CHUNK = 512
"""Utterances whose audio is in memory at once, that are decoded together, and that are lost at most."""


class Decoded(NamedTuple):
    """One hypothesis."""

    text: str
    score: float
    """What the search ranks by."""


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
    """What stands in a file already of the results of some utterances; it is only looked at until `finish` goes on with it.

    `started_with`: all that the hypotheses depend on; a file that was started with anything else counts as none.
    """

    def __init__(self, path: Path, started_with: dict, utterances: Sequence[Utterance]):
        self.path, self.utterances = path, utterances
        self.head = json.dumps(started_with, ensure_ascii=False).encode() + b"\n"
        self.results: list[Result] = []
        """Results of the first utterances, as many as CHUNK goes into, or of all: chunks are decoded as if never interrupted."""
        self.size = 0
        """Bytes of the file in which they stand."""
        data = path.read_bytes() if path.is_file() else b""
        if data.startswith(self.head):
            self._take(data[len(self.head) :].split(b"\n")[:-1])

    def _take(self, lines: list[bytes]) -> None:
        for line, utterance in zip(lines, self.utterances, strict=False):
            if (result := _parsed(line, utterance.id)) is None:
                break
            self.results.append(result)
        if not self.whole:
            del self.results[len(self.results) // CHUNK * CHUNK :]
        self.size = len(self.head) + sum(len(line) + 1 for line in lines[: len(self.results)])

    @property
    def whole(self) -> bool:
        """Whether nothing is left to do."""
        return len(self.results) == len(self.utterances)

    def finish(self, recognizer: Recognizer, say: Callable[[str], None]) -> list[Result]:
        """The result of each utterance in order. What the file lacks is decoded and added to it."""
        if self.results:
            say(f"{self.path}: {len(self.results):,} of {len(self.utterances):,} utterances are decoded already")
        left = self.utterances[len(self.results) :]
        started, seconds = time.monotonic(), sum(u.duration for u in left)
        with naming(self.path), open(self.path, "ab") as file:
            os.ftruncate(file.fileno(), self.size)
            if not self.size:
                file.write(self.head)
            for first in range(0, len(left), CHUNK):
                chunk = left[first : first + CHUNK]
                results = _recognized(recognizer, chunk)
                for u, result in zip(chunk, results, strict=True):
                    file.write(json.dumps({"id": u.id} | result.to_json(), ensure_ascii=False).encode() + b"\n")
                file.flush()
                self.results += results
        if left:
            took = time.monotonic() - started
            say(f"decoded {seconds / 3600:.3f} h in {took:.1f} s: RTF {took / seconds:.4f}")
        return self.results


def _recognized(recognizer: Recognizer, utterances: Sequence[Utterance]) -> list[Result]:
    heard, errors = [], {}
    for u in utterances:
        try:
            heard.append(u.read())
        except AudioError as error:
            errors[u.id] = str(error)
    found = iter(recognizer.recognize(heard))
    return [Result(NOTHING, errors[u.id]) if u.id in errors else _result(next(found)) for u in utterances]


def _result(nbest: Sequence) -> Result:
    return Result(tuple(Decoded(r.text, round(r.hypothesis.score, 4)) for r in nbest))


def _parsed(line: bytes, id: str) -> Result | None:
    """The result on a line; None for a line that is not whole, or another utterance's."""
    try:
        with reading(UNFINISHED, CheckpointError):
            entry = json_value(line.decode())
            nbest = tuple(Decoded(each["text"], each["score"]) for each in entry["nbest"])
            error = entry.get("error", "")
            sound = nbest and all(isinstance(d.text, str) and isinstance(d.score, float) for d in nbest)
            return Result(nbest, error) if sound and entry["id"] == id and isinstance(error, str) else None
    except CheckpointError:
        return None
