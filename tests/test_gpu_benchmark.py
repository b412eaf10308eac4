"""benchmarks/gpu.py, without a GPU: what it makes of what others measure."""

import sys
from types import SimpleNamespace

import pytest

from asr.audio.reading import SAMPLE_RATE
from tests.conftest import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
import gpu  # noqa: E402


def test_an_hour_is_120_windows(monkeypatch, capsys):
    asked = []

    def compare(commands, rounds):
        asked.extend(commands.values())
        return {"ours": 2.0, "transformers": 5.0}

    monkeypatch.setattr(gpu, "train", lambda *given: asked.append(given))
    monkeypatch.setattr(gpu, "compare", compare)
    gpu.main(["--shape", "tiny", "--precision", "bfloat16", "--transformers", "PYTHON", "--windows", "24"])
    lines = capsys.readouterr().out.splitlines()
    assert "Whisper tiny, bfloat16, beam 5: ours             20.0 s an hour" in lines  # two parts, five times 2 s
    assert "Whisper tiny, bfloat16, beam 5: transformers     50.0 s an hour" in lines
    assert lines[-1] == "no recordings were named: asr benchmark was left out"
    assert asked[:2] == [("30M", "cuda", "bfloat16", False), ("100M", "cuda", "bfloat16", False)]
    assert [command[0] for command in asked[2:]] == [sys.executable, "PYTHON"] * 2
    assert all(command[-3:] == ["bfloat16", "cuda", "24"] for command in asked[2:])


@pytest.mark.parametrize(("precision", "quantize"), [("float32", "none"), ("float16", "float16")])
def test_recordings_are_repeated_to_an_hour(monkeypatch, capsys, wav, precision, quantize):
    def benchmark(decoding, audio, rounds):
        assert decoding.quantize == quantize and max(map(len, audio)) == 30 * SAMPLE_RATE
        seconds = sum(map(len, audio)) / SAMPLE_RATE
        assert 3600 <= seconds < 3640
        return SimpleNamespace(
            model="m", beam=4, encoder=seconds / 1800, search=seconds / 900, seconds=seconds, used=0.5, memory=3e6
        )

    monkeypatch.setattr(gpu, "benchmark", benchmark)
    options = SimpleNamespace(audio=[wav("a.wav", 39.0)], quick=False, model="", device="cuda")
    gpu.recordings_hour(precision, options)
    expected = (
        f"m, {precision}, beam 4: 6.0 s an hour, encoder 2.0, search 4.0; the search at 50.0 % of the peak, 3 MB\n"
    )
    assert capsys.readouterr().out == expected
