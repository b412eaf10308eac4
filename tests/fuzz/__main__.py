"""The long run: every target in turn, new inputs each round, until the time is over.

    python -m tests.fuzz --minutes 30 [--only NAME …] [--inputs N] [--seed N]

A line for each target at the end; status 1 where an input failed. Failing inputs are kept in tests/fuzz/failures.
"""

import argparse
import sys
import time
from contextlib import suppress

from tests.fuzz.engine import Engine, Tally
from tests.fuzz.target import all_targets

ROUND = 200
"""Inputs of a target before the next one's turn."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--inputs", type=int, default=10**9, help="of each target, at most")
    parser.add_argument("--first", type=int, default=0, help="number of the first input, for others than before")
    parser.add_argument("--only", nargs="*", help="targets, or beginnings of their names")
    wanted = parser.parse_args()
    names = [name for name in all_targets() if not wanted.only or name.startswith(tuple(wanted.only))]
    tallies = {name: Tally() for name in names}
    until = time.monotonic() + 60 * wanted.minutes
    done = 0
    with Engine() as engine, suppress(KeyboardInterrupt):  # what was done so far is told all the same
        while done < wanted.inputs and time.monotonic() < until:
            for name, tally in tallies.items():
                if time.monotonic() < until:
                    _round(engine, name, wanted.first + done, min(ROUND, wanted.inputs - done), tally)
            done += ROUND
    for name, tally in tallies.items():
        print(f"{name:24s} {tally}")
    sys.exit(any(tally.failures for tally in tallies.values()))


def _round(engine: Engine, name: str, first: int, inputs: int, tally: Tally) -> None:
    known = set(tally.failures)
    engine.run(name, first, inputs, tally)
    for file in set(tally.failures) - known:
        print(f"{file}: {tally.failures[file]}\n", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
