"""The scripts in benchmarks/ go along with the program that they measure."""

import argparse
import importlib.util
import subprocess
import sys

import pytest

from tests.conftest import ROOT

SCRIPTS = sorted(path for path in (ROOT / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_what_it_imports_is_there(path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    spec = importlib.util.spec_from_file_location(f"measures_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    assert module.__doc__


def test_models_of_others_are_named_with_their_folder(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import programs

    assert programs.peer("paraformer=a=b:int8") == ("paraformer", "a=b:int8")
    for wrong in ("paraformer", "sensevoice=", "whisper=folder"):
        with pytest.raises(argparse.ArgumentTypeError, match="should be paraformer=FOLDER or sensevoice=FOLDER"):
            programs.peer(wrong)


@pytest.mark.parametrize(
    ("worker", "arguments", "message"),
    [
        ("transcribing", ["sensevoice", "FOLDER", "int8", "1"], "has no model.int8.onnx and no tokens.txt"),
        ("wenet", ["10", "FOLDER"], "no checkout of WeNet 3: it has no wenet/models/transformer/search.py"),
    ],
)
def test_a_folder_that_is_something_else_is_refused_by_name(worker, arguments, message, tmp_path):
    if worker == "transcribing":
        pytest.importorskip("sherpa_onnx")
    command = [sys.executable, ROOT / f"benchmarks/workers/{worker}.py"]
    command += [tmp_path if argument == "FOLDER" else argument for argument in arguments]
    done = subprocess.run(command, input="", capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr == f"{tmp_path}: {message}\n"
