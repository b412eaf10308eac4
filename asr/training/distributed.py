"""The processes that train one model together, on torch.distributed: those of torchrun, or `train.processes` of this machine.

Number 0 prepares, logs, evaluates, saves, and says before each step that it goes on. The others hold the same weights, compute
the gradients of batches of their own, and take the same step. What is said goes over gloo, and gradients are added up on gloo,
or on nccl where each process has a GPU.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, NoReturn

import torch
import torch.distributed as dist
import torch.multiprocessing
from torch import nn

from asr.errors import AsrError
from asr.foreign_bytes import reason
from asr.launcher import processes, rank, watched
from asr.printable import printable
from asr.stopping import Stop, leave_to_parent

JOINING = timedelta(seconds=50)
"""How long one waits until all have come together: one that has died before cannot be told from one that is late."""
JOINING_WATCHED = timedelta(minutes=5)
"""The same under torchrun, which starts them together and ends all where one ends."""
PATIENCE = timedelta(hours=2)
"""How long one waits for another that is alive: number 0 may be decoding dev manifests. One that has died is noticed at once."""
GPU_PATIENCE = timedelta(seconds=50)
"""How long gradients are waited for on GPUs, where all come to the same point at the same time."""
LAST_WORDS = 5.0
"""Seconds in which a process that died becomes known to the one that started it, and in which those ends that should."""
BYSTANDER = 3
"""Status of a process that ends because another one did, which has said why."""
AGAIN = "start the command again, it goes on from its last state"


class Ranks:
    """The processes of a run, seen from one of them, known by its rank; there may be no other. To be used with `with`."""

    def __init__(self):
        """Joins the others where a launcher has started several. Raises AsrError where they cannot reach each other."""
        self.rank, self.size = 0, 1
        self.stop = Stop()
        self.children: list[Any] = []
        self.on_gpus: dist.ProcessGroup | None = None
        if processes() > 1:
            self._join(rank(), processes(), init_method="env://")

    def spawn(self, size: int, life: Callable[["Ranks"], None]) -> None:
        """Starts the others on this machine, `size` with this one, where no launcher has; `life` is what they do."""
        if self.size > 1 or size == 1:
            return
        store = dist.TCPStore("127.0.0.1", 0, size, is_master=True, wait_for_workers=False)
        context = torch.multiprocessing.get_context("spawn")
        for number in range(1, size):
            given = (number, size, store.port, torch.get_num_threads(), life)
            self.children.append(context.Process(target=_child, args=given))
            self.children[-1].start()
        while store.add("here", 0) < size - 1:
            if any(child.exitcode is not None for child in self.children):
                raise AsrError(self._who_died())
            time.sleep(0.05)
        self._join(0, size, store=store)

    def _join(self, number: int, size: int, **how) -> None:
        try:
            patience = JOINING_WATCHED if watched() else JOINING
            dist.init_process_group("gloo", rank=number, world_size=size, timeout=patience, **how)
            dist.group.WORLD.set_timeout(PATIENCE)
        except (RuntimeError, ValueError) as error:
            why = reason(error)
            dist.distributed_c10d._world.group_count = 0  # or another attempt asks for the others by the next number
            raise AsrError(f"process {number} of {size} cannot reach the others: {why}; {AGAIN}") from error
        self.rank, self.size = number, size

    def __enter__(self) -> "Ranks":
        return self

    def __exit__(self, *_) -> None:
        """Leaves the others, which ends those that were not told to end."""
        if self.size > 1:
            dist.destroy_process_group()
        for child in self.children:
            child.join(LAST_WORDS)
            if child.is_alive():
                child.kill()
                child.join()

    def use(self, device: torch.device) -> None:
        """From now on gradients are added up on that device; all processes must call this."""
        if self.size > 1 and device.type == "cuda":
            torch.cuda.set_device(device)
            self.on_gpus = self._together(dist.new_group, backend="nccl", timeout=GPU_PATIENCE)

    def share(self, value: Any = None) -> Any:
        """Number 0's value, in all of them."""
        box = [value]
        if self.size > 1:
            self._together(dist.broadcast_object_list, box, src=0)
        return box[0]

    def gather(self, value: Any) -> list[Any]:
        """Everybody's value, in the order of ranks. Raises AsrError where one of them is one.

        A signal that one of them was sent, the others then have been sent too.
        """
        answers = [(value, self.stop.signal)] * self.size
        if self.size > 1:
            self._together(dist.all_gather_object, answers, answers[0])
        if number := max(number for _, number in answers):
            self.stop.signal = number
        for answer, _ in answers:
            if isinstance(answer, AsrError):
                raise answer if self.rank == 0 else SystemExit(BYSTANDER)
        return [answer for answer, _ in answers]

    def add_up_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Makes each gradient the sum of everybody's; what has none anywhere still has none."""
        if self.size == 1:
            return
        there = torch.tensor([float(p.grad is not None) for p in parameters], device=parameters[0].device)
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        flat = torch.cat([*(gradient.flatten() for gradient in gradients), there])
        self._together(dist.all_reduce, flat, group=self.on_gpus)
        *sums, there = flat.split([*(p.numel() for p in parameters), len(there)])
        for parameter, total, n in zip(parameters, sums, there.tolist(), strict=True):
            parameter.grad = total.view_as(parameter) if n else None

    def all_agree(self, yes: bool) -> bool:
        """Whether all of them say yes."""
        votes = torch.tensor([float(yes)])
        if self.size > 1:
            self._together(dist.all_reduce, votes, op=dist.ReduceOp.MIN)
        return bool(votes.item())

    def mesh(self, device: torch.device) -> dist.DeviceMesh:
        """All of them, to share out tensors on that device; behind `use`."""
        return dist.DeviceMesh.from_group(self.on_gpus or dist.group.WORLD, device.type)

    @contextmanager
    def met(self) -> Iterator[None]:
        """A block in which the network itself waits for the others' parts of it: where one has died, as of `_together`."""
        try:
            yield
        except RuntimeError as error:
            if self.size == 1 or not (isinstance(error, dist.DistError) or "gloo" in str(error)):
                raise
            self._say_who_died(error)

    def _together(self, operation: Callable, *arguments, **options) -> Any:
        """What all processes must do. Where one has died, number 0 says so, and the others end without a word."""
        try:
            return operation(*arguments, **options)
        except RuntimeError as error:
            self._say_who_died(error)

    def _say_who_died(self, error: RuntimeError) -> NoReturn:
        if self.rank:
            raise SystemExit(BYSTANDER) from error
        raise AsrError(self._who_died()) from error

    def _who_died(self) -> str:
        until = time.monotonic() + LAST_WORDS
        while self.children and time.monotonic() < until:
            for number, child in enumerate(self.children, 1):
                if child.exitcode not in (None, BYSTANDER):
                    how = _ended(child.exitcode)
                    return f"training process {number} of {len(self.children) + 1} {how}; {AGAIN}"
            time.sleep(0.05)
        return f"another training process has died, and has said itself why, if it could; {AGAIN}"


def _ended(code: int) -> str:
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with status {code}, for the reason above"


def _child(number: int, size: int, port: int, threads: int, life: Callable[[Ranks], None]) -> None:
    """A process that number 0 has started."""
    leave_to_parent()
    os.environ["LOCAL_RANK"] = str(number)
    torch.set_num_threads(threads)
    store = dist.TCPStore("127.0.0.1", port, size, timeout=JOINING)
    store.add("here", 1)
    ranks = Ranks()
    ranks._join(number, size, store=store)
    status = 0
    with ranks:
        try:
            life(ranks)
        except SystemExit as ended:
            status = ended.code
        except AsrError as error:
            print(printable(f"asr: process {number} of {size}: {error}"), file=sys.stderr, flush=True)
            status = 1
    sys.stderr.flush()
    # At once: number 0 waits to be told how it ended, and threads of gloo may still be there, for which C++ would abort the
    # process with a line on stderr.
    os._exit(status)
