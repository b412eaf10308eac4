"""What a run needs before its first step: a folder it may use and a token table."""

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from asr.config_values import from_dict
from asr.corpus.indexed import IndexedManifest, Utterances
from asr.corpus.indexing import open_manifest
from asr.corpus.manifest import Utterance, fingerprint_line
from asr.corpus.selecting import path_and_times
from asr.corpus.texts import texts_of
from asr.errors import CheckpointError, ConfigError
from asr.files import is_leftover, remove_leftovers, write_file
from asr.foreign_bytes import json_in, json_value, quoted, reading
from asr.model.bases import ADAPTER, ADAPTERS, write_adapter
from asr.model.companions import own_language_model, remove_language_model
from asr.model.folder import DECODE, TOKENS, WEIGHTS, weights_file, weights_fingerprint
from asr.model.formats import upgraded
from asr.model.no_speech import NO_SPEECH
from asr.text.tokenizer import TokenTable, count_symbols
from asr.text.tokenizers import PIECES
from asr.training.checkpoint import CHECKPOINTS, STATE, load_state
from asr.training.config import Config
from asr.training.initial import grown_table, lacking_symbols, take_over
from asr.training.tensorboard import event_files

SETTINGS, LOG, QUARANTINE = "settings.json", "log.jsonl", "quarantine.jsonl"
MAY_CHANGE = {
    "train.max_steps",
    "train.log_every",
    "train.evaluate_every",
    "train.checkpoint_every",
    "train.health_every",
    "train.patience",
    "train.device",
    "train.processes",
    "train.sharding",
    "data.workers",
    "data.max_unreadable",
}
"""Settings that may differ when a run goes on."""
MAY_MOVE = ("data.train", "data.nonspeech", "data.rehearsal", "data.dev")
"""Manifests that may be called otherwise: whether they say the same is looked at when they have been read."""


def read_utterances(config: Config) -> tuple[Utterances, Utterances, Utterances]:
    """What is trained on: speech, what says nothing, and old data. Raises ConfigError where there is no speech."""
    if not config.data.train:
        raise ConfigError("data.train lists no manifest: name in the recipe what to train on")
    speech, silent, old = (
        Utterances([manifest for name in names for manifest in _repeated(name)])
        for names in (config.data.train, config.data.nonspeech, config.data.rehearsal)
    )
    return speech, silent, old


def _repeated(manifest: str) -> list[IndexedManifest]:
    """`a.jsonl`, or that of `a.jsonl=20` twenty times."""
    path, times = path_and_times(manifest)
    if times < 1 or times != int(times):
        raise ConfigError(
            f"data.train {manifest}: must be a whole number of times; asr corpus mix takes parts of manifests"
        )
    return [open_manifest(path)] * int(times)


def resumable_state(folder: Path, config: Config, force: bool) -> dict | None:
    """The state to go on from, None to start; refuses a folder that holds another run or something else."""
    held = [path for path in folder.iterdir() if not is_leftover(path)] if folder.exists() else []
    if held and not (folder / SETTINGS).exists():
        raise CheckpointError(f"{folder}: holds files but no training run; choose another --out")
    remove_leftovers(folder)
    remove_leftovers(folder / CHECKPOINTS)
    state = None if force else load_state(folder)
    if state is None:
        if not force and _had_state(folder):
            raise CheckpointError(
                f"{folder}: holds a run whose {STATE} is gone: it cannot go on. Use another --out, or --force to start over"
            )
        return None
    try:
        with reading(folder / STATE, CheckpointError, "is no state of this program", "--force starts over"):
            before = _settings_of(state)
    except ConfigError as error:
        raise CheckpointError(
            f"{folder / STATE}: is no state of this program ({error}); --force starts over"
        ) from error
    differing = [
        f"{name} was {_shown(was)} and is {_shown(value)}"
        for name, was, value in _changed(before, config)
        if name not in MAY_CHANGE and not (name in MAY_MOVE and _compares(state) and _counts(was) == _counts(value))
    ]
    if differing:
        raise CheckpointError(
            f"{folder}: was started with other settings: {'; '.join(differing)}. Use another --out, or --force to start over"
        )
    return state


def _had_state(folder: Path) -> bool:
    """Whether the run in a folder has come so far that it must have saved a state; before that it starts anew."""
    try:
        with reading(folder, CheckpointError):
            settings = json_in(folder / SETTINGS)["train"]
            lines = (folder / LOG).read_text(encoding="utf-8").split("\n")
            saved, last = settings["checkpoint_every"], settings["max_steps"]
            reached = max((step for step in map(step_of, lines) if step < math.inf), default=0)
            return reached > saved or (reached >= last and weights_file(folder).exists())
    except CheckpointError:
        return False


def step_of(line: str) -> float:
    """The step of a line of the log; infinite for one that a kill cut short, or that is none."""
    try:
        with reading(LOG, CheckpointError):
            step = json_value(line)["step"]
            return step if isinstance(step, int) and not isinstance(step, bool) else math.inf
    except CheckpointError:
        return math.inf


def _compares(state: dict) -> bool:
    """Whether a state knows what all manifests of its run said; early ones did not."""
    return {"data", "dev"} <= state["started_with"].keys()


def _counts(manifests: Iterable[str]) -> list[float]:
    """How often each manifest of a list counts."""
    return [path_and_times(manifest)[1] for manifest in manifests]


def _shown(value: object) -> str:
    if value is None:
        return "not set"
    return quoted(list(value) if isinstance(value, tuple) else value)  # as TOML has it


def _settings_of(state: dict) -> Config:
    return from_dict(Config, upgraded(json_value(state["started_with"]["settings"])), "")


def _changed(before: Config, now: Config) -> list[tuple[str, object, object]]:
    """(name, value before, value now) of settings that differ, also once both are fitted to the length of the run."""
    fitted = [asdict(replace(config, train=config.train.fitted())) for config in (before, now)]
    differing = {name for name, _, _ in _differences(*fitted, "")}
    return [change for change in _differences(asdict(before), asdict(now), "") if change[0] in differing]


def _differences(before: dict, now: dict, prefix: str) -> Iterator[tuple[str, object, object]]:
    """(name, value before, value now) of the settings that differ."""
    for key in before | now:
        name, was, value = f"{prefix}{key}", before.get(key), now.get(key)
        if isinstance(was, dict) and isinstance(value, dict):
            yield from _differences(was, value, f"{name}.")
        elif was != value:
            yield name, was, value


def check_unchanged(state: dict, started_with: dict[str, str], folder: Path) -> None:
    """Refuses to go on with another token table, other noises or other utterances, to train on or to choose by, than before."""
    before = state["started_with"]
    if before.get("tokens") != started_with["tokens"]:
        raise CheckpointError(f"{folder / TOKENS}: is not the table the run was started with; put it back")
    for name, what in (
        ("data", "training manifests"),
        ("dev", "dev manifests"),
        ("noise", "recordings in augment.noise_folder"),
    ):
        if before.get(name, started_with[name]) != started_with[name]:
            raise CheckpointError(
                f"{folder}: the {what} have changed since the run was started; put them back to go on, or use --force to"
                " start over"
            )


def fingerprint(utterances: Iterable[Utterance]) -> str:
    """A hash of utterances: ids, lengths, channels and texts, in order; not of paths, for a corpus may move."""
    digest = hashlib.sha256()
    for u in utterances:
        digest.update(fingerprint_line(vars(u)).encode())
    return digest.hexdigest()[:16]


def begin(folder: Path, config: Config, table: TokenTable) -> None:
    """Makes the folder that of a new run; what an earlier run left there goes."""
    for path in (
        folder / STATE,
        folder / LOG,
        folder / QUARANTINE,
        folder / WEIGHTS,
        folder / ADAPTER,
        folder / ADAPTERS,
        folder / DECODE,  # chosen for the model that was here
        folder / PIECES,
        folder / NO_SPEECH,
        *folder.glob(f"{CHECKPOINTS}/*.safetensors"),
        *event_files(folder),
    ):
        path.unlink(missing_ok=True)
    if lm := own_language_model(folder):
        remove_language_model(lm)
    write_settings(folder, config)
    table.save(folder / TOKENS)
    if config.train.initial_model and config.train.lora.rank:
        initial = Path(config.train.initial_model)
        write_adapter(folder, initial, weights_fingerprint(initial), config.train.lora)
    if config.train.initial_model:
        take_over(folder, config, table)


def write_settings(folder: Path, config: Config) -> None:
    """All settings of a run, for whoever looks at it."""
    write_file(folder / SETTINGS, config.to_json())


def changes_since(state: dict, config: Config) -> list[str]:
    """What differs from the settings that a state was saved with, of those that may."""
    return [f"{name} {_shown(was)} → {_shown(value)}" for name, was, value in _changed(_settings_of(state), config)]


def data_fingerprint(utterances: Utterances, state: dict | None) -> str:
    """What tells the data of a run. States once held another hash where there are several manifests; it still counts."""
    before = state["started_with"].get("data") if state else None
    if before in (None, utterances.fingerprint) or len(utterances.manifests) == 1:
        return utterances.fingerprint
    return before if before == fingerprint(utterances) else utterances.fingerprint


def token_table(config: Config, utterances: Utterances, goes_on: Path | None = None) -> TokenTable:
    """The table of the run that goes on in a folder, the initial model's, the one the config names; else one of the texts."""
    if goes_on is not None:
        return TokenTable.load(goes_on / TOKENS)
    if config.train.initial_model:
        initial = Path(config.train.initial_model)
        if config.train.new_tokens:
            lacking = _counted(utterances, partial(_lacking, initial))
            return grown_table(initial, lacking, config.data.min_count)
        return TokenTable.load(initial / TOKENS)
    if config.data.tokens:
        return TokenTable.load(config.data.tokens)
    lines = (line for path in config.data.texts for line in texts_of(path))
    return TokenTable.of_counts(_counted(utterances, _symbols) + count_symbols(lines), config.data.min_count)


def _counted(utterances: Utterances, count: Callable[[Iterable[Utterance]], Counter[str]]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for part in utterances.each_part(count):
        counts.update(part)
    return counts


def _symbols(part: Iterable[Utterance]) -> Counter[str]:
    return count_symbols(u.text for u in part)


def _lacking(initial: Path, part: Iterable[Utterance]) -> Counter[str]:
    return lacking_symbols(initial, (u.text for u in part))
