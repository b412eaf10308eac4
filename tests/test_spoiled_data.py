"""Data that is not as it should be, in the middle of a run: recordings that cannot be read, losses that are no numbers,
manifests that change, transcripts with characters that are not Han or hardly ever come."""

import json
import shutil
from dataclasses import replace

import pytest
import torch

from asr.cli.dry_run import dry_run_lines
from asr.corpus.batching import make_batch
from asr.corpus.manifest import read_manifest, write_manifest
from asr.corpus.toy import prepare_toy
from asr.errors import AsrError, AudioError, CheckpointError, ConfigError
from asr.features.augment import AugmentConfig
from asr.model.model import SpeechModel
from asr.training import gradients
from asr.training.checkpoint import load_state
from asr.training.config import Config, load_config
from asr.training.dry_run import dry_run
from asr.training.history import read_history
from asr.training.loop import train
from tests.conftest import ROOT, random_model
from tests.runs import Lines, first_step, lines_of, logged_losses, small_run
from tests.sounds import sine


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """36 utterances; files 3 and 20 are no audio."""
    folder = tmp_path_factory.mktemp("spoiled")
    manifests = prepare_toy(folder, n_train=36, n_dev=4, n_test=1)
    for i in (3, 20):
        (folder / f"wav/train/train-{i:04d}.wav").write_bytes(b"RIFF but no audio")
    return manifests


@pytest.fixture
def config(corpus):
    return lambda *settings: small_run(
        corpus,
        "data.batch_seconds=8",
        "train.max_steps=20",
        "train.warmup_steps=3",
        "train.log_every=1",
        "train.evaluate_every=100",
        "model.encoder.layers=1",
        "model.encoder.width=32",
        *settings,
    )


def test_unreadable_recordings_are_left_out_listed_and_not_read_again(config, tmp_path):
    told = Lines()
    run = train(config(), tmp_path / "run", display=told)
    listed = lines_of(run / "quarantine.jsonl")
    assert sorted(line["id"] for line in listed) == ["train-0003", "train-0020"]  # once, not once an epoch
    assert all("wav/train/train-00" in line["reason"] and line["epoch"] == 0 for line in listed)
    assert sum(line.startswith("left out: ") and "train-0003.wav" in line for line in told.lines) == 1
    progress = load_state(run)["progress"]
    assert progress["epoch"] >= 2 and progress["quarantine"] == {"train-0003": 0, "train-0020": 0}
    assert (run / "model.safetensors").exists()


def test_a_limit_stops_the_run(config, tmp_path):
    with pytest.raises(AudioError, match=r"1 recordings could not be read, which is more than data.max_unreadable 0"):
        train(config("data.max_unreadable=0"), tmp_path / "run", display=Lines())
    assert len(lines_of(tmp_path / "run/quarantine.jsonl")) == 1


def test_a_batch_of_nothing_but_unreadable_recordings(config, tmp_path):
    run = train(config("data.max_utterances=1", "train.max_steps=40"), tmp_path / "run", display=Lines())
    assert sorted(load_state(run)["progress"]["quarantine"]) == ["train-0003", "train-0020"]
    assert load_state(run)["progress"]["unusable"] == 0
    assert len(logged_losses(run)) == 38  # two steps had nothing to learn


def test_a_run_with_spoiled_data_resumes_bit_for_bit(config, tmp_path):
    whole = train(config(), tmp_path / "whole", display=Lines())
    train(config(), tmp_path / "parts", display=Lines(), stop_after=7)
    parts = train(config(), tmp_path / "parts", display=Lines())
    a, b = load_state(whole), load_state(parts)
    assert all(torch.equal(a["model"][n], b["model"][n]) for n in a["model"])
    assert a["progress"]["quarantine"] == b["progress"]["quarantine"]
    assert lines_of(whole / "quarantine.jsonl") == lines_of(parts / "quarantine.jsonl")


def test_a_step_that_lacks_a_batch_is_the_mean_of_the_others(tokenizer):
    model, config = random_model(), Config()
    config = replace(config, train=replace(config.train, accumulate=2, precision="float32"))
    config = replace(config, augment=AugmentConfig(frequency_masks=0, time_masks=0))
    batch = make_batch(["a"], [sine(1.0)], [[4, 5]], tokenizer)
    nothing = replace(batch, ids=(), targets=batch.targets[:0], unreadable=(("b", "gone"),))
    norms, losses = [], []
    for batches in ([batch, batch], [batch, nothing]):
        optimizer = torch.optim.SGD(model.parameters(), 0.0)
        numbers = first_step(model, optimizer, batches, config, tokenizer.table)
        norms.append(numbers.gradient)
        losses.append(numbers.loss)
    assert norms[1] == pytest.approx(norms[0], rel=1e-4) and losses[1] == pytest.approx(losses[0], rel=1e-5)


def test_a_log_whose_last_line_is_torn_can_be_read(config, tmp_path):
    run = train(config("train.max_steps=2"), tmp_path / "run", display=Lines())
    with open(run / "log.jsonl", "a") as file:
        file.write('{"step": 3, "lo')
    assert [line["step"] for line in read_history(run).losses] == [1, 2]


def test_two_processes_leave_out_the_same(config, tmp_path):
    settings = ("train.accumulate=2", "train.processes=2", "train.max_steps=10")
    run = train(config(*settings), tmp_path / "run", display=Lines())
    assert sorted(load_state(run)["progress"]["quarantine"]) == ["train-0003", "train-0020"]


def test_nothing_but_unreadable_recordings(config, corpus, tmp_path):
    shutil.copytree(corpus["train"].parent, tmp_path / "copy")
    for path in (tmp_path / "copy/wav/train").iterdir():
        path.write_bytes(b"no audio")
    with pytest.raises(AudioError, match=r"train-0035.wav"):
        train(config(f'data.train=["{tmp_path}/copy/train.jsonl"]'), tmp_path / "run", display=Lines())


@pytest.fixture
def good(corpus, tmp_path):
    """The manifest without its two bad files."""
    path = tmp_path / "good.jsonl"
    write_manifest(path, [u for u in read_manifest(corpus["train"]) if u.id not in ("train-0003", "train-0020")])
    return f'data.train=["{path}"]'


@pytest.mark.parametrize("which", ["training", "dev"])
def test_a_manifest_edited_during_the_run_does_not_change_it_and_it_does_not_go_on_with_another(
    config, good, corpus, tmp_path, which
):
    whole = train(config(good), tmp_path / "whole", display=Lines())
    edited = tmp_path / ("good.jsonl" if which == "training" else "dev.jsonl")
    if which == "dev":
        write_manifest(edited, read_manifest(corpus["dev"]))
    settings = config(good, "train.evaluate_every=10", *([f'data.dev=["{edited}"]'] if which == "dev" else []))
    original = edited.read_text(encoding="utf-8")

    class Edits(Lines):
        def step(self, step, text):
            if step == 5:
                first, *others = original.splitlines(keepends=True)
                edited.write_text("".join([json.dumps(json.loads(first) | {"text": "阿阿"}) + "\n", *others[1:]]))

    run = train(settings, tmp_path / "run", display=Edits(), stop_after=10)
    with pytest.raises(
        CheckpointError,
        match=f"run: the {which} manifests have changed since the run was started; put them back to go on, or use"
        " --force to start over",
    ):
        train(settings, run, display=Lines())
    edited.write_text(original, encoding="utf-8")
    train(settings, run, display=Lines())
    a, b = load_state(whole)["model"], load_state(run)["model"]
    assert all(torch.equal(a[n], b[n]) for n in a)


ODD = ["OK阿衣", "2024年2月", "𠮷衣", "阿衣，乌！", "Wi-Fi阿", "龘乌"]


def test_transcripts_with_latin_digits_and_rare_characters(run, corpus, tmp_path):
    """Letters and digits are characters like others; those that are too rare for the table are named, and become <unk>."""
    odd = corpus["train"].parent / "odd.jsonl"
    utterances = [u for u in read_manifest(corpus["train"]) if u.id not in ("train-0003", "train-0020")]
    texts = ODD + [u.text for u in utterances[len(ODD) :]]
    write_manifest(odd, [replace(u, text=text) for u, text in zip(utterances, texts, strict=True)])
    settings = [f'data.train=["{odd}"]', f'data.dev=["{corpus["dev"]}"]', "data.batch_seconds=8", "data.min_count=2"]
    settings += ["train.max_steps=2", "model.encoder.layers=1", "model.encoder.width=32", "train.log_every=1"]
    arguments = [f"--set={s}" for s in settings]
    said = list(dry_run_lines(dry_run(load_config(ROOT / "recipes/toy/base.toml", settings))))
    assert said[1] == "tokens: 25; 11 characters are unknown, 11 different ones: O K 0 4 年 月 𠮷 W F 龘 西"
    status, _, err = run("train", ROOT / "recipes/toy/base.toml", "--out", tmp_path / "run", *arguments)
    assert status == 0
    assert "11 characters are not in the token table and become <unk>: O K 0 4 年 月 𠮷 W F 龘 西\n" in err
    table = (tmp_path / "run/tokens.txt").read_text(encoding="utf-8").split()
    assert {"I", "2"} <= set(table) and not {"龘", "𠮷"} & set(table)
    assert all(json.loads(line)["loss"] < 100 for line in open(tmp_path / "run/log.jsonl") if "loss" in line)
    utterances[0] = replace(utterances[0], text="龘")
    write_manifest(odd, utterances)
    status, _, err = run("train", ROOT / "recipes/toy/base.toml", "--out", tmp_path / "other", *arguments)
    assert status == 1 and (
        "odd.jsonl:1: text must hold a character of the token table, is '龘' (train-0000); correct the line or drop it, or"
        " build the table from these texts too (data.min_count 1)" in err
    )


def spoil(monkeypatch, when):
    """Makes the loss infinite in the calls that `when` names."""
    real, calls = gradients.losses_of, []

    def losses(model, batch, objective):
        found = real(model, batch, objective)
        calls.append(1)
        if when(len(calls)):
            return type(found)(found.total * float("inf"), *list(vars(found).values())[1:])
        return found

    monkeypatch.setattr(gradients, "losses_of", losses)


def test_a_loss_that_is_no_number_is_skipped_and_its_batch_set_aside(config, good, tmp_path, monkeypatch):
    spoil(monkeypatch, lambda call: call == 2)
    told = Lines()
    run = train(config(good, "data.curriculum_epochs=1"), tmp_path / "run", display=told)
    listed = lines_of(run / "quarantine.jsonl")
    assert 1 < len(listed) < 20 and {line["step"] for line in listed} == {2}
    assert listed[0]["reason"] == "the loss or the gradient of its batch was not a number"
    assert sum("step 2: not a number" in line and listed[0]["id"] in line for line in told.lines) == 1
    assert [line["step"] for line in lines_of(run / "log.jsonl") if "loss" in line] == [1, *range(3, 21)]
    state = load_state(run)
    assert state["progress"]["unusable"] == 0 and all(torch.isfinite(t).all() for t in state["model"].values())


def test_of_several_batches_only_the_bad_one_is_left_out(config, good, tmp_path, monkeypatch):
    spoil(monkeypatch, lambda call: call == 3)
    run = train(config(good, "train.accumulate=2", "train.max_steps=6"), tmp_path / "run", display=Lines())
    assert [line["step"] for line in lines_of(run / "log.jsonl") if "loss" in line] == list(range(1, 7))
    assert {line["step"] for line in lines_of(run / "quarantine.jsonl")} == {2}


def test_three_in_a_row_stop_the_run_with_advice(config, good, tmp_path, monkeypatch):
    spoil(monkeypatch, lambda call: call > 4)
    with pytest.raises(AsrError, match=r"step 6: .* 3 times in a row .*lower train.learning_rate or raise"):
        train(config(good), tmp_path / "run", display=Lines())
    assert {line["step"] for line in lines_of(tmp_path / "run/quarantine.jsonl")} == {5, 6, 7}


def test_ctc_alone_at_first_leaves_the_decoder_as_it_was(config, good, tmp_path):
    settings = config(good, "model.ctc=true", "train.ctc_only_steps=4", "train.weight_decay=0", "train.max_steps=8")
    ctc = train(settings, tmp_path / "ctc", display=Lines(), stop_after=4)
    after = load_state(ctc)["model"]
    torch.manual_seed(settings.train.seed)
    before = SpeechModel(settings.features, settings.model, len(after["decoder.embedding.weight"])).state_dict()
    assert all(torch.equal(before[n], after[n]) for n in after if n.startswith("decoder."))
    assert not torch.equal(before["ctc.weight"], after["ctc.weight"])
    lines = [line for line in lines_of(ctc / "log.jsonl") if "loss" in line]
    assert all(line["loss"] == line["ctc"] for line in lines) and lines[-1]["ctc"] < lines[0]["ctc"]
    with pytest.raises(ConfigError, match="train.ctc_only_steps 5 needs the head it trains: set model.ctc = true"):
        config("train.ctc_only_steps=5")
