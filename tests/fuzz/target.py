"""What a target is, and all there are: every module of tests/fuzz/targets has a dict TARGETS of its own, by name."""

import importlib
import io
import pkgutil
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from random import Random

from tests.fuzz import targets
from tests.fuzz.mutate import Files, mutate_files


@dataclass(frozen=True)
class Target:
    run: Callable[[Path], object]
    """Reads the files of one input, which lie in the folder it is given; it may raise AsrError and nothing else."""
    seeds: Callable[[], list[Files]]
    """Good inputs to begin from, the same each time. They are the first inputs that are tried, as they are."""
    mutate: Callable[[Random, list[Files]], Files] = mutate_files
    """An input from the seeds."""
    in_tests: int = 100
    """How many inputs `make test` tries: a second or two of them."""

    @cached_property
    def made_seeds(self) -> list[Files]:
        return self.seeds()

    def input(self, name: str, number: int) -> Files:
        """Input `number` of the target called `name`: the seeds first, then what is made of them."""
        if number < len(self.made_seeds):
            return self.made_seeds[number]
        return self.mutate(Random(f"{name} {number}"), self.made_seeds)


def all_targets() -> dict[str, Target]:
    found: dict[str, Target] = {}
    for module in pkgutil.iter_modules(targets.__path__):
        found |= importlib.import_module(f"{targets.__name__}.{module.name}").TARGETS
    return found


def run_command(*arguments: object) -> str:
    """Runs the `asr` command in this process and returns what it says on stderr.

    Raises AssertionError where it ends otherwise than with status 0, 1 or 2, and whatever it lets through: a traceback.
    """
    from asr.cli import main

    said, status = io.StringIO(), 0
    sys.argv = ["asr", *map(str, arguments)]
    with redirect_stdout(io.StringIO()), redirect_stderr(said):
        try:
            main()
        except SystemExit as ended:
            status = ended.code or 0
    assert status in (0, 1, 2), f"status {status}"
    assert "Traceback" not in said.getvalue(), said.getvalue()[-2000:]
    return said.getvalue()
