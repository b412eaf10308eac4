"""Targets that go wrong, to see that it is seen; there are none of them unless a test asks."""

import ctypes
import os

from asr.errors import AsrError
from tests.fuzz.target import Target


def _crash(folder):
    ctypes.string_at(0)


def _untyped(folder):
    raise IndexError(2)


def _memory(folder):
    assert len(b"1" * 1_600_000_000) > 1


def _refused_memory(folder):
    try:
        bytearray(10**13)
    except MemoryError as error:
        raise AsrError("too large") from error


FAULTS = {
    "crash": _crash,
    "untyped": _untyped,
    "memory": _memory,
    "refused memory": _refused_memory,
}
FILES = {"a": b"1", "b/c": b"2", "d/": b""}
TARGETS = (
    {name: Target(run, lambda: [FILES]) for name, run in FAULTS.items()} if "FUZZ_THE_FUZZER" in os.environ else {}
)
