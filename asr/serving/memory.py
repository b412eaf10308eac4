"""How a server that runs for weeks holds its memory. Only glibc has to be told; elsewhere nothing happens."""

import ctypes
import os
from collections.abc import Callable

M_ARENA_MAX = -8
"""Of mallopt, in glibc's malloc.h."""


def share_one_heap() -> None:
    """All threads of this process take memory from one place. Called before there are threads.

    Each has a place of its own otherwise, which stays as large as the largest recording that this thread ever worked on.
    """
    if mallopt := _function("mallopt"):
        mallopt(M_ARENA_MAX, 1)


def give_back() -> None:
    """Memory that is free in between goes back to the system; it takes milliseconds."""
    if trim := _function("malloc_trim"):
        trim(0)


def _function(name: str) -> Callable[[int], int] | Callable[[int, int], int] | None:
    return getattr(ctypes.CDLL(None), name, None) if os.name == "posix" else None
