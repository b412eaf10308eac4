"""A list of work shared by the processes that torchrun started; one process alone takes all of it.

Whoever is free takes the next item, so a fast machine or a list of uneven recordings leaves nobody idle.
"""

import time
from collections.abc import Iterator

from asr.launcher import processes, rank

POLL_SECONDS = 0.1


class Shares:
    """The processes that share a list, and what they count together."""

    def __init__(self):
        self.rank, self.processes = rank(), processes()
        self.store = None
        if self.processes > 1:
            from torch.distributed.rendezvous import rendezvous

            self.store, *_ = next(rendezvous("env://"))
        self.counts: dict[str, int] = {}

    def items(self, n: int) -> Iterator[int]:
        """Which of `n` items, numbered from 0, this process takes, one at a time."""
        while (number := self.add("taken", 1) - 1) < n:
            yield number

    def add(self, name: str, amount: int) -> int:
        """Adds to a common count; the count after that."""
        if self.store is not None:
            try:
                return self.store.add(name, amount)
            except RuntimeError as error:  # the first process has ended, and has said itself why
                raise SystemExit(1) from error
        self.counts[name] = self.counts.get(name, 0) + amount
        return self.counts[name]

    def meet(self, where: str) -> None:
        """Until every process has come there."""
        self.add(where, 1)
        self.wait_for(where, self.processes)

    def wait_for(self, name: str, amount: int) -> None:
        """Until a common count is so much."""
        while self.add(name, 0) < amount:
            time.sleep(POLL_SECONDS)

    def wait(self) -> None:
        """Until every process is done: torchrun would stop the others as soon as one ends with a status that is not 0."""
        self.meet("finished")
        self.add("left", 1)
        if self.rank == 0:  # the counts may live in this process
            self.wait_for("left", self.processes)
