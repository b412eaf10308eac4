"""A network shared out between two processes learns what a whole one does, and is saved and evaluated as one."""

import dataclasses
import shutil

import pytest
import torch

from asr.errors import AsrError, ConfigError
from asr.training import gradients, sharding
from asr.training.checkpoint import load_state
from asr.training.config import Config
from asr.training.distributed import BYSTANDER, Ranks
from asr.training.initial import from_model
from asr.training.loop import train
from asr.training.sharding import Learner
from asr.training.train_config import TrainConfig
from tests.conftest import ROOT, random_model
from tests.runs import QUIET, Quiet, changed, lines_of, logged_losses, quickly, small_run, with_data

TOY = ROOT / "tests/fixtures/toy"


@pytest.fixture(autouse=True)
def a_thread(monkeypatch):
    """Sums are then added in the same order each time."""
    quickly(monkeypatch)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def exact(config) -> Config:
    """A run whose losses are those of one process in all digits but the last, with all that is random."""
    return changed(with_data(config, batch_seconds=6), precision="float32", accumulate=2, max_steps=6, evaluate_every=3)


def sharded(config: Config, **train_settings) -> Config:
    return changed(config, processes=2, sharding="full", **train_settings)


def assert_same_state(a, b):
    """Weights, the optimizer's numbers and where the run is; but for rounding."""
    a, b = load_state(a), load_state(b)
    assert a["parameters"] == b["parameters"] and a["model"].keys() == b["model"].keys()
    assert a["optimizer"]["state"].keys() == b["optimizer"]["state"].keys()
    pairs = [(a["model"][name], b["model"][name]) for name in a["model"]]
    pairs += [(a["optimizer"]["state"][i][n], v) for i, s in b["optimizer"]["state"].items() for n, v in s.items()]
    assert all(one.shape == other.shape and torch.allclose(one, other, atol=1e-4, rtol=1e-3) for one, other in pairs)
    assert all(a["progress"][name] == b["progress"][name] for name in ("step", "epoch", "batch", "quarantine"))


def test_it_goes_on_on_one_process_and_on_two_as_one_would(exact, tmp_path):
    whole = train(exact, tmp_path / "whole", display=QUIET)
    train(sharded(exact), tmp_path / "parts", display=QUIET, stop_after=2)
    train(exact, tmp_path / "parts", display=QUIET, stop_after=4)
    parts = train(sharded(exact, activation_checkpointing=False), tmp_path / "parts", display=QUIET)
    assert logged_losses(parts) == pytest.approx(logged_losses(whole), abs=1e-4) and len(logged_losses(parts)) == 6
    assert_same_state(whole, parts)
    notes = [line["note"] for line in lines_of(parts) if "note" in line]
    assert "step 2: train.processes 2 → 1" in notes and "step 2: train.sharding 'full' → 'none'" in notes
    evaluated = [[line["step"] for line in lines_of(run) if "dev_cer" in line] for run in (whole, parts)]
    assert evaluated == [[3, 6], [3, 6]] and (parts / "model.safetensors").exists()


def test_in_half_precision_computed_twice_it_goes_on_bit_for_bit(exact, tmp_path):
    """Each process has a part of the only batch of a step; the run is gone on with from what it saved on the way."""

    class Copies(Quiet):
        def step(self, step, text):
            if step == 3:
                shutil.copytree(tmp_path / "whole", tmp_path / "parts")

    config = changed(exact, accumulate=1, precision="bfloat16", max_steps=4, checkpoint_every=2)
    config = sharded(config, activation_checkpointing=True)
    whole = train(config, tmp_path / "whole", display=Copies())
    assert load_state(tmp_path / "parts")["progress"]["step"] == 2
    parts = train(config, tmp_path / "parts", display=QUIET)
    a, b = load_state(whole)["model"], load_state(parts)["model"]
    assert all(torch.equal(a[name], b[name]) for name in a) and logged_losses(whole) == logged_losses(parts)


def test_what_cannot_be_learned_is_left_out_alone(exact, tmp_path, monkeypatch):
    """The loss of a batch of the first process is no number, at one step: the other's counts."""
    real, seen, spoiled = gradients.losses_of, [], []

    def spoiling(model, batch, objective):
        seen.append(batch.ids)
        losses = real(model, batch, objective)
        return dataclasses.replace(losses, total=losses.total * float("nan")) if batch.ids in spoiled else losses

    monkeypatch.setattr(gradients, "losses_of", spoiling)
    train(exact, tmp_path / "first", display=QUIET, stop_after=3)
    spoiled.append(seen[4])  # the first batch of step 2
    one, two = (train(c, tmp_path / name, display=QUIET) for name, c in (("one", exact), ("two", sharded(exact))))
    assert load_state(two)["progress"]["quarantine"].keys() == set(spoiled[0])
    assert logged_losses(two) == pytest.approx(logged_losses(one), abs=1e-4)
    assert_same_state(one, two)


@pytest.mark.parametrize("settings", [{"lora": 2, "precision": "float16"}, {"new_only_steps": 2}], ids=str)
def test_from_a_model(corpus, tmp_path, settings):
    """Adapters alone, or at first what is new alone: rows of new tokens and a CTC head."""
    sets = ["data.curriculum_epochs=0", "train.max_steps=3", "train.learning_rate=0.001", "train.log_every=1"]
    sets += ["train.precision=float32", "train.accumulate=2", "train.evaluate_every=3", "train.warmup_steps=0"]
    if settings.get("lora"):
        sets.append(f"train.lora.rank={settings['lora']}")
    elif "new_only_steps" in settings:
        sets += ["model.ctc=true", "train.ctc_weight=0.3", "train.new_tokens=true"]
        lines = corpus["train"].read_text(encoding="utf-8").splitlines()
        new = corpus["train"].with_name("new.jsonl")
        new.write_text("\n".join(line.replace('"text": "', '"text": "龘') for line in lines) + "\n", encoding="utf-8")
        corpus = corpus | {"train": new}
    config = from_model(small_run(corpus, *sets), TOY)
    config = changed(config, **{name: value for name, value in settings.items() if name != "lora"})
    one, two = (train(c, tmp_path / name, display=QUIET) for name, c in (("one", config), ("two", sharded(config))))
    assert logged_losses(two) == pytest.approx(logged_losses(one), abs=2e-3 if "precision" in settings else 1e-4)
    if "precision" not in settings:
        assert_same_state(one, two)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sharding": "half"}, "train.sharding must be one of none, full, is 'half'"),
        (
            {"sharding": "full", "compile": True},
            "train.sharding full does not go with train.compile: give up one of them",
        ),
        (
            {"sharding": "full", "average_of": "ema"},
            "train.sharding full does not go with train.average_of ema: give up one of them",
        ),
    ],
)
def test_what_does_not_go_with_it_is_named(settings, message):
    with pytest.raises(ConfigError) as refused:
        TrainConfig(**settings)
    assert str(refused.value) == message


@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_that_dies_while_the_others_ask_for_its_part_is_told_of(rank, monkeypatch):
    def dead(tensor):
        raise RuntimeError("gloo/transport/tcp/pair.cc: Connection reset by peer")

    monkeypatch.setattr(sharding, "whole_of", dead)
    ranks, model = Ranks(), random_model()
    ranks.rank, ranks.size = rank, 2
    with pytest.raises((AsrError, SystemExit)) as told:
        Learner(model, torch.optim.SGD(model.parameters(), 0.1), met=ranks.met).bring_together()
    if rank:
        assert told.value.code == BYSTANDER
    else:
        assert "another training process has died" in str(told.value)
