"""Runs targets in a worker process, starts another where it died, and keeps the inputs that failed."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.keeping import keep, read_folder

ROOT = Path(__file__).parent.parent.parent
FAILURES = Path(__file__).parent / "failures"
INPUTS_OF_A_PROCESS = 1000
"""After so many another process takes over: libraries keep a little of what they read."""

MEANING = {signal.SIGPROF: "hang: 10 s of CPU time", signal.SIGALRM: "hang: 120 s of waiting"}


@dataclass
class Tally:
    """What came of a target's inputs."""

    inputs: int = 0
    accepted: int = 0
    """Inputs that were read, mutated or not."""
    failed: int = 0
    failures: dict[str, str] = field(default_factory=dict)
    """What went wrong, by the name of the file that keeps the input: one for each place in the program."""
    places: set[str] = field(default_factory=set)
    slowest: float = 0.0
    """Seconds."""
    peak: int = 0
    """Bytes held at once by the process."""

    def __str__(self) -> str:
        return (
            f"{self.inputs:7d} inputs  {self.accepted:7d} accepted  {self.failed:5d} failures"
            f"  slowest {self.slowest:5.2f} s  peak {self.peak / 1e6:5.0f} MB"
        )


class Engine:
    """A worker process and the folder it works in; to be used in a `with` block."""

    def __init__(self, keep_in: Path = FAILURES) -> None:
        self.keep_in = keep_in
        self._folder = tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
        self._worker: subprocess.Popen | None = None
        self._given = 0

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *_) -> None:
        self._end()
        self._folder.cleanup()

    def run(self, target: str, first: int, inputs: int, tally: Tally) -> None:
        """Runs inputs `first` to `first + inputs` of a target and adds what came of them."""
        following, end = first, first + inputs
        while following < end:
            following = self._batch(target, following, end, tally)

    def replay(self, file: Path) -> str:
        """What is wrong with how an input that was kept is read now; "" for nothing."""
        worker = self._living()
        self._tell({"replay": str(file)})
        for line in worker.stdout:
            wrong = json.loads(line)["wrong"]
            if wrong:
                self._tell({"taken": 0})
            return wrong
        return self._cause_of_death()

    def _tell(self, job: dict) -> None:
        self._worker.stdin.write(json.dumps(job) + "\n")
        self._worker.stdin.flush()

    def _batch(self, target: str, first: int, end: int, tally: Tally) -> int:
        """Runs inputs until all are done or the worker dies; the number of the one that follows."""
        worker = self._living()
        self._given += end - first
        self._tell({"target": target, "first": first, "inputs": end - first})
        following = first
        for line in worker.stdout:
            answer = json.loads(line)
            if answer is None:
                return end
            following = answer["number"] + 1
            self._add(target, answer, tally)
            if answer["wrong"]:
                self._tell({"taken": answer["number"]})
        death = {"wrong": self._cause_of_death(), "accepted": False, "seconds": 0.0, "peak": 0}
        self._add(target, {**death, "place": death["wrong"]}, tally)
        return following + 1

    def _living(self) -> subprocess.Popen:
        if self._worker is None or self._worker.poll() is not None or self._given > INPUTS_OF_A_PROCESS:
            self._end()
            self._given = 0
            self._worker = subprocess.Popen(
                [sys.executable, "-X", "faulthandler", "-m", "tests.fuzz.worker", self._folder.name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd=ROOT,
                env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "TMPDIR": self._folder.name},
                text=True,
            )
        return self._worker

    def _end(self) -> None:
        if self._worker is not None:
            self._worker.stdin.close()
            self._worker.stdout.close()
            self._worker.terminate()
            self._worker.wait()

    def _cause_of_death(self) -> str:
        status = self._worker.wait()
        log = Path(self._folder.name) / "log"
        said = log.read_text(errors="replace")[-1500:] if log.exists() else ""
        return f"{MEANING.get(-status, f'the process died with status {status}')}\n{said}"

    def _add(self, target: str, answer: dict, tally: Tally) -> None:
        tally.inputs += 1
        tally.accepted += answer["accepted"]
        tally.slowest = max(tally.slowest, answer["seconds"])
        tally.peak = max(tally.peak, answer["peak"])
        if answer["wrong"]:
            tally.failed += 1
        if answer["wrong"] and answer["place"] not in tally.places:
            tally.places.add(answer["place"])
            tally.failures[keep(self.keep_in, target, read_folder(Path(self._folder.name) / "input"))] = answer["wrong"]
