"""benchmarks/training.py, in miniature."""

import json
import sys

from tests.conftest import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
import training as benchmark  # noqa: E402


def test_a_run_is_counted(tmp_path, capsys, monkeypatch):
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
