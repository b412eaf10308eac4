"""How many may be served at once; whoever comes when all slots are taken is told when to come again."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from asr.serving.refusals import BadRequest

LONGEST_RETRY = 600.0
"""Seconds after which a client that was refused is asked to come again, at most."""


def a_second() -> float:
    return 1.0


class ConcurrencyLimit:
    """So many slots, and how many are taken."""

    def __init__(self, most: int, of: str, each: Callable[[], float] = a_second):
        """of: what those who have a slot are called, in messages. each: the seconds that one takes."""
        self.most, self.of, self.each = most, of, each
        self.taken = 0

    @contextmanager
    def slot(self) -> Iterator[None]:
        """A slot. Raises BadRequest (429, with Retry-After) where there is none left."""
        self.check()
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1

    def check(self) -> None:
        """Raises what `slot` raises now."""
        if self.taken >= self.most:
            seconds = max(1, round(min(LONGEST_RETRY, self.taken * self.each())))
            raise BadRequest(
                f"{self.taken} {self.of} are here already; come again in {seconds} s",
                status=429,
                headers={"Retry-After": str(seconds)},
            )
