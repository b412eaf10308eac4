"""What the processes of a run other than number 0 do, and what it gives and tells them."""

import signal
from dataclasses import dataclass, replace
from functools import partial

import torch

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
from asr.training.optimizer import hold_known, make_optimizer, ready_to_train
from asr.training.sharding import Learner, part_of, shard
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
    """What they are told before each step, and where the network is to be brought together."""

    quarantine: dict[str, int]
    """Utterances that later epochs leave out."""
    together: bool = False
    """Whether it is; there is no step then."""
    over: bool = False
    """Whether there is no further step."""
    signal: int = 0
    """The signal that ended the run; 0 where none has."""


def give(ranks: Ranks, work: Work, model: SpeechModel, optimizer: torch.optim.Optimizer) -> Learner:
    """Lets the other processes begin where this one is, number 0; starts them first where no launcher has."""
    ranks.spawn(work.config.train.processes, work_for)
    ranks.share(work)
    learner = Learner(model, optimizer)
    if work.config.train.sharded:
        asked = partial(ranks.share, Order(work.progress.quarantine, together=True))
        own = _learner(ranks, work)
        learner = Learner(
            own.model, own.optimizer, (model, optimizer), as_of=work.progress.step, ask=asked, met=ranks.met
        )
    else:
        ranks.use(next(model.parameters()).device)
    _share_state(ranks, learner)
    hold_known(learner.optimizer, learner.model, work.known, work.config.train, progress=work.progress)
    return learner


def _learner(ranks: Ranks, work: Work) -> Learner:
    """A network and its optimizer like those of the others, of any weights."""
    config, device = work.config, pick_device(work.config.train.device)
    ranks.use(device)
    model = SpeechModel(config.features, config.model, len(work.tokenizer.table))
    if config.train.lora.rank:
        add_adapters(model, config.train.lora)
    if config.train.sharded:
        shard(model, ranks.mesh(device), config.train)
    ready_to_train(model, config.train, device)
    return Learner(model, make_optimizer(model, config.train), met=ranks.met)


@torch.no_grad()
def _share_state(ranks: Ranks, learner: Learner) -> None:
    """Gives all of them what number 0 keeps, one tensor after the other: together they may be large."""
    if ranks.size == 1:
        return
    (kept, kept_optimizer), first = learner.kept, ranks.rank == 0
    weights = kept.state_dict()
    for name, tensor in learner.model.state_dict().items():
        tensor.copy_(part_of(ranks.share(weights[name].cpu() if first else None), tensor))
    kept_state, state = kept_optimizer.state_dict()["state"], learner.optimizer.state_dict()
    parameters = [parameter for group in learner.optimizer.param_groups for parameter in group["params"]]
    for number, parameter in enumerate(parameters):
        values = kept_state.get(number) if first else None
        values = ranks.share(values and {name: value.cpu() for name, value in values.items()})
        if values:
            like = {name: parameter if value.ndim else value for name, value in values.items()}
            state["state"][number] = {name: part_of(value, like[name]) for name, value in values.items()}
    if learner.optimizer is not kept_optimizer or not first:
        learner.optimizer.load_state_dict(state)


def work_for(ranks: Ranks) -> None:
    """The life of a process other than number 0: takes part in each step until it is told that there is none.

    Ends with the status of the signal that ended the run, if one did.
    """
    work: Work = ranks.share()
    config, table, progress = work.config, work.tokenizer.table, work.progress
    device = pick_device(config.train.device)
    learner = _learner(ranks, work)
    _share_state(ranks, learner)
    hold_known(learner.optimizer, learner.model, work.known, config.train, progress=progress)
    reader = training_reader(work.utterances, work.tokenizer, config, work.rehearsed)
    batches = endless_batches(reader, config, progress, ranks.rank)
    try:
        with stoppable() as ranks.stop:
            while not (order := ranks.share()).over:
                progress.quarantine = order.quarantine
                if order.together:
                    learner.bring_together()
                    continue
                take_step(learner, batches, ranks, config=config, progress=progress, table=table, device=device)
            ranks.stop.signal = order.signal
    except KeyboardInterrupt:
        raise SystemExit(128 + signal.SIGINT) from None


def shared_out(config: Config, ranks: Ranks) -> Config:
    """The settings with as many processes as a launcher has started. Raises ConfigError where a step cannot be shared out so."""
    if not launched():
        return config
    return replace(config, train=replace(config.train, processes=ranks.size))
