"""What `asr evaluate` has decoded so far, kept on disk, so that the same command goes on after an interruption."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from asr.corpus.manifest import Utterance
from asr.decoding.recognizer import Recognizer

UNFINISHED = "decoded.part.jsonl"
"""Name of the file beside the results; it goes when they are there."""
CHUNK = 512
"""Utterances whose audio is in memory at once, and that are lost at most."""


class Decoded(NamedTuple):
    """One hypothesis."""

    text: str
    score: float
    """What the search ranks by."""


def decoded(
    recognizer: Recognizer,
    utterances: Sequence[Utterance],
    path: Path,
    started_with: dict,
    say: Callable[[str], None],
) -> Iterator[list[Decoded]]:
    """The n-best list of each utterance in order. What stands in the file is taken from there, and the rest added to it.

    `started_with`: all that the hypotheses depend on; a file that was started with anything else is begun anew.
    """
    known = _read(path, started_with)
    if known:
        say(f"{path}: {len(known):,} of {len(utterances):,} utterances are decoded already")
    else:
        path.write_text(json.dumps(started_with, ensure_ascii=False) + "\n", encoding="utf-8")
    left = [u for u in utterances if u.id not in known]
    started, seconds = time.monotonic(), sum(u.duration for u in left)
    with open(path, "a", encoding="utf-8") as file:
        for first in range(0, len(left), CHUNK):
            chunk = left[first : first + CHUNK]
            for u, results in zip(chunk, recognizer.recognize([u.read() for u in chunk]), strict=True):
                known[u.id] = [Decoded(r.text, round(r.hypothesis.score, 4)) for r in results]
                file.write(json.dumps({"id": u.id, "nbest": known[u.id]}, ensure_ascii=False) + "\n")
            file.flush()
    if left:
        took = time.monotonic() - started
        say(f"decoded {seconds / 3600:.3f} h in {took:.1f} s: RTF {took / seconds:.4f}")
    yield from (known[u.id] for u in utterances)


def _read(path: Path, started_with: dict) -> dict[str, list[Decoded]]:
    """Whole lines of the file, if it was started with the same; a last line that was cut off is left out, also on disk."""
    if not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        path.write_text("".join(lines[:-1]), encoding="utf-8")
        lines.pop()
    if not lines or json.loads(lines[0]) != started_with:
        return {}
    entries = map(json.loads, lines[1:])
    return {entry["id"]: [Decoded(*each) for each in entry["nbest"]] for entry in entries}
