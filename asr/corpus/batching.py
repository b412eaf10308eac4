"""Utterances to training batches of similar length, bounded in seconds of audio."""

import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from asr.audio.reading import SAMPLE_RATE
from asr.config_checks import check_above_zero, check_not_negative, check_up_to_one
from asr.corpus.manifest import Utterance
from asr.errors import AsrError, AudioError, ConfigError, ManifestError, ShardError
from asr.features.fbank import pad_samples
from asr.foreign_bytes import quoted, reason
from asr.stopping import leave_to_parent
from asr.text.tokenizer import IGNORED, Tokenizer

TOKEN_STEP = 4
"""Padded texts are multiples of this long: every new shape makes a CPU generate code again."""


@dataclass(frozen=True)
class DataConfig:
    """What is trained on and how it is batched. Paths are relative to where the command is run."""

    train: tuple[str, ...] = ()
    """Manifests to train on; `a.jsonl=20` counts twenty times."""
    nonspeech: tuple[str, ...] = ()
    """Manifests of sounds in which nothing is said, with empty texts, to train on too: the model learns to write nothing."""
    rehearsal: tuple[str, ...] = ()
    """Manifests of old data, such as a model that goes on was trained with and is not to forget: some of it is drawn anew for
    each epoch of `train` and `nonspeech`."""
    rehearsal_share: float = 0.2
    """How much of the audio of each epoch, and of each batch as nearly as utterances allow, is from `rehearsal`. Where old
    utterances are much longer than the new ones, batches hold more padding, and fewer of each."""
    dev: tuple[str, ...] = ()
    """Manifests to choose checkpoints by; each one's CER is logged."""
    tokens: str = ""
    """Token table; empty builds one from the training manifests and `texts`."""
    texts: tuple[str, ...] = ()
    """Plain text files, a sentence a line, whose characters the token table shall hold too."""
    min_count: int = 1
    """Characters that occur less often are left out of a table that is built."""
    cmvn: str = ""
    """CMVN statistics as `asr corpus cmvn` writes them; empty computes them from the training audio."""
    batch_seconds: float = 120.0
    """Audio in a batch, padding included."""
    max_utterances: int = 256
    """Utterances in a batch."""
    min_seconds: float = 0.1
    """Shorter utterances are left out."""
    max_seconds: float = 20.0
    """Longer utterances are left out."""
    curriculum_epochs: int = 0
    """For so many epochs the batches come shortest first."""
    workers: int = 0
    """Processes that read audio ahead, for each that trains; 0 reads in the training process."""
    join: float = 0.0
    """Share of the batches in training whose utterances are joined two by two, so that a decoder also meets long texts; pairs
    longer than `max_seconds` stay apart."""
    max_unreadable: int = 100
    """Recordings that may turn out to be unreadable: they are left out and listed, and one more stops the run."""
    cache_audio: bool = False
    """Keep decoded audio in memory (2 bytes a sample: 115 MB an hour)."""

    def takes(self, seconds: float | np.ndarray) -> bool | np.ndarray:
        """Whether an utterance of this length is trained on; of several, for each."""
        return (self.min_seconds <= seconds) & (seconds <= self.max_seconds)

    def __post_init__(self):
        for name in ("train", "nonspeech", "rehearsal", "dev", "texts"):
            if "" in getattr(self, name):
                raise ConfigError(f"data.{name} must hold names of files, one is empty")
        check_above_zero("data", self, "batch_seconds", "max_utterances", "min_count", "max_seconds")
        check_not_negative("data", self, "workers", "curriculum_epochs", "min_seconds", "max_unreadable")
        check_up_to_one("data", self, "join")
        if self.min_seconds >= self.max_seconds:
            raise ConfigError(
                f"data.min_seconds {self.min_seconds:g} must be below data.max_seconds {self.max_seconds:g}"
            )
        if not 0 < self.rehearsal_share < 1:
            raise ConfigError(f"data.rehearsal_share must be between 0 and 1, is {self.rehearsal_share:g}")
        if self.cache_audio and self.workers:
            raise ConfigError("data.cache_audio needs data.workers 0: each worker would keep a cache of its own")


@dataclass(frozen=True)
class Batch:
    """What one training step sees."""

    ids: tuple[str, ...]
    """Ids of the utterances; of joined ones both, so that there may be more than B."""
    samples: Tensor
    """(B, S) in [-1, 1], zero behind each length."""
    lengths: Tensor
    """(B,) samples."""
    inputs: Tensor
    """(B, U) sos and the tokens; eos as padding."""
    targets: Tensor
    """(B, U) the tokens and eos; IGNORED as padding."""
    unreadable: tuple[tuple[str, str], ...] = ()
    """(id, error) of the utterances that should be here too; a batch of nothing else has no ids."""
    lost: str = ""
    """Why the run cannot go on: a shard or a manifest is gone, or is another one; the batch then has no ids."""
    share: float = 1.0
    """What part of a step's target tokens it has; a reader does not know, `weighed` sets it."""
    ctc_share: float = 1.0
    """The same of the targets that a CTC loss is divided by."""

    @property
    def tokens(self) -> int:
        """Target tokens, eos among them."""
        return int((self.targets != IGNORED).sum())

    def pin_memory(self) -> "Batch":
        """It in memory that a GPU can read; DataLoader calls this."""
        return self._moved(Tensor.pin_memory)

    def to(self, device: torch.device) -> "Batch":
        """It on a device."""
        return self._moved(lambda tensor: tensor.to(device, non_blocking=True))

    def _moved(self, move: Callable[[Tensor], Tensor]) -> "Batch":
        return replace(self, **{name: move(value) for name, value in vars(self).items() if isinstance(value, Tensor)})


def weighed(batches: Iterable[Batch], tokens: int, texts: int) -> list[Batch]:
    """Batches of a step of so many target tokens in so many texts, on whatever processes, with their shares of it: means over the
    tokens of each, times these, add up to the mean over all, so that the step learns what it would from one batch of all of them.
    """
    all_tokens, by_ctc = max(tokens, 1), max(_counted_by_ctc(tokens, texts), 1)
    return [
        replace(b, share=b.tokens / all_tokens, ctc_share=_counted_by_ctc(b.tokens, len(b.targets)) / by_ctc)
        for b in batches
    ]


def _counted_by_ctc(tokens: int, texts: int) -> int:
    """By how many targets a CTC loss is divided: those without eos, or an utterance where there are fewer."""
    return max(tokens - texts, texts)


def check_texts(utterances: Iterable[Utterance], tokenizer: Tokenizer, longest: int | None = None) -> dict[str, int]:
    """Like `lacking_characters`. Raises ManifestError for a text of which the table knows no character at all.

    And for one of more tokens than `longest`, for which the decoder has positions, if these have an end.
    """
    return lacking_characters(utterances, tokenizer, refuse=True, longest=longest)


def lacking_characters(
    utterances: Iterable[Utterance], tokenizer: Tokenizer, refuse: bool = False, longest: int | None = None
) -> dict[str, int]:
    """Characters the table lacks, with counts."""
    lacking: Counter[str] = Counter()
    unk = tokenizer.table.unk
    for utterance in utterances:
        ids = tokenizer.encode(utterance.text)
        if refuse and all(i == unk for i in ids):
            raise ManifestError(
                f"{utterance.where}: text must hold a character of the token table, is {quoted(utterance.text)}"
                f" ({utterance.id}); correct the line or drop it, or build the table from these texts too (data.min_count 1)"
            )
        if longest is not None and len(ids) > longest:
            raise ManifestError(
                f"{utterance.where}: the text of {utterance.id} has {len(ids)} tokens, the model has positions for"
                f" {longest}; leave it out"
            )
        if unk in ids:
            lacking.update(tokenizer.unknown(utterance.text))
    return dict(lacking)


def check_empty(utterances: Iterable[Utterance]) -> None:
    """Raises ManifestError for the first utterance of `data.nonspeech` that says something."""
    for utterance in utterances:
        if utterance.text.strip():
            raise ManifestError(
                f"{utterance.where}: text must be empty in a manifest of data.nonspeech, is {quoted(utterance.text)}"
                f" ({utterance.id}); list speech under data.train"
            )


class BatchReader(Dataset):
    """Batch number i of a plan, read from the audio files."""

    def __init__(
        self,
        utterances: Sequence[Utterance],
        tokenizer: Tokenizer,
        *,
        cache_audio: bool = False,
        join: float = 0.0,
        longest: float = math.inf,
        change: Callable[[np.ndarray, random.Random], np.ndarray] | None = None,
        rehearsed: int = 0,
    ):
        """rehearsed: how many of the utterances, the last ones, are old data."""
        self.utterances, self.tokenizer = utterances, tokenizer
        self.join, self.longest, self.change, self.rehearsed = join, longest, change, rehearsed
        self.plan: Sequence[list[int]] = []
        self.seed = ""
        self.part, self.parts = 0, 1
        self._cache: dict[int, np.ndarray] | None = {} if cache_audio else None

    def __len__(self) -> int:
        return len(self.plan)

    def __getitem__(self, i: int) -> Batch:
        try:
            return self._read(self.plan[i])
        except (ShardError, ManifestError) as error:
            return replace(_empty(()), lost=str(error))

    def _read(self, whole: list[int]) -> Batch:
        """What is this process's of a batch."""
        read: list[tuple[Utterance, np.ndarray]] = []
        unreadable: list[tuple[str, str]] = []
        for j in whole[self.part :: self.parts]:
            utterance = self.utterances[j]
            try:
                read.append((utterance, self._samples(j, utterance)))
            except ShardError:
                raise
            except AudioError as error:
                unreadable.append((utterance.id, str(error)))
        if not read:
            return _empty(tuple(unreadable))
        chance = random.Random(f"{self.seed} {whole}")  # the same in every process, and when a run goes on
        joins = chance.random() < self.join
        ids = [utterance.id for utterance, _ in read]
        texts = self._joined(read) if joins else ((samples, utterance.text) for utterance, samples in read)
        spoken = [(samples, self.tokenizer.encode(text)) for samples, text in texts]
        if self.parts > 1:
            chance = random.Random(f"{self.seed} {whole} {self.part}")
        if self.change:
            spoken = [(self.change(samples, chance), tokens) for samples, tokens in spoken]
        samples, tokens = zip(*spoken, strict=True)
        return replace(make_batch(ids, samples, tokens, self.tokenizer), unreadable=tuple(unreadable))

    def _joined(self, read: list[tuple[Utterance, np.ndarray]]) -> Iterator[tuple[np.ndarray, str]]:
        """Samples and text of each two neighbours as one, where that is not too long."""
        while read:
            (one, samples), *read = read
            if read and len(samples) + len(read[0][1]) <= self.longest * SAMPLE_RATE:
                (other, more), *read = read
                yield np.concatenate([samples, more]), f"{one.text} {other.text}"  # only Latin words keep the space
            else:
                yield samples, one.text

    def iterate(
        self,
        plan: Sequence[list[int]],
        first: int = 0,
        workers: int = 0,
        seed: str = "",
        *,
        for_gpu: bool = False,
        part: tuple[int, int] = (0, 1),
    ) -> Iterator[Batch]:
        """The batches of a plan from number `first`. Takes no number from torch's global random generator.

        `seed`: what is left to chance depends on it and on the members of the batch, and on nothing else. `for_gpu`: in memory
        from which a GPU can fetch them while it computes. `part`: (number, of how many) where each batch is shared out.
        """
        self.plan, self.seed, (self.part, self.parts) = plan, seed, part
        loader = DataLoader(
            self,
            batch_size=None,
            sampler=range(first, len(plan)),
            num_workers=workers,
            pin_memory=for_gpu,
            generator=torch.Generator(),
            worker_init_fn=leave_to_parent,
        )
        try:
            yield from loader
        except RuntimeError as error:
            if not str(error).startswith("DataLoader worker"):
                raise
            raise AsrError(f"a process that reads audio (data.workers) has died: {reason(error)}") from error

    def _samples(self, j: int, utterance: Utterance) -> np.ndarray:
        if self._cache is None:
            return utterance.read()
        if j not in self._cache:
            self._cache[j] = (utterance.read() * 32768).round().clip(-32768, 32767).astype(np.int16)
        return self._cache[j].astype(np.float32) / 32768


def _empty(unreadable: tuple[tuple[str, str], ...]) -> Batch:
    """A batch of which nothing could be read."""
    nothing = torch.zeros(0, 0, dtype=torch.long)
    return Batch((), nothing.float(), torch.zeros(0, dtype=torch.long), nothing, nothing, unreadable)


def drop_tokens(inputs: Tensor, share: float, unk: int) -> Tensor:
    """Decoder inputs (B, U) with a random share of the tokens replaced by `unk`; the first, sos, stays."""
    dropped = torch.rand(inputs.shape) < share
    dropped[:, 0] = False
    return inputs.masked_fill(dropped, unk)


def make_batch(
    ids: Sequence[str], samples: Sequence[np.ndarray], tokens: Sequence[Sequence[int]], tokenizer: Tokenizer
) -> Batch:
    """Arrays and token lists, padded to one batch."""
    table = tokenizer.table
    padded, lengths = pad_samples(samples)
    U = -(-(max(map(len, tokens)) + 1) // TOKEN_STEP) * TOKEN_STEP
    inputs = torch.full((len(samples), U), table.eos)
    targets = torch.full((len(samples), U), IGNORED)
    inputs[:, 0] = table.sos
    for b, t in enumerate(tokens):
        inputs[b, 1 : len(t) + 1] = torch.tensor(t)
        targets[b, : len(t) + 1] = torch.tensor([*t, table.eos])
    return Batch(tuple(ids), padded, lengths, inputs, targets)
