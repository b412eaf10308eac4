"""A server to measure, and what the system says of its process."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Process:
    """A process, as Linux shows it."""

    pid: int

    def cpu(self) -> float:
        """Seconds of CPU so far, of all its threads."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory(self) -> float:
        """Megabytes in memory."""
        return self._status("VmRSS") / 1024

    def threads(self) -> int:
        """Threads that it has."""
        return self._status("Threads")

    def files(self) -> list[str]:
        """What it holds open: files, sockets, pipes."""
        held = []
        for number in os.listdir(f"/proc/{self.pid}/fd"):
            try:
                held.append(os.readlink(f"/proc/{self.pid}/fd/{number}"))
            except FileNotFoundError:
                pass  # closed since it was listed
        return held

    def _status(self, name: str) -> int:
        found = re.search(rf"^{name}:\s+(\d+)", Path(f"/proc/{self.pid}/status").read_text(), re.MULTILINE)
        assert found, name
        return int(found[1])


@contextmanager
def serving(options: str, **environment: str) -> Iterator[tuple[str, Process]]:
    """`asr serve` with these options at a free port: host:port, and its process. It is ended in the end."""
    command = [sys.executable, "-m", "asr", "serve", "--port", "0", *shlex.split(options)]
    server = subprocess.Popen(command, cwd=ROOT, env=os.environ | environment, stderr=subprocess.PIPE, text=True)
    assert server.stderr
    try:
        line = server.stderr.readline()
        found = re.search(r"http://([^/]+)/", line)
        if not found:
            raise SystemExit(f"the server does not start: {line}{server.stderr.read()}")
        yield found[1], Process(server.pid)
    finally:
        server.terminate()
        server.wait(30)
