"""Search time of attention decoders of the same shape, ours and other toolkits', in turn in one run.

    python benchmarks/decoding.py --peer transformers=VENV/bin/python --peer speechbrain=… --peer fireredasr=… \\
        --peer wenet=CHECKOUT

A folder in the place of a Python is a checkout, here of WeNet, whose decoder runs in this Python.
Each toolkit runs in a Python of its own, which keeps its model loaded and waits; one at a time, in turn, so that whatever
else the machine does meets all of them. A turn is four searches; the first is not counted. Random weights: 6 decoder layers of
width 256, 4 heads, feed-forward 2048, 4,232 tokens; a memory of 125 frames (5 s of audio), exactly 20 steps, one thread; float32
but for ours:bfloat16 and ours:int8. It is the search alone: the encoder is not timed (programs.py times whole programs).
"""

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path

from asr.model.inference import packs_bfloat16

WORKERS = Path(__file__).parent / "workers"
THREADS = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}


class Worker:
    """A process that works when it is sent a line, and answers with the seconds that it took."""

    def __init__(self, name: str, python: str, script: str, *arguments: str):
        command = [python, str(WORKERS / f"{script}.py"), *arguments]
        self.name = name
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **THREADS}
        )

    def run(self) -> float:
        """Seconds of one turn."""
        self.process.stdin.write("run\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith("seconds "):
                return float(line.split()[1])
        raise SystemExit(f"{self.name}: stopped with status {self.process.wait()}")


def compare(commands: dict[str, list[str]], rounds: int) -> dict[str, float]:
    """Name → median seconds of `rounds` turns of a worker: a Python, a script of WORKERS and its arguments."""
    workers = [Worker(name, *command) for name, command in commands.items()]
    for worker in workers:
        worker.run()  # the first is not counted
        worker.run()
    times: dict[str, list[float]] = {worker.name: [] for worker in workers}
    for _ in range(rounds):
        for worker in workers:
            times[worker.name].append(worker.run())
    for worker in workers:
        worker.process.stdin.close()
        worker.process.wait()
    return {name: statistics.median(seconds) for name, seconds in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--peer", action="append", default=[], metavar="NAME=PYTHON", help="may be repeated; wenet=CHECKOUT"
    )
    parser.add_argument("--beam", type=int, action="append", help="default: 10 and 1")
    parser.add_argument("--rounds", type=int, default=11, help="turns (default: %(default)s)")
    options = parser.parse_args()
    pythons = dict.fromkeys(("ours", *(["ours:bfloat16"] if packs_bfloat16() else []), "ours:int8"), sys.executable)
    pythons |= dict(peer.split("=", 1) for peer in options.peer)
    for beam in options.beam or [10, 1]:
        commands = {}
        for name, python in pythons.items():
            script, _, variant = name.partition(":")
            if Path(python).is_dir():
                python, variant = sys.executable, python
            commands[name] = [python, script, str(beam), *([variant] if variant else [])]
        medians = compare(commands, options.rounds)
        print(f"beam {beam}, search alone, medians of {options.rounds}")
        for name, seconds in medians.items():
            print(f"  {name:13} {1000 * seconds:7.1f} ms   {seconds / medians['ours']:6.2f} x ours")


if __name__ == "__main__":
    main()
