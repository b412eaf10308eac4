"""`asr doctor`: what it finds, what it advises, and its status."""

import importlib
import shutil
import sys
from importlib import metadata

import pytest

from asr.cli import examination as doctor
from asr.cli.examination import Finding, examine, examine_extra, examine_package, guarded, within
from asr.extras import brings, requirements
from tests.conftest import ROOT


def test_a_machine_that_can_transcribe(run):
    status, out, err = run("doctor")
    assert status == 0 and err == "" and "BROKEN" not in out
    assert out.endswith("\nRecordings can be transcribed.\n")
    lines = {line.split()[1]: line for line in out.splitlines() if line.startswith(("ok", "missing"))}
    assert "embedded: " in lines["model"] and lines["model"].endswith(" CTC head, answers as it should")
    assert "wav" in lines["libsndfile"] and "m4a" in lines["FFmpeg"]
    assert "CPU threads" in lines["device"] and "torch" in lines and "[text]" in lines


def test_what_it_needs_is_what_it_was_installed_with():
    core, extras = requirements()
    assert {"torch", "numpy", "soundfile", "av"} <= core.keys() and "<2.15" in core["torch"]
    assert extras["text"].keys() == {"pypinyin", "opencc", "cn2an", "jieba"}


def test_without_metadata_the_most_important_is_still_looked_at(monkeypatch):
    def absent(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", absent)
    core, extras = requirements()
    assert "torch" in core and extras == {}


@pytest.fixture
def without_pytorch(monkeypatch):
    """Where mandarin-asr-onnx is installed, in the place of mandarin-asr."""
    listed = ["numpy>=1.26,<3", "onnxruntime>=1.22,<2", "no-such-package>=1; extra == 'containers'"]

    def requires(name):
        if name == "mandarin-asr":
            raise metadata.PackageNotFoundError(name)
        return listed

    monkeypatch.setattr(metadata, "requires", requires)


def test_what_goes_without_pytorch_is_looked_at_alone(run, monkeypatch, without_pytorch):
    monkeypatch.setitem(sys.modules, "torch", None)
    status, out, _ = run("doctor")
    assert status == 0 and out.endswith("\nRecordings can be transcribed.\n") and "PyTorch" not in out
    assert "CPUExecutionProvider" in out and "`asr transcribe --backend onnx --model FOLDER`" in out
    assert "→ pip install 'mandarin-asr-onnx[containers]'\n" in out


def test_extras_are_brought_to_what_is_installed(without_pytorch, monkeypatch):
    assert brings("containers") == "pip install 'mandarin-asr-onnx[containers]'"
    assert brings("live") == (
        "pip uninstall mandarin-asr-onnx, and in a checkout of the program pip install -c constraints.txt '.[live]'"
    )
    monkeypatch.setattr(metadata, "requires", lambda name: [])  # the program itself is there
    assert brings("live") == "pip install 'mandarin-asr[live]'"


def test_no_message_takes_one_distribution_for_the_one_that_is_installed():
    said = [
        path.name
        for path in (ROOT / "asr").rglob("*.py")
        if "install 'mandarin-asr" in path.read_text(encoding="utf-8")
    ]
    assert said == ["extras.py"]


def test_something_missing_makes_the_status_1(run, monkeypatch):
    real = metadata.version

    def version(name):
        if name == "soxr":
            raise metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(metadata, "version", version)
    status, out, _ = run("doctor")
    assert status == 1 and out.endswith("\nRecordings cannot be transcribed: mend what is BROKEN.\n")
    assert "BROKEN  soxr          is not installed\n" in out
    assert "\n                      → pip install 'soxr" in out


def test_a_package_that_cannot_be_imported(monkeypatch):
    def broken(name):
        raise OSError("libfoo.so: cannot open shared object file\nmore")

    monkeypatch.setattr(importlib, "import_module", broken)
    finding = examine_package("soxr", ">=0.5,<2", "do this", needed=True)
    assert not finding.fine and finding.detail.endswith("cannot be imported: libfoo.so: cannot open shared object file")
    assert finding.line().endswith("\n                      → do this")


def test_packages_with_other_names():
    assert examine_package("pytest-xdist", ">=1", "do this", needed=False).fine


def test_a_version_out_of_bounds():
    finding = examine_package("numpy", ">=99", "pip install 'numpy>=99'", needed=True)
    assert finding.detail.endswith("is outside of >=99") and finding.line().startswith("BROKEN  numpy")


def test_an_extra_that_is_missing_breaks_nothing():
    finding = examine_extra("text", {"no-such-package": ">=1"})
    assert finding.line() == (
        "missing [text]        readings, scripts (--script), numbers as they are read: no-such-package is not installed\n"
        "                      → pip install 'mandarin-asr[text]'"
    )
    assert not finding.needed


def test_a_model_that_is_missing(monkeypatch, tmp_path):
    from asr.catalogue import finding as models

    monkeypatch.setattr(models, "PRETRAINED", tmp_path)
    (finding,) = doctor.examine_models()
    assert not finding.fine and finding.needed and f"embedded is not in {tmp_path}" in finding.detail


def test_files_that_came_along_are_as_they_were(monkeypatch, tmp_path):
    """Also those whose headers have no checksum, in which one bit makes no other answer."""
    from asr import model_paths

    came = model_paths.PRETRAINED
    texts = (".md", "LICENSE", doctor.CHECKSUMS)  # may be mended without another release of the model
    files = {
        str(path.relative_to(came)) for path in came.rglob("*") if path.is_file() and not path.name.endswith(texts)
    }
    (finding,) = doctor.examine_files()
    assert finding == Finding("files", True, f"the {len(files)} files of the models that came along are whole"), (
        f"in asr/pretrained: sha256sum */*.safetensors */*.json */*.txt */*.npy > {doctor.CHECKSUMS}"
    )
    sums = (came / doctor.CHECKSUMS).read_text().splitlines()
    assert {line.split("  ")[1] for line in sums} == files
    shutil.copytree(came, tmp_path / "pretrained")
    monkeypatch.setattr(model_paths, "PRETRAINED", tmp_path / "pretrained")
    content = bytearray((came / "punctuation" / "tagger.safetensors").read_bytes())
    content[-1000] ^= 1
    (tmp_path / "pretrained" / "punctuation" / "tagger.safetensors").write_bytes(content)
    (tmp_path / "pretrained" / "embedded" / "decode.json").unlink()
    (finding,) = doctor.examine_files()
    assert not finding.fine and finding.detail.endswith(
        "/pretrained: punctuation/tagger.safetensors (damaged), embedded/decode.json (No such file or directory)"
    )
    (tmp_path / "pretrained" / doctor.CHECKSUMS).unlink()
    (finding,) = doctor.examine_files()
    assert finding.detail == f"{tmp_path}/pretrained/SHA256SUMS: No such file or directory"


def test_what_raises_is_a_finding():
    def examine_magic():
        raise RuntimeError("no magic here")
        yield

    assert list(guarded(examine_magic)) == [Finding("magic", False, "no magic here", "see what is broken above")]


@pytest.mark.parametrize(
    ("version", "bounds", "fits"),
    [
        ("2.13.0+cpu", ">=2.11,<2.15", True),
        ("2.15", ">=2.11,<2.15", False),
        ("2.15.0.dev1", ">=2.11,<2.15", False),
        ("2.10.9", ">=2.11,<2.15", False),
        ("2.11", ">=2.11.0", True),
        ("1.0rc1", "<2", True),
        ("3", "", True),
    ],
)
def test_bounds(version, bounds, fits):
    assert within(version, bounds) is fits


def test_every_finding_has_something_to_say():
    assert all(finding.name and finding.line() for finding in examine())
