"""Processes that end at a chosen file, or whose disk is full, so that no test waits for the right moment."""

import sys

SCRIPT = """
import os, signal, sys

left, when, rename = int(sys.argv.pop(1)), sys.argv.pop(1), os.replace


def counted(*paths, **options):
    global left
    left -= 1
    if not left and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    rename(*paths, **options)
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)


os.replace = counted
from asr.cli import main

main()
"""


def killed_at_file(n: int, when: str = "after") -> list[str]:
    """The beginning of a command in the place of `asr`, which kills itself when it gives the n-th file its name.

    `when`: "before" or "after" it has done so; before, the file is there under a temporary name.
    """
    return [sys.executable, "-c", SCRIPT, str(n), when]


def files_end_at(size: int) -> str:
    """The beginning of a program whose files can have so many bytes: writing more fails as on a full disk."""
    return f"""
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))
"""
