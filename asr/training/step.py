"""One optimizer step, and what is done with utterances that spoil one."""

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import torch

from asr.corpus.batching import Batch, weighed
from asr.errors import AsrError, AudioError
from asr.files import naming
from asr.foreign_bytes import some
from asr.model.model import SpeechModel
from asr.text.tokenizer import TokenTable
from asr.training.checkpoint import Progress
from asr.training.config import Config
from asr.training.display import Display
from asr.training.distributed import Ranks
from asr.training.gradients import StepNumbers, add_gradients, batches_of_step
from asr.training.loss_scale import after_step, loss_scale, unscale
from asr.training.optimizer import learning, set_rate
from asr.training.sharding import Learner, is_sharded, whole_of
from asr.training.train_config import learning_rate

T = TypeVar("T")
MOST_UNUSABLE = 3
"""Steps in a row without a usable gradient before a run gives up."""
NAMED = 5
"""Utterances named on the terminal; quarantine.jsonl names all."""


def take_step(
    learner: Learner,
    batches: Iterator[Batch],
    ranks: Ranks,
    *,
    config: Config,
    progress: Progress,
    table: TokenTable,
    device: torch.device,
) -> StepNumbers:
    """One optimizer step on `accumulate` batches, shared out among the processes; the numbers to log, the same in all of them.

    Its gradient is that of the one batch which they make together: every token counts the same. Batches whose loss is not a
    number are left out of it; if nothing usable is left, or float16 overflows, there is no step.
    Raises AsrError where nothing was usable MOST_UNUSABLE times in a row.
    """
    model, optimizer, scale = learner.model, learner.optimizer, loss_scale(progress, config.train)
    own = _own_batches(batches, ranks, config)

    def found() -> StepNumbers:
        with ranks.met():
            return add_gradients(model, own, config, table, step=progress.step, device=device, scale=scale, ranks=ranks)

    numbers = sum(_of_all(ranks, found), StepNumbers())
    if numbers.ids:
        if not is_sharded(model):  # there each block's are added up as soon as they are known
            ranks.add_up_gradients(learning(model))
        unscale(model, scale)
    if numbers.ids and numbers.not_finite:
        _mean_over_used(model, numbers, 1 / numbers.share)
    progress.audio_seconds += numbers.seconds
    numbers.rate = learning_rate(progress.step, config.train)
    set_rate(optimizer, numbers.rate)
    with ranks.met():
        numbers.gradient = _clipped(model, config.train.clip)
    finite = math.isfinite(numbers.gradient)
    overflowed = bool(numbers.ids) and after_step(progress, config.train, finite)
    if numbers.ids and finite:
        optimizer.step()
        progress.unusable = 0
    elif overflowed:
        numbers.ids = []  # the next step has a smaller factor
    elif numbers.ids or numbers.not_finite:
        numbers.not_finite += numbers.ids  # their losses were numbers, their gradient is none
        numbers.ids = []
        progress.unusable += 1
    optimizer.zero_grad(set_to_none=True)
    progress.step += 1
    return numbers


def _own_batches(batches: Iterator[Batch], ranks: Ranks, config: Config) -> list[Batch]:
    """This process's batches of the step, which know what part of it they are."""
    own: list[Batch] = []

    def counts() -> tuple[int, int]:
        own.extend(batches_of_step(batches, config.train))
        return sum(batch.tokens for batch in own), sum(len(batch.targets) for batch in own)

    return weighed(own, *map(sum, zip(*_of_all(ranks, counts), strict=True)))


def _of_all(ranks: Ranks, what: Callable[[], T]) -> list[T]:
    """What it gives in each process, in all of them. Raises AsrError in all where one cannot give it, so that nobody waits."""
    try:
        own: T | AsrError = what()
    except AsrError as error:
        own = error
    return ranks.gather(own)


def _clipped(model: SpeechModel, most: float) -> float:
    """The norm of the gradient, which is made `most` where it is more."""
    parameters = [parameter for parameter in model.parameters() if parameter.grad is not None]
    norm = torch.nn.utils.get_total_norm([parameter.grad for parameter in parameters])
    value = whole_of(norm).item()
    if not value <= most:
        torch.nn.utils.clip_grads_with_norm_(parameters, most, norm)
    return value


def _mean_over_used(model: SpeechModel, numbers: StepNumbers, factor: float) -> None:
    """Makes what the usable batches add to the mean over all of a step the mean over theirs, by the tokens of the decoder."""
    for parameter in model.parameters():
        if parameter.grad is not None:
            parameter.grad *= factor
    for name in ("loss", "attention", "ctc", "accuracy"):
        setattr(numbers, name, getattr(numbers, name) * factor)


def set_aside(numbers: StepNumbers, progress: Progress, config: Config, path: Path, *, display: Display) -> None:
    """Lists the utterances that spoiled a step in the file and keeps them out of later epochs.

    Raises AsrError where too many steps in a row were spoiled, AudioError where too many recordings are unreadable.
    """
    reasons = [(id, error) for id, error in numbers.unreadable]
    reasons += [(id, "the loss or the gradient of its batch was not a number") for id in numbers.not_finite]
    with naming(path), open(path, "a", encoding="utf-8") as file:
        for id, reason in reasons:
            line = {"step": progress.step, "epoch": progress.epoch, "id": id, "reason": reason}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    for id, _ in reasons:
        progress.quarantine.setdefault(id, progress.epoch)
    for id, error in numbers.unreadable:
        display.line(f"left out: {error}" if id in error else f"left out: {id}: {error}")
    progress.unreadable += len(numbers.unreadable)
    if progress.unreadable > config.data.max_unreadable:
        raise AudioError(
            f"{progress.unreadable} recordings could not be read, which is more than data.max_unreadable"
            f" {config.data.max_unreadable}; {path} lists them. The last: {numbers.unreadable[-1][1]}"
        )
    if not numbers.not_finite:
        return
    named = some(numbers.not_finite, NAMED)
    if progress.unusable >= MOST_UNUSABLE:
        again = f"go on from the best model: --init {path.parent}, another --out" if progress.best else "start again"
        raise AsrError(
            f"step {progress.step - 1}: loss or gradient was not a number {progress.unusable} times in a row (utterances"
            f" {named}); lower train.learning_rate or raise train.warmup_steps, and {again}"
        )
    display.line(
        f"step {progress.step}: not a number; {len(numbers.not_finite)} utterances are left out from now on ({named}): {path}"
    )
