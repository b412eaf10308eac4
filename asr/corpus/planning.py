"""Which utterances come together in which batch of an epoch, and in which order: a pure function of seed and epoch.

Numbers of utterances stand in arrays: five million take about a gigabyte while they are planned, and 60 MB afterwards.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from asr.corpus.batching import DataConfig
from asr.corpus.rehearsal import with_rehearsal

MOST_NOISE, LEAST_NOISE, MIXED = 0.1, 0.02, 2
"""Durations are sorted with relative noise, so that a batch has other members in each epoch. It is as large as it takes to mix
the utterances of about so many batches: noise of 10 % alone makes 8 % padding, and where there are many batches less will do
(benchmarks/mixing.py)."""
OPEN_HOURS = 20.0
"""Audio of the shards that are read from at a time: each shard is read in one stretch of the epoch, and batches of similar
length are found among some ten thousand utterances still."""


@dataclass(frozen=True, eq=False)
class Plan(Sequence[list[int]]):
    """Batches, each a list of numbers of utterances."""

    order: np.ndarray
    """(U,) numbers of utterances."""
    firsts: np.ndarray
    """(B,) where in `order` each batch begins."""
    lasts: np.ndarray
    """(B,) and where it ends: behind its last."""

    def __len__(self) -> int:
        return len(self.firsts)

    def __getitem__(self, i):
        if isinstance(i, slice | np.ndarray):
            return Plan(self.order, self.firsts[i], self.lasts[i])
        return self.order[self.firsts[i] : self.lasts[i]].tolist()

    def __iter__(self) -> Iterator[list[int]]:
        return (self[i] for i in range(len(self)))

    @property
    def sizes(self) -> np.ndarray:
        """(B,) utterances in each batch."""
        return self.lasts - self.firsts

    def padded(self, durations: np.ndarray) -> np.ndarray:
        """(B,) seconds of each batch, padding included."""
        longest = [durations[self.order[first:last]].max() for first, last in zip(self.firsts, self.lasts, strict=True)]
        return self.sizes * np.array(longest)


def plan_batches(
    durations: Sequence[float] | np.ndarray,
    config: DataConfig,
    seed: int,
    epoch: int,
    *,
    shards: np.ndarray | None = None,
    window: float = 0.0,
    rehearsed: int = 0,
    steps: tuple[int, int] = (1, 0),
) -> Plan:
    """The batches of one epoch: a pure function of its arguments, so that a run can be resumed anywhere.

    Every utterance within the length limits comes exactly once. Batches come shortest first in curriculum epochs,
    otherwise in random order. `shards`: the number of each utterance's shard, -1 for a file of its own; where there are more
    of them than are to be open at a time, those of a group come together, groups in random order. `window`: what an utterance
    is filled up to, in seconds. `rehearsed`: how many of the utterances, the last ones, are old data, of which only the share
    comes that `config` says, and shards then in any order. `steps`: how many batches a step has, which are of similar length,
    for those who compute them wait for each other, and how many of the first complete a step of the epoch before.
    """
    generator = torch.Generator().manual_seed(seed * 100_003 + epoch)
    seconds = np.asarray(durations, np.float64)
    noise = 1 + _noise(seconds, config) * (2 * torch.rand(len(seconds), generator=generator, dtype=torch.float64) - 1)
    order = (torch.from_numpy(seconds) * noise).argsort().numpy()
    order = order[config.takes(seconds[order])]
    if rehearsed:
        first_old = len(seconds) - rehearsed
        order = with_rehearsal(order, seconds, first_old, share=config.rehearsal_share, generator=generator)
    in_order = epoch < config.curriculum_epochs
    groups = [order] if in_order or rehearsed or shards is None else _groups(order, seconds, shards, generator)
    together, lead = steps
    batches: list[np.ndarray] = []
    begin = 0
    for group in groups:
        bounds = begin + _bounds(seconds[group], config, window)
        begin += len(group)
        ranges = np.stack([bounds[:-1], bounds[1:]], 1)
        batches.append(ranges if in_order else ranges[_arranged(len(ranges), together, lead, generator)])
        lead = (lead - len(ranges)) % together
    firsts, lasts = np.concatenate(batches).T
    return Plan(np.concatenate(groups), firsts, lasts)


def _noise(seconds: np.ndarray, config: DataConfig) -> float:
    """How far lengths are changed at most, as a share, before they are sorted."""
    batches = max(1.0, seconds[config.takes(seconds)].sum() / config.batch_seconds)
    return min(MOST_NOISE, max(LEAST_NOISE, MIXED / batches))


def _groups(order: np.ndarray, seconds: np.ndarray, shards: np.ndarray, generator: torch.Generator) -> list[np.ndarray]:
    """The order cut into that of each group of shards; what lies in files of its own is spread over all of them."""
    there, of_shard = np.unique(shards[order], return_inverse=True)
    first = int(len(there) > 0 and there[0] < 0)
    n_shards = len(there) - first
    n_groups = min(n_shards, int(seconds[order].sum() / 3600 / OPEN_HOURS))
    if n_groups < 2:
        return [order]
    places = torch.randperm(n_shards, generator=generator).numpy()
    group_of = np.concatenate([np.zeros(first, np.int64), places * n_groups // n_shards])
    groups = group_of[of_shard]
    if first:
        apart = of_shard == 0
        groups[apart] = torch.randint(n_groups, (int(apart.sum()),), generator=generator).numpy()
    sorted_by_group = order[np.argsort(groups, kind="stable")]
    return np.split(sorted_by_group, np.cumsum(np.bincount(groups, minlength=n_groups))[:-1])


def _bounds(seconds: np.ndarray, config: DataConfig, window: float) -> np.ndarray:
    """Where each batch of utterances in order begins, and where the last one ends: each takes as many as it has room for."""
    bounds, first = [0], 0
    counts = np.arange(1, config.max_utterances + 1)
    while first < len(seconds):
        some = np.maximum(np.maximum.accumulate(seconds[first : first + config.max_utterances]), window)
        first += max(1, int(np.searchsorted(some * counts[: len(some)], config.batch_seconds, side="right")))
        bounds.append(first)
    return np.array(bounds)


def _arranged(n: int, together: int, lead: int, generator: torch.Generator) -> np.ndarray:
    """The order in which n batches, shortest first, come: those of a step together, steps in random order."""
    first = min(lead, n)
    whole, rest = divmod(n - first, together)
    sizes = np.array([size for size in (first, *[together] * whole, rest) if size], np.int64)
    places = torch.randperm(len(sizes), generator=generator).numpy()  # of each step in the order of lengths
    by_length = np.argsort(places)
    starts = np.empty_like(sizes)
    starts[by_length] = np.cumsum(sizes[by_length]) - sizes[by_length]
    within = np.arange(n) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.repeat(starts, sizes) + within
