"""benchmarks/training.py, in miniature."""

import json
import sys

import pytest

from tests.conftest import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
import training as benchmark  # noqa: E402
from workers.training import kind_of  # noqa: E402


def test_a_run_is_counted(capsys, monkeypatch):
    monkeypatch.setattr(benchmark, "matrix_peak", lambda device, dtype: 1e9)
    small = ["--size", "tiny", "--hours", "0.01", "--batch-seconds", "12", "--precision", "float32"]
    benchmark.main([*small, "--processes", "1", "--warm", "1", "--steps", "2", "--rounds", "1"])
    peak, title, _, row = capsys.readouterr().out.splitlines()
    assert peak == "a large matrix product: 1 GFLOP/s in float32 on cpu"
    name, speed, ratio, padding, waiting, share, memory = (cell.strip() for cell in row.strip("|").split("|"))
    assert (name, ratio) == ("ours, 1 process", "1.00") and len(title.split("|")) == 9
    assert float(speed) > 0 and 0 <= float(padding.split()[0]) < 50 and 0 < float(waiting.split()[0]) < 100
    assert float(share.split()[0]) > 0 and memory.endswith(" MB")


def test_speech_is_as_long_as_asked_for(tmp_path):
    manifest = benchmark.write_speech(tmp_path, 60)
    lines = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
    durations = [line["duration"] for line in lines]
    assert 60 <= sum(durations) < 75 and all(1.5 <= duration <= 15 for duration in durations)
    assert all(len(line["text"]) == round(4 * line["duration"]) for line in lines)


def test_a_profile_adds_up(capsys, monkeypatch):
    monkeypatch.setattr(benchmark, "matrix_peak", lambda device, dtype: 1e9)
    small = ["--size", "tiny", "--hours", "0.01", "--batch-seconds", "12", "--precision", "float32", "--profile"]
    benchmark.main([*small, "--processes", "1", "--warm", "1", "--steps", "1", "--rounds", "1"])
    _, *tables = capsys.readouterr().out.split("\n\n")
    assert [table.split("|")[1].strip() for table in tables] == ["part of a step", "kind of operator"]
    for table, known in zip(tables, ("backward", "matrix products"), strict=True):
        shares = {row.split("|")[1].strip(): float(row.split("|")[2].split()[0]) for row in table.splitlines()[2:]}
        assert abs(sum(shares.values()) - 100) < 1 and shares[known] > 0 and "Python, autograd, waiting" in shares


@pytest.mark.parametrize(
    "operator, kind",
    [
        ("mm", "matrix products"),
        ("mkldnn_convolution", "convolutions"),
        ("convolution_backward", "convolutions"),
        ("_softmax_backward_data", "softmax"),
        ("threshold_backward", "activations"),
        ("add_", "sums"),
        ("addcmul", "other operators"),
    ],
)
def test_kinds_of_operators(operator, kind):
    assert kind_of(operator) == kind
