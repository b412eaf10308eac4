"""Several processes that train one model compute what one would, and end together."""

import dataclasses
import json
import multiprocessing

import pytest
import torch

from asr.errors import AsrError, AudioError, ConfigError
from asr.features.augment import AugmentConfig
from asr.training.checkpoint import load_state
from asr.training.loop import train
from asr.training.parallel import keep_buffers
from tests.conftest import random_model
from tests.runs import QUIET, Quiet, changed, lines_of, with_data


def test_two_processes_compute_what_one_does(config, tmp_path):
    """Within an epoch and without random numbers in the model the two runs differ by rounding alone."""
    still = dataclasses.replace(config, augment=AugmentConfig(frequency_masks=0, time_masks=0))
    encoder, decoder = (dataclasses.replace(part, dropout=0.0) for part in (config.model.encoder, config.model.decoder))
    still = dataclasses.replace(
        with_data(still, batch_seconds=4),
        model=dataclasses.replace(config.model, encoder=encoder, decoder=decoder),
        features=dataclasses.replace(config.features, dither=0.0),
    )
    runs = [
        train(
            changed(still, accumulate=2, processes=n, precision="float32", max_steps=3),
            tmp_path / str(n),
            display=QUIET,
        )
        for n in (1, 2)
    ]
    one, two = (load_state(run) for run in runs)
    assert one["progress"]["audio_seconds"] == pytest.approx(two["progress"]["audio_seconds"])
    assert all(torch.allclose(one["model"][n], two["model"][n], atol=2e-4) for n in one["model"])
    losses = [[line["loss"] for line in lines_of(run) if "loss" in line] for run in runs]
    assert losses[0] == pytest.approx(losses[1], abs=2e-3)


@pytest.fixture
def one_thread():
    """As the processes are meant to be run: more threads than cores have been seen to round differently, once."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_two_processes_resume_bit_for_bit(config, tmp_path, one_thread):
    two = changed(config, accumulate=2, processes=2, max_steps=6)
    whole = train(two, tmp_path / "whole", display=QUIET)
    train(two, tmp_path / "parts", display=QUIET, stop_after=3)
    parts = train(two, tmp_path / "parts", display=QUIET)
    a, b = load_state(whole)["model"], load_state(parts)["model"]
    assert all(torch.equal(a[n], b[n]) for n in a)
    assert lines_of(whole) == lines_of(parts)


def test_a_helper_says_what_is_wrong_with_the_audio(config, corpus, tmp_path):
    """The file is there when the run starts, and no audio."""
    copy = corpus["train"].parent / "spoiled.jsonl"
    (corpus["train"].parent / "spoiled.wav").write_bytes(b"no audio")
    lines = corpus["train"].read_text().splitlines(keepends=True)
    copy.write_text("".join(line.replace(json.loads(line)["audio"], "spoiled.wav") for line in lines))
    with pytest.raises(AudioError, match="spoiled.wav"):
        train(with_data(changed(config, accumulate=2, processes=2), train=(str(copy),)), tmp_path / "r", display=QUIET)


def test_batches_must_be_shared_out_evenly(config):
    with pytest.raises(ConfigError, match="train.accumulate must be a multiple of train.processes 2, is 3"):
        changed(config, accumulate=3, processes=2)


def test_a_helper_that_is_killed_stops_the_run_with_a_word(config, tmp_path):
    class Kills(Quiet):
        def step(self, step, text):
            if step == 3:
                for child in multiprocessing.active_children():
                    child.kill()
                    child.join()

    with pytest.raises(AsrError, match="a training process died; start the command again, it goes on"):
        train(changed(config, accumulate=2, processes=2), tmp_path / "run", display=Kills())
    assert not multiprocessing.active_children()


def test_a_helper_shares_parameters_and_no_running_statistics():
    """They would be those of both processes, in whatever order these come."""
    model = random_model("conformer", conv_norm="batch").share_memory()
    keep_buffers(model)
    assert "encoder.blocks.0.convolution.norm.running_mean" in dict(model.named_buffers())
    assert all(p.is_shared() for p in model.parameters()) and not any(b.is_shared() for b in model.buffers())


def test_processes_read_their_own_audio(config):
    with pytest.raises(ConfigError, match="train.processes above 1 needs data.workers 0"):
        with_data(changed(config, accumulate=2, processes=2), workers=1, cache_audio=False)
