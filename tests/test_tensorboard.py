"""asr train --tensorboard: the numbers of log.jsonl as curves, each point once."""

import json
import sys
import types
from collections import Counter
from pathlib import Path

import pytest

from asr.corpus.toy import prepare_toy
from asr.errors import AsrError
from asr.training.checkpoint import load_state
from asr.training.config import load_config
from asr.training.loop import train
from asr.training.tensorboard import Curves, event_files, points
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return prepare_toy(tmp_path_factory.mktemp("small"), n_train=24, n_dev=4, n_test=1)


@pytest.fixture
def settings(corpus) -> list[str]:
    """A run of six steps."""
    return [
        f'data.train=["{corpus["train"]}"]',
        f'data.dev=["{corpus["dev"]}"]',
        "data.batch_seconds=8",
        "model.encoder.layers=1",
        "model.encoder.width=32",
        "train.max_steps=6",
        "train.warmup_steps=2",
        "train.log_every=1",
        "train.evaluate_every=3",
        "train.checkpoint_every=2",
        "train.health_every=3",
    ]


class Written:
    """In the place of TensorBoard's writer: a JSON line for each point."""

    files = 0

    def __init__(self, folder, purge_step, flush_secs):
        assert purge_step == 0 and flush_secs > 0
        Written.files += 1
        path = f"{folder}/events.out.tfevents.{Written.files}"
        Path(folder).mkdir(parents=True, exist_ok=True)
        self.file = open(path, "w", encoding="utf-8")

    def add_scalar(self, name, value, step, when):
        self.file.write(json.dumps([name, step, value, when]) + "\n")

    def close(self):
        self.file.close()


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", types.SimpleNamespace(SummaryWriter=Written))


def read(run) -> dict[tuple[str, int], float]:
    """The points of the one file that has any, none of which is there twice."""
    (path,) = (path for path in event_files(run) if path.stat().st_size)
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert max(Counter((name, step) for name, step, *_ in lines).values()) == 1
    return {(name, step): value for name, step, value, _ in lines}


def test_points_by_hand():
    loss = {"step": 5, "epoch": 1, "loss": 2.5, "ctc": 0.0, "rate": 0.001, "wall": 3.0}
    assert dict(points(loss)) == {
        "train/epoch": 1,
        "train/loss": 2.5,
        "train/ctc": 0.0,
        "train/rate": 0.001,
        "train/wall": 3.0,
    }
    assert dict(points({"step": 5, "dev_cer": 0.5, "dev_cer_words": 0.25})) == {"dev/cer": 0.5, "dev/cer_words": 0.25}
    health = {"diagonal": 0.9, "by_position": {"1": 0.5, "9-16": 0.25, "17+": 0.125}}
    assert dict(points({"step": 5, "epoch": 1, "health": health})) == {
        "health/diagonal": 0.9,
        "health/accuracy_at_1": 0.5,
        "health/accuracy_at_9-16": 0.25,
        "health/accuracy_at_17_and_on": 0.125,
    }


def test_what_a_run_writes_is_what_its_log_holds(run, settings, tmp_path, fake):
    arguments = [f"--set={s}" for s in settings]
    status, out, err = run(
        "train", ROOT / "recipes/toy/base.toml", "--out", tmp_path / "run", "--tensorboard", *arguments
    )
    assert (status, out) == (0, ""), err
    found = read(tmp_path / "run")
    log = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert found == {(name, line["step"]): value for line in log for name, value in points(line)}
    for name, steps in {"train/loss": 6, "train/rate": 6, "dev/cer": 2, "health/diagonal": 2}.items():
        assert sum(found_name == name for found_name, _ in found) == steps


def test_an_interrupted_run_has_no_point_twice_and_none_is_missing(settings, tmp_path, fake):
    """Killed at step 5 it goes on from step 4; what it had written of step 5 is gone."""
    config = load_config(ROOT / "recipes/toy/base.toml", settings)
    quiet = types.SimpleNamespace(line=lambda text: None, step=lambda step, text: None)

    def killed(step, text):
        if step == 5:
            raise KeyboardInterrupt

    whole = train(config, tmp_path / "whole", display=quiet, tensorboard=True)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "run", display=types.SimpleNamespace(line=quiet.line, step=killed), tensorboard=True)
    assert load_state(tmp_path / "run")["progress"]["step"] == 4
    train(config, tmp_path / "run", display=quiet, tensorboard=True)
    a, b = read(whole), read(tmp_path / "run")
    assert a.keys() == b.keys() and all(a[key] == b[key] for key in a if key[0] != "train/wall")


def test_curves_asked_for_later_begin_at_the_first_step(settings, tmp_path, fake):
    config = load_config(ROOT / "recipes/toy/base.toml", settings)
    quiet = types.SimpleNamespace(line=lambda text: None, step=lambda step, text: None)
    run = train(config, tmp_path / "run", display=quiet)
    assert not (run / "tensorboard").exists()
    train(config, run, display=quiet, tensorboard=True)  # finished already: nothing is trained, all is drawn
    assert sum(name == "train/loss" for name, _ in read(run)) == 6
    train(config, run, display=quiet, force=True)
    assert event_files(run) == []  # those of the run that was dropped


def test_without_tensorboard_the_extra_is_named_and_nothing_is_begun(run, settings, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    arguments = [f"--set={s}" for s in settings]
    status, _, err = run(
        "train", ROOT / "recipes/toy/base.toml", "--out", tmp_path / "run", "--tensorboard", *arguments
    )
    assert status == 1 and "--tensorboard needs TensorBoard (" in err
    assert err.strip().endswith("pip install 'mandarin-asr[train]'") and not (tmp_path / "run").exists()
    with pytest.raises(AsrError, match="pip install 'mandarin-asr\\[train\\]'"):
        Curves(tmp_path, [])


def test_tensorboard_itself_reads_them(tmp_path):
    """With the real library, one that is open while the run goes on from an earlier step."""
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def line(step):
        return {"step": step, "epoch": 0, "loss": 1.0 / step, "wall": 60.0 * step}

    first = Curves(tmp_path, [])
    for step in (1, 2, 3):
        first.add(line(step))
    first.close()
    reader = EventAccumulator(str(tmp_path / "tensorboard"))
    reader.Reload()
    assert [event.step for event in reader.Scalars("train/loss")] == [1, 2, 3]
    again = Curves(tmp_path, [line(1), line(2)])
    again.add(line(3))
    again.close()
    reader.Reload()
    events = reader.Scalars("train/loss")
    assert [(event.step, event.value) for event in events] == [(1, 1.0), (2, 0.5), (3, pytest.approx(1 / 3))]
    fresh = EventAccumulator(str(tmp_path / "tensorboard"))
    fresh.Reload()
    assert [event.step for event in fresh.Scalars("train/loss")] == [1, 2, 3]
    assert [path.stat().st_size > 0 for path in event_files(tmp_path)] == [False, True]
    assert events[1].wall_time - events[0].wall_time == pytest.approx(60, abs=0.1)
