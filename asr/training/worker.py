"""What the processes of a run other than number 0 do, and what it gives and tells them."""

import signal
from dataclasses import dataclass, replace

import torch
from torch import nn

from asr.corpus.indexed import Utterances
from asr.launcher import launched
from asr.model.adapters import add_adapters
from asr.model.device import pick_device
from asr.model.model import SpeechModel
from asr.stopping import stoppable
from asr.text.tokenizer import Tokenizer
from asr.training.checkpoint import Progress
from asr.training.config import Config
from asr.training.distributed import Ranks
from asr.training.gradients import endless_batches, training_reader
from asr.training.parts import hold_known, make_optimizer, ready_to_train
from asr.training.step import take_step


@dataclass(frozen=True)
class Work:
    """What they are given once, weights and the optimizer's state aside."""

    config: Config
    """The run's settings."""
    tokenizer: Tokenizer
    """Texts to tokens."""
    utterances: Utterances
    """All of the run's: where in the manifests they stand, which each process reads."""
    rehearsed: int
    """How many of them, the last ones, are old data."""
    progress: Progress
    """Where the run is."""
    known: dict[str, int | None]
    """What of the network is held at first; see `hold_known`."""


@dataclass(frozen=True)
class Order:
    """What they are told before each step."""

    quarantine: dict[str, int]
    """Utterances that later epochs leave out."""
    over: bool = False
    """Whether there is no further step."""
    signal: int = 0
    """The signal that ended the run; 0 where none has."""


def give(ranks: Ranks, work: Work, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Lets the other processes begin where this one is, number 0; starts them first where no launcher has."""
    ranks.spawn(work.config.train.processes, work_for)
    ranks.share(work)
    _share_state(ranks, model, optimizer)
    ranks.use(next(model.parameters()).device)


def _share_state(ranks: Ranks, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Makes weights and the optimizer's state those of number 0, one after the other: together they may be large."""
    if ranks.size == 1:
        return
    with torch.no_grad():
        for tensor in model.state_dict().values():
            tensor.copy_(ranks.share(tensor.cpu() if ranks.rank == 0 else None))
    state = optimizer.state_dict()
    for number in range(sum(len(group["params"]) for group in state["param_groups"])):
        values = state["state"].get(number) if ranks.rank == 0 else None
        values = ranks.share(values and {name: value.cpu() for name, value in values.items()})
        if values:
            state["state"][number] = values
    if ranks.rank:
        optimizer.load_state_dict(state)


def work_for(ranks: Ranks) -> None:
    """The life of a process other than number 0: takes part in each step until it is told that there is none.

    Ends with the status of the signal that ended the run, if one did.
    """
    work: Work = ranks.share()
    config, table, progress = work.config, work.tokenizer.table, work.progress
    device = pick_device(config.train.device)
    model = SpeechModel(config.features, config.model, len(table))
    if config.train.lora.rank:
        add_adapters(model, config.train.lora)
    ready_to_train(model, config.train, device)
    optimizer = make_optimizer(model, config.train)
    _share_state(ranks, model, optimizer)
    ranks.use(device)
    hold_known(optimizer, model, work.known, config.train, progress=progress)
    reader = training_reader(work.utterances, work.tokenizer, config, work.rehearsed)
    batches = endless_batches(reader, config, progress, ranks.rank)
    try:
        with stoppable() as ranks.stop:
            while not (order := ranks.share()).over:
                progress.quarantine = order.quarantine
                take_step(
                    model, optimizer, batches, ranks, config=config, progress=progress, table=table, device=device
                )
            ranks.stop.signal = order.signal
    except KeyboardInterrupt:
        raise SystemExit(128 + signal.SIGINT) from None


def shared_out(config: Config, ranks: Ranks) -> Config:
    """The settings with as many processes as a launcher has started. Raises ConfigError where a step cannot be shared out so."""
    if not launched():
        return config
    return replace(config, train=replace(config.train, processes=ranks.size))
