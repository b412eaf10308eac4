"""Folders that are replaced as one: whatever happens, and whenever, the old one is there or the new one."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from asr import folders
from asr.catalogue.exporting import export
from asr.catalogue.finding import find_model
from asr.errors import AsrError, CheckpointError
from asr.files import temporary_name
from asr.folders import exchange, locked, put_back, whole_folder
from tests.conftest import ROOT


@pytest.fixture(params=["exchanged", "renamed twice"])
def way(request, monkeypatch):
    """Both ways of putting a folder in the place of another."""
    if request.param == "renamed twice":
        monkeypatch.setattr(folders, "exchange", lambda one, other: False)


def write(out: Path, text: str) -> None:
    with whole_folder(out, ["lm"]) as new:
        (new / "weights").write_text(text)


def contents(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_folder_is_replaced_and_what_else_is_in_it_stays(way, tmp_path):
    out = tmp_path / "model"
    write(out, "old")
    (out / "eval/dev").mkdir(parents=True)
    (out / "eval/dev/hyp.txt").write_text("a 今天")
    (out / "lm").write_text("of the old weights")
    (out / "weights").chmod(0o600)
    out.chmod(0o750)
    write(out, "new")
    assert contents(tmp_path) == {"model/weights": "new", "model/eval/dev/hyp.txt": "a 今天"}
    assert out.stat().st_mode & 0o777 == 0o750 and (out / "weights").stat().st_mode & 0o777 == 0o600


def test_what_fails_leaves_the_old_one(way, tmp_path):
    write(tmp_path / "model", "old")
    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error), whole_folder(tmp_path / "model") as new:
            (new / "weights").write_text("half")
            raise error
    assert contents(tmp_path) == {"model/weights": "old"} and os.listdir(tmp_path) == ["model"]


def test_a_second_process_is_told(tmp_path):
    with whole_folder(tmp_path / "model"), pytest.raises(AsrError, match="model: another process is writing it; wait"):
        write(tmp_path / "model", "new")
    with (
        locked(tmp_path / "run", CheckpointError, "training"),
        pytest.raises(
            CheckpointError, match="run: another process is training there; wait for it or choose another --out"
        ),
        locked(tmp_path / "run", CheckpointError, "training"),
    ):
        pass


KILLED = """
import os, signal, sys
from pathlib import Path
from asr import folders
at, exchanged = sys.argv[2], sys.argv[3] == "exchanged"
real = Path.rename
def rename(path, target):
    real(path, target)
    if at == f"after {Path(target).name}":
        os.kill(os.getpid(), signal.SIGKILL)
Path.rename = rename
if not exchanged:
    folders.exchange = lambda one, other: False
with folders.whole_folder(Path(sys.argv[1])) as new:
    (new / "weights").write_text("new")
    if at == "writing":
        os.kill(os.getpid(), signal.SIGKILL)
    if at == "before the old one goes":
        folders.shutil.rmtree = lambda *args, **more: os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(os.name != "posix", reason="kill -9")
@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("writing", "old"),
        ("before the old one goes", "new"),
        (f"after {folders.REPLACED}", "old"),
        ("after model", "new"),
    ],
)
def test_killed_it_is_the_old_one_or_the_new_one_and_the_next_run_cleans_up(at, expected, tmp_path):
    write(tmp_path / "model", "old")
    for way in ["exchanged", "renamed twice"] if "after" not in at else ["renamed twice"]:
        write(tmp_path / "model", "old")
        done = subprocess.run([sys.executable, "-c", KILLED, tmp_path / "model", at, way], cwd=ROOT)
        assert done.returncode == -signal.SIGKILL
        assert find_model(tmp_path / "model") == tmp_path / "model"  # what reads it puts it back
        assert contents(tmp_path / "model") == {"weights": expected}
        write(tmp_path / "model", "newest")
        assert os.listdir(tmp_path) == ["model"] and contents(tmp_path / "model") == {"weights": "newest"}


def test_nothing_is_put_back_where_nothing_was(tmp_path):
    assert not put_back(tmp_path / "model") and put_back(tmp_path) and not put_back(tmp_path / ("n" * 300))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="renameat2")
def test_two_names_are_exchanged_in_one_step(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "is").write_text(name)
    assert exchange(tmp_path / "a", tmp_path / "b")
    assert contents(tmp_path) == {"a/is": "b", "b/is": "a"}
    assert not exchange(tmp_path / "a", tmp_path / "c") and contents(tmp_path) == {"a/is": "b", "b/is": "a"}


def test_what_a_folder_is_called_while_it_is_written_is_short():
    name = temporary_name("名" * 85)
    assert len(name) < 40 and name != temporary_name("名" * 84)


def test_export_takes_the_place_of_a_model_only(model, tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/a.txt").write_text("mine")
    with pytest.raises(
        CheckpointError, match="notes: holds files but no model; --force only overwrites a model folder"
    ):
        export(model, tmp_path / "notes", force=True)
    export(model, tmp_path / "small")
    with pytest.raises(
        CheckpointError, match="small: is there already; choose another name, or --force to overwrite it"
    ):
        export(model, tmp_path / "small")
    export(tmp_path / "small", tmp_path / "small", dtype="int8", force=True)
    assert contents(tmp_path / "notes") == {"a.txt": "mine"}
