"""The process in which targets run: `python -m tests.fuzz.worker FOLDER`.

It reads a line of JSON for each job and answers with a line for each input. What an input's files were lies in FOLDER while
it runs, so that whoever waits finds them there when the process is gone.
"""

import json
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

from asr.errors import AsrError
from tests.fuzz.keeping import kept, lay_out
from tests.fuzz.mutate import Files
from tests.fuzz.target import Target, all_targets

SECONDS = 10
"""Of CPU time that an input may take; the process ends where it takes more."""
WAITING_SECONDS = 120
"""Of the clock, for what waits rather than computes: many other programs may be running."""
MEMORY = 1_500_000_000
"""Bytes that the whole process may hold at once."""
ADDRESSES = 6_000_000_000
"""Bytes of addresses beyond those that the libraries take: what asks for more at once is refused, and told."""


def main(folder: Path) -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    targets = all_targets()
    ready: set[str] = set()
    for line in sys.stdin:
        job = json.loads(line)
        for name, number, files in _inputs(job, targets):
            if name not in ready:
                ready.add(name)
                _make_ready(targets[name], name, folder / "input")
            lay_out(files, folder / "input")
            answer = _measured(targets[name], folder / "input")
            answers.write(json.dumps({"number": number, **answer}) + "\n")
            if answer["wrong"]:
                sys.stdin.readline()  # until the files have been taken
        if "replay" not in job:
            answers.write("null\n")


def _inputs(job: dict, targets: dict[str, Target]) -> Iterator[tuple[str, int, Files]]:
    if "replay" in job:
        name, files = kept(Path(job["replay"]))
        yield name, 0, files
    else:
        name = job["target"]
        for number in range(job["first"], job["first"] + job["inputs"]):
            yield name, number, targets[name].input(name, number)


def _make_ready(target: Target, name: str, folder: Path) -> None:
    """The first seed, so that what is imported and made once counts for no input; then the limit holds."""
    lay_out(target.input(name, 0), folder)
    signal.setitimer(signal.ITIMER_PROF, 10 * SECONDS)
    _tried(target, folder)
    _limit_addresses()


def _limit_addresses() -> None:
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (taken + ADDRESSES, resource.RLIM_INFINITY))


def _measured(target: Target, folder: Path) -> dict:
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    signal.setitimer(signal.ITIMER_PROF, SECONDS)  # nobody handles these signals, so they end the process
    signal.setitimer(signal.ITIMER_REAL, WAITING_SECONDS)
    started = time.perf_counter()
    accepted, wrong, place = _tried(target, folder)
    seconds = time.perf_counter() - started
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.setitimer(signal.ITIMER_REAL, 0)
    peak = _peak()
    if peak > MEMORY and not wrong:
        wrong, place = f"memory: {peak / 1e9:.1f} GB at once", place or "memory"
    return {"accepted": accepted, "wrong": wrong, "place": place, "seconds": seconds, "peak": peak}


def _tried(target: Target, folder: Path) -> tuple[bool, str, str]:
    """Whether the input was accepted, what is wrong with how it was read, and where that is."""
    try:
        target.run(folder)
    except AsrError as error:
        return False, _wrong_with(error), _place(error)
    except BaseException as error:
        return False, traceback.format_exc()[-3000:], _place(error)
    return True, "", ""


def _place(error: BaseException) -> str:
    """The kind of an error and the last place in the program itself that it came through."""
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if "/asr/" in frame.filename]
    return f"{type(error).__name__} {own[-1].filename.rpartition('/asr/')[2]}:{own[-1].lineno}" if own else "elsewhere"


def _wrong_with(error: BaseException) -> str:
    """An error may be said as it should, and still come from memory that ran out."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError):
            return f"memory ran out before it was said: {_place(cause)}"
        cause = cause.__cause__ or cause.__context__
    return ""


def _peak() -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main(Path(sys.argv[1]))
