"""Kills one process of several that train at random moments, or fills its disk; runs them again, and compares.

    python -m tests.kill_ranks [--times 50] [--processes 2] [--seed 1] [--sharding full]

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
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import torch

from asr.training import distributed
from asr.training.checkpoint import load_state
from asr.training.train_config import SHARDINGS
from tests.kills import AGAIN, TRAIN, Job, be_the_command, contents, fresh, import_what_it_takes, prepare_for_training

MINUTE = 60.0
FULL = 0.2
"""Share of the trials whose disk is full."""
FORESEEN = (0, 1, distributed.BYSTANDER, -signal.SIGKILL)
"""Statuses: done, an error of which the program tells in words, beside one that told or died, killed."""
JOB = Job([*TRAIN, "--set=train.accumulate=2"], prepare_for_training, "run", 50)


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
    unforeseen: str
    """The last line of each that ended in a way that nothing foresees."""


def run(
    job: Job, folder: Path, processes: int, kill: tuple[int, float] | None = None, room: int | None = None
) -> Ended:
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
            be_the_command(job, folder, folder / f".log{rank}", folder / f".changes{rank}", 0, None)
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
    logs = [(folder / f".log{rank}").read_text(encoding="utf-8") for rank in range(processes)]
    unforeseen = [log.rstrip().rpartition("\n")[2] for rank, log in enumerate(logs) if statuses[rank] not in FORESEEN]
    ended = [statuses[rank] for rank in range(processes)]
    return Ended(ended, now - started, now - first, logs[0], "; ".join(unforeseen))


def trials(job: Job, times: int, processes: int, seed: int, *, work: Path) -> tuple[list[str], int]:
    """What went wrong in so many trials, a line each, and in how many runs a process was ended before it was done."""
    chance, wrong, met, folder = random.Random(seed), [], 0, work / "trial"
    fresh(job, folder)
    import_what_it_takes(job, folder)
    fresh(job, folder)
    whole = run(job, folder, processes)
    expected = contents(folder / job.out)
    if any(whole.statuses):
        return [f"undisturbed: {whole.statuses}: {whole.said}"], 0
    size = (folder / job.out / "state.pt").stat().st_size
    for trial in range(times):
        fresh(job, folder)
        story = []
        for _ in range(1 + (chance.random() < AGAIN)):
            full = chance.random() < FULL
            how = (
                {"room": chance.randrange(1000, size)}
                if full
                else {"kill": (chance.randrange(processes), whole.seconds * chance.random())}
            )
            ended = run(job, folder, processes, **how)
            story.append(f"{how} {ended.statuses}")
            met += any(ended.statuses)
            if ended.unforeseen:
                wrong.append(f"trial {trial} {story}: {ended.unforeseen}")
            if ended.waited > MINUTE:
                wrong.append(f"trial {trial} {story}: the others were there after a minute")
            try:
                load_state(folder / job.out)
            except Exception as error:
                wrong.append(f"trial {trial} {story}: {error}")
        last = run(job, folder, processes)
        found = contents(folder / job.out)
        if any(last.statuses):
            wrong.append(f"trial {trial} {story}: {last.statuses}: {last.said}")
        elif found != expected:
            differing = {name for name, _ in found.items() ^ expected.items()}
            wrong.append(f"trial {trial} {story}: differs in {sorted(differing)}")
        print(f"trial {trial}: {'; '.join(story)}", flush=True)
    return wrong, met


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, usual in (("times", 50), ("processes", 2), ("seed", 1), ("steps", 12)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    parser.add_argument("--sharding", choices=SHARDINGS, default="none", help="full: each has a part of the network")
    given = parser.parse_args(arguments)
    settings = (f"--set=train.sharding={given.sharding}", f"--set=train.max_steps={given.steps}")
    job = replace(JOB, command=[*JOB.command, *settings])
    torch.set_num_threads(1)
    distributed.JOINING = timedelta(seconds=10)  # there is no launcher here, which ends the others where one dies early
    with tempfile.TemporaryDirectory(prefix="asr-kill-ranks-") as work:
        wrong, met = trials(job, given.times, given.processes, given.seed, work=Path(work))
    print(
        "".join(f"  {line}\n" for line in wrong) + f"{given.times} trials, {met} runs ended early, {len(wrong)} wrong"
    )
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
