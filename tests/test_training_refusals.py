"""What training refuses: folders, states and data that do not fit its settings."""

import dataclasses
import shutil
import zipfile

import pytest
import torch

from asr.errors import AudioError, CheckpointError, ConfigError, ManifestError
from asr.folders import locked
from asr.training.checkpoint import load_state
from asr.training.loop import train
from asr.training.start import read_utterances
from asr.training.train_config import TrainConfig
from tests.runs import QUIET, changed, lines_of, with_data


def test_other_settings_are_refused_and_force_starts_over(config, tmp_path):
    run = train(config, tmp_path / "run", display=QUIET, stop_after=2)
    other = changed(config, learning_rate=0.5)
    with pytest.raises(
        CheckpointError, match=r"other settings: train.learning_rate was 0.002 and is 0.5\. Use another"
    ):
        train(other, run, display=QUIET)
    train(changed(other, max_steps=1), run, force=True, display=QUIET)
    assert load_state(run)["progress"]["step"] == 1
    longer = train(changed(other, max_steps=2), run, display=QUIET)  # the length of a run may change
    assert load_state(longer)["progress"]["step"] == 2


def test_a_folder_with_other_files_is_refused(config, tmp_path):
    (tmp_path / "thesis.doc").write_text("x")
    with pytest.raises(CheckpointError, match="holds files but no training run"):
        train(config, tmp_path, display=QUIET)


def test_a_run_whose_state_is_gone_is_not_started_over(config, tmp_path):
    run = train(config, tmp_path / "run", display=QUIET)
    (run / "state.pt").unlink()
    before = (run / "model.safetensors").read_bytes()
    with pytest.raises(
        CheckpointError, match=r"holds a run whose state.pt is gone: it cannot go on\. Use another --out"
    ):
        train(config, run, display=QUIET)
    assert (run / "model.safetensors").read_bytes() == before


def test_seeds_have_a_range():
    with pytest.raises(ConfigError, match="train.seed must be from 0 to 9223372036854775807, is -1"):
        TrainConfig(seed=-1)


def test_a_damaged_state_is_refused(config, tmp_path):
    run = train(config, tmp_path / "run", display=QUIET, stop_after=1)
    state = run / "state.pt"
    state.write_bytes(state.read_bytes()[:5000])
    with pytest.raises(CheckpointError, match="state.pt: damaged .* start the run again with --force"):
        train(config, run, display=QUIET)


def test_one_bit_of_a_state_is_noticed(config, tmp_path):
    run = train(config, tmp_path / "run", display=QUIET, stop_after=1)
    state = run / "state.pt"
    with zipfile.ZipFile(state) as archive:
        largest = max(archive.infolist(), key=lambda part: part.file_size)
    content = bytearray(state.read_bytes())
    content[largest.header_offset + largest.file_size] ^= 4  # its head comes first: this is among its numbers
    state.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"state.pt: damaged \('.*' is not what was saved\); start the run"):
        train(config, run, display=QUIET)


def test_a_damaged_model_is_refused_when_a_run_goes_on_and_not_hours_later(config, tmp_path):
    run = train(config, tmp_path / "run", display=QUIET, stop_after=1)
    (run / "model.safetensors").write_bytes(b"{" * 100)
    with pytest.raises(
        CheckpointError, match="model.safetensors: damaged .*; or delete it, and the run keeps the next"
    ):
        train(config, run, display=QUIET)


def test_a_token_table_that_knows_no_character_of_a_text_is_refused(config, tmp_path):
    (tmp_path / "t.txt").write_text("<blank>\n<unk>\n<sos>\n<eos>\n龘\n")
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, tokens=str(tmp_path / "t.txt")))
    with pytest.raises(ManifestError, match=r"train.jsonl:1: text must hold a character of the token table, is"):
        train(config, tmp_path / "run", display=QUIET)


def test_bounds_that_leave_nothing_are_refused(config, tmp_path):
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, min_seconds=15.0))
    with pytest.raises(ConfigError, match="no utterance is between data.min_seconds 15 and data.max_seconds 20 long"):
        train(config, tmp_path / "run", display=QUIET)


def test_a_manifest_that_counts_several_times(config, corpus):
    times = with_data(config, train=(f"{corpus['train']}=3",))
    once = read_utterances(config)[0]
    assert list(read_utterances(times)[0]) == list(once) * 3
    assert list(read_utterances(with_data(config, train=config.data.train * 3))[0]) == list(once) * 3
    with pytest.raises(
        ConfigError, match="train.jsonl=0.5: must be a whole number of times; asr corpus mix takes parts"
    ):
        read_utterances(with_data(config, train=(f"{corpus['train']}=0.5",)))


def test_force_drops_the_old_run_only_when_the_new_one_can_start(config, tmp_path):
    run = train(config, tmp_path / "run", display=QUIET, stop_after=2)
    before = {p.name: p.read_bytes() for p in run.iterdir() if p.is_file()}
    with pytest.raises(ManifestError, match="typo.jsonl: no such file"):
        train(with_data(config, dev=("typo.jsonl",)), run, force=True, display=QUIET)
    with pytest.raises(ConfigError, match="no utterance is between"):
        train(with_data(config, min_seconds=15.0), run, force=True, display=QUIET)
    assert {p.name: p.read_bytes() for p in run.iterdir() if p.is_file()} == before


def test_a_refused_folder_keeps_its_files(config, tmp_path):
    (tmp_path / ".asr-mine.tmp").touch()
    (tmp_path / "thesis.doc").touch()
    with pytest.raises(CheckpointError, match="holds files but no training run"):
        train(config, tmp_path, display=QUIET)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".asr-mine.tmp", "thesis.doc"]


def test_a_changed_manifest_is_noticed(config, corpus, tmp_path):
    copy = corpus["train"].parent / "copy.jsonl"
    lines = corpus["train"].read_text().splitlines(keepends=True)
    copy.write_text("".join(lines))
    config = with_data(config, train=(str(copy),))
    run = train(config, tmp_path / "run", display=QUIET, stop_after=1)
    copy.write_text("".join(lines[:-1]))
    with pytest.raises(CheckpointError, match="the training manifests have changed since the run was started"):
        train(config, run, display=QUIET)


def test_a_corpus_may_move_between_two_parts_of_a_run(config, corpus, tmp_path):
    """Its manifests and their audio lie elsewhere, and are called otherwise: what they say is the same."""
    whole = train(changed(config, max_steps=2), tmp_path / "whole", display=QUIET)
    run = train(changed(config, max_steps=2), tmp_path / "run", display=QUIET, stop_after=1)
    moved = shutil.copytree(corpus["train"].parent, tmp_path / "moved")
    (moved / "dev.jsonl").rename(moved / "chosen.jsonl")
    elsewhere = with_data(config, train=(f"{moved}/train.jsonl=1",), dev=(f"{moved}/chosen.jsonl",))
    for other, refused in (
        (with_data(elsewhere, train=(f"{moved}/train.jsonl=2",)), "data.train was"),
        (with_data(elsewhere, train=(), rehearsal=elsewhere.data.train), "data.train was"),
        (with_data(elsewhere, train=(f"{moved}/test.jsonl",)), "the training manifests have changed"),
        (with_data(elsewhere, dev=(f"{moved}/test.jsonl",)), "the dev manifests have changed"),
    ):
        with pytest.raises(CheckpointError, match=refused):
            train(changed(other, max_steps=2), run, display=QUIET)
    train(changed(elsewhere, max_steps=2), run, display=QUIET)
    a, b = load_state(whole)["model"], load_state(run)["model"]
    assert all(torch.equal(a[name], b[name]) for name in a)
    notes = [line["note"] for line in lines_of(run) if "note" in line]
    assert notes[0] == f"step 1: data.train ['{corpus['train']}'] → ['{moved}/train.jsonl=1']" and len(notes) == 2


def test_missing_audio_is_named_before_the_first_step(config, corpus, tmp_path):
    copy = corpus["train"].parent / "missing.jsonl"
    copy.write_text(corpus["train"].read_text().replace("train-0003.wav", "nowhere.wav"))
    with pytest.raises(AudioError, match=r"missing.jsonl:4: .*nowhere.wav: no such file \(train-0003\)"):
        train(with_data(config, train=(str(copy),)), tmp_path / "run", display=QUIET)


def test_two_processes_do_not_train_in_one_folder(config, tmp_path):
    with locked(tmp_path / "run", CheckpointError, "training"):
        with pytest.raises(CheckpointError, match="run: another process is training there"):
            train(config, tmp_path / "run", display=QUIET)


def test_the_lock_takes_no_error_of_the_training_for_its_own(tmp_path):
    with pytest.raises(BlockingIOError, match="of the training"), locked(tmp_path / "run", CheckpointError, "training"):
        raise BlockingIOError("of the training")


def test_another_shape_than_the_initial_models_is_refused(config, tmp_path):
    first = train(config, tmp_path / "first", display=QUIET, stop_after=4)
    wider = dataclasses.replace(config.model, encoder=dataclasses.replace(config.model.encoder, feed_forward=48))
    other = dataclasses.replace(changed(config, initial_model=str(first)), model=wider)
    with pytest.raises(CheckpointError, match="model.safetensors: .* should have the shape"):
        train(other, tmp_path / "second", display=QUIET)


def test_a_state_whose_parameters_stood_in_another_order_is_refused(config, tmp_path):
    """The optimizer knows them by their places: it would give each the memory of another."""
    run = train(config, tmp_path / "r", display=QUIET, stop_after=2)
    state = load_state(run)
    state["parameters"] = state["parameters"][::-1]
    torch.save(state, run / "state.pt")
    with pytest.raises(CheckpointError, match="has its parameters in another order"):
        train(config, tmp_path / "r", display=QUIET)
