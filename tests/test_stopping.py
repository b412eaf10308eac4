"""Training that is asked to stop: it saves what it has done, and goes on as if nothing had been."""

import os
import signal
import sys
import threading

import pytest
import torch

from asr.errors import CheckpointError
from asr.stopping import stoppable
from asr.training.checkpoint import load_state
from asr.training.loop import train
from asr.training.run_log import RunLog
from tests import forked
from tests.runs import QUIET, RECIPE, Lines, changed, lines_of

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals")


class Signalled(Lines):
    """Sends a signal to this process once a step has been done."""

    def __init__(self, number: int, at: int):
        super().__init__()
        self.number, self.at = number, at

    def step(self, step, text):
        if step == self.at:
            os.kill(os.getpid(), self.number)


@pytest.fixture(scope="module")
def handlers():
    """As in a program of its own, whatever runs the tests has set."""
    numbers = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL, signal.SIGHUP: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in numbers.items()}
    with pytest.MonkeyPatch.context() as environment:
        for name in ("RANK", "WORLD_SIZE", "SLURM_JOB_ID"):
            environment.delenv(name, raising=False)
        yield numbers
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("number", "error", "status"),
    [(signal.SIGINT, KeyboardInterrupt, ()), (signal.SIGTERM, SystemExit, (143,)), (signal.SIGHUP, SystemExit, (129,))],
)
def test_the_step_is_saved_and_the_status_tells_the_signal(config, tmp_path, handlers, number, error, status):
    told = Signalled(number, at=3)  # no checkpoint is due, and no evaluation
    with pytest.raises(error) as ended:
        train(config, tmp_path / "run", display=told)
    assert ended.value.args == status and load_state(tmp_path / "run")["progress"]["step"] == 3
    assert told.lines[-1] == "stopped at step 3, which is saved; the same command goes on from there"
    assert all(signal.getsignal(n) == handler for n, handler in handlers.items())


def test_a_scheduler_is_asked_to_start_the_run_again(handlers, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    with pytest.raises(SystemExit) as ended, stoppable():
        os.kill(os.getpid(), signal.SIGTERM)
    assert ended.value.code == 75


def test_what_a_launcher_sends_behind_the_scheduler_is_no_second_signal(handlers, monkeypatch):
    for name, value in (("RANK", "0"), ("WORLD_SIZE", "2")):
        monkeypatch.setenv(name, value)
    reached = []
    with pytest.raises(SystemExit) as ended, stoppable() as stop:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGTERM)
            reached.append(stop.signal)
    assert ended.value.code == 75 and reached == [signal.SIGTERM] * 2


def test_what_was_done_is_gone_on_with_bit_for_bit(config, tmp_path, handlers):
    config = changed(config, max_steps=6)
    whole = train(config, tmp_path / "whole", display=QUIET)
    for step in (1, 3):
        with pytest.raises(SystemExit):
            train(config, tmp_path / "run", display=Signalled(signal.SIGTERM, at=step))
    run = train(config, tmp_path / "run", display=QUIET)
    a, b = load_state(whole), load_state(run)
    assert all(torch.equal(a["model"][n], b["model"][n]) for n in a["model"])
    assert lines_of(whole) == lines_of(run)
    for name in ("model.safetensors", "config.json", "tokens.txt"):
        assert (whole / name).read_bytes() == (run / name).read_bytes()


def test_an_evaluation_that_is_due_is_not_left_out(config, tmp_path, handlers):
    with pytest.raises(SystemExit):
        train(config, tmp_path / "run", display=Signalled(signal.SIGTERM, at=4))
    assert load_state(tmp_path / "run")["progress"]["evaluated"] == [4]


@pytest.mark.slow
@pytest.mark.parametrize("helped", [["data.workers=1"], ["train.accumulate=2", "train.processes=2"]])
def test_what_helps_a_run_leaves_signals_to_it(corpus, tmp_path, helped):
    """A scheduler sends them to every process of a job."""
    settings = [f'data.train=["{corpus["train"]}"]', "data.dev=[]", "data.batch_seconds=12", "data.cache_audio=false"]
    settings += ["train.log_every=1", "train.max_steps=500", *helped]
    command = [sys.executable, "-m", "asr", "train", RECIPE, "--out", tmp_path / "run", "--threads=1"]
    command += [f"--set={setting}" for setting in settings]
    job = forked.Popen(command, stderr=forked.PIPE, text=True, start_new_session=True)
    lines = []
    for line in job.stderr:
        lines.append(line)
        if line.startswith("step 2 "):
            os.killpg(job.pid, signal.SIGTERM)
    assert job.wait(60) == 143, lines
    assert f"stopped at step {load_state(tmp_path / 'run')['progress']['step']}, which is saved" in lines[-1]


def test_the_second_signal_acts_at_once(handlers):
    with pytest.raises(KeyboardInterrupt, match="second"), stoppable() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.signal == signal.SIGINT
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt:
            raise KeyboardInterrupt("second") from None


def test_what_others_have_set_stays(handlers):
    heard = []
    before = signal.signal(signal.SIGTERM, lambda *_: heard.append(1))
    hangup = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # nohup
    try:
        with stoppable() as stop:
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGTERM, before)
        signal.signal(signal.SIGHUP, hangup)
    assert heard == [1] and not stop.signal
    thread = threading.Thread(target=lambda: stoppable().__enter__())
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGINT) == handlers[signal.SIGINT]


def test_the_command_says_so(run, corpus, handlers, tmp_path, monkeypatch):
    from asr.training import display

    monkeypatch.setattr(display.Lines, "step", lambda self, step, text: os.kill(os.getpid(), signal.SIGINT))
    settings = [
        f'--set=data.train=["{corpus["train"]}"]',
        "--set=model.encoder.width=32",
        "--set=data.batch_seconds=12",
    ]
    status, _, err = run("train", RECIPE, "--out", tmp_path / "run", "--set=data.dev=[]", *settings)
    assert status == 130
    assert err.endswith(f"stopped; the same command goes on from the last state in {tmp_path / 'run'}\n")
    assert "stopped at step 1, which is saved" in err


def test_lines_that_a_power_cut_spoiled_are_dropped(tmp_path):
    good = '{"step": 1, "id": "今天"}\n'.encode()
    for spoiled in ('{"step": 2, "id": "今'.encode()[:-1], b"\0" * 40, b'{"step": 3}\n'):
        (tmp_path / "quarantine.jsonl").write_bytes(good + spoiled)
        RunLog(tmp_path, step=2).close()
        assert (tmp_path / "quarantine.jsonl").read_bytes() == good


def test_a_folder_in_the_place_of_a_list_is_told(tmp_path):
    (tmp_path / "quarantine.jsonl").mkdir()
    with pytest.raises(CheckpointError, match="quarantine.jsonl: cannot be read \\(Is a directory\\)"):
        RunLog(tmp_path, step=2)
