"""A short slice of `make kills`: commands that are killed, and run again."""

import os
import sys

import pytest

from tests import forked


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_killed_and_run_again_commands_come_to_the_undisturbed_result():
    command = [sys.executable, "-m", "tests.kills", "--times", "2", "--seed", "5"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = forked.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0 and done.stdout.count(": 2 trials, 0 wrong") == 4, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("sharding", ["none", "full"])
def test_one_of_two_processes_that_train_is_killed_or_its_disk_full(sharding):
    times = "2" if sharding == "none" else "1"
    command = [sys.executable, "-m", "tests.kill_ranks", "--times", times, "--steps", "6", "--sharding", sharding]
    command += ["--seed", "4"]
    done = forked.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0 and ", 0 wrong" in done.stdout, done.stdout + done.stderr
