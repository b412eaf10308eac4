"""Training runs of a few steps for tests: their settings, displays that keep or swallow what is said, and their logs."""

import dataclasses
import json
import multiprocessing.forkserver
import multiprocessing.reduction
import os
from collections.abc import Callable
from pathlib import Path

import torch
import torch.multiprocessing
from torch import Tensor

from asr.corpus.batching import Batch
from asr.model.model import SpeechModel
from asr.text.tokenizer import TokenTable
from asr.training.checkpoint import Progress
from asr.training.config import Config, load_config
from asr.training.distributed import Ranks
from asr.training.gradients import StepNumbers
from asr.training.objective import Losses, Objective, losses_of
from asr.training.sharding import Learner
from asr.training.step import take_step
from tests.forked import be_in, refuse_unlike

RECIPE = Path(__file__).parents[1] / "recipes/toy/base.toml"


class Lines:
    """A display that keeps its lines."""

    def __init__(self):
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)

    def step(self, step: int, text: str) -> None: ...


class Quiet(Lines):
    """A display that forgets them."""

    def line(self, text: str) -> None: ...


QUIET = Quiet()


def small_run(corpus: dict[str, Path], *settings: str) -> Config:
    """recipes/toy/base.toml on a corpus of a few utterances, with these settings in addition."""
    data = (f'data.train=["{corpus["train"]}"]', f'data.dev=["{corpus["dev"]}"]')
    return load_config(RECIPE, [*data, "data.batch_seconds=12", *settings])


def losses_with(model: SpeechModel, *tensors: Tensor, **objective) -> Losses:
    """Losses of a batch of samples, lengths, inputs and targets, by an Objective of these settings."""
    return losses_of(model, Batch(("a",) * len(tensors[0]), *tensors), Objective(**objective))


def first_step(
    model: SpeechModel, optimizer: torch.optim.Optimizer, batches: list[Batch], config: Config, table: TokenTable
) -> StepNumbers:
    """The numbers of a run's first step, on a CPU and in one process."""
    return take_step(
        Learner(model, optimizer),
        iter(batches),
        Ranks(),
        config=config,
        progress=Progress(),
        table=table,
        device=torch.device("cpu"),
    )


def changed(config: Config, **train) -> Config:
    """The same run with other settings of training."""
    return dataclasses.replace(config, train=dataclasses.replace(config.train, **train))


def with_data(config: Config, **data) -> Config:
    """The same run with other settings of the data."""
    return dataclasses.replace(config, data=dataclasses.replace(config.data, **data))


def lines_of(path: Path) -> list[dict]:
    """A run's log, or another file of JSON lines; without what differs from run to run."""
    path = path / "log.jsonl" if path.is_dir() else path
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [{k: v for k, v in line.items() if k != "wall"} for line in lines]


def logged_losses(run: Path) -> list[float]:
    """The losses in a run's log."""
    return [line["loss"] for line in lines_of(run) if "loss" in line]


def quickly(monkeypatch) -> None:
    """Lets `train` start its other processes from one that has imported all that takes time, not each from nothing.

    They get what they get otherwise, pickled; what a test changes in its own process, they do not see, either way.
    """
    monkeypatch.setattr(torch.multiprocessing, "get_context", lambda method: FromServer.get())


class FromServer:
    """In the place of the context of multiprocessing in which each process is begun anew: one server forks all.

    They have the environment and the streams of the process that asks, not those that it had when the server was started.
    """

    started: "FromServer | None" = None

    def __init__(self):
        self.context, self.environment = multiprocessing.get_context("forkserver"), dict(os.environ)
        self.context.set_forkserver_preload(["asr.training.worker", "asr.training.sharding"])
        multiprocessing.forkserver.ensure_running()

    @classmethod
    def get(cls) -> "FromServer":
        cls.started = cls.started or cls()
        return cls.started

    def Process(self, target: Callable, args: tuple):
        refuse_unlike(self.environment, os.environ)
        return self.context.Process(target=_as_asked, args=(dict(os.environ), _Streams(), target, args))


class _Streams:
    """stdout and stderr of the process that pickles them."""

    def __reduce__(self):
        return _take_streams, (multiprocessing.reduction.DupFd(1), multiprocessing.reduction.DupFd(2))


def _take_streams(*theirs) -> None:
    for number, duplicate in enumerate(theirs, 1):
        os.dup2(descriptor := duplicate.detach(), number)
        os.close(descriptor)


def _as_asked(environment: dict[str, str], _, target: Callable, args: tuple) -> None:
    be_in(environment)
    target(*args)
