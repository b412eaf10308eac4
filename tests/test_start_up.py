"""What commands load when they start; benchmarks/start_up.py says how fast that is."""

from tests.conftest import imported_by


def test_help_loads_nothing_heavy():
    heavy = {"torch", "numpy", "librosa", "jiwer", "soundfile", "av"}
    assert not imported_by("import asr") & heavy
    assert not imported_by("import asr.cli") & heavy


def test_scoring_loads_no_torch():
    code = "import asr; asr.char_errors('a', 'b'); asr.score_files('data/sample/text', 'data/sample/text')"
    assert not imported_by(code) & {"torch", "pypinyin", "opencc", "librosa"}


def test_transcribing_loads_no_scoring_and_no_librosa(model, wav):
    code = f"import asr; asr.load({str(model)!r}, 'cpu').transcribe({str(wav('a.wav'))!r})"
    compiler = {"torch._dynamo", "sympy"}  # a second
    assert not imported_by(code) & ({"librosa", "numba", "jiwer", "torchaudio", "av", "pypinyin"} | compiler)
