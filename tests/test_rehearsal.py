"""A share of old data in every epoch and every batch, so that a model that goes on does not forget."""

import dataclasses
from collections import Counter

import numpy as np
import pytest
import torch

from asr.corpus.batching import DataConfig
from asr.corpus.planning import plan_batches
from asr.corpus.rehearsal import with_rehearsal
from asr.corpus.toy import prepare_toy
from asr.errors import ConfigError
from asr.training.checkpoint import Progress, load_state
from asr.training.gradients import planned
from asr.training.loop import train
from asr.training.preparation import prepare
from tests.runs import QUIET, Lines, changed, lines_of, small_run, with_data

NEW = [1.0 + 0.01 * i for i in range(200)]
OLD = [3.0 + 0.02 * i for i in range(150)]
SECONDS = NEW + OLD


def plan(share: float = 0.25, epoch: int = 0, new=NEW, old=OLD, **config) -> list[list[int]]:
    return list(plan_batches([*new, *old], DataConfig(rehearsal_share=share, **config), 1, epoch, rehearsed=len(old)))


def share_of(batch, seconds=SECONDS, first_old: int = len(NEW)) -> float:
    return sum(seconds[i] for i in batch if i >= first_old) / sum(seconds[i] for i in batch)


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.9])
def test_the_share_is_that_of_each_epoch_and_batch(share):
    batches = plan(share, batch_seconds=60)
    counts = Counter(i for batch in batches for i in batch)
    assert all(counts[i] == 1 for i in range(len(NEW)))
    assert share_of([i for batch in batches for i in batch]) == pytest.approx(share, abs=0.01)
    for batch in batches:
        if len(batch) > 10:
            within = max(SECONDS) / sum(SECONDS[i] for i in batch)  # an utterance
            assert abs(share_of(batch) - share) <= within, batch


def test_batches_keep_to_their_size():
    for batch in plan(batch_seconds=30, max_utterances=9):
        assert len(batch) <= 9 and len(batch) * max(SECONDS[i] for i in batch) <= 30


def test_by_hand():
    """Half of the audio: three new ones of 1 s and, of two old ones, one of 3 s; the shortest first, in turns."""
    order, seconds = np.arange(5), np.array([1.0, 1.0, 1.0, 3.0, 3.0])
    merged = with_rehearsal(order, seconds, 3, share=0.5, generator=torch.Generator().manual_seed(0)).tolist()
    assert merged[0] == 0 and merged[1] in (3, 4) and merged[2:] == [1, 2]


def test_epochs_draw_others_and_each_is_the_same_again():
    drawn = [{i for batch in plan(epoch=epoch) for i in batch if i >= len(NEW)} for epoch in (0, 1)]
    assert drawn[0] != drawn[1] and plan(epoch=1) == plan(epoch=1)


def test_few_old_ones_come_several_times_before_any_comes_once_more():
    counts = Counter(i for batch in plan(0.5, old=[2.0, 2.0, 2.0]) for i in batch)
    old = [counts[len(NEW) + i] for i in range(3)]
    assert min(old) >= 60 and max(old) - min(old) <= 1


def test_without_rehearsal_the_plan_is_what_it_was():
    assert list(plan_batches(NEW, DataConfig(rehearsal_share=0.7), 1, 0)) == list(plan_batches(NEW, DataConfig(), 1, 0))


def test_what_cannot_be_is_refused():
    for share in (0.0, 1.0, -1.0):
        with pytest.raises(ConfigError, match="data.rehearsal_share must be between 0 and 1, is"):
            DataConfig(rehearsal_share=share)
    with pytest.raises(ConfigError, match="data.rehearsal: none of its utterances is between data.min_seconds and"):
        plan(old=[50.0])


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    return prepare_toy(tmp_path_factory.mktemp("old"), n_train=30, n_dev=2, n_test=2, seed=7)


@pytest.fixture
def recipe(corpus, old):
    sets = (
        "data.curriculum_epochs=0",
        "train.max_steps=6",
        "train.checkpoint_every=1",
        "train.log_every=1",
        "data.dev=[]",
    )
    share = (f'data.rehearsal=["{old["train"]}"]', "data.rehearsal_share=0.3", "data.min_count=1")
    return small_run(corpus, *sets, *share)


def test_a_run_with_rehearsal_says_so_and_goes_on_where_it_was(recipe, tmp_path):
    shown = Lines()
    whole = train(recipe, tmp_path / "whole", display=shown)
    said = "rehearsal: 30 of the utterances are old data, of which each epoch hears so many that they are 30 % of its audio"
    assert said in shown.lines
    for stop in (2, None):
        parts = train(recipe, tmp_path / "parts", display=QUIET, stop_after=stop)
    assert lines_of(parts) == lines_of(whole)
    first, second = (load_state(run)["model"] for run in (whole, parts))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_run_hears_its_share(recipe):
    prepared = prepare(recipe)
    assert prepared.reader.rehearsed == 30
    seconds, first_old = [u.duration for u in prepared.utterances], len(prepared.utterances) - 30
    assert all("old" in str(u.audio) for u in prepared.utterances[first_old:])
    for epoch in (0, 1):
        batches = planned(prepared.reader, prepared.config, Progress(epoch=epoch))
        everything = [i for batch in batches for i in batch]
        assert share_of(everything, seconds, first_old) == pytest.approx(0.3, abs=0.02)
        assert sorted(i for i in everything if i < first_old) == list(range(first_old))


def test_helper_processes_share_the_same_plan(recipe, tmp_path):
    """Two processes, and two batches in one: the same utterances, so the same loss of the first step."""
    plain = with_data(changed(recipe, max_steps=1, accumulate=2, precision="float32"), join=0.0)
    plain = dataclasses.replace(
        plain, augment=dataclasses.replace(plain.augment, tempo=0.0, frequency_masks=0, time_masks=0)
    )
    dropless = (
        dataclasses.replace(plain.model.encoder, dropout=0.0),
        dataclasses.replace(plain.model.decoder, dropout=0.0),
    )
    plain = dataclasses.replace(plain, model=dataclasses.replace(plain.model, encoder=dropless[0], decoder=dropless[1]))
    losses = [
        lines_of(train(changed(plain, processes=n), tmp_path / f"run{n}", display=QUIET))[0]["loss"] for n in (1, 2)
    ]
    assert losses[0] == pytest.approx(losses[1], abs=1e-3)
