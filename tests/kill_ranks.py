"""Kills one process of several that train at random moments, or fills its disk; runs them again, and compares.

    python -m tests.kill_ranks [--times 50] [--processes 2] [--seed 1]

The processes are those that torchrun would start, forked from this one, which has imported all that takes time. In most trials
a random one of them gets SIGKILL after a random time, in the others the first may write no more than a random number of bytes
into a file, as on a full disk. The others must have ended within a minute, and what is there must be a state that can be gone on
from; the same command, killed again in some trials, then comes to the same files as an undisturbed run, but for times.
"""

import argparse
import os
import random
import resource
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import torch

from asr.training import distributed
from asr.training.checkpoint import load_state
from tests.kills import AGAIN, TRAIN, Job, be_the_command, contents, fresh, import_what_it_takes, prepare_for_training

MINUTE = 60.0
FULL = 0.2
"""Share of the trials whose disk is full."""
COMMAND = [*TRAIN, "--set=train.accumulate=2", "--set=train.max_steps=12"]
JOB = Job(COMMAND, prepare_for_training, "run", 50)


@dataclass
class Ended:
    """What became of the processes."""

    statuses: list[int]
    """As a shell has them, negative for a signal."""
    seconds: float
    """Until the last had ended."""
    waited: float
    """Seconds of them behind the first that ended."""
    said: str
    """What the first process printed."""


def run(folder: Path, processes: int, kill: tuple[int, float] | None = None, room: int | None = None) -> Ended:
    """Runs the command; `kill`: a process and the second in which it is killed; `room`: bytes that a file may have."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started, pids = time.monotonic(), []
    for rank in range(processes):
        (folder / f".log{rank}").touch()  # it may be killed before it has made it
        pids.append(os.fork())
        if not pids[-1]:
            there = {
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": port,
                "WORLD_SIZE": processes,
                "RANK": rank,
                "LOCAL_RANK": rank,
            }
            os.environ |= {name: str(value) for name, value in there.items()}
            if room is not None and rank == 0:
                resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
            be_the_command(JOB, folder, folder / f".log{rank}", folder / f".changes{rank}", 0, None)
    statuses: dict[int, int] = {}
    first = 0.0
    while len(statuses) < processes:
        for rank, pid in enumerate(pids):
            if rank not in statuses and (ended := os.waitpid(pid, os.WNOHANG))[0]:
                statuses[rank] = os.waitstatus_to_exitcode(ended[1])
                first = first or time.monotonic()
        if kill and time.monotonic() - started >= kill[1]:
            if kill[0] not in statuses:
                os.kill(pids[kill[0]], signal.SIGKILL)
            kill = None
        if first and time.monotonic() - first > MINUTE:
            for rank, pid in enumerate(pids):
                if rank not in statuses:
                    os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)
    now = time.monotonic()
    said = (folder / ".log0").read_text(encoding="utf-8")
    return Ended([statuses[rank] for rank in range(processes)], now - started, now - first, said)


def trials(times: int, processes: int, seed: int, work: Path) -> list[str]:
    """What went wrong in so many trials, a line each."""
    chance, wrong, folder = random.Random(seed), [], work / "trial"
    fresh(JOB, folder)
    import_what_it_takes(JOB, folder)
    fresh(JOB, folder)
    whole = run(folder, processes)
    expected = contents(folder / JOB.out)
    if any(whole.statuses):
        return [f"undisturbed: {whole.statuses}: {whole.said}"]
    size = (folder / JOB.out / "state.pt").stat().st_size
    for trial in range(times):
        fresh(JOB, folder)
        story = []
        for _ in range(1 + (chance.random() < AGAIN)):
            full = chance.random() < FULL
            how = (
                {"room": chance.randrange(1000, size)}
                if full
                else {"kill": (chance.randrange(processes), whole.seconds * chance.random())}
            )
            ended = run(folder, processes, **how)
            story.append(f"{how} {ended.statuses}")
            if ended.waited > MINUTE:
                wrong.append(f"trial {trial} {story}: the others were there after a minute")
            try:
                load_state(folder / JOB.out)
            except Exception as error:
                wrong.append(f"trial {trial} {story}: {error}")
        last = run(folder, processes)
        found = contents(folder / JOB.out)
        if any(last.statuses):
            wrong.append(f"trial {trial} {story}: {last.statuses}: {last.said}")
        elif found != expected:
            differing = {name for name, _ in found.items() ^ expected.items()}
            wrong.append(f"trial {trial} {story}: differs in {sorted(differing)}")
        print(f"trial {trial}: {'; '.join(story)}", flush=True)
    return wrong


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, usual in (("times", 50), ("processes", 2), ("seed", 1)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    distributed.JOINING = timedelta(seconds=20)  # there is no launcher here, which ends the others where one dies early
    with tempfile.TemporaryDirectory(prefix="asr-kill-ranks-") as work:
        wrong = trials(given.times, given.processes, given.seed, Path(work))
    print("".join(f"  {line}\n" for line in wrong) + f"{given.times} trials, {len(wrong)} wrong")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
