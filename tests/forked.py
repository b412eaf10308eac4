"""Commands in processes of their own, forked from one that has imported all that takes time: PyTorch alone takes seconds.

`Popen` and `run` are like those of subprocess, for arguments that begin `[sys.executable, "-m", …]` or `[…, "-c", …]`. What is
forked ends as any Python process does: with what atexit holds, and destructors. What a process does before it imports anything
is not tried this way.

The tests' own process → a server, which is started with the first command → one that waits, for each command → the command.
"""

import contextlib
import gc
import importlib
import json
import os
import re
import runpy
import signal
import socket
import subprocess
import sys
import threading
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from subprocess import DEVNULL, PIPE, CompletedProcess, TimeoutExpired
from typing import IO, Any

ROOT = Path(__file__).parent.parent
IMPORTED = (
    *("asr.cli.app", "asr.evaluation.evaluate", "asr.transcription.many_files", "asr.transcription.live"),
    *("asr.training.loop", "asr.training.worker", "asr.training.sharding", "asr.catalogue.opening"),
    *("asr.outputs.writers", "asr.finishing.finishing", "tests.runs"),
)
"""What commands would import each for itself."""
READ_AT_START = re.compile("PYTHON|LD_|DYLD_|MALLOC_|OMP_|CUDA_VISIBLE_DEVICES")
"""Variables that Python and libraries look at once, when they begin."""
THREADS = "OMP_NUM_THREADS"
"""The one of them that PyTorch can be told afterwards, too."""


def refuse_unlike(started: Mapping[str, str], wanted: Mapping[str, str]) -> None:
    """Raises ValueError where a process that began in one environment cannot be as if it had begun in the other."""
    differ = {name for name, _ in started.items() ^ wanted.items() if READ_AT_START.match(name)}
    if THREADS in wanted:
        differ.discard(THREADS)
    if differ:
        raise ValueError(f"{', '.join(sorted(differ))}: is looked at when a process begins, and this one has begun")


def be_in(environment: Mapping[str, str]) -> None:
    """This process goes on in another environment."""
    os.environ.clear()
    os.environ.update(environment)
    if THREADS in environment:
        import torch

        torch.set_num_threads(int(environment[THREADS]))


class Server:
    """What commands are forked from."""

    running: "Server | None" = None

    def __init__(self):
        self.socket, theirs = socket.socketpair()
        self.environment, self.lock = dict(os.environ), threading.Lock()
        with theirs:
            command = [sys.executable, "-m", "tests.forked", str(theirs.fileno())]
            # in a session of its own: what a terminal sends is not for it
            subprocess.Popen(command, cwd=ROOT, stdin=DEVNULL, pass_fds=[theirs.fileno()], start_new_session=True)

    def start(self, asked: dict[str, Any], descriptors: Sequence[int]) -> socket.socket:
        """Asks for a command; what is told of it comes from the socket, a number a line: its process, and how that ended."""
        refuse_unlike(self.environment, asked["environment"])
        ours, theirs = socket.socketpair()
        with self.lock, theirs:
            message = json.dumps(asked).encode() + b"\n"
            sent = socket.send_fds(self.socket, [message], [theirs.fileno(), *descriptors])
            self.socket.sendall(message[sent:])
        return ours


class Popen:
    """As subprocess.Popen; the process is no child of this one."""

    def __init__(
        self, args: Sequence[object], *, stdin: int | None = DEVNULL, stdout: int | None = None, stderr: int | None = None,
        text: bool = False, cwd: Path = ROOT, env: Mapping[str, str] | None = None, start_new_session: bool = False,
    ):  # fmt: skip
        self.args, self.returncode = list(map(str, args)), None
        executable, how, what, *arguments = self.args
        if executable != sys.executable or how not in ("-m", "-c"):
            raise ValueError(f"{self.args[:2]}: a process is forked for this Python's -m and -c alone")
        Server.running = Server.running or Server()
        streams: list[IO | None] = []
        given = []
        for number, wanted in enumerate((stdin, stdout, stderr)):
            theirs, ours = _ends(number, wanted)
            given.append(theirs)
            mode = ("w" if number == 0 else "r") + ("" if text else "b")
            encoding = "utf-8" if text else None
            streams.append(None if ours is None else open(ours, mode, encoding=encoding, buffering=1 if text else -1))
        self.stdin, self.stdout, self.stderr = streams
        asked = {"how": how, "what": what, "arguments": arguments, "folder": str(cwd), "session": start_new_session}
        asked["environment"] = dict(os.environ if env is None else env)
        try:
            self._told = Server.running.start(asked, given)
        finally:
            for theirs in given:
                os.close(theirs)
        self._lines = b""
        self.pid = self._number(60)

    def _number(self, timeout: float | None) -> int:
        self._told.settimeout(timeout)
        while b"\n" not in self._lines:
            if not (more := self._told.recv(64)):
                raise RuntimeError("the server that processes are forked from has died")
            self._lines += more
        number, _, self._lines = self._lines.partition(b"\n")
        return int(number)

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            try:
                self.returncode = self._number(timeout)
            except (TimeoutError, BlockingIOError):
                raise TimeoutExpired(self.args, timeout or 0) from None
            self._told.close()
        return self.returncode

    def poll(self) -> int | None:
        try:
            return self.wait(0)
        except TimeoutExpired:
            return None

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def communicate(self, input: str | bytes | None = None, timeout: float | None = None) -> tuple:
        """What it writes to stdout and to stderr, where these are pipes."""
        said: dict[str, str | bytes] = {}

        def read(name: str, stream: IO) -> None:
            said[name] = stream.read()

        pipes = {name: stream for name in ("stdout", "stderr") if (stream := getattr(self, name))}
        readers = [threading.Thread(target=read, args=pipe, daemon=True) for pipe in pipes.items()]
        for reader in readers:
            reader.start()
        if self.stdin:
            with self.stdin:
                self.stdin.write(input or type(input)())
        self.wait(timeout)
        for reader in readers:
            reader.join(timeout)
        return said.get("stdout"), said.get("stderr")

    def __enter__(self) -> "Popen":
        return self

    def __exit__(self, *_) -> None:
        for stream in filter(None, (self.stdin, self.stdout, self.stderr)):
            stream.close()
        self.wait()


def run(
    args: Sequence[object], *, input: str | bytes | None = None, capture_output: bool = False, stderr: int | None = None,
    timeout: float | None = None, **how: Any,
) -> CompletedProcess:  # fmt: skip
    """As subprocess.run."""
    stdout, stderr = (PIPE, PIPE) if capture_output else (None, stderr)
    with Popen(args, stdin=DEVNULL if input is None else PIPE, stdout=stdout, stderr=stderr, **how) as process:
        try:
            said = process.communicate(input, timeout)
        except BaseException:
            process.kill()
            raise
    return CompletedProcess(process.args, process.returncode, *said)


def _ends(number: int, wanted: int | None) -> tuple[int, int | None]:
    """The descriptor that a process gets for its stdin, 0, stdout or stderr, and the other end, where that is a pipe."""
    if wanted is None:
        return os.dup(number), None
    if wanted == DEVNULL:
        return os.open(os.devnull, os.O_RDWR), None
    if wanted != PIPE:
        return os.dup(wanted), None
    read, write = os.pipe()
    return (read, write) if number == 0 else (write, read)


def _serve(requests: socket.socket) -> dict[str, Any] | None:
    """Forks a process for each request, until nobody is there to ask. Returns in such a process: what it is asked to be."""
    for name in IMPORTED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # so that it does not copy what all have
    signal.signal(signal.SIGCHLD, _let_go)
    while request := _received(requests):
        asked, descriptors = request
        if not os.fork():
            requests.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _wait_in_another(*descriptors)
            return asked
        for descriptor in descriptors:
            os.close(descriptor)
    return None


def _let_go(*_) -> None:
    """Those that wait have nothing to tell when they end."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _received(requests: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    message, descriptors, _, _ = socket.recv_fds(requests, 1 << 16, 4)
    while message and not message.endswith(b"\n"):
        message += requests.recv(1 << 16)
    return (json.loads(message), descriptors) if message else None


def _wait_in_another(told: int, *descriptors: int) -> None:
    """Returns in a child that has the descriptors for its stdin, stdout and stderr; tells here of it, and does not return."""
    child = os.fork()
    if not child:
        os.close(told)
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
            os.close(descriptor)
        _open_streams()
        return
    for descriptor in (0, 1, 2, *descriptors):  # what it writes ends with it
        os.close(descriptor)
    os.write(told, b"%d\n" % child)
    os.write(told, b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    os._exit(0)


def _open_streams() -> None:
    """As Python does when it begins: what a stream is cannot be told from what it was."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        old = getattr(sys, name)
        mode, lines = ("r", False) if number == 0 else ("w", number == 2 or os.isatty(number))
        stream = open(number, mode, 1 if lines else -1, old.encoding, old.errors, closefd=False)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _be(asked: dict[str, Any]) -> None:
    """This process is the command."""
    if asked["session"]:
        os.setsid()
    os.chdir(asked["folder"])
    be_in(asked["environment"])
    if asked["how"] == "-m":
        sys.argv = [asked["what"], *asked["arguments"]]
        sys.path[0] = asked["folder"]
        runpy.run_module(asked["what"], run_name="__main__", alter_sys=True)
    else:
        sys.argv = ["-c", *asked["arguments"]]
        sys.path[0] = ""
        sys.modules["__main__"] = types.ModuleType("__main__")
        exec(compile(asked["what"], "<string>", "exec"), vars(sys.modules["__main__"]))


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as listening:
        job = _serve(listening)
    if job is not None:
        _be(job)
