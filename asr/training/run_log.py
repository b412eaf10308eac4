"""The lines of numbers that a run writes down of itself: log.jsonl, and TensorBoard where it is asked for."""

import json
from collections.abc import Iterable
from pathlib import Path

from asr.errors import CheckpointError
from asr.files import atomic_write, naming
from asr.foreign_bytes import json_value, reading
from asr.training.start import LOG, QUARANTINE, step_of
from asr.training.tensorboard import Curves


class RunLog:
    """log.jsonl of a run that has come to a step, open for more lines. To be closed, or used with `with`."""

    def __init__(self, folder: Path, step: int, tensorboard: bool = False):
        for name in (LOG, QUARANTINE):
            _shorten(folder / name, step)
        self.notes = {str(line.get("note")) for line in _lines(folder / LOG)} if (folder / LOG).exists() else set()
        self.file = open(folder / LOG, "a", encoding="utf-8")
        self.curves = Curves(folder, _lines(folder / LOG)) if tensorboard else None

    def write(self, line: dict) -> None:
        """A line, which holds `step`; on disk when this returns."""
        with naming(self.file.name):
            self.file.write(json.dumps(line) + "\n")
            self.file.flush()
        if self.curves:
            self.curves.add(line)

    def note(self, step: int, text: str) -> None:
        """A line of words, once."""
        if text not in self.notes:
            self.notes.add(text)
            self.write({"step": step, "note": text})

    def write_once(self, line: dict) -> None:
        """A line, unless it is there already: a run that has ended may be started again."""
        if json.loads(json.dumps(line)) not in _lines(Path(self.file.name)):
            self.write(line)

    def close(self) -> None:
        self.file.close()
        if self.curves:
            self.curves.close()

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(self, *_) -> None:
        self.close()


def _lines(path: Path) -> Iterable[dict]:
    with reading(path, CheckpointError, "cannot be drawn") as place:
        for place.line, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            yield json_value(line)


def _shorten(path: Path, step: int) -> None:
    """Drops lines of steps that will be done again, after a kill between two checkpoints."""
    if path.exists():
        with reading(path, CheckpointError):
            # what is no character is in no whole line
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        kept = [line for line in lines if step_of(line) <= step]
        if len(kept) < len(lines):
            with atomic_write(path) as file:
                file.writelines(line + "\n" for line in kept)
