"""Published models: fetched by name at first use, from a hub on this machine; whole in the cache, or not there."""

import io
import json
import subprocess
import sys
import tarfile
import threading
import time
import types
from pathlib import Path

import numpy as np
import pytest
import soundfile

import asr
from asr.catalogue import download, pull
from asr.catalogue.published import PUBLISHED
from asr.catalogue.published_model import PublishedFile, Repository
from asr.corpus.toy import CHARACTERS
from asr.errors import CheckpointError, DownloadError
from asr.files import temporary_name
from asr.model.folder import save_model
from tests.conftest import ROOT, random_model
from tests.hub import CHECKPOINT, WEIGHTS, Importer, hub, row, sha256

SPEECH = ROOT / "data" / "sample" / "weather.flac"


@pytest.fixture
def importer(monkeypatch, tokenizer):
    importer = Importer(tokenizer.table)
    monkeypatch.setitem(sys.modules, "asr.interop.importing", types.SimpleNamespace(import_model=importer))
    return importer


@pytest.fixture
def server(monkeypatch, tmp_path, importer):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(download, "_pause", lambda failures: None)
    monkeypatch.setitem(PUBLISHED, "tiny", row())
    with hub() as here:
        monkeypatch.setenv("HF_ENDPOINT", here.address)
        monkeypatch.setenv("MODELSCOPE_DOMAIN", here.address)
        for path, data in CHECKPOINT.items():
            here.serve(f"/someone/tiny/resolve/abc123/{path}", data, large=path.endswith(".pt"))
        yield here


@pytest.fixture
def models(tmp_path) -> Path:
    return tmp_path / "cache/mandarin-asr/models"


@pytest.fixture
def wav(tmp_path) -> Path:
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).normal(0, 0.1, 16000), 16000)
    return tmp_path / "a.wav"


def contents(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()) if folder.exists() else []


def test_transcribe_fetches_a_model_by_name_at_first_use(run, server, importer, models):
    status, out, err = run("transcribe", "--model", "tiny", SPEECH)
    assert status == 0 and out.strip()
    assert err.splitlines()[:7] == [
        "tiny: a model of two characters",
        f"  fetching 3 MB from Hugging Face, someone/tiny; licence: CC-BY-4.0; into {models / 'tiny'}",
        "  not yet run on the published file: look at a transcript before you rely on it",
        "tiny: importing",
        "tiny: has no CTC head",
        "tiny: warning: its features are too loud",
        "tiny: ready. asr transcribe --model tiny …",
    ]
    assert importer.calls[0][0] == "wenet" and importer.calls[0][2] == {
        "source": "someone/tiny, revision abc123, Hugging Face",
        "licence": "CC-BY-4.0",
    }
    assert contents(models.parent) == [
        "models/tiny/README.md",
        "models/tiny/config.json",
        "models/tiny/model.safetensors",
        "models/tiny/tokens.txt",
        "tiny.lock",
    ]
    server.files.clear()  # from now on nothing can be had
    status, again, err = run("transcribe", "--model", "tiny", SPEECH)
    assert (status, again) == (0, out) and "fetching" not in err and asr.load("tiny", "cpu").loaded.name == "tiny"


def test_evaluation_takes_a_name_and_writes_beside_us(run, server, models, wav, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = {"id": "a", "audio": str(wav), "text": "".join(CHARACTERS[:2]), "duration": 1.0}
    (tmp_path / "dev.jsonl").write_text(json.dumps(line) + "\n")
    status, out, _ = run("evaluate", "tiny", "dev.jsonl")
    assert status == 0 and out.startswith("CER ")
    assert "hyp.txt" in contents(tmp_path / "eval/tiny/dev") and not (models / "tiny/eval").exists()


def test_pull_prints_the_folder_and_another_pull_does_nothing(run, server, models):
    status, out, err = run("model", "pull", "tiny")
    assert (status, out) == (0, f"{models / 'tiny'}\n") and "fetching 3 MB" in err
    asked = len(server.seen)
    assert run("model", "pull", "tiny") == (0, out, "") and len(server.seen) == asked
    assert run("model", "pull", "tiny", "--force")[0] == 0 and len(server.seen) > asked
    assert contents(models / "tiny")


def test_remove(run, server, models):
    run("model", "pull", "tiny")
    size = sum(path.stat().st_size for path in (models / "tiny").iterdir())
    assert run("model", "remove", "tiny") == (0, "", f"tiny: {size / 1e6:.1f} MB freed\n")
    assert contents(models) == [] and run("model", "remove", "tiny") == (0, "", "tiny: is not here\n")
    assert "no published model has this name; it came with the program" in run("model", "remove", "embedded")[2]
    assert "no published model has this name; did you mean" in run("model", "remove", "embeded")[2]


def test_from_modelscope(run, server, importer):
    for path, data in CHECKPOINT.items():
        server.serve(f"/models/someone/%E5%BE%AE/resolve/master/{path}", data, large=False)
    assert run("model", "pull", "tiny", "--from", "modelscope")[0] == 0
    assert importer.calls[0][2]["source"] == "someone/微, revision master, ModelScope"


def test_hubs_that_do_not_have_it(run, server, monkeypatch):
    status, _, err = run("model", "pull", "tiny", "--from", "github")
    assert status == 2 and "'github' is not one of huggingface, modelscope" in " ".join(err.split())
    monkeypatch.setitem(PUBLISHED, "tiny", row(repositories={"huggingface": Repository("someone/tiny")}))
    status, _, err = run("model", "pull", "tiny", "--from", "modelscope")
    assert status == 1 and "is not on ModelScope, as far as we know, but on Hugging Face (huggingface)" in err


def test_names_that_nobody_knows(run, server):
    status, _, err = run("model", "pull", "firered2")
    assert status == 1 and "firered2: no published model has this name; did you mean firered2-aed? (there are" in err
    with pytest.raises(CheckpointError, match=r"nothing: no such model folder, none.*\(embedded\).*tiny"):
        asr.load("nothing")


def test_offline(run, server, monkeypatch, wav):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    status, out, err = run("transcribe", "--model", "tiny", wav)
    assert (status, out) == (1, "") and err.splitlines() == [
        "asr: http://127.0.0.1:9/someone/tiny/resolve/abc123/exp/final.pt: cannot be reached ([Errno 111] Connection"
        " refused). `asr model pull tiny --from modelscope` tries another hub; HF_ENDPOINT names a mirror; without a"
        " network, fetch the files of someone/tiny elsewhere and `asr model import wenet FOLDER --out FOLDER`"
    ]


def test_stopped_by_hand_it_goes_on_where_it_was(run, server, models, monkeypatch):
    served = server.files["/someone/tiny/resolve/abc123/exp/final.pt"]
    served.cuts = [1_000_000]

    def stop(failures):
        raise KeyboardInterrupt

    monkeypatch.setattr(download, "_pause", stop)
    status, _, err = run("model", "pull", "tiny")
    assert status == 130 and err.splitlines()[-1].startswith("tiny: stopped; what has arrived is kept")
    assert contents(models) == []
    assert contents(models.parent / "downloads") == ["tiny/huggingface/exp/final.pt.part"]
    status, _, err = run("model", "pull", "tiny")
    assert status == 0 and served.asked[-1]["Range"] == "bytes=1000000-"
    assert "fetching 3 MB, 1 MB of which are here, from Hugging Face" in err


def test_wrong_bytes_never_become_a_model(run, server, models):
    server.serve("/someone/tiny/resolve/abc123/exp/final.pt", b"\1" + WEIGHTS[1:])
    status, _, err = run("model", "pull", "tiny")
    assert status == 1 and "final.pt: was changed: " in err  # the hub itself states another checksum
    server.serve("/someone/tiny/resolve/abc123/exp/final.pt", b"\1" + WEIGHTS[1:], large=False)
    status, _, err = run("model", "pull", "tiny")
    assert status == 1 and "final.pt: the checksum (SHA-256) of what arrived is" in err
    assert contents(models) == contents(models.parent / "downloads") == []


def test_a_checksum_that_the_hub_states_is_checked_too(run, server, models, monkeypatch):
    monkeypatch.setitem(PUBLISHED, "tiny", row(files=(PublishedFile("exp/final.pt"), PublishedFile("units.txt"))))
    lie = {"X-Linked-ETag": f'"{sha256(b"other")}"'}
    server.serve("/someone/tiny/resolve/abc123/exp/final.pt", WEIGHTS, stated=lie)
    status, _, err = run("model", "pull", "tiny")
    assert status == 1 and f"expected was {sha256(b'other')}" in err and contents(models) == []


@pytest.mark.parametrize("error", [CheckpointError("no such tensor"), RuntimeError("a bug")])
def test_an_import_that_fails_leaves_the_files_and_no_model(server, importer, models, error):
    importer.fails = error
    lines = []
    with pytest.raises(type(error)):
        pull.pull("tiny", say=lines.append)
    assert contents(models) == [] and list(models.iterdir()) == []
    assert contents(models.parent / "downloads/tiny/huggingface") == ["exp/final.pt", "units.txt"]
    assert "tiny: cannot be imported. What was fetched stays in" in lines[-1] and "--force" in lines[-1]
    asked, importer.fails = len(server.seen), None
    pull.pull("tiny", say=lines.append)
    assert len(server.seen) == asked and pull.cached("tiny")


def test_a_failed_import_leaves_the_model_that_was_there(server, importer, models):
    pull.pull("tiny", say=[].append)
    before = (models / "tiny/model.safetensors").stat().st_mtime_ns
    importer.fails = CheckpointError("no")
    with pytest.raises(CheckpointError):
        pull.pull("tiny", say=[].append, force=True)
    assert (models / "tiny/model.safetensors").stat().st_mtime_ns == before


def test_what_a_killed_import_left_is_no_model_and_is_removed(server, models):
    left, other = (models / temporary_name(f"{name}/") for name in ("tiny", "tiny2"))
    (left / "tiny").mkdir(parents=True)
    (left / "tiny/config.json").touch()
    other.mkdir()
    assert pull.cached("tiny") is None
    pull.pull("tiny", say=[].append)
    assert sorted(p.name for p in models.iterdir()) == sorted([other.name, "tiny"])


def test_a_full_disk_is_noticed_before(run, server, monkeypatch):
    usage = types.SimpleNamespace(free=4_000_000)
    monkeypatch.setattr(pull.shutil, "disk_usage", lambda path: usage)
    status, _, err = run("model", "pull", "tiny")
    assert status == 1 and "tiny: needs 5 MB on the disk of" in err and "4 MB are free. XDG_CACHE_HOME" in err
    assert not any(served.asked for served in server.files.values())


PROCESS = """
import sys, time, types, pathlib
from asr.catalogue import published, pull
def import_model(toolkit, source, out, notes, dtype):
    assert (source / "units.txt").stat().st_size == 2_000_000
    (out / "half").touch(); time.sleep(0.5); (out / "config.json").touch()
    print("imported")
    return types.SimpleNamespace(remarks=(), doubts=())
sys.modules["asr.interop.importing"] = types.SimpleNamespace(import_model=import_model)
row = published.PublishedModel("tiny", "wenet", "", {"huggingface": published.Repository("s/t", "r")},
    (published.PublishedFile("units.txt"),), "", "", "", "")
published.PUBLISHED["tiny"] = row
assert (pull.pull("tiny", say=lambda line: None) / "config.json").is_file()
"""


def test_two_processes_pull_once(server, models):
    """They share the cache; the one that comes second waits, and finds a whole model."""
    served = server.serve("/s/t/resolve/r/units.txt", b"x" * 2_000_000)
    processes = [
        subprocess.Popen([sys.executable, "-c", PROCESS], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    done = [(process.communicate(timeout=60), process.returncode) for process in processes]
    assert [status for _, status in done] == [0, 0, 0], done
    assert sorted(out for (out, _), _ in done) == [b"", b"", b"imported\n"] and len(served.asked) == 1


def test_the_one_that_waits_says_so(server):
    lines, lock = [], pull.FileLock(pull.cache() / "tiny.lock")
    pull.cache().mkdir(parents=True)
    lock.acquire()
    thread = threading.Thread(target=pull.pull, args=("tiny", "", lines.append))
    thread.start()
    deadline = time.monotonic() + 10
    while not lines and time.monotonic() < deadline:
        time.sleep(0.01)
    assert lines == ["tiny: another process is pulling it; waiting"]
    lock.release()
    thread.join()
    assert pull.cached("tiny")


def archive(members: dict[str, bytes], extra: tuple[tarfile.TarInfo, ...] = ()) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        for info in extra:
            tar.addfile(info)
    return file.getvalue()


def serve_archive(server, monkeypatch, data: bytes) -> None:
    monkeypatch.setitem(PUBLISHED, "tiny", row(files=(PublishedFile("tiny_exp.tar.gz"),)))
    server.serve("/someone/tiny/resolve/abc123/tiny_exp.tar.gz", data)


def test_an_archive_is_unpacked_and_nothing_else_of_it(server, importer, models, monkeypatch, tmp_path):
    link = tarfile.TarInfo("2024_exp/link")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    inside = {f"2024_exp/{path}": data for path, data in CHECKPOINT.items()}
    evil = {"../../../../../evil": b"x", str(tmp_path / "evil"): b"x"}
    serve_archive(server, monkeypatch, archive(inside | evil, (link,)))
    pull.pull("tiny", say=[].append)
    assert importer.calls[0][1].name == "2024_exp" and pull.cached("tiny")
    assert not list(tmp_path.rglob("evil")) and not list(tmp_path.rglob("link"))
    assert contents(models.parent / "downloads") == []


def test_archives_that_are_damaged_or_far_too_large_are_refused(server, models, monkeypatch):
    whole = archive(CHECKPOINT)
    for damaged in (whole[:-20], whole[: len(whole) // 2], whole[:1000] + b"x" + whole[1001:], WEIGHTS):
        serve_archive(server, monkeypatch, damaged)
        with pytest.raises(DownloadError, match="tiny_exp.tar.gz: cannot be unpacked"):
            pull.pull("tiny", say=[].append, force=True)
    serve_archive(server, monkeypatch, archive({"zeros": bytes(10_000_000)}))
    with pytest.raises(DownloadError, match="unpacks to far more than weights would"):
        pull.pull("tiny", say=[].append, force=True)
    assert contents(models) == []


def test_list_and_info(run, server, models):
    status, out, _ = run("model", "list")
    assert status == 0 and "tiny " in out and "    CER in %, as its makers say: AISHELL-1 99.9" in out
    assert out.count("not yet run on the published file") == len(PUBLISHED) == len(out.splitlines()) / 3
    status, out, _ = run("model", "info", "tiny")
    assert status == 0 and "folder      not here; asr model pull tiny" in out and "parameters" not in out
    assert server.seen == []  # nobody asked for it
    run("model", "pull", "tiny")
    status, out, _ = run("model", "info", "tiny")
    lines = dict(line.split(None, 1) for line in out.splitlines() if line)
    assert lines["folder"] == str(models / "tiny") and lines["tokens"].startswith("24, ")
    assert lines["huggingface"] == "someone/tiny, revision abc123" and lines["licence"] == "CC-BY-4.0"
    listed = {model["name"]: model for model in json.loads(run("model", "list", "--json")[1])}
    assert list(listed) == list(PUBLISHED)
    assert listed["tiny"]["folder"] == str(models / "tiny") and listed["firered2-aed"]["folder"] == ""
    assert listed["firered2-aed"]["files"][0]["sha256"].startswith("4677cbd3")


def test_the_hint_at_larger_models_is_given_once_to_a_person(run, server, wav, monkeypatch):
    hint = "asr: this was the small model that comes with the program; larger published ones: asr model list"
    assert hint not in run("transcribe", wav)[2]  # nobody at a terminal
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    said = []
    models = sys.modules["asr.catalogue.finding"]
    for model in ("tiny", "", "embedded", ""):
        models.hint_at_larger_models(model, said.append)
    assert said == [hint] and server.seen == []
    monkeypatch.setenv("XDG_CACHE_HOME", str(wav))  # a file: nothing can be remembered there
    models.hint_at_larger_models("", said.append)
    assert said.count(hint) == 1


def test_a_folder_goes_before_a_name(run, server, tokenizer, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    save_model(tmp_path / "tiny", random_model(), tokenizer.table)
    status, out, _ = run("model", "info", "tiny")
    assert status == 0 and "parameters" in out and "licence" not in out and server.seen == []
