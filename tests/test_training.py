import dataclasses
import json
import math
import signal
import sys
from pathlib import Path

import pytest
import torch

from asr.corpus.manifest import read_manifest, write_manifest
from asr.errors import AsrError, ManifestError
from asr.model.folder import load_model, read_weights
from asr.model.formats import SUBSAMPLING
from asr.scoring.cer import CharErrors
from asr.training import gradients
from asr.training.checkpoint import Progress, average_weights, load_state
from asr.training.evaluation import distinct_names
from asr.training.gradients import StepNumbers
from asr.training.history import read_history
from asr.training.loop import train
from asr.training.step import set_aside
from tests import forked
from tests.conftest import ROOT
from tests.killing import files_end_at, killed_at_file
from tests.runs import QUIET, changed, lines_of, logged_losses, with_data


def test_ten_steps_equal_five_and_resume_and_five(config, tmp_path):
    """Bit for bit, through batches, dropout, augmentation, dither, the optimizer and the choice of checkpoints."""
    whole = train(config, tmp_path / "whole", display=QUIET)
    train(config, tmp_path / "parts", display=QUIET, stop_after=5)
    assert load_state(tmp_path / "parts")["progress"]["step"] == 5
    parts = train(config, tmp_path / "parts", display=QUIET)
    a, b = load_state(whole), load_state(parts)
    assert a["model"].keys() == b["model"].keys()
    assert all(torch.equal(a["model"][n], b["model"][n]) for n in a["model"])
    for p, q in zip(a["optimizer"]["state"].values(), b["optimizer"]["state"].values(), strict=True):
        assert all(torch.equal(p[n], q[n]) for n in p)
    assert lines_of(whole) == lines_of(parts) and len(lines_of(whole)) == 18
    assert (whole / "model.safetensors").read_bytes() == (parts / "model.safetensors").read_bytes()


def test_a_finished_run_is_left_as_it_is(config, tmp_path):
    run = train(changed(config, max_steps=4), tmp_path / "run", display=QUIET)
    before = (run / "model.safetensors").read_bytes()
    train(changed(config, max_steps=4), run, display=QUIET)
    assert (run / "model.safetensors").read_bytes() == before


def test_the_run_folder_is_a_model_folder_and_keeps_the_best(config, tmp_path):
    run = train(changed(config, average=2), tmp_path / "run", display=QUIET)
    assert load_model(run).model.config == config.model
    best = load_state(run)["progress"]["best"]
    evaluated = {line["step"]: line["dev_cer"] for line in lines_of(run) if "dev_cer" in line}
    assert set(evaluated) == {4, 8, 10}
    assert [tuple(b) for b in best] == sorted((cer, step) for step, cer in evaluated.items())[:2]
    assert sorted(p.name for p in (run / "checkpoints").iterdir()) == sorted(
        f"step-{s:08d}.safetensors" for _, s in best
    )


def test_a_run_of_an_earlier_version_goes_on(config, tmp_path):
    """Its settings had the subsampling's among the model's, and a sample rate."""
    run = train(config, tmp_path / "run", display=QUIET, stop_after=5)
    state = torch.load(run / "state.pt", weights_only=True)
    settings = json.loads(state["started_with"]["settings"])
    subsampling = settings["model"].pop("subsampling")
    settings["model"] |= {old: subsampling[new] for old, new in SUBSAMPLING.items()}
    settings["features"]["sample_rate"] = 16000
    del settings["features"]["unit"]
    (run / "settings.json").write_text(json.dumps(settings))
    state["started_with"]["settings"] = json.dumps(settings)
    torch.save(state, run / "state.pt")
    assert read_history(run).settings["model.subsampling.factor"] == 4
    train(config, run, display=QUIET)
    assert load_state(run)["progress"]["step"] == 10


def test_average_is_the_mean_of_the_files(config, tmp_path):
    run = train(config, tmp_path / "run", display=QUIET)
    paths = sorted((run / "checkpoints").iterdir())
    average, all_weights = average_weights(paths), [read_weights(p)[0] for p in paths]
    name = "decoder.embedding.weight"
    assert len(paths) == 2
    assert torch.allclose(average[name], sum(w[name] for w in all_weights) / 2, atol=1e-7)
    assert not torch.equal(all_weights[0][name], all_weights[1][name])


def test_killed_at_any_file_it_goes_on(config, corpus, tmp_path):
    """A process that saves at every step is killed again and again; what it leaves can always be read, and it finishes."""
    (tmp_path / "r.toml").write_text((ROOT / "recipes/toy/base.toml").read_text())
    settings = [f'data.train=["{corpus["train"]}"]', f'data.dev=["{corpus["dev"]}"]', "train.checkpoint_every=1"]
    settings += ["train.max_steps=30", "train.evaluate_every=15", "data.batch_seconds=12", "train.warmup_steps=3"]
    arguments = ["train", str(tmp_path / "r.toml"), "--out", str(tmp_path / "run"), *(f"--set={s}" for s in settings)]
    steps = []
    for n, when in ((9, "before"), (14, "after")):
        killed = forked.run([*killed_at_file(n, when), *arguments], stderr=forked.DEVNULL)
        assert killed.returncode == -signal.SIGKILL
        steps.append(load_state(tmp_path / "run")["progress"]["step"])
    assert 0 < steps[0] < steps[1] < 30
    done = forked.run([sys.executable, "-m", "asr", *arguments], capture_output=True, text=True)
    assert done.returncode == 0 and f"going on from step {steps[-1]}" in done.stderr
    assert load_state(tmp_path / "run")["progress"]["step"] == 30
    assert load_model(tmp_path / "run").metadata["step"]
    assert not list((tmp_path / "run").rglob("*.tmp"))


def test_sounds_without_speech_are_trained_on_with_empty_texts(config, corpus, tmp_path):
    lines = [json.loads(line) | {"text": ""} for line in corpus["train"].read_text().splitlines()[:8]]
    silent = corpus["train"].parent / "silent.jsonl"
    silent.write_text("".join(json.dumps(line) + "\n" for line in lines))
    run = train(with_data(config, nonspeech=(str(silent),) * 4), tmp_path / "run", display=QUIET, stop_after=4)
    assert all(map(math.isfinite, logged_losses(run)))
    silent.write_text(corpus["train"].read_text())
    with pytest.raises(ManifestError, match=r"silent.jsonl:1: text must be empty in a manifest of data.nonspeech, is"):
        train(with_data(config, nonspeech=(str(silent),)), tmp_path / "other", display=QUIET)


def test_three_unusable_gradients_in_a_row_stop_the_run(config, tmp_path, monkeypatch):
    real = gradients.losses_of

    def spoiled(model, batch, objective):
        losses = real(model, batch, objective)
        return dataclasses.replace(losses, total=losses.total * float("nan"))

    monkeypatch.setattr(gradients, "losses_of", spoiled)
    with pytest.raises(
        AsrError, match=r"step 2: loss or gradient was not a number 3 times in a row \(utterances train-"
    ):
        train(config, tmp_path / "run", display=QUIET)


def test_a_run_that_gives_up_says_how_its_best_model_goes_on(config, tmp_path):
    spoiled, progress = StepNumbers(not_finite=["a"]), Progress(step=9, unusable=3, best=[(0.2, 8)])
    with pytest.raises(AsrError, match=rf"and go on from the best model: --init {tmp_path}, another --out"):
        set_aside(spoiled, progress, config, tmp_path / "quarantine.jsonl", display=QUIET)


def test_without_dev_manifests_the_last_weights_are_the_model(config, tmp_path):
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, dev=()))
    run = train(config, tmp_path / "run", display=QUIET)
    state = load_state(run)["model"]
    assert all(torch.equal(tensor, state[n]) for n, tensor in load_model(run).model.state_dict().items())


FULL_DISK = """
import json, sys
from asr.training.config import Config
from asr.config_values import from_dict
from asr.errors import CheckpointError
from asr.training.loop import train
from asr.training.step import set_aside
from tests.runs import QUIET
try:
    train(from_dict(Config, json.loads(sys.argv[1]), ""), sys.argv[2], display=QUIET)
except CheckpointError as error:
    print(error)
"""


def test_a_full_disk_leaves_the_previous_state_intact(config, tmp_path):
    no_dev = dataclasses.replace(config, data=dataclasses.replace(config.data, dev=()))
    other = train(no_dev, tmp_path / "other", display=QUIET, stop_after=2)
    before = (other / "state.pt").read_bytes()
    command = [sys.executable, "-c", files_end_at(100_000) + FULL_DISK, no_dev.to_json(), str(other)]
    done = forked.run(command, capture_output=True, text=True)
    assert "state.pt: could not be saved, the disk is full; the one saved before is intact" in done.stdout, done.stderr
    assert (other / "state.pt").read_bytes() == before and load_state(other)["progress"]["step"] == 2
    assert sorted(p.name for p in other.iterdir()) == ["log.jsonl", "settings.json", "state.pt", "tokens.txt"]


def test_dev_manifests_of_one_name_count_both(config, corpus, tmp_path):
    other = tmp_path / "dev.jsonl"
    write_manifest(other, read_manifest(corpus["dev"])[:2])
    run = train(with_data(config, dev=(str(corpus["dev"]), str(other))), tmp_path / "run", display=QUIET, stop_after=4)
    alone = train(with_data(config, dev=(str(corpus["dev"]),)), tmp_path / "alone", display=QUIET, stop_after=4)
    first, second = (next(line["dev_cer"] for line in lines_of(r) if "dev_cer" in line) for r in (run, alone))
    assert first != second or first == 1.0


def test_the_model_of_a_longer_run_is_never_worse(config, tmp_path, monkeypatch):
    """The average of a finished run stays in the folder until something better comes."""
    script = iter([0.9, 0.8, 0.5, 0.7, 0.75, 0.72])  # two evaluations and their average; then the longer run

    def scripted(dev_sets, recognizer):
        return CharErrors(substitutions=round(1000 * next(script)), reference=1000), {}

    monkeypatch.setattr("asr.training.loop.dev_errors", scripted)
    short = changed(config, max_steps=8, evaluate_every=4, average=2)
    run = train(short, tmp_path / "run", display=QUIET)
    assert load_model(run).metadata["dev_cer"] == "0.50000000"
    train(changed(short, max_steps=16), run, display=QUIET)
    assert load_model(run).metadata["dev_cer"] == "0.50000000"


def test_starting_over_drops_what_was_chosen_for_the_model_before(config, tmp_path):
    run = train(config, tmp_path / "run", display=QUIET, stop_after=1)
    for name in ("decode.json", "lm.safetensors", "pieces.model"):
        (run / name).write_text("{}")
    train(config, run, force=True, display=QUIET, stop_after=1)
    assert not [name for name in ("decode.json", "lm.safetensors", "pieces.model") if (run / name).exists()]


def test_a_run_that_was_killed_before_it_began_is_no_other_run(config, tmp_path):
    (tmp_path / ".asr-x.tmp").write_text("{")
    train(config, tmp_path, display=QUIET, stop_after=1)
    assert not (tmp_path / ".asr-x.tmp").exists()


def test_a_run_shortened_to_where_it_stands_ends_well(config, tmp_path):
    late = changed(config, evaluate_every=10)
    run = train(late, tmp_path / "run", display=QUIET, stop_after=5)
    train(changed(late, max_steps=5), run, display=QUIET)
    assert load_model(run).model


def test_dev_manifests_of_one_name_have_names_of_their_own():
    def names(*paths):
        return distinct_names([Path(path) for path in paths])

    assert names("/a/dev.jsonl", "/a/test.jsonl") == ["dev", "test"]
    assert names("/a/dev.jsonl", "/b/dev.jsonl", "/b/test.jsonl") == ["a-dev", "b-dev", "test"]
    assert names("/a/dev/x.jsonl", "/b/dev/x.jsonl") == ["a-dev-x", "b-dev-x"]
    assert names("/x.jsonl", "/x.jsonl") == ["x", "x-1"]


def test_dev_manifests_of_one_name_are_told_apart(config, corpus, tmp_path):
    for name in ("one", "two"):
        write_manifest(tmp_path / name / "dev.jsonl", read_manifest(corpus["dev"]))
    dev = tuple(str(tmp_path / name / "dev.jsonl") for name in ("one", "two"))
    run = train(with_data(changed(config, max_steps=1), dev=dev), tmp_path / "run", display=QUIET)
    [line] = [line for line in lines_of(run) if "dev_cer" in line]
    assert {"dev_cer_one-dev", "dev_cer_two-dev"} <= line.keys()


def test_training_starts_from_a_model(config, tmp_path):
    """Weights, CMVN statistics and token table are those of the model; nothing has moved before the first step has."""
    first = train(config, tmp_path / "first", display=QUIET, stop_after=4)
    second = train(
        changed(config, initial_model=str(first), learning_rate=1e-12, weight_decay=0.0),
        tmp_path / "second",
        display=QUIET,
        stop_after=1,
    )
    assert (second / "tokens.txt").read_bytes() == (first / "tokens.txt").read_bytes()
    before, after = load_model(first).model.state_dict(), load_state(second)["model"]
    assert all(torch.allclose(before[n], after[n], atol=1e-9) for n in before)
