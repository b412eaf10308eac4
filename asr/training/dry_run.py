"""What a training run would be, before it costs anything: data, shapes, memory, time, and whether one batch can be learned."""

import dataclasses
import time
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import torch

from asr.config import Config
from asr.corpus.batching import Batch, BatchReader, check_texts, lacking_characters, plan_batches
from asr.corpus.manifest import Utterance, check_audio, read_manifest
from asr.errors import AudioError, ConfigError
from asr.features.augment import AugmentConfig
from asr.model.device import peak_memory, pick_device
from asr.model.folder import open_tokenizer
from asr.model.model import SpeechModel
from asr.text.tokenizer import CharacterTokenizer, Tokenizer, TokenTable
from asr.training.gradients import add_gradients, training_reader
from asr.training.initial import fill_from
from asr.training.parts import make_optimizer
from asr.training.start import read_utterances, token_table
from asr.training.statistics import cmvn_of

TIMED = 4
"""Batches whose time is taken, the largest and some others."""
OVERFITTED, OVERFIT_SECONDS, OVERFIT_STEPS = 8, 60.0, 150
"""Utterances that are learned by heart, and how long that may take."""
LEARNED = 0.9
"""Accuracy at which they are learned."""
CMVN_SAMPLE = 200


def dry_run(config: Config) -> Iterator[str]:
    """Lines for the person at the terminal, as they are found. Writes nothing. Raises what training would raise at its start."""
    device = pick_device(config.train.device)
    speech, silent = read_utterances(config)
    utterances = [*speech, *silent]
    check_audio(utterances)
    table = token_table(config, utterances, Path(), resumed=False)
    initial = config.train.initial_model
    tokenizer = open_tokenizer(Path(initial), table) if initial else CharacterTokenizer(table)
    yield from _data(config, speech, tokenizer)

    torch.manual_seed(config.train.seed)
    model = SpeechModel(config.features, config.model, len(tokenizer.table))
    if initial:
        yield from fill_from(model, Path(initial), table)
    else:
        model.cmvn.set(cmvn_of(utterances[:: -(-len(utterances) // CMVN_SAMPLE)], model.log_mel, config.data))
    model.to(device).train()
    reader = training_reader(utterances, tokenizer, config)
    reader.require_room(model.decoder.longest_text)
    durations, window = [u.duration for u in utterances], config.features.window_seconds
    plan = plan_batches(durations, config.data, config.train.seed, config.data.curriculum_epochs, window)
    if not plan:
        raise ConfigError("no utterance is between data.min_seconds and data.max_seconds long")
    largest = max(plan, key=lambda batch: len(batch) * max(utterances[i].duration for i in batch))
    yield from _shapes(model, _read(reader, largest), device, bool(config.train.ctc_consistency))
    yield from _costs(config, model, reader, [largest, *plan[: TIMED - 1]], len(plan), device)
    small = sorted((i for batch in plan for i in batch), key=lambda i: utterances[i].duration)
    middle, plain = len(small) // 2, BatchReader(utterances, tokenizer)
    yield from _overfit(config, model, _read(plain, small[middle : middle + OVERFITTED]), tokenizer.table, device)


def _read(reader: BatchReader, indices: list[int]) -> Batch:
    """Raises AudioError where nothing of the batch can be read."""
    batch = next(reader.iterate([indices]))
    if not batch.ids:
        raise AudioError(batch.unreadable[0][1])
    return batch


def _data(config: Config, utterances: list[Utterance], tokenizer: Tokenizer) -> Iterator[str]:
    data = config.data
    kept = [u for u in utterances if data.takes(u.duration)]
    hours = sum(u.duration for u in kept) / 3600
    left_out = f"; {len(utterances) - len(kept):,} are too short or too long" if len(kept) < len(utterances) else ""
    yield f"train: {len(kept):,} utterances, {hours:.2f} h{left_out}"
    yield f"tokens: {len(tokenizer.table):,}{_unknown(check_texts(utterances, tokenizer))}"
    for path in data.dev:
        dev = read_manifest(path)
        check_audio(dev)
        yield f"dev: {path}, {len(dev):,} utterances{_unknown(lacking_characters(dev, tokenizer))}"


def _unknown(lacking: dict[str, int]) -> str:
    if not lacking:
        return "; no unknown character"
    most = sorted(lacking, key=lambda c: -lacking[c])[:20]
    return f"; {sum(lacking.values()):,} characters are unknown, {len(lacking):,} different ones: {' '.join(most)}"


def _shapes(model: SpeechModel, batch: Batch, device: torch.device, twice: bool) -> Iterator[str]:
    with torch.no_grad():
        features, _ = model.features(batch.samples.to(device), batch.lengths.to(device))
        memory = model.encode(batch.samples.to(device), batch.lengths.to(device))
        logits = model.decode_teacher_forced(memory, batch.inputs.to(device))
    shapes = {"samples": batch.samples, "features": features, "memory": memory.values, "logits": logits}
    sizes = ", ".join(f"{name} {' × '.join(map(str, x.shape))}" for name, x in shapes.items())
    yield f"model: {sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters on {device}"
    yield f"largest batch: {sizes}{', and all of it twice' if twice else ''}"


def _costs(
    config: Config, model: SpeechModel, reader: BatchReader, plan: list[list[int]], n_batches: int, device: torch.device
) -> Iterator[str]:
    """Memory and time of a step, measured, and of the whole run, reckoned up from that."""
    one = dataclasses.replace(config, train=dataclasses.replace(config.train, accumulate=1, processes=1))
    seconds = []
    for n, batch in enumerate(reader.iterate(plan, for_gpu=device.type == "cuda")):
        for again in range(2 if n == 0 else 1):  # the first time a shape is met takes longer
            _synchronize(device)
            start = time.perf_counter()
            add_gradients(model, iter([batch]), one, reader.tokenizer.table, 10**9, device)
            model.zero_grad(set_to_none=True)
            _synchronize(device)
            if n or again:
                seconds.append(time.perf_counter() - start)
    train = config.train
    gigabytes = peak_memory(device) / 1e9
    yield f"memory: {gigabytes:.1f} GB at its highest, on the largest batch, without the optimizer's two numbers a parameter"
    typical = sum(seconds[1:]) / len(seconds[1:]) if len(seconds) > 1 else seconds[0]
    hours = typical * train.accumulate / train.processes * train.max_steps / 3600
    epochs = train.max_steps * train.accumulate / n_batches
    yield (
        f"time: {typical:.2f} s a batch, {seconds[0]:.2f} s the largest; {train.max_steps:,} steps of {train.accumulate} are"
        f" {epochs:,.1f} epochs and about {hours:.1f} h, without reading audio and decoding dev sets"
    )


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _overfit(
    config: Config, model: SpeechModel, batch: Batch, table: TokenTable, device: torch.device
) -> Iterator[str]:
    """Learns a few utterances by heart, unchanged: what cannot do that cannot learn a corpus."""
    train = dataclasses.replace(
        config.train, accumulate=1, processes=1, token_dropout=0, token_guesses=0, ctc_only_steps=0
    )
    config = dataclasses.replace(config, train=train, augment=AugmentConfig(frequency_masks=0, time_masks=0))
    optimizer = make_optimizer(model, train)
    for group in optimizer.param_groups:
        group["lr"] = min(train.learning_rate, 1e-3)
    start, first, step, numbers = time.monotonic(), None, 0, None
    for step, same in enumerate(cycle([batch]), 1):
        numbers = add_gradients(model, iter([same]), config, table, 10**9, device)
        if not numbers.ids:
            yield "one batch: its loss is not a number"
            return
        first = numbers if first is None else first
        torch.nn.utils.clip_grad_norm_(model.parameters(), train.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        late = time.monotonic() - start > OVERFIT_SECONDS
        if numbers.accuracy >= LEARNED or step == OVERFIT_STEPS or late:
            break
    what = f"{len(batch.ids)} utterances, accuracy {first.accuracy:.2f} to {numbers.accuracy:.2f}, loss {first.loss:.2f} to"
    what += f" {numbers.loss:.2f} in {step} steps"
    if numbers.accuracy >= LEARNED:
        yield f"one batch: learned by heart, {what}"
    elif numbers.loss < first.loss:
        yield f"one batch: on its way, {what}, when time was up"
    else:
        yield f"one batch: NOT learned, {what}; lower train.learning_rate, and look at the model's settings"
