"""Training, read from top to bottom. A function, so that a test can call it."""

import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from asr.catalogue.opening import language_model
from asr.decoding.search import CandidateScorer
from asr.errors import CheckpointError
from asr.features.waveforms import noises_fingerprint
from asr.folders import locked
from asr.foreign_bytes import some
from asr.model.device import slow_in_bfloat16
from asr.model.folder import LoadedModel, fill_weights, save_model, save_weights, weights_file
from asr.model.model import SpeechModel
from asr.places import require_writable
from asr.recognition.recognizer import Recognizer
from asr.scoring.cer import CharErrors
from asr.stopping import stoppable
from asr.text.tokenizer import Tokenizer
from asr.training.checkpoint import (
    Progress,
    average_weights,
    averaged_steps,
    checkpoint_path,
    remove_dropped,
    restore,
    save_state,
    stopped_early,
)
from asr.training.config import Config
from asr.training.display import Display, Lines, step_line
from asr.training.distributed import Ranks
from asr.training.domains import DIGITS, before_and_after, cer_of_each, in_header
from asr.training.evaluation import DevSet, dev_errors
from asr.training.gradients import endless_batches
from asr.training.health import Probe, measure, why_silent
from asr.training.health_advice import advice
from asr.training.moving_average import follow, start_following, take_over
from asr.training.optimizer import known_at_first, make_optimizer, ready_to_train
from asr.training.origin import add_to_header, changes_of, kept, origin, stored_cer
from asr.training.preparation import Prepared, prepare
from asr.training.run_log import RunLog
from asr.training.start import (
    QUARANTINE,
    begin,
    changes_since,
    check_unchanged,
    data_fingerprint,
    fingerprint,
    resumable_state,
    write_settings,
)
from asr.training.statistics import cmvn_of
from asr.training.step import set_aside, take_step
from asr.training.tensorboard import writer_class
from asr.training.worker import Order, Work, give, shared_out, work_for

PROBED_OF = 10_000
"""Training utterances among which the health meter chooses, where there is no dev manifest."""


@dataclass(frozen=True)
class Run:
    """What stays the same from the first step of a run to its last."""

    config: Config
    """Its settings."""
    folder: Path
    """Where it lies."""
    tokenizer: Tokenizer
    """Texts to tokens."""
    dev_sets: list[DevSet]
    """What checkpoints are chosen by."""
    display: Display
    """Where a person is told how it goes."""
    header: dict[str, str]
    """What a model that it saves says of where it is from."""
    lm: CandidateScorer | None = None
    """The language model of the initial model, which dev manifests are decoded with."""

    def errors(self, model: SpeechModel) -> tuple[CharErrors, dict[str, CharErrors]]:
        """Errors of the model on all dev sets together, and on each by its name."""
        return dev_errors(self.dev_sets, Recognizer(model, self.tokenizer, self.config.decode, self.lm))


def train(
    config: Config,
    folder: str | Path,
    force: bool = False,
    stop_after: int | None = None,
    *,
    display: Display | None = None,
    tensorboard: bool = False,
    ranks: Ranks | None = None,
) -> Path:
    """Trains a model in a folder, or goes on with a run that was interrupted there; returns the folder, a model folder.

    Ctrl-C, SIGTERM and SIGHUP let the step be finished and saved before they have their effect; a second one acts at once.
    Where a launcher has started several processes all call this; where `train.processes` is above 1 it starts the others.
    `force` drops a run that is there. `stop_after`: stop at this step as if killed just after saving; for tests.
    `tensorboard`: draw the curves of log.jsonl for TensorBoard too. `ranks`: the processes, where they are joined already.
    """
    if tensorboard:
        writer_class()  # raises now what would stop the run later
    folder = Path(folder)
    with nullcontext(ranks) if ranks else Ranks() as ranks:
        if ranks.rank:
            work_for(ranks)
            return folder
        with locked(folder, CheckpointError, "training"):
            require_writable(folder)
            config, display = shared_out(config, ranks), display or Lines()
            return _train(config, folder, force, stop_after, display=display, tensorboard=tensorboard, ranks=ranks)


def _train(
    config: Config,
    folder: Path,
    force: bool,
    stop_after: int | None,
    *,
    display: Display,
    tensorboard: bool,
    ranks: Ranks,
) -> Path:
    state = resumable_state(folder, config, force)
    prepared = prepare(config, folder if state else None)
    asked, config = config, prepared.config
    model, tokenizer, device = prepared.model, prepared.tokenizer, prepared.device
    started_with = {
        "settings": asked.to_json(),
        "tokens": tokenizer.table.fingerprint,
        "data": data_fingerprint(prepared.utterances, state),
        "dev": fingerprint(u for dev in prepared.dev_sets for u in dev.utterances),
        "noise": noises_fingerprint(config.augment.noise_folder),
    }
    if state is not None:
        check_unchanged(state, started_with, folder)
    within, progress = prepared.within, Progress()
    for line in _remarks(prepared):
        display.line(line)
    if state is None and not config.train.initial_model:
        display.line("computing CMVN statistics")
        model.cmvn.set(cmvn_of(within, model.log_mel, config.data))
    ready_to_train(model, config.train, torch.device("cpu") if config.train.sharded else device)
    optimizer = make_optimizer(model, config.train)
    if state is None:
        begin(folder, config, tokenizer.table)
    else:
        progress = restore(state, folder, model, optimizer)
        stored_cer(folder)  # raises now what would stop the run when it is evaluated
        display.line(f"going on from step {progress.step}")
        for change in changes_since(state, asked):
            progress.changes.append(f"step {progress.step}: {change}")
            display.line(f"from now on {change}")
        write_settings(folder, config)
    hours, size = within.seconds / 3600, sum(p.numel() for p in model.parameters()) / 1e6
    display.line(f"{len(within):,} utterances, {hours:.2f} h; {len(tokenizer.table):,} tokens; {size:.2f} M parameters")

    if config.train.precision == "bfloat16" and slow_in_bfloat16(device):
        display.line("this CPU has no instructions for bfloat16: train.precision = float32 is many times faster here")
    known = known_at_first(model, config.train, progress)
    run = Run(
        config,
        folder,
        tokenizer,
        prepared.dev_sets,
        display,
        origin(config, started_with["data"], started_with["tokens"]) | changes_of(progress),
        _language_model(folder, config, model, tokenizer),
    )
    work = Work(config, tokenizer, prepared.utterances, prepared.reader.rehearsed, progress, known)
    learner = give(ranks, work, model, optimizer)
    moving_average = start_following(model, config.train, state)
    batches = endless_batches(prepared.reader, config, progress)
    started = time.monotonic() - progress.wall_seconds
    probe, silent = _probe(prepared)
    if silent:
        display.line(silent)
    with stoppable() as ranks.stop, RunLog(folder, progress.step, tensorboard) as log:
        for note in filter(None, (silent, *progress.changes)):
            log.note(progress.step, note)
        if config.train.initial_model and run.dev_sets and state is None:
            with learner.whole(progress.step) as whole:
                _evaluate(run, log, progress, whole)
        while progress.step < config.train.max_steps and not stopped_early(progress, config.train):
            ranks.share(Order(progress.quarantine))
            numbers = take_step(
                learner, batches, ranks, config=config, progress=progress, table=tokenizer.table, device=device
            )
            follow(moving_average, model, config.train, progress.step)
            progress.wall_seconds = time.monotonic() - started
            display.step(progress.step, f"loss {numbers.loss:.3f}")
            if numbers.not_finite or numbers.unreadable:
                set_aside(numbers, progress, config, folder / QUARANTINE, display=display)
            if numbers.ids and progress.step % config.train.log_every == 0:
                _log(run, log, progress, numbers.to_log())
            if probe and progress.step % config.train.health_every == 0:
                with learner.whole(progress.step) as whole:
                    _look(run, log, progress, whole, probe)
            last = progress.step == config.train.max_steps
            if run.dev_sets and (last or progress.step % config.train.evaluate_every == 0):
                with learner.whole(progress.step) as whole:
                    _evaluate(run, log, progress, whole)
                last = last or stopped_early(progress, config.train)
            due = last or progress.step % config.train.checkpoint_every == 0
            if due or progress.step == stop_after or ranks.stop.signal:
                learner.keep(progress.step)
                save_state(folder, started_with, progress, model, optimizer=optimizer, moving_average=moving_average)
                remove_dropped(folder, progress, config.train)
            if progress.step == stop_after:
                return folder
            if ranks.stop.signal:
                display.line(f"stopped at step {progress.step}, which is saved; the same command goes on from there")
                break
        ranks.share(Order(progress.quarantine, over=True, signal=ranks.stop.signal))
    if progress.step < config.train.max_steps:
        display.line(
            f"stopped: {config.train.patience} evaluations in a row were not better than step {progress.best[0][1]}"
        )
    with RunLog(folder, progress.step) as log, learner.whole(progress.step) as whole:
        _finish(run, log, progress, whole, moving_average)
    return folder


def _remarks(prepared: Prepared) -> Iterator[str]:
    """What a person should know before the first step."""
    data, lacking = prepared.config.data, prepared.lacking
    if lacking:
        most = some(sorted(lacking, key=lambda c: -lacking[c]), 20, " ")
        yield f"{len(lacking)} characters are not in the token table and become <unk>: {most}"
    if n := len(prepared.utterances) - len(prepared.within):
        yield f"{n:,} utterances are left out: shorter than {data.min_seconds:g} or longer than {data.max_seconds:g} s"
    yield from prepared.remarks


def _log(run: Run, log: RunLog, progress: Progress, numbers: dict[str, float]) -> None:
    values = {name: float(f"{value:.5g}") for name, value in numbers.items()}
    hours = round(progress.audio_seconds / 3600, 3)
    line = {
        "step": progress.step,
        "epoch": progress.epoch,
        **values,
        "hours": hours,
        "wall": round(progress.wall_seconds, 1),
    }
    log.write(line)
    run.display.line(step_line(line, progress.audio_seconds, run.config.train))


def _probe(prepared: Prepared) -> tuple[Probe | None, str]:
    """What the health meter looks at, dev utterances, which nothing can know by heart, where there are some; or why at none."""
    if not prepared.config.train.health_every:
        return None, ""
    dev = [u for dev in prepared.dev_sets for u in dev.utterances]
    some = dev or prepared.utterances.sample(PROBED_OF)
    probe = Probe.choose(some, prepared.tokenizer)
    of = "dev" if dev else "training"
    return probe, "" if probe else why_silent(some, prepared.tokenizer, of)


def _language_model(folder: Path, config: Config, model: SpeechModel, tokenizer: Tokenizer) -> CandidateScorer | None:
    """What a run that goes on from a model decodes dev manifests with, as that model is decoded."""
    if not config.train.initial_model:
        return None
    return language_model(folder, LoadedModel(folder.name, model, tokenizer, {}, folder), config.decode)


def _look(run: Run, log: RunLog, progress: Progress, model: SpeechModel, probe: Probe) -> None:
    """Logs whether the decoder listens, and says so in words where by now it should."""
    health = measure(model, probe, model.cmvn.mean.device)
    log.write({"step": progress.step, "epoch": progress.epoch, "health": health.to_json()})
    run.display.line(health.line(progress.step))
    lines = advice(health, progress.step, progress.epoch, run.config)
    for line in lines[:1] if progress.advised else lines:
        run.display.line(line)
    progress.advised = bool(lines)


def _evaluate(run: Run, log: RunLog, progress: Progress, model: SpeechModel) -> None:
    """Decodes the dev manifests, keeps the weights if they are to be averaged, and the model if it is the best.

    Before the first step that is the initial model, to compare with; it is never averaged with what has learned.
    """
    overall, by_name = run.errors(model)
    each = "".join(f"  {name} {100 * e.cer:.2f} %" for name, e in by_name.items())
    if progress.step:
        run.display.line(f"step {progress.step}  dev {overall}{each}")
    else:
        run.display.line(f"step 0, before the first step  dev {overall}{each}")
    numbers = cer_of_each(overall, by_name)
    log.write({"step": progress.step} | numbers)
    settings = run.config.train
    progress.add_evaluation(overall.cer, settings.average)
    header = run.header | {"step": str(progress.step)} | in_header(numbers)
    if progress.step in averaged_steps(progress, settings):
        save_weights(checkpoint_path(run.folder, progress.step), model, run.tokenizer.table, header)
    if round(overall.cer, DIGITS) < stored_cer(run.folder):
        save_model(run.folder, model, run.tokenizer.table, header)


def _finish(run: Run, log: RunLog, progress: Progress, model: SpeechModel, moving_average: list[Tensor]) -> None:
    """Averages weights as `average_of` says, and keeps the average unless the model in the folder is better."""
    folder, table, header = run.folder, run.tokenizer.table, run.header | {"step": str(progress.step)}
    what = "nothing"
    paths = {checkpoint_path(folder, step): step for step in averaged_steps(progress, run.config.train)}
    damaged: dict[Path, CheckpointError] = {}
    weights = average_weights(paths, damaged)
    for error in damaged.values():
        run.display.line(f"left out of the average: {error}")
    steps = [step for path, step in paths.items() if path not in damaged]
    if moving_average:
        what = header["averaged"] = f"every step, {run.config.train.ema_decay:g} of the past"
        take_over(model, moving_average)
    elif steps:
        what = "1 checkpoint" if len(steps) == 1 else f"{len(steps)} checkpoints"
        header["averaged"] = " ".join(map(str, steps))
        fill_weights(model, weights, folder)
    if not run.dev_sets:
        save_model(folder, model, table, header)
        run.display.line(f"kept in {folder}: {kept(folder)}; no dev manifest to choose by")
        return
    averaged, by_name = run.errors(model)
    stored = stored_cer(folder)
    run.display.line(f"average of {what}: dev {averaged}; the model in {folder}: {100 * stored:.2f} %")
    if round(averaged.cer, DIGITS) <= stored:
        save_model(folder, model, table, header | in_header(cer_of_each(averaged, by_name)))
    elif progress.changes:
        add_to_header(weights_file(folder), changes_of(progress))
    if rates := before_and_after(folder):
        log.write_once({"step": progress.step, "before_and_after": rates})
    for name, (before, after) in rates.items():
        run.display.line(
            f"CER of {name}: {100 * before:.2f} % before the first step, {100 * after:.2f} % of what is kept"
        )
    run.display.line(f"kept in {folder}: {kept(folder)}")
