"""What comes before the first step of a run, and before a dry run: everything that can be refused is looked at here."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import torch

from asr.corpus.batching import BatchReader, check_empty, check_texts
from asr.corpus.indexed import Chosen, Utterances
from asr.corpus.manifest import Utterance, check_audio, missing_audio, refuse_missing
from asr.corpus.planning import Plan
from asr.errors import ConfigError
from asr.launcher import launched
from asr.model.device import pick_device
from asr.model.model import SpeechModel
from asr.text.pinyin import syllable_ids
from asr.text.tokenizer import CharacterTokenizer, Tokenizer
from asr.text.tokenizers import open_tokenizer
from asr.training.checkpoint import Progress
from asr.training.config import Config
from asr.training.evaluation import DevSet, read_dev_sets, require_window
from asr.training.gradients import planned, training_reader
from asr.training.initial import adapt, fill_from, taken_over
from asr.training.start import read_utterances, token_table
from asr.training.suitability import unsuitable
from asr.training.train_config import TrainConfig


@dataclass(frozen=True)
class Prepared:
    """A run that can begin."""

    config: Config
    """Its settings; those that nobody has set as they fit its length."""
    device: torch.device
    """Where it trains."""
    utterances: Utterances
    """All that its manifests list, sounds without speech behind the speech, and old data behind these."""
    tokenizer: Tokenizer
    """Texts to tokens."""
    lacking: dict[str, int]
    """Characters of the texts that have no token → how often they occur; not looked for where a run goes on."""
    dev_sets: list[DevSet]
    """What checkpoints are chosen by."""
    reader: BatchReader
    """Reads batches."""
    plan: Plan
    """The batches of its first epoch, as numbers of utterances."""
    model: SpeechModel
    """The network on the CPU: random, or filled from the initial model."""
    remarks: list[str]
    """What is to be said of settings that do not suit the run, and of the initial model."""

    @property
    def within(self) -> Chosen:
        """The utterances that are neither too short nor too long."""
        return self.utterances.only(self.config.data.takes(self.utterances.durations))


def prepare(config: Config, goes_on: Path | None = None) -> Prepared:
    """Reads and checks all that a run needs, and builds its network. `goes_on`: the folder of a run that was interrupted.

    Raises AsrError for what would stop it later: settings, manifests, missing recordings, texts that no token spells, dev sets
    that cannot be decoded.
    """
    config = replace(config, train=config.train.fitted())
    config.require_head()
    device = pick_device(config.train.device)
    require_gpus(config.train, device)
    speech, silent, old = read_utterances(config)
    utterances = speech + silent + old
    tokenizer = _tokenizer(config, utterances, goes_on)
    dev_sets = read_dev_sets(config.data.dev)
    if config.train.ctc_syllables:
        syllable_ids(tokenizer.table.tokens)  # raises now where pypinyin is missing
    reader = training_reader(utterances, tokenizer, config, len(old))
    torch.manual_seed(config.train.seed)
    model, remarks = SpeechModel(config.features, config.model, len(tokenizer.table)), [*unsuitable(config)]
    if goes_on is None and config.train.initial_model:
        remarks += fill_from(model, Path(config.train.initial_model), tokenizer.table)
        remarks += taken_over(config, model)
    if old:
        remarks.append(
            f"rehearsal: {len(old):,} of the utterances are old data, of which each epoch hears so many that they are"
            f" {100 * config.data.rehearsal_share:g} % of its audio"
        )
    if config.train.lora.rank:
        remarks.append(adapt(model, config, goes_on))
    lacking: Counter[str] = Counter()
    if goes_on is None:
        frame = model.frame_seconds if _counts_frames(config) else 0.0
        lacking, crowded = _looked_at(speech + old, partial(_spoken, tokenizer, model.decoder.longest_text, frame))
        _looked_at(silent, _silent)
        if crowded:
            remarks.append(
                f"{len(crowded):,} utterances have more tokens than the encoder gives frames, one in {1000 * frame:g} ms: the CTC"
                f" loss learns nothing from them. The first: {crowded[0]}"
            )
    else:  # all of them have been looked at
        check_audio(utterances.sample(LOOKED_AT))
    require_window(dev_sets, model)
    plan = planned(reader, config, Progress())
    remarks += _idle(config.train, plan)
    return Prepared(config, device, utterances, tokenizer, lacking, dev_sets, reader, plan, model, remarks)


LOOKED_AT = 1000
"""Utterances whose audio is looked for where a run goes on."""


def _counts_frames(config: Config) -> bool:
    """Whether a text can be too long for the frames of its recording: CTC wants one for each token; a window has enough."""
    return bool(config.train.ctc_weight or config.train.ctc_only_steps) and not config.features.window_seconds


Looked = tuple[Counter[str], dict[Path, str], list[str]]
"""Characters without a token, files that are not there and what is to be said of them, and where texts are too long for CTC."""


def _looked_at(utterances: Utterances, look: Callable[[Iterable[Utterance]], Looked]) -> tuple[Counter[str], list[str]]:
    """Characters that have no token, and where CTC is of no use. Raises AudioError for all files that are not there,
    ManifestError for a text."""
    lacking: Counter[str] = Counter()
    missing: dict[Path, str] = {}
    crowded: list[str] = []
    for characters, gone, places in utterances.each_part(look):
        lacking.update(characters)
        missing |= gone | missing
        crowded += places
    refuse_missing(list(missing.values()))
    return lacking, crowded


def _spoken(tokenizer: Tokenizer, longest: int | None, frame: float, part: Iterable[Utterance]) -> Looked:
    """`frame`: seconds, 0 where texts need none. Raises ManifestError for texts that cannot be learned."""
    utterances = list(part)
    missing = missing_audio(utterances)
    if missing:
        return Counter(), missing, []
    crowded = [u.where for u in utterances if frame and frames_for_ctc(tokenizer.encode(u.text)) > u.duration / frame]
    return Counter(check_texts(utterances, tokenizer, longest)), missing, crowded


def frames_for_ctc(tokens: Sequence[int]) -> int:
    """How many frames CTC needs at least: one a token, and a blank between two of the same."""
    return len(tokens) + sum(one == other for one, other in pairwise(tokens))


def _silent(part: Iterable[Utterance]) -> Looked:
    """The same of sounds without speech."""
    utterances = list(part)
    check_empty(utterances)
    return Counter(), missing_audio(utterances), []


def require_gpus(settings: TrainConfig, device: torch.device) -> None:
    """Raises ConfigError where processes on this machine would have to share a GPU."""
    here = int(os.environ.get("LOCAL_WORLD_SIZE", 1 if launched() else settings.processes))
    if device.type != "cuda" or settings.processes == 1:
        return
    if ":" in settings.device:
        raise ConfigError(
            f"train.device {settings.device} is one GPU; {settings.processes} processes need one each: set it to cuda"
        )
    if here > torch.cuda.device_count():
        raise ConfigError(
            f"{here} processes need a GPU each, and this machine has {torch.cuda.device_count()}: take so many processes, or"
            " set train.device to cpu"
        )


def _idle(settings: TrainConfig, plan: Plan) -> Iterator[str]:
    """What is to be said where processes share out batches that have fewer utterances than they are."""
    small = int((plan.sizes < settings.parts).sum())
    if 2 * small > len(plan):
        yield (
            f"{small:,} of {len(plan):,} batches have fewer utterances than the {settings.parts} processes that share each out,"
            " some of which then have nothing to do: raise train.accumulate or data.batch_seconds, or take fewer"
        )


def _tokenizer(config: Config, utterances: Utterances, goes_on: Path | None) -> Tokenizer:
    table = token_table(config, utterances, goes_on)
    initial = Path(config.train.initial_model) if config.train.initial_model else None
    folder = goes_on or initial
    return open_tokenizer(folder, table) if folder else CharacterTokenizer(table)
