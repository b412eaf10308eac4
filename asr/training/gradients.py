"""The gradient of one batch, and the batches of a run in order: what one process of a step does."""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np
import torch

from asr.audio.reading import SAMPLE_RATE
from asr.corpus.batching import Batch, BatchReader, drop_tokens
from asr.corpus.indexed import Utterances
from asr.corpus.planning import Plan, plan_batches
from asr.errors import AudioError, ConfigError
from asr.features.waveforms import Waveforms
from asr.model.device import pick_device
from asr.model.inference import HALVES
from asr.model.model import SpeechModel
from asr.text.tokenizer import Tokenizer, TokenTable
from asr.training.checkpoint import Progress
from asr.training.config import Config
from asr.training.distributed import Ranks
from asr.training.objective import Losses, Objective, losses_of, objective_of
from asr.training.sharding import is_sharded
from asr.training.train_config import TrainConfig


@dataclass
class StepNumbers:
    """What is logged of a step; the losses are means over its tokens, once those of all processes are added up."""

    loss: float = 0.0
    attention: float = 0.0
    ctc: float = 0.0
    accuracy: float = 0.0
    share: float = 0.0
    """What part of the step's target tokens was used."""
    seconds: float = 0.0
    """Audio of all batches."""
    ids: list[str] = field(default_factory=list)
    """Utterances of all batches that were used."""
    not_finite: list[str] = field(default_factory=list)
    """Utterances of batches whose loss was not a number."""
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    """(id, error) of utterances whose audio could not be read."""

    rate: float = 0.0
    """Learning rate of the step."""
    gradient: float = 0.0
    """Norm of the gradient before it was clipped."""

    def to_log(self) -> dict[str, float]:
        return {name: getattr(self, name) for name in ("loss", "attention", "ctc", "accuracy", "rate", "gradient")}

    def __add__(self, other: "StepNumbers") -> "StepNumbers":
        return StepNumbers(**{name: value + getattr(other, name) for name, value in vars(self).items()})


def training_reader(utterances: Utterances, tokenizer: Tokenizer, config: Config, rehearsed: int = 0) -> BatchReader:
    """Reads batches as the settings have them, recordings changed for training; the last `rehearsed` utterances are old data."""
    data = config.data
    return BatchReader(
        utterances,
        tokenizer,
        cache_audio=data.cache_audio,
        join=data.join,
        longest=data.max_seconds,
        change=Waveforms(config.augment),
        rehearsed=rehearsed,
    )


def endless_batches(reader: BatchReader, config: Config, progress: Progress, rank: int = 0) -> Iterator[Batch | None]:
    """Every batch from where the run is, the same number of them a step in each process: None for those of other processes.

    Of a batch that several share out, process `rank` gets its part. Keeps count in `progress` as each one is taken.
    """
    train, on_gpu = config.train, pick_device(config.train.device).type == "cuda"
    lead = progress.batch % train.accumulate
    while True:
        plan, seed = planned(reader, config, progress, lead), f"{train.seed} {progress.epoch}"
        left, part = plan[progress.batch :], (rank % train.parts, train.parts)
        turns = [train.takes((i - lead) % train.accumulate, rank) for i in range(progress.batch, len(plan))]
        mine = left[np.flatnonzero(turns)]
        read = reader.iterate(mine, 0, config.data.workers, seed, for_gpu=on_gpu, part=part)
        for is_mine in turns:
            progress.batch += 1
            yield next(read) if is_mine else None
        lead = (lead - len(plan)) % train.accumulate
        progress.epoch, progress.batch = progress.epoch + 1, 0


def planned(reader: BatchReader, config: Config, progress: Progress, lead: int = 0) -> Plan:
    """The batches of the epoch that the run is in, the first `lead` of which complete a step. Raises ConfigError for none."""
    durations, found_before = reader.utterances.durations, progress.quarantine.items()
    if left_out := [id for id, epoch in found_before if epoch < progress.epoch]:
        durations = durations.copy()
        durations[reader.utterances.numbered(left_out)] = -1.0  # no plan takes it
    plan = plan_batches(
        durations,
        config.data,
        config.train.seed,
        progress.epoch,
        shards=reader.utterances.shards,
        window=config.features.window_seconds,
        rehearsed=reader.rehearsed,
        steps=(config.train.accumulate, lead),
    )
    if not len(plan):
        raise ConfigError(
            f"no utterance is between data.min_seconds {config.data.min_seconds:g}"
            f" and data.max_seconds {config.data.max_seconds:g} long"
        )
    return plan


def batches_of_step(batches: Iterator[Batch | None], settings: TrainConfig) -> list[Batch]:
    """This process's batches of the next step. Raises AudioError where the run cannot go on."""
    own = [batch for batch in islice(batches, settings.accumulate) if batch is not None]
    if lost := next((batch.lost for batch in own if batch.lost), ""):
        raise AudioError(lost)
    return own


def add_gradients(
    model: SpeechModel,
    batches: Iterable[Batch],
    config: Config,
    table: TokenTable,
    *,
    step: int,
    device: torch.device,
    scale: float = 1.0,
    ranks: Ranks | None = None,
) -> StepNumbers:
    """Adds the gradient of this process's `weighed` batches of a step, times `scale`, to the parameters'.

    What is left to chance in the network depends on the step and the batch alone: it is the same on any number of processes,
    and when a run goes on. Of a sharded network every process computes as often as the others, `ranks`, for they wait for each
    other's parts of it: silence, of no weight, where it has nothing to learn from.
    """
    numbers, objective = StepNumbers(), objective_of(config, table, step, device)
    together = is_sharded(model)

    def losses_on(batch: Batch) -> Losses:
        return _losses(model, batch, objective, config.train, step=step, unk=table.unk, device=device)

    for batch in batches:
        numbers.unreadable += batch.unreadable
        if not (batch.ids or together):
            continue
        silent = silence(table)
        losses = losses_on(batch if batch.ids else silent)
        finite = bool(torch.isfinite(losses.total))
        if together and not ranks.all_agree(finite):
            losses = losses_on(batch if batch.ids and finite else silent)
        if not finite:
            numbers.not_finite += batch.ids
        used = finite and bool(batch.ids)
        if used or together:
            (losses.total * (used * scale)).backward()
        if used:
            values = (losses.total, losses.attention, losses.ctc, losses.accuracy)
            parts = [0.0 if value is None else value.item() for value in values]
            seconds = float(batch.lengths.sum()) / SAMPLE_RATE
            numbers += StepNumbers(*parts, batch.share, seconds, list(batch.ids))
    return numbers


def _losses(
    model: SpeechModel,
    batch: Batch,
    objective: Objective,
    settings: TrainConfig,
    *,
    step: int,
    unk: int,
    device: torch.device,
) -> Losses:
    torch.manual_seed(random.Random(f"{settings.seed} {step} {batch.ids}").getrandbits(63))
    if settings.token_dropout and step >= settings.token_dropout_after:
        batch = replace(batch, inputs=drop_tokens(batch.inputs, settings.token_dropout, unk))
    half = HALVES.get(settings.precision)
    with torch.autocast(device.type, half, enabled=half is not None):
        return losses_of(model, batch.to(device), objective)


def silence(table: TokenTable) -> Batch:
    """A second in which nothing is said."""
    inputs, targets = torch.tensor([[table.sos]]), torch.tensor([[table.eos]])
    return Batch((), torch.zeros(1, SAMPLE_RATE), torch.tensor([SAMPLE_RATE]), inputs, targets)
