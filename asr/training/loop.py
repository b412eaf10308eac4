"""Training, read from top to bottom. A function, so that a test can call it."""

import json
import math
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from asr.config import Config
from asr.corpus.batching import Batch, BatchReader, DataConfig, check_empty, check_texts
from asr.corpus.manifest import Utterance, read_manifest
from asr.errors import AsrError, ConfigError
from asr.files import atomic_write
from asr.model.device import pick_device
from asr.model.folder import WEIGHTS, fill_weights, open_tokenizer, read_header, save_model, save_weights
from asr.model.model import SpeechModel
from asr.text.tokenizer import TokenTable
from asr.training.checkpoint import (
    Progress,
    average_weights,
    checkpoint_path,
    remove_dropped,
    restore_random,
    save_state,
)
from asr.training.display import Display, Lines
from asr.training.evaluation import DevSet, dev_errors
from asr.training.gradients import add_gradients, endless_batches
from asr.training.initial import fill_from
from asr.training.parallel import Helpers
from asr.training.settings import learning_rate
from asr.training.start import (
    LOG,
    begin,
    check_audio,
    check_unchanged,
    fingerprint,
    locked,
    make_optimizer,
    resumable_state,
    token_table,
)
from asr.training.statistics import cmvn_of

MOST_UNUSABLE = 3
"""Steps in a row without a usable gradient before a run gives up."""


def train(
    config: Config,
    folder: str | Path,
    force: bool = False,
    stop_after: int | None = None,
    display: Display | None = None,
) -> Path:
    """Trains a model in a folder, or goes on with a run that was interrupted there; returns the folder, a model folder.

    `force` drops a run that is there. `stop_after`: stop at this step as if killed just after saving; for tests.
    """
    with locked(Path(folder)):
        return _train(config, Path(folder), force, stop_after, display or Lines())


def _train(config: Config, folder: Path, force: bool, stop_after: int | None, display: Display) -> Path:
    if not config.data.train:
        raise ConfigError("data.train lists no manifest")
    device = pick_device(config.train.device)
    if config.train.processes > 1 and device.type != "cpu":
        raise ConfigError(f"train.processes {config.train.processes} is for training on a CPU; the device is {device}")
    speech, silent = (
        [u for path in paths for u in read_manifest(path)] for paths in (config.data.train, config.data.nonspeech)
    )
    utterances = [*speech, *silent]
    state = resumable_state(folder, config, force)
    table = token_table(config, utterances, folder, resumed=state is not None)
    tokenizer = open_tokenizer(folder if state else Path(config.train.initial_model or folder), table)
    started_with = {
        "settings": config.to_json(),
        "tokens": tokenizer.table.fingerprint,
        "data": fingerprint(utterances),
    }
    if state is not None:
        check_unchanged(state, started_with, folder)
    check_audio(utterances)
    _report_lacking(check_texts(speech, tokenizer), display)
    check_empty(silent)
    _report_left_out(utterances, config.data, display)
    dev_sets = [DevSet.read(path, tokenizer) for path in config.data.dev]

    torch.manual_seed(config.train.seed)
    model = SpeechModel(config.features, config.model, len(tokenizer.table))
    if state is None and config.train.initial_model:
        for line in fill_from(model, Path(config.train.initial_model), tokenizer.table):
            display.line(line)
    elif state is None:
        display.line("computing CMVN statistics")
        model.cmvn.set(cmvn_of(utterances, model.log_mel, config.data))
    model.to(device).train()
    optimizer = make_optimizer(model, config.train)
    progress = Progress()
    if state is None:
        begin(folder, config, tokenizer.table)
    else:
        progress = Progress(**state["progress"])
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        restore_random(state)
        display.line(f"going on from step {progress.step}")
    hours, size = sum(u.duration for u in utterances) / 3600, sum(p.numel() for p in model.parameters()) / 1e6
    display.line(
        f"{len(utterances):,} utterances, {hours:.2f} h; {len(tokenizer.table):,} tokens; {size:.2f} M parameters"
    )

    helpers = Helpers(model, config, tokenizer, utterances, progress)
    batches = endless_batches(BatchReader(utterances, tokenizer, config.data.cache_audio), config, progress)
    started = time.monotonic() - progress.wall_seconds
    _shorten_log(folder / LOG, progress.step)
    with open(folder / LOG, "a", encoding="utf-8") as log:
        while progress.step < config.train.max_steps:
            numbers = _step(model, optimizer, batches, helpers, config, progress, tokenizer.table, device)
            progress.wall_seconds = time.monotonic() - started
            display.step(progress.step, f"loss {numbers['loss']:.3f}")
            if progress.step % config.train.log_every == 0:
                _log(log, progress, numbers, display)
            last = progress.step == config.train.max_steps
            if dev_sets and (last or progress.step % config.train.evaluate_every == 0):
                _evaluate(model, tokenizer, dev_sets, config, progress, folder, log, display)
            if last or progress.step % config.train.checkpoint_every == 0 or progress.step == stop_after:
                save_state(folder, started_with, progress, model, optimizer)
                remove_dropped(folder, progress)
            if progress.step == stop_after:
                helpers.close()
                return folder
    helpers.close()
    _finish(model, tokenizer, dev_sets, config, progress, folder, display)
    return folder


def _step(
    model: SpeechModel,
    optimizer: torch.optim.Optimizer,
    batches: Iterator[Batch],
    helpers: Helpers,
    config: Config,
    progress: Progress,
    table: TokenTable,
    device: torch.device,
) -> dict[str, float]:
    """One optimizer step on `accumulate` batches; the numbers to log."""
    helpers.start(progress.step)
    numbers = add_gradients(model, batches, config, table, progress.step, device)
    helpers.finish(numbers)
    progress.audio_seconds += numbers.seconds
    rate = learning_rate(progress.step, config.train)
    for group in optimizer.param_groups:
        group["lr"] = rate
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), config.train.clip).item()
    if math.isfinite(norm):
        optimizer.step()
        progress.unusable = 0
    else:
        progress.unusable += 1
        if progress.unusable == MOST_UNUSABLE:
            raise AsrError(
                f"step {progress.step}: the gradient was not a number {MOST_UNUSABLE} times in a row (utterances"
                f" {', '.join(numbers.ids[:5])} …); lower train.learning_rate or raise train.warmup_steps, and start again"
            )
    optimizer.zero_grad(set_to_none=True)
    progress.step += 1
    losses = {name: getattr(numbers, name) for name in ("loss", "attention", "ctc", "accuracy")}
    return losses | {"rate": rate, "gradient": norm}


def _report_lacking(lacking: dict[str, int], display: Display) -> None:
    if lacking:
        most = sorted(lacking, key=lambda c: -lacking[c])[:20]
        more = " …" if len(lacking) > 20 else ""
        display.line(f"{len(lacking)} characters are not in the token table and become <unk>: {' '.join(most)}{more}")


def _report_left_out(utterances: list[Utterance], data: DataConfig, display: Display) -> None:
    n = sum(not data.min_seconds <= u.duration <= data.max_seconds for u in utterances)
    if n:
        display.line(
            f"{n:,} utterances are left out: shorter than {data.min_seconds:g} or longer than {data.max_seconds:g} s"
        )


def _shorten_log(path: Path, step: int) -> None:
    """Drops lines of steps that will be done again, after a kill between two checkpoints."""
    if path.exists():
        lines = path.read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if _step_of(line) <= step]
        if len(kept) < len(lines):
            with atomic_write(path) as file:
                file.writelines(line + "\n" for line in kept)


def _step_of(line: str) -> float:
    try:
        return json.loads(line)["step"]
    except (ValueError, KeyError, TypeError):  # a line that a kill cut short
        return math.inf


def _log(log, progress: Progress, numbers: dict[str, float], display: Display) -> None:
    values = {name: float(f"{value:.5g}") for name, value in numbers.items()}
    hours = round(progress.audio_seconds / 3600, 3)
    line = {
        "step": progress.step,
        "epoch": progress.epoch,
        **values,
        "hours": hours,
        "wall": round(progress.wall_seconds, 1),
    }
    log.write(json.dumps(line) + "\n")
    log.flush()
    display.line(
        f"step {progress.step}  epoch {progress.epoch}  loss {values['loss']:.3f}  accuracy {values['accuracy']:.3f}"
        f"  {hours:.1f} h of audio in {progress.wall_seconds / 60:.1f} min"
    )


def _evaluate(
    model, tokenizer, dev_sets: list[DevSet], config: Config, progress: Progress, folder: Path, log, display: Display
) -> None:
    """Decodes the dev manifests, keeps the weights if they are among the best, and the model if it is the best."""
    overall, by_name = dev_errors(dev_sets, model, tokenizer, config.decode)
    each = "".join(f"  {name} {100 * e.cer:.2f} %" for name, e in by_name.items())
    display.line(f"step {progress.step}  dev {overall}{each}")
    numbers = {"dev_cer": overall.cer} | {f"dev_cer_{name}": e.cer for name, e in by_name.items()}
    log.write(json.dumps({"step": progress.step} | numbers) + "\n")
    log.flush()
    this = (overall.cer, progress.step)
    progress.best = sorted([*map(tuple, progress.best), this])[: config.train.average]
    header = {"step": str(progress.step), "dev_cer": f"{overall.cer:.5f}"}
    if this in progress.best:
        save_weights(checkpoint_path(folder, progress.step), model, tokenizer.table, header)
    if round(overall.cer, 5) < _stored_cer(folder):
        save_model(folder, model, tokenizer.table, header)


def _finish(
    model, tokenizer, dev_sets: list[DevSet], config: Config, progress: Progress, folder: Path, display: Display
) -> None:
    """Averages the best checkpoints, and keeps the average unless the model in the folder is better."""
    header = {"step": str(progress.step)}
    if not progress.best:
        save_model(folder, model, tokenizer.table, header)
        return
    steps = [step for _, step in progress.best]
    fill_weights(model, average_weights([checkpoint_path(folder, step) for step in steps]), folder)
    averaged, _ = dev_errors(dev_sets, model, tokenizer, config.decode)
    stored = _stored_cer(folder)
    display.line(f"average of {len(steps)} checkpoints: dev {averaged}; the model in {folder}: {100 * stored:.2f} %")
    if round(averaged.cer, 5) <= stored:
        header |= {"averaged": " ".join(map(str, steps)), "dev_cer": f"{averaged.cer:.5f}"}
        save_model(folder, model, tokenizer.table, header)


def _stored_cer(folder: Path) -> float:
    """Dev CER of the model that the folder holds; infinite where there is none."""
    if not (folder / WEIGHTS).exists():
        return math.inf
    return float(read_header(folder / WEIGHTS).get("dev_cer", math.inf))
