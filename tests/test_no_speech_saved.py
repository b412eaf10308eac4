"""Weights and their no-speech head change together, or not at all: on a full disk, and whenever the program is killed."""

import errno
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from asr import files
from asr.errors import CheckpointError
from asr.features.fbank import FeatureConfig
from asr.model.folder import load_model, save_model
from asr.model.model import SpeechModel
from asr.model.no_speech import NO_SPEECH
from tests.conftest import random_model
from tests.test_no_speech import says, with_head


@pytest.fixture
def folder(tmp_path, tokenizer):
    save_model(tmp_path / "model", with_head(random_model(), says(0.25)), tokenizer.table)
    return tmp_path / "model"


def snapshots(folder, tmp_path, monkeypatch, save):
    """The folder before and after each step of `save` that another process could see: what a kill at that time leaves."""
    taken = []

    def take():
        if folder.exists():
            taken.append(tmp_path / f"killed-{len(taken)}")
            shutil.copytree(folder, taken[-1])

    def watched(step):
        def step_and_look(*arguments, **options):
            take()
            step(*arguments, **options)
            take()

        return step_and_look

    with monkeypatch.context() as patch:
        patch.setattr("asr.files.os.replace", watched(os.replace))
        patch.setattr("pathlib.Path.unlink", watched(Path.unlink))
        save()
    return taken


@pytest.mark.parametrize("before, after", [(0.25, 0.75), (0.25, None), (None, 0.75), (None, None)])
def test_weights_and_their_head_change_together_whenever_the_program_is_killed(
    tmp_path, tokenizer, monkeypatch, before, after
):
    def model(seed, logit):
        return with_head(random_model(seed=seed), None if logit is None else says(logit))

    folder = tmp_path / "model"
    save_model(folder, model(0, before), tokenizer.table, {"step": "0"})
    left = snapshots(
        folder, tmp_path, monkeypatch, lambda: save_model(folder, model(1, after), tokenizer.table, {"step": "1"})
    )
    found = []
    for one in [*left, folder]:
        loaded = load_model(one)
        head = loaded.model.no_speech
        found.append((loaded.metadata["step"], None if head is None else head.bias.item()))
    assert set(found) == {("0", before), ("1", after)} and found == sorted(found, key=lambda pair: pair[0])
    assert (folder / NO_SPEECH).exists() == (after is not None)


@pytest.mark.parametrize("killed", ["where nothing was", "in the place of another model", "in an empty folder"])
def test_no_part_of_a_model_is_taken_for_a_whole_one(tmp_path, tokenizer, monkeypatch, killed):
    """Nor old weights beside new settings or tokens."""
    folder = tmp_path / "model"
    if killed == "in the place of another model":
        save_model(folder, with_head(random_model(), says(0.25)), tokenizer.table, {"step": "0"}, card="old")
        (folder / "more.txt").write_text("stays")
    elif killed == "in an empty folder":
        folder.mkdir()
    other = replace(FeatureConfig(), high_hz=7000.0)
    model = SpeechModel(other, random_model().config, len(tokenizer.table))
    left = snapshots(folder, tmp_path, monkeypatch, lambda: save_model(folder, model, tokenizer.table, {"step": "1"}))
    found = []
    for one in left:
        try:
            found.append(load_model(one).metadata["step"])
        except CheckpointError as error:
            assert killed == "in an empty folder" and str(error).startswith(f"{one}: not a model folder, ")
            unfinished = "; it is not whole: what wrote it was ended before its end, or is still at it"
            assert str(error).endswith(unfinished) == (one / "config.json").exists()
    assert set(found) <= ({"0", "1"} if killed == "in the place of another model" else {"1"}) and found == sorted(found)
    assert load_model(folder).metadata["step"] == "1" and load_model(folder).model.no_speech is None
    assert (folder / "more.txt").exists() == (killed == "in the place of another model")


def test_new_weights_of_the_same_model_leave_the_folder_the_one_that_it_was(folder, tokenizer):
    """A run has it locked, and its log open."""
    before = folder.stat().st_ino
    save_model(folder, random_model(seed=1), tokenizer.table)
    assert folder.stat().st_ino == before


def test_the_same_weights_get_another_head(folder, tokenizer):
    save_model(folder, with_head(random_model(), says(0.5)), tokenizer.table)
    assert load_model(folder).model.no_speech.bias.tolist() == [0.5]
    save_model(folder, random_model(), tokenizer.table)
    assert load_model(folder).model.no_speech is None


@pytest.mark.parametrize("logit", [0.75, None])
@pytest.mark.parametrize("full_at", ["no_speech.safetensors", "model.safetensors"])
def test_a_full_disk_leaves_the_old_head_with_the_old_weights(folder, tokenizer, monkeypatch, logit, full_at):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    name_taken = files._take_name

    def full(temporary, path):
        if path.name == full_at:
            raise OSError(errno.ENOSPC, "No space left on device")
        name_taken(temporary, path)

    monkeypatch.setattr(files, "_take_name", full)
    model = with_head(random_model(seed=1), None if logit is None else says(logit))
    with pytest.raises(CheckpointError, match="could not be saved, the disk is full; the one saved before is intact"):
        save_model(folder, model, tokenizer.table)
    monkeypatch.undo()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert load_model(folder).model.no_speech.bias.tolist() == [0.25]
