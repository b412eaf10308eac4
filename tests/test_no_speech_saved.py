"""Weights and their no-speech head change together, or not at all: on a full disk, and whenever the program is killed."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from asr import files
from asr.errors import CheckpointError
from asr.model.folder import load_model, save_model
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

    def take(source=folder):
        taken.append(tmp_path / f"killed-{len(taken)}")
        shutil.copytree(source, taken[-1])

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
