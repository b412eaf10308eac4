"""What a training run would be, before it costs anything: data, shapes, memory, time, and whether one batch can be learned."""

import dataclasses
import math
import time
from dataclasses import dataclass
from itertools import cycle

import torch

from asr.corpus.batching import Batch, BatchReader
from asr.errors import AudioError
from asr.features.augment import AugmentConfig
from asr.model.device import now, peak_memory
from asr.model.model import SpeechModel
from asr.text.tokenizer import TokenTable
from asr.training.config import Config
from asr.training.gradients import add_gradients
from asr.training.optimizer import make_optimizer, ready_to_train
from asr.training.preparation import Prepared, prepare
from asr.training.statistics import cmvn_of

TIMED = 4
"""Batches whose time is taken, the largest and some others."""
OVERFITTED, OVERFIT_SECONDS, OVERFIT_STEPS = 8, 60.0, 150
"""Utterances that are learned by heart, and how long that may take."""
LEARNED = 0.9
"""Accuracy at which they are learned."""
CMVN_SAMPLE = 200


@dataclass(frozen=True)
class Overfit:
    """A few utterances learned by heart, or not."""

    utterances: int
    """How many."""
    steps: int
    """Steps that were taken."""
    loss: tuple[float, float] = (math.nan, math.nan)
    """In the first step and in the last; not numbers where the loss was none."""
    accuracy: tuple[float, float] = (math.nan, math.nan)
    """Share of tokens that were right."""

    @property
    def learned(self) -> bool:
        return self.accuracy[1] >= LEARNED

    @property
    def on_its_way(self) -> bool:
        """Whether the loss fell."""
        return self.loss[1] < self.loss[0]


@dataclass(frozen=True)
class DryRun:
    """What a run would be."""

    prepared: Prepared
    """Its data, tokens and network."""
    shapes: dict[str, tuple[int, ...]]
    """What the largest batch becomes: samples, features, memory, logits."""
    memory: int
    """Bytes at most, on the largest batch, without the optimizer's two numbers a parameter."""
    seconds: float
    """Seconds that a typical batch takes."""
    largest_seconds: float
    """Seconds that the largest one takes."""
    overfit: Overfit
    """Whether a few utterances can be learned by heart."""

    @property
    def epochs(self) -> float:
        """How often the run would hear its data."""
        train = self.prepared.config.train
        return train.max_steps * train.accumulate / len(self.prepared.plan)

    @property
    def hours(self) -> float:
        """How long it would take, without reading audio and decoding dev sets."""
        train = self.prepared.config.train
        return self.seconds * train.accumulate / train.processes * train.max_steps / 3600


def dry_run(config: Config) -> DryRun:
    """Prepares a run, times some of its batches, and learns one by heart; writes nothing. Raises what training would raise."""
    prepared = prepare(config)
    model, reader, device, utterances = prepared.model, prepared.reader, prepared.device, prepared.utterances
    if not config.train.initial_model:
        model.cmvn.set(cmvn_of(utterances.sample(CMVN_SAMPLE), model.log_mel, config.data))
    ready_to_train(model, config.train, device)
    plan = prepared.plan
    largest = plan[int(plan.padded(utterances.durations).argmax())]
    shapes = _shapes(model, _read(reader, largest))
    seconds = _times(config, model, reader, [largest, *plan[: TIMED - 1]])
    small = plan.order[utterances.durations[plan.order].argsort(kind="stable")].tolist()
    middle, plain = len(small) // 2, BatchReader(utterances, prepared.tokenizer)
    batch = _read(plain, small[middle : middle + OVERFITTED])
    memory = peak_memory(device)
    return DryRun(
        prepared,
        shapes,
        memory,
        sum(seconds[1:]) / len(seconds[1:]) if len(seconds) > 1 else seconds[0],
        seconds[0],
        _overfit(config, model, batch, prepared.tokenizer.table),
    )


def _read(reader: BatchReader, indices: list[int]) -> Batch:
    """Raises AudioError where nothing of the batch can be read."""
    batch = next(reader.iterate([indices]))
    if not batch.ids:
        raise AudioError(batch.unreadable[0][1])
    return batch


def _shapes(model: SpeechModel, batch: Batch) -> dict[str, tuple[int, ...]]:
    device = model.cmvn.mean.device
    with torch.no_grad():
        features, _ = model.features(batch.samples.to(device), batch.lengths.to(device))
        memory = model.encode(batch.samples.to(device), batch.lengths.to(device))
        logits = model.decode_teacher_forced(memory, batch.inputs.to(device))
    shown = {"samples": batch.samples, "features": features, "memory": memory.values, "logits": logits}
    return {name: tuple(tensor.shape) for name, tensor in shown.items()}


def _times(config: Config, model: SpeechModel, reader: BatchReader, plan: list[list[int]]) -> list[float]:
    """Seconds of a step on each of some batches."""
    device = model.cmvn.mean.device
    seconds = []
    for n, batch in enumerate(reader.iterate(plan, for_gpu=device.type == "cuda")):
        for again in range(2 if n == 0 else 1):  # the first time a shape is met takes longer
            start = now(device)
            add_gradients(model, [batch], config, reader.tokenizer.table, step=10**9, device=device)
            model.zero_grad(set_to_none=True)
            if n or again:
                seconds.append(now(device) - start)
    return seconds


def _overfit(config: Config, model: SpeechModel, batch: Batch, table: TokenTable) -> Overfit:
    """Learns a few utterances by heart, unchanged: what cannot do that cannot learn a corpus."""
    train = dataclasses.replace(config.train, token_dropout=0, token_guesses=0, ctc_only_steps=0)
    if train.precision == "float16":  # whose losses nobody scales here
        train = dataclasses.replace(train, precision="float32")
    config = dataclasses.replace(config, train=train, augment=AugmentConfig(frequency_masks=0, time_masks=0))
    optimizer, device = make_optimizer(model, train), model.cmvn.mean.device
    for group in optimizer.param_groups:
        group["lr"] = min(train.learning_rate, 1e-3)
    start, first, step, numbers = time.monotonic(), None, 0, None
    for step, same in enumerate(cycle([batch]), 1):
        numbers = add_gradients(model, [same], config, table, step=10**9 + step, device=device)
        if not numbers.ids:
            return Overfit(len(batch.ids), step)
        first = numbers if first is None else first
        torch.nn.utils.clip_grad_norm_(model.parameters(), train.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        late = time.monotonic() - start > OVERFIT_SECONDS
        if numbers.accuracy >= LEARNED or step == OVERFIT_STEPS or late:
            break
    return Overfit(len(batch.ids), step, (first.loss, numbers.loss), (first.accuracy, numbers.accuracy))
