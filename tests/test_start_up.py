"""What commands load when they start, and how fast that is."""

import subprocess
import sys
import time

import pytest

from tests.conftest import ROOT, imported_by


@pytest.mark.alone
def test_help_loads_no_torch_and_is_fast():
    heavy = {"torch", "numpy", "librosa", "jiwer", "soundfile", "av"}
    assert not imported_by("import asr") & heavy
    assert not imported_by("import asr.cli") & heavy
    times = []
    for _ in range(3):
        started = time.monotonic()
        subprocess.run([sys.executable, "-m", "asr", "--help"], cwd=ROOT, capture_output=True, check=True)
        times.append(time.monotonic() - started)
    assert min(times) < 0.5


def test_scoring_loads_no_torch():
    code = "import asr; asr.char_errors('a', 'b'); asr.score_files('data/sample/text', 'data/sample/text')"
    assert not imported_by(code) & {"torch", "pypinyin", "opencc", "librosa"}


def test_transcribing_loads_no_scoring_and_no_librosa(model, wav):
    code = f"import asr; asr.load({str(model)!r}, 'cpu').transcribe({str(wav('a.wav'))!r})"
    assert not imported_by(code) & {"librosa", "numba", "jiwer", "torchaudio", "av", "pypinyin"}
