"""A list of work shared by the processes that torchrun started; one process alone takes all of it.

Whoever is free takes the next item, so a fast machine or a list of uneven recordings leaves nobody idle.
"""

import time
from collections.abc import Iterator

from asr.launcher import processes, rank

POLL_SECONDS = 0.1


class Shares:
    """The processes' common list of `n` items, numbered from 0, and what they count together."""

    def __init__(self, n: int):
        self.n = n
        self.rank, self.processes = rank(), processes()
        self.store = None
        if self.processes > 1:
            from torch.distributed.rendezvous import rendezvous

            self.store, *_ = next(rendezvous("env://"))
        self.counts: dict[str, int] = {}

    def items(self) -> Iterator[int]:
        """The numbers that this process takes, one at a time."""
        while (number := self.add("taken", 1) - 1) < self.n:
            yield number

    def add(self, name: str, amount: int) -> int:
        """Adds to a common count; the count after that."""
        if self.store is not None:
            return self.store.add(name, amount)
        self.counts[name] = self.counts.get(name, 0) + amount
        return self.counts[name]

    def wait(self) -> None:
        """Until every process has come here: torchrun would stop the others as soon as one ends with a status that is not 0."""
        self.add("finished", 1)
        while self.add("finished", 0) < self.processes:
            time.sleep(POLL_SECONDS)
        self.add("left", 1)
        while self.rank == 0 and self.add("left", 0) < self.processes:
            time.sleep(POLL_SECONDS)  # the counts may live in this process
