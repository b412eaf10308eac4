"""Averages of weights, early stopping, and what a model's header says of its origin."""

import json

import pytest
import torch
from safetensors.torch import save_file

import asr
from asr.corpus.toy import prepare_toy
from asr.errors import CheckpointError, ConfigError
from asr.model.folder import load_model, read_weights
from asr.scoring.cer import CharErrors
from asr.training import checkpoint
from asr.training.checkpoint import Progress, average_weights, averaged_steps, load_state, stopped_early
from asr.training.loop import train
from asr.training.train_config import TrainConfig
from tests.conftest import ROOT
from tests.runs import Lines, small_run


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return prepare_toy(tmp_path_factory.mktemp("small"), n_train=20, n_dev=2, n_test=1)


@pytest.fixture
def config(corpus):
    return lambda *settings: small_run(
        corpus,
        "model.encoder.layers=1",
        "model.encoder.width=16",
        "train.max_steps=10",
        "train.warmup_steps=2",
        "train.evaluate_every=2",
        "train.checkpoint_every=5",
        *settings,
    )


@pytest.fixture
def scripted(monkeypatch):
    """Evaluations that give these CERs, one after the other, and for ever the last."""

    def script(*cers):
        left = list(cers)

        def errors(dev_sets, recognizer):
            cer = left.pop(0) if len(left) > 1 else left[0]
            return CharErrors(substitutions=round(1000 * cer), reference=1000), {}

        monkeypatch.setattr("asr.training.loop.dev_errors", errors)

    return script


def checkpoints(run) -> list[int]:
    return sorted(int(p.stem.removeprefix("step-")) for p in (run / "checkpoints").glob("*.safetensors"))


def test_which_steps_are_averaged():
    progress = Progress(best=[(0.1, 30), (0.2, 10), (0.3, 50)], evaluated=[10, 20, 30, 40, 50])
    assert averaged_steps(progress, TrainConfig(average=2)) == [30, 10]
    assert averaged_steps(progress, TrainConfig(average=2, average_of="last")) == [40, 50]
    assert averaged_steps(progress, TrainConfig(average=2, average_of="ema")) == []
    with pytest.raises(ConfigError, match="train.average_of must be one of best, last, ema, is 'all'"):
        TrainConfig(average_of="all")


def test_checkpoints_of_different_networks_have_no_mean(tmp_path):
    paths = [tmp_path / name for name in ("a", "b", "c")]
    for path, tensors in zip(
        paths, ({"w": torch.ones(3)}, {"w": torch.ones(4)}, {"w": torch.ones(3), "v": torch.ones(1)}), strict=True
    ):
        save_file(tensors, path)
    assert average_weights(paths[:1])["w"].tolist() == [1, 1, 1]
    for other, why in ((paths[1], "size of tensor a"), (paths[2], "v is only in one of them")):
        with pytest.raises(CheckpointError, match=f"{other}: does not fit the others .*{why}.*; checkpoints cannot be"):
            average_weights([paths[0], other])


def test_what_is_damaged_is_left_out_where_somebody_takes_it(tmp_path):
    save_file({"w": torch.ones(3)}, tmp_path / "a")
    (tmp_path / "b").write_bytes(b"")
    save_file({"w": 3 * torch.ones(3)}, tmp_path / "c")
    paths, damaged = [tmp_path / name for name in "abc"], {}
    assert average_weights(paths, damaged)["w"].tolist() == [2, 2, 2] and list(damaged) == [tmp_path / "b"]
    assert average_weights([tmp_path / "b"], damaged) == {}
    with pytest.raises(CheckpointError, match=str(tmp_path / "b")):
        average_weights(paths)


def test_each_checkpoint_is_read_once(config, tmp_path, scripted, monkeypatch):
    scripted(0.5, 0.4, 0.3, 0.2, 0.1, 0.05)
    run = train(config("train.average=3"), tmp_path / "run", display=Lines(), stop_after=10)
    read, real = [], checkpoint.read_weights
    monkeypatch.setattr(checkpoint, "read_weights", lambda path: (read.append(path.name), real(path))[1])
    train(config("train.average=3"), run, display=Lines())
    assert sorted(read) == [f"step-{step:08d}.safetensors" for step in (6, 8, 10)]


def test_the_last_checkpoints(config, tmp_path, scripted):
    scripted(0.1, 0.5, 0.4, 0.6, 0.7, 0.05)
    run = train(config("train.average=3", "train.average_of=last"), tmp_path / "run", display=Lines())
    assert checkpoints(run) == [6, 8, 10]
    loaded = load_model(run)
    assert loaded.metadata["averaged"] == "6 8 10" and loaded.metadata["dev_cer"] == "0.05000000"
    weights = [read_weights(run / f"checkpoints/step-{step:08d}.safetensors")[0] for step in (6, 8, 10)]
    name = "decoder.embedding.weight"
    assert torch.allclose(loaded.model.state_dict()[name], sum(w[name] for w in weights) / 3, atol=1e-6)


def test_damaged_checkpoints_are_left_out_of_the_average_and_named(config, tmp_path, scripted):
    scripted(0.5, 0.4, 0.3, 0.2, 0.1, 0.05)
    told, settings = Lines(), config("train.average=3", "train.evaluate_every=2")
    run = train(settings, tmp_path / "run", display=told, stop_after=8)
    for step, damage in ((6, b""), (8, None)):
        path = run / f"checkpoints/step-{step:08d}.safetensors"
        content = bytearray(path.read_bytes())
        content[-50] ^= 1
        path.write_bytes(content if damage is None else damage)
    scripted(0.1, 0.05)
    train(settings, run, display=told)
    left_out = [line for line in told.lines if line.startswith("left out of the average: ")]
    assert [line.split("step-")[1][:8] for line in left_out] == ["00000008", "00000006"]
    assert load_model(run).metadata["averaged"] == "10"


def test_a_moving_average_is_what_it_says(config, tmp_path, monkeypatch):
    """Computed again, from the weights that each step left."""
    seen = []
    import asr.training.loop as loop

    real = loop.follow

    def follow(average, model, settings, step):
        seen.append(model.decoder.out.weight.detach().clone())
        real(average, model, settings, step)

    monkeypatch.setattr(loop, "follow", follow)
    settings = ("train.average_of=ema", "train.ema_decay=0.5", "data.dev=[]", "train.max_steps=6")
    run = train(config(*settings), tmp_path / "run", display=Lines())
    torch.manual_seed(1)
    mean = None
    for step, weights in enumerate(seen, 1):
        decay = min(0.5, (1 + step) / (10 + step))
        mean = weights if mean is None else decay * mean + (1 - decay) * weights
    found = load_model(run).model.decoder.out.weight
    # the initial weights are all that differs: they have faded to 2/11 · 3/12 · … of the whole
    assert torch.allclose(found, mean, atol=2e-3) and not torch.equal(found, seen[-1])


def test_a_moving_average_resumes_bit_for_bit(config, tmp_path):
    ema = config("train.average_of=ema")
    whole = train(ema, tmp_path / "whole", display=Lines())
    train(ema, tmp_path / "parts", display=Lines(), stop_after=5)
    parts = train(ema, tmp_path / "parts", display=Lines())
    a, b = load_state(whole)["moving_average"], load_state(parts)["moving_average"]
    assert len(a) > 10 and all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
    assert checkpoints(whole) == []


def test_when_a_run_has_had_enough():
    progress = Progress(best=[(0.1, 30), (0.2, 10)], evaluated=[10, 20, 30, 40, 50])
    assert [stopped_early(progress, TrainConfig(patience=n)) for n in (0, 1, 2, 3)] == [False, True, True, False]
    assert not stopped_early(Progress(), TrainConfig(patience=1))


def test_a_run_stops_when_it_no_longer_gets_better(config, tmp_path, scripted):
    scripted(0.5, 0.3, 0.4, 0.35, 0.3)
    told = Lines()
    run = train(config("train.patience=2", "train.max_steps=100"), tmp_path / "run", display=told)
    assert load_state(run)["progress"]["step"] == 8  # the evaluations at 6 and 8 were not better than that at 4
    assert "stopped: 2 evaluations in a row were not better than step 4" in told.lines
    train(config("train.patience=2", "train.max_steps=100"), run, display=told)
    assert load_state(run)["progress"]["step"] == 8  # and it stays where it is
    scripted(0.6)
    train(config("train.patience=3", "train.max_steps=100"), run, display=told)
    assert load_state(run)["progress"]["step"] == 10  # more patience goes on


def test_a_model_says_where_it_comes_from(config, tmp_path, run):
    made = train(config("train.accumulate=2", "train.max_steps=2"), tmp_path / "run", display=Lines())
    metadata = load_model(made).metadata
    assert metadata["batch"] == "24 s of audio a step" and metadata["seed"] == "1"
    assert metadata["versions"].startswith(f"asr {asr.__version__}, torch {torch.__version__}, Python 3.")
    assert metadata["data"] == load_state(made)["started_with"]["data"]
    assert json.loads(metadata["settings"])["train"]["accumulate"] == 2
    assert len(metadata["commit"].split()[0]) == 12 or not (ROOT / ".git").exists()
    out = run("model", "info", made)[1]
    assert "batch       24 s of audio a step" in out and "settings" not in out
    run("model", "export", made, "--out", tmp_path / "half")
    assert load_model(tmp_path / "half").metadata["settings"] == metadata["settings"]


@pytest.mark.parametrize(
    ("settings", "cers", "kept"),
    [
        ((), (0.5, 0.3, 0.4, 0.6, 0.7, 0.2), "the average of steps 4, 6, dev CER 20.00 %"),
        ((), (0.5, 0.3, 0.4, 0.6, 0.7, 0.35), "the model of step 4, dev CER 30.00 %"),
        (("train.average=1",), (0.5, 0.3, 0.4, 0.6, 0.7, 0.3), "the model of step 4, dev CER 30.00 %"),
        (("train.average_of=last",), (0.5, 0.3, 0.4, 0.6, 0.7, 0.1), "the average of steps 8, 10, dev CER 10.00 %"),
        (("train.average_of=ema",), (0.5, 0.1), "the moving average of its weights up to step 10, dev CER 10.00 %"),
        (("train.patience=1",), (0.2, 0.3, 0.4), "the model of step 2, dev CER 20.00 %"),
        (("data.dev=[]",), (0.1,), "the model of step 10; no dev manifest to choose by"),
    ],
)
def test_the_last_line_names_the_model_that_is_kept(config, tmp_path, scripted, settings, cers, kept):
    scripted(*cers)
    told = Lines()
    run = train(config("train.average=2", *settings), tmp_path / "run", display=told)
    assert told.lines[-1] == f"kept in {run}: {kept}"
