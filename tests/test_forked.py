"""Processes that are forked are as if each had been started anew."""

import os
import signal
import sys

import pytest

from tests import forked
from tests.runs import FromServer

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
TELLS = "import os, sys; print(sys.argv[1:], os.environ.get('OF_THIS_CALL'), os.getcwd()); print(sys.stdin.read())"


def test_a_command_has_arguments_environment_folder_and_streams_of_its_own(tmp_path):
    command = [sys.executable, "-c", TELLS, "一", 2]
    for value in ("one", "two"):
        given = {"env": os.environ | {"OF_THIS_CALL": value}, "cwd": tmp_path, "capture_output": True, "text": True}
        done = forked.run(command, input="说", **given)
        assert done.stdout == f"['一', '2'] {value} {tmp_path}\n说\n" and done.stderr == "" and done.returncode == 0


@pytest.mark.parametrize(
    ("program", "status", "said"),
    [
        ("raise SystemExit('no')", 1, "no\n"),
        ("raise SystemExit(7)", 7, ""),
        ("import atexit, sys; atexit.register(sys.stderr.write, 'at its end'); exit()", 0, "at its end"),
        ("import os; os.kill(os.getpid(), 9)", -signal.SIGKILL, ""),
    ],
)
def test_how_it_ends_is_told(program, status, said):
    done = forked.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (status, said)


def test_it_is_waited_for_and_sent_signals():
    command = [sys.executable, "-c", "print('here', flush=True); import time; time.sleep(600)"]
    with forked.Popen(command, stdout=forked.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout.readline() == "here\n" and process.poll() is None
        assert os.getsid(process.pid) == process.pid
        with pytest.raises(forked.TimeoutExpired):
            process.wait(0.01)
        process.terminate()
        assert process.wait(60) == process.poll() == -signal.SIGTERM


def test_what_is_looked_at_when_a_process_begins_is_refused(monkeypatch):
    with pytest.raises(
        ValueError, match="^PYTHONHASHSEED: is looked at when a process begins, and this one has begun$"
    ):
        forked.run([sys.executable, "-c", ""], env=os.environ | {"PYTHONHASHSEED": "7"})
    with pytest.raises(ValueError, match="a process is forked for this Python's -m and -c alone"):
        forked.run(["sh", "-c", "true"])
    server = FromServer.get()
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    with pytest.raises(ValueError, match="^PYTHONHASHSEED: is looked at"):
        server.Process(print, ())


def test_processes_of_a_run_have_the_environment_and_streams_of_their_call(monkeypatch, capfd):
    for value in ("one", "two"):
        monkeypatch.setenv("OF_THIS_CALL", value)
        process = FromServer.get().Process(os.system, ("echo $OF_THIS_CALL",))
        process.start()
        process.join()
        assert capfd.readouterr().out == f"{value}\n"
