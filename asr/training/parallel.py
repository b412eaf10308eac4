"""Processes that compute the gradients of further batches on the same weights, for training on a CPU.

The weights lie in shared memory. At each step every helper is sent the step's number, and which utterances to leave out,
and answers once the gradient of its batches lies in shared memory too. A helper ends when the process that started it
does, however that ends.
"""

from dataclasses import dataclass
from multiprocessing.connection import Connection

import torch
import torch.multiprocessing
from torch import Tensor, nn

from asr.corpus.manifest import Utterance
from asr.errors import AsrError
from asr.model.model import SpeechModel
from asr.stopping import leave_to_parent
from asr.text.tokenizer import Tokenizer
from asr.training.checkpoint import Progress
from asr.training.config import Config
from asr.training.gradients import StepNumbers, add_gradients, endless_batches, training_reader
from asr.training.parts import learning

DIED = "a training process died; start the command again, it goes on from its last state"


@dataclass(frozen=True)
class Work:
    """What a helper is given once."""

    rank: int
    """Its number, from 1."""
    config: Config
    """The run's settings."""
    tokenizer: Tokenizer
    """Texts to tokens."""
    utterances: list[Utterance]
    """All of the run's."""
    rehearsed: int
    """How many of them, the last ones, are old data."""
    progress: Progress
    """Where the run is."""
    threads: int
    """Threads of its PyTorch."""


class Helpers:
    """The processes beside this one, `processes` - 1 of them; none is started where that is 0. To be used with `with`."""

    def __init__(
        self,
        model: SpeechModel,
        config: Config,
        tokenizer: Tokenizer,
        utterances: list[Utterance],
        *,
        progress: Progress,
        rehearsed: int = 0,
    ):
        self.parameters = learning(model)
        self.connections: list[Connection] = []
        self.gradients: list[list[Tensor]] = []
        self.processes = []
        if config.train.processes == 1:
            return
        model.share_memory()
        context = torch.multiprocessing.get_context("spawn")
        for rank in range(1, config.train.processes):
            mine, theirs = context.Pipe()
            shared = torch.zeros(sum(p.numel() for p in self.parameters)).share_memory_()
            work = Work(rank, config, tokenizer, utterances, rehearsed, progress, torch.get_num_threads())
            process = context.Process(target=_help, args=(work, model, shared, theirs), daemon=True)
            process.start()
            theirs.close()
            self.connections.append(mine)
            self.gradients.append(_parts(shared, self.parameters))
            self.processes.append(process)

    def __enter__(self) -> "Helpers":
        return self

    def __exit__(self, *_) -> None:
        for connection, process in zip(self.connections, self.processes, strict=True):
            connection.close()
            process.join()

    def start(self, progress: Progress) -> None:
        """Lets every helper begin with its batches of a step."""
        for connection in self.connections:
            try:
                connection.send((progress.step, progress.quarantine))
            except OSError:
                raise AsrError(DIED) from None

    def finish(self, numbers: StepNumbers) -> None:
        """Waits for them, and adds their gradients to the parameters' and their numbers to `numbers`."""
        for connection, gradients in zip(self.connections, self.gradients, strict=True):
            try:
                answer = connection.recv()
            except (EOFError, OSError):
                raise AsrError(DIED) from None
            if isinstance(answer, AsrError):
                raise answer
            if answer.ids and not numbers.ids:  # this process could use none of its batches
                for parameter, gradient in zip(self.parameters, gradients, strict=True):
                    parameter.grad = gradient.clone()
            elif answer.ids:
                used = [(p.grad, g) for p, g in zip(self.parameters, gradients, strict=True) if p.grad is not None]
                torch._foreach_add_([own for own, _ in used], [theirs for _, theirs in used])
            numbers += answer


def _parts(flat: Tensor, parameters: list[nn.Parameter]) -> list[Tensor]:
    """Views of a flat tensor in the shapes of the parameters: one piece of shared memory, and one open file, for all."""
    sizes = [p.numel() for p in parameters]
    return [part.view_as(p) for part, p in zip(flat.split(sizes), parameters, strict=True)]


def keep_buffers(model: nn.Module) -> None:
    """Gives the model buffers of its own: of running statistics those of the first process count, and two would mix them up."""
    for module in model.modules():
        for name, buffer in module.named_buffers(recurse=False):
            module._buffers[name] = buffer.clone()


def _help(work: Work, model: SpeechModel, shared: Tensor, connection: Connection) -> None:
    """The life of a helper. Its random numbers depend on the step alone, so that a run can be resumed anywhere."""
    config, tokenizer, progress = work.config, work.tokenizer, work.progress
    leave_to_parent()
    torch.set_num_threads(work.threads)
    keep_buffers(model)
    batches = endless_batches(
        training_reader(work.utterances, tokenizer, config, work.rehearsed), config, progress, work.rank
    )
    parameters = learning(model)
    gradients = _parts(shared, parameters)
    while True:
        try:
            step, progress.quarantine = connection.recv()
        except (EOFError, ConnectionResetError):
            return
        torch.manual_seed((config.train.seed * 1_000_003 + step) * 1_009 + work.rank)
        try:
            answer: StepNumbers | AsrError = add_gradients(
                model, batches, config, tokenizer.table, step=step, device=torch.device("cpu")
            )
        except AsrError as error:
            answer = error
        for parameter, gradient in zip(parameters, gradients, strict=True):
            if parameter.grad is None:
                gradient.zero_()
            else:
                gradient.copy_(parameter.grad)
                parameter.grad = None
        try:
            connection.send(answer)
        except OSError:
            return
