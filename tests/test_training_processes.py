"""Several processes that train one model compute what one would, go on from each other's states, and end together."""

import dataclasses
import json
import multiprocessing
import os
import re
import signal
import socket
import sys
from datetime import timedelta

import pytest
import soundfile
import torch

from asr.errors import AsrError, ConfigError
from asr.features.augment import AugmentConfig
from asr.launcher import watched
from asr.training import distributed
from asr.training.checkpoint import load_state
from asr.training.config import Config
from asr.training.loop import train
from asr.training.train_config import TrainConfig
from tests import forked
from tests.runs import QUIET, RECIPE, Quiet, changed, lines_of, logged_losses, quickly, with_data
from tests.sounds import sine


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """As where no launcher and no scheduler is, with a thread: sums are then added in the same order each time.

    On a machine that has much to do, a process may end long after its connections.
    """
    monkeypatch.setattr(distributed, "LAST_WORDS", 600.0)
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "SLURM_JOB_ID"):
        monkeypatch.delenv(name, raising=False)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def quick(monkeypatch):
    """How the others are started is tried by the tests that do without it."""
    quickly(monkeypatch)


@pytest.fixture
def still(config) -> Config:
    """A run without chance in the network, whose steps fall across the ends of its epochs."""
    encoder, decoder = (dataclasses.replace(part, dropout=0.0) for part in (config.model.encoder, config.model.decoder))
    still = dataclasses.replace(
        with_data(config, batch_seconds=6),
        model=dataclasses.replace(config.model, encoder=encoder, decoder=decoder),
        features=dataclasses.replace(config.features, dither=0.0),
        augment=AugmentConfig(frequency_masks=0, time_masks=0),
    )
    return changed(still, precision="float32", accumulate=2, max_steps=9, evaluate_every=9)


def test_two_processes_share_out_a_batch(still, tmp_path):
    """The only one of a step: each takes a part of it."""
    config = changed(still, accumulate=1)
    one, two = (train(changed(config, processes=n), tmp_path / str(n), display=QUIET) for n in (1, 2))
    assert len(logged_losses(one)) == 9 and logged_losses(two) == pytest.approx(logged_losses(one), abs=1e-4)
    a, b = load_state(one)["progress"], load_state(two)["progress"]
    assert a["audio_seconds"] == pytest.approx(b["audio_seconds"])


def test_two_then_one_then_two(still, quick, tmp_path):
    """Each takes a batch of the step, in the order that one has, over epochs that do not end where a step does."""
    whole = train(still, tmp_path / "whole", display=QUIET)
    for processes, until in ((2, 3), (1, 6), (2, None)):
        train(changed(still, processes=processes), tmp_path / "parts", display=QUIET, stop_after=until)
    assert logged_losses(tmp_path / "parts") == pytest.approx(logged_losses(whole), abs=1e-4)
    a, b = load_state(whole)["progress"], load_state(tmp_path / "parts")["progress"]
    assert a["epoch"] >= 1 and (a["epoch"], a["batch"]) == (b["epoch"], b["batch"])
    notes = [line["note"] for line in lines_of(tmp_path / "parts") if "note" in line]
    assert notes == ["step 3: train.processes 2 → 1", "step 6: train.processes 1 → 2"]


def test_two_processes_resume_bit_for_bit(config, quick, tmp_path):
    """With dropout, dither and augmentation, which depend on the step and the batch, not on who computes it."""
    two = changed(config, accumulate=2, processes=2, max_steps=4, precision="float32")
    whole = train(two, tmp_path / "whole", display=QUIET)
    train(two, tmp_path / "parts", display=QUIET, stop_after=2)
    parts = train(two, tmp_path / "parts", display=QUIET)
    a, b = load_state(whole)["model"], load_state(parts)["model"]
    assert all(torch.equal(a[n], b[n]) for n in a)
    assert lines_of(whole) == lines_of(parts)
    one = train(changed(two, processes=1), tmp_path / "one", display=QUIET)
    assert logged_losses(one) == pytest.approx(logged_losses(whole), abs=1e-4)


@pytest.mark.parametrize(
    ("accumulate", "processes", "fewer", "more"), [(6, 4, 3, 6), (3, 2, 1, 3), (4, 7, 4, 8), (2, 5, 4, 6)]
)
def test_an_impossible_number_is_refused_with_the_nearest(accumulate, processes, fewer, more):
    with pytest.raises(ConfigError) as refused:
        TrainConfig(accumulate=accumulate, processes=processes)
    assert str(refused.value) == (
        f"{processes} processes (train.processes, or torchrun's) cannot share out evenly the {accumulate} batches of a step"
        f" (train.accumulate); the nearest numbers that can are {fewer} and {more}"
    )


@pytest.mark.parametrize(("accumulate", "processes"), [(1, 1), (4, 1), (4, 2), (4, 4), (1, 3), (2, 6)])
def test_every_batch_of_a_step_is_computed_once(accumulate, processes):
    settings = TrainConfig(accumulate=accumulate, processes=processes)
    takers = [[rank for rank in range(processes) if settings.takes(i, rank)] for i in range(accumulate)]
    parts = [{rank % settings.parts for rank in ranks} for ranks in takers]
    assert parts == [set(range(settings.parts))] * accumulate and all(len(t) == settings.parts for t in takers)
    assert sorted({rank for ranks in takers for rank in ranks}) == list(range(processes))


@pytest.mark.parametrize("sharding", ["none", "full"])
def test_a_process_that_is_killed_stops_the_run_with_a_word(config, quick, tmp_path, sharding):
    class Kills(Quiet):
        def step(self, step, text):
            if step == 3:
                for child in multiprocessing.active_children():
                    child.kill()

    with pytest.raises(AsrError) as ended:
        train(changed(config, accumulate=2, processes=2, sharding=sharding), tmp_path / "run", display=Kills())
    assert str(ended.value) == (
        "training process 1 of 2 was ended by SIGKILL; start the command again, it goes on from its last state"
    )
    assert not multiprocessing.active_children()


def test_a_process_that_cannot_begin_says_why(config, quick, tmp_path, capfd):
    """The recordings of noise are there when the run is prepared, and gone when the other process looks for them."""
    (tmp_path / "noise").mkdir()
    soundfile.write(tmp_path / "noise/hum.wav", sine(1.0), 16000)
    noisy = dataclasses.replace(
        config, augment=dataclasses.replace(config.augment, noise=0.5, noise_folder=str(tmp_path / "noise"))
    )

    class Removes(Quiet):
        def line(self, text):
            (tmp_path / "noise/hum.wav").unlink(missing_ok=True)

    with pytest.raises(AsrError, match="training process 1 of 2 ended with status 1, for the reason above; start the"):
        train(changed(noisy, accumulate=2, processes=2), tmp_path / "run", display=Removes())
    assert re.search("^asr: process 1 of 2: augment.noise_folder .*/noise: ", capfd.readouterr().err, re.M)


def arguments_of(corpus, out, *settings) -> list[str]:
    """Of `asr train`: a small run, whose every step is logged."""
    given = [f'data.train=["{corpus["train"]}"]', "data.dev=[]", "data.batch_seconds=12", "train.log_every=1"]
    given += ["model.encoder.layers=1", "model.encoder.width=32", *settings]
    return ["train", str(RECIPE), "--out", str(out), *(f"--set={one}" for one in given)]


def start(command, **environment) -> forked.Popen:
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | environment
    return forked.Popen([sys.executable, "-m", *command], stderr=forked.PIPE, text=True, env=environment)


def start_torchrun(arguments) -> forked.Popen:
    """It starts the two that train as anybody would."""
    return start(["torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "asr", *arguments])


def start_two(arguments) -> list[forked.Popen]:
    """As torchrun does it, or srun with a line of shell."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        there = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": "2"}
    return [start(["asr", *arguments], RANK=str(rank), LOCAL_RANK=str(rank), **there) for rank in range(2)]


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_one_is_asked_to_end_and_all_end_to_be_started_again(corpus, tmp_path):
    out, settings = tmp_path / "run", ("train.checkpoint_every=1000", "train.max_steps=5000")
    first, second = start_two(arguments_of(corpus, out, *settings))
    said = []
    for line in first.stderr:
        said.append(line)
        if line.startswith("step 2 "):
            second.send_signal(signal.SIGTERM)
    assert [first.wait(60), second.wait(60)] == [75, 75] and second.stderr.read() == "", said
    saved = load_state(out)["progress"]["step"]
    assert said[-1] == f"stopped at step {saved}, which is saved; the same command goes on from there\n" and saved >= 2
    job = start_torchrun(arguments_of(corpus, out, "train.checkpoint_every=1000", f"train.max_steps={saved + 2}"))
    _, more = job.communicate(timeout=120)
    assert job.returncode == 0 and more.count(f"going on from step {saved}\n") == 1, more
    assert load_state(out)["progress"]["step"] == saved + 2
    assert json.loads((out / "settings.json").read_text())["train"]["processes"] == 2


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("killed", [0, 1])
def test_one_that_is_killed_ends_the_other(corpus, tmp_path, killed):
    jobs = start_two(arguments_of(corpus, tmp_path / "run", "train.max_steps=5000", "train.checkpoint_every=2"))
    said = []
    for line in jobs[0].stderr:
        said.append(line)
        if line.startswith("step 3 "):
            jobs[killed].kill()
    assert jobs[killed].wait(60) == -signal.SIGKILL and jobs[1 - killed].wait(60) == (1, 3)[1 - killed], said
    assert jobs[1].stderr.read() == "" and load_state(tmp_path / "run")["progress"]["step"] >= 2
    assert killed == 0 or said[-1] == (
        "asr: another training process has died, and has said itself why, if it could; start the command again, it goes on"
        " from its last state\n"
    )


@pytest.mark.parametrize("alone", [0, 1])
def test_one_that_died_before_all_had_come_together_is_not_waited_for(monkeypatch, alone):
    """Nobody else comes; under torchrun, which would end this one too, it has more time."""
    assert distributed.JOINING.total_seconds() < 60 < distributed.JOINING_WATCHED.total_seconds()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    there = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": 2, "RANK": alone, "LOCAL_RANK": alone}
    for name, value in there.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr(distributed, "JOINING", timedelta(seconds=1))
    with pytest.raises(
        AsrError, match=f"process {alone} of 2 cannot reach the others: .*; start the command again, it"
    ):
        distributed.Ranks()


def test_torchrun_is_told_from_other_launchers(monkeypatch):
    assert not watched()
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    assert not watched()
    for name, value in (("RANK", "0"), ("WORLD_SIZE", "2")):
        monkeypatch.setenv(name, value)
    assert watched()
    monkeypatch.delenv("TORCHELASTIC_RUN_ID")
    assert not watched()


@pytest.mark.slow
def test_an_error_is_told_once(corpus, tmp_path):
    first, second = start_two(arguments_of(corpus, tmp_path / "run", "train.accumulate=3"))
    assert second.wait(60) == 3 and first.wait(60) == 2 and second.stderr.read() == ""
    assert (
        "2 processes (train.processes, or torchrun's) cannot share out evenly the 3 batches of a step"
        in first.stderr.read()
    )
