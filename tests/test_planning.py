"""Batches of an epoch: little padding, and shards read one after the other."""

import numpy as np
import pytest

from asr.corpus import planning
from asr.corpus.batching import DataConfig
from asr.corpus.planning import plan_batches

N, IN_A_SHARD = 12_000, 400
SECONDS = np.random.default_rng(0).lognormal(1.5, 0.5, N).clip(1, 15).round(2)
SHARDS = np.arange(N) // IN_A_SHARD
CONFIG = DataConfig(batch_seconds=60)


@pytest.fixture(autouse=True)
def few_open(monkeypatch):
    """Shards of two thirds of an hour; three hours of them at a time."""
    monkeypatch.setattr(planning, "OPEN_HOURS", 3.0)


def padding(plan) -> float:
    used = SECONDS[np.concatenate(list(plan))].sum()
    return 1 - used / plan.padded(SECONDS).sum()


def test_a_shard_is_read_in_one_stretch_of_the_epoch():
    plan = plan_batches(SECONDS, CONFIG, 1, 3, shards=SHARDS, steps=(4, 1))
    assert sorted(i for batch in plan for i in batch) == list(range(N))
    where = np.repeat(np.arange(len(plan)), [len(batch) for batch in plan])
    read = SHARDS[np.concatenate(list(plan))]
    n_groups = int(SECONDS.sum() / 3600 / 3)
    assert n_groups >= 5
    for shard in range(N // IN_A_SHARD):
        places = where[read == shard]
        assert places[-1] - places[0] <= 1.5 * len(plan) / n_groups
    assert padding(plan) < 0.05


def test_groups_are_others_in_each_epoch_and_the_same_again():
    first = [[SHARDS[batch[0]] for batch in plan_batches(SECONDS, CONFIG, 1, epoch, shards=SHARDS)] for epoch in (0, 1)]
    assert first[0][:20] != first[1][:20]
    plans = [list(plan_batches(SECONDS, CONFIG, 1, 1, shards=SHARDS, steps=(4, 3))) for _ in range(2)]
    assert plans[0] == plans[1]


@pytest.mark.parametrize("lead", [0, 3])
def test_steps_go_on_over_the_ends_of_groups(lead):
    """Of a step's batches the lengths are similar, but for one step at the end of each group."""
    plan = plan_batches(SECONDS, CONFIG, 1, 0, shards=SHARDS, steps=(4, lead))
    longest = plan.padded(SECONDS) / plan.sizes
    steps = longest[lead : lead + (len(plan) - lead) // 4 * 4].reshape(-1, 4)
    differing = (steps.max(1) > 1.2 * steps.min(1)).sum()
    assert differing <= 2 * int(SECONDS.sum() / 3600 / 3) < len(steps) / 10


@pytest.mark.parametrize("shards", [np.zeros(N, int), np.full(N, -1), SHARDS * 0 - 1 + (SHARDS == 3)])
def test_what_is_all_open_at_a_time_comes_as_from_files(shards):
    assert list(plan_batches(SECONDS, CONFIG, 1, 0, shards=shards)) == list(plan_batches(SECONDS, CONFIG, 1, 0))


def test_curriculum_and_rehearsal_come_before_the_order_of_shards():
    config = DataConfig(batch_seconds=60, curriculum_epochs=1)
    for more in ({"rehearsed": 2000}, {}):
        assert list(plan_batches(SECONDS, config, 1, 0, shards=SHARDS, **more)) == list(
            plan_batches(SECONDS, config, 1, 0, **more)
        )


def test_files_of_their_own_are_spread_over_all_groups():
    shards = np.where(np.arange(N) % 10 == 0, -1, SHARDS)
    plan = plan_batches(SECONDS, CONFIG, 1, 0, shards=shards)
    quarters = np.array_split(shards[np.concatenate(list(plan))], 4)
    assert all(0.07 < (quarter == -1).mean() < 0.13 for quarter in quarters)


def test_many_batches_take_little_padding_and_still_others_in_each_epoch():
    plans = [plan_batches(SECONDS, CONFIG, 1, epoch) for epoch in (0, 1)]
    assert padding(plans[0]) < 0.03
    members = [{frozenset(batch) for batch in plan} for plan in plans]
    assert not members[0] & members[1]


def test_parts_of_a_plan():
    plan = plan_batches(SECONDS, CONFIG, 1, 0)
    assert list(plan[5:]) == list(plan)[5:] and list(plan[np.array([3, 1])]) == [plan[3], plan[1]]
    assert plan.sizes.tolist() == [len(batch) for batch in plan]
    assert plan.padded(SECONDS)[2] == pytest.approx(max(SECONDS[plan[2]]) * len(plan[2]))
