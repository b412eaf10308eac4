"""A long list of recordings: interrupted and gone on with, shared by processes, and told about."""

import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.decoding.decode_config import DecodeConfig
from asr.transcription.display import status
from asr.transcription.transcriber import load
from tests import forked
from tests.killing import killed_at_file
from tests.sounds import speech

N = 50


@pytest.fixture(scope="module")
def calls(tmp_path_factory) -> Path:
    """N recordings of 1 to 4 s, one of which is none."""
    folder = tmp_path_factory.mktemp("calls")
    for i in range(N - 1):
        soundfile.write(folder / f"{i:02d}.wav", speech(4, seed=i % 7)[: 16000 + 900 * i], 16000)
    (folder / "bad.wav").write_text("这不是录音\n" * 50)
    return folder


def command(model: Path, calls: Path, out: Path, *start: str) -> list[str]:
    start = start or (sys.executable, "-m", "asr")
    return [
        *start,
        "transcribe",
        str(calls),
        "--model",
        str(model),
        "--out",
        str(out),
        "--format",
        "json",
        "--beam",
        "2",
        *("--decode", "max_chars_per_second=3"),
    ]


def run(command: list[str], **environment: str) -> forked.CompletedProcess:
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | environment
    return forked.run(command, env=environment, capture_output=True, text=True, timeout=120)


def results(out: Path) -> dict[str, dict]:
    return {path.name: json.loads(path.read_text()) for path in sorted(out.glob("*.json"))}


@pytest.fixture(scope="module")
def undisturbed(model, calls, tmp_path_factory) -> dict[str, dict]:
    out = tmp_path_factory.mktemp("undisturbed")
    done = run(command(model, calls, out))
    assert done.returncode == 1 and "bad.wav: not recognised as audio" in done.stderr and done.stdout == ""
    found = results(out)
    assert len(found) == N - 1 and all(data["text"] for data in found.values())
    return found


def assert_same(found: dict[str, dict], expected: dict[str, dict]) -> None:
    """Texts and times are equal; confidences as near as batches with other recordings leave them."""
    assert found.keys() == expected.keys()
    for name, data in expected.items():
        assert texts_and_times(found[name]) == texts_and_times(data), name
        assert confidences(found[name]) == pytest.approx(confidences(data), abs=0.01), name


def texts_and_times(data: dict) -> list:
    tokens = [[(t["text"], t["start"], t["end"]) for t in segment["tokens"]] for segment in data["segments"]]
    return [data["text"], data["duration"], [(s["text"], s["start"], s["end"]) for s in data["segments"]], tokens]


def confidences(data: dict) -> list[float]:
    return [token["confidence"] for segment in data["segments"] for token in segment["tokens"]]


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_run_that_is_killed_goes_on_where_it_was(model, calls, undisturbed, tmp_path, when):
    killed = run(command(model, calls, tmp_path, *killed_at_file(9, when)))
    assert killed.returncode == -signal.SIGKILL
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.json")}
    assert len(before) == (8 if when == "before" else 9)
    done = run(command(model, calls, tmp_path))
    assert done.returncode == 1
    assert f"{len(before)} of {N} transcripts are there already and stay as they are" in done.stderr
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in before} == before
    assert_same(results(tmp_path), undisturbed)


@pytest.mark.slow
def test_two_processes_share_the_list(model, calls, undisturbed, tmp_path):
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "asr")
    done = run(command(model, calls, tmp_path, *torchrun))
    assert done.returncode == 1 and done.stderr.count("bad.wav: not recognised as audio") == 1
    assert_same(results(tmp_path), undisturbed)


@pytest.mark.parametrize("most", [1, 8, 20])
def test_so_many_recordings_are_open_as_the_settings_say(model, most):
    transcriber = load(model, "cpu", decode=DecodeConfig(beam=1, max_chars_per_second=1, batch_recordings=most))
    opened = finished = 0

    def audios():
        nonlocal opened
        for i in range(30):
            opened += 1
            yield speech(1 + i % 3, seed=i % 4), 16000

    for _ in transcriber.transcribe_all(audios()):
        finished += 1
        assert opened - finished < most
    assert opened == finished == 30


@pytest.mark.parametrize(("seconds", "calls"), [(30.0, 2), (120.0, 2), (200.0, 1)])
def test_batches_are_as_large_as_the_settings_say(model, monkeypatch, seconds, calls):
    """Of 180 s of speech, cut into pieces."""
    transcriber = load(
        model,
        "cpu",
        decode={"beam": 1, "max_chars_per_second": 1, "batch_seconds": seconds, "redecode": False},
        vad={"threshold": 0},
    )
    given = []

    def recognize(pieces, **named):
        given.append(sum(map(len, pieces)) / 16000)
        return [[nothing]] * len(pieces)

    [[nothing]] = transcriber.recognizer.recognize([speech(1)], timed=True)
    monkeypatch.setattr(transcriber.recognizer, "recognize", recognize)
    transcriber.transcribe((np.concatenate([speech(10, seed=i) for i in range(18)]), 16000))
    assert len([total for total in given if total]) == calls and sum(given) == pytest.approx(180, abs=5)


def test_several_processes_need_a_folder(model, calls):
    start = [sys.executable, "-m", "asr", "transcribe", str(calls), "--model", str(model)]
    done = run(start, RANK="0", WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT="0")
    assert done.returncode == 2
    assert done.stderr == "asr: several processes cannot print to one stdout in order; give them a folder with --out\n"


def test_progress_in_words():
    assert status(0.25, 3, 12, 3600.0, elapsed=90.0) == (
        "3/12 files, 25 %, 1:00:00 of audio, 40 times as fast as it plays, 0:04:30 left"
    )
    assert status(0.0, 0, 12, 0.0, elapsed=1.0) == "0/12 files, 0 %, 0:00:00 of audio"
