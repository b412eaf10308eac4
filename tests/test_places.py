"""Results that could not be written are refused before the work: no input is read, which here would fail with another error."""

import json
import os
from pathlib import Path

import pytest

from asr.errors import AsrError
from asr.places import require_file, require_folder, require_replaceable, require_writable

FILES = {
    "transcribe": ("transcribe", "a.wav", "--model", "none", "-o"),
    "inspect": ("inspect", "a.wav", "--model", "none", "--html"),
    "align": ("align", "a.wav", "你好", "--model", "none", "-o"),
    "score html": ("score", "none.txt", "none.txt", "--html"),
    "score json": ("score", "none.txt", "none.txt", "--json"),
    "score details": ("score", "none.txt", "none.txt", "--details"),
    "score speakers": ("score", "none.rttm", "none.rttm", "--speakers", "--json"),
    "train-lm": ("train-lm", "none.txt", "-o"),
    "import": ("corpus", "import", "none.tsv", "-o"),
    "tokens": ("corpus", "tokens", "none.jsonl", "-o"),
    "cmvn": ("corpus", "cmvn", "none.jsonl", "-o"),
    "check": ("corpus", "check", "none.jsonl", "none.jsonl", "--details"),
    "mix": ("corpus", "mix", "none.jsonl", "-o"),
    "cuts": ("corpus", "cuts", "none.jsonl", "-o"),
    "report": ("report", "run", "-o"),
}
"""Commands that write a file, up to its name."""
FOLDERS = {
    "transcribe": ("transcribe", "a.wav", "b.wav", "--model", "none", "-o"),
    "evaluate": ("evaluate", "model", "one.jsonl", "-o"),
    "train": ("train", "recipe.toml", "-o"),
    "train-lm": ("train-lm", "none.txt", "--kind", "transformer", "-o"),
    "split": ("corpus", "split", "none.jsonl", "-o"),
    "shard": ("corpus", "shard", "one.jsonl", "--out"),
    "prepare": ("corpus", "prepare", "aishell", "--from", "none", "-o"),
    "export": ("model", "export", "model", "-o"),
    "import": ("model", "import", "wenet", "model", "-o"),
}
"""Commands that write a folder."""
NO_FORCE = ("report", "shard")
"""Commands that have no such option."""


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """The folder that commands run in, with what must be there before they look at where they write."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("precious")
    for name in ("a.wav", "b.wav"):
        (tmp_path / name).write_text("no audio")
    line = {"id": "a", "audio": "a.wav", "duration": 1.0, "text": "你好"}
    (tmp_path / "one.jsonl").write_text(json.dumps(line) + "\n")
    (tmp_path / "recipe.toml").write_text('[data]\ntrain = ["none.jsonl"]\ndev = ["none.jsonl"]\n')
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors").touch()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "settings.json").write_text("{}")
    (tmp_path / "run" / "log.jsonl").touch()
    return tmp_path


def forced(arguments: tuple[str, ...]) -> tuple[str, ...]:
    return () if set(arguments) & set(NO_FORCE) else ("--force",)


@pytest.mark.parametrize("how", FILES)
def test_a_file_below_a_file(run, place, how):
    status, out, err = run(*FILES[how], "file/new/out.srt", *forced(FILES[how]))
    assert (status, out, err) == (1, "", "asr: file/new/out.srt: Not a directory; choose another name\n")
    assert (place / "file").read_text() == "precious"


@pytest.mark.parametrize("how", [how for how in FILES if how not in ("transcribe", "inspect")])
def test_a_folder_in_the_place_of_a_file(run, place, how):
    """Of `asr transcribe` a folder is where files go; `asr inspect` calls it wrong usage."""
    (place / "there").mkdir()
    status, out, err = run(*FILES[how], "there", *forced(FILES[how]))
    assert (status, out, err) == (1, "", "asr: there: is a folder; give the name of a file\n")
    assert os.listdir(place / "there") == []


@pytest.mark.parametrize("how", FOLDERS)
def test_a_folder_below_a_file(run, place, how):
    status, out, err = run(*FOLDERS[how], "file/new", *forced(FOLDERS[how]))
    assert (status, out) == (1, "") and err.startswith("asr: file") and "Not a directory" in err, err
    assert (place / "file").read_text() == "precious"


@pytest.mark.parametrize("how", [how for how in FOLDERS if how not in ("transcribe",)])
def test_a_file_in_the_place_of_a_folder(run, place, how):
    status, out, err = run(*FOLDERS[how], "file", *forced(FOLDERS[how]))
    assert (status, out) == (1, "") and err.startswith("asr: file"), err
    assert "is a file" in err or "File exists" in err or "Not a directory" in err
    assert (place / "file").read_text() == "precious"


def test_what_nobody_may_write_to(tmp_path, monkeypatch):
    def refuse(dir):
        raise PermissionError(13, "Permission denied", f"{dir}/tmp1234")

    monkeypatch.setattr("asr.places.tempfile.TemporaryFile", refuse)
    for require in (require_file, require_folder, require_writable, require_replaceable):
        with pytest.raises(PermissionError, match="Permission denied: '.*/there'") as raised:
            require(tmp_path / "there")
        assert raised.value.filename == str(tmp_path / "there")


def test_what_is_there_stays_without_force(tmp_path):
    file, folder = tmp_path / "a", tmp_path / "b"
    file.touch()
    folder.mkdir()
    for require, path, other in ((require_file, file, folder), (require_folder, folder, file)):
        with pytest.raises(AsrError, match="is there already; choose another name, or --force to overwrite it"):
            require(path)
        require(path, force=True)
        with pytest.raises(AsrError, match=f"is a {'folder' if other == folder else 'file'}; give the name of a"):
            require(other, force=True)
        with pytest.raises(AsrError, match="is an input; choose another name"):
            require(path, force=True, inputs=[tmp_path / "x" / ".." / path.name])


def test_devices_are_written_to_as_they_are(tmp_path):
    require_file(Path(os.devnull))
    os.mkfifo(tmp_path / "pipe")
    require_file(tmp_path / "pipe")
    with pytest.raises(FileNotFoundError, match="No such file or directory: '/dev/none/a.txt'"):
        require_file(Path("/dev/none/a.txt"))


def test_what_is_asked_leaves_nothing(tmp_path):
    require_file(tmp_path / "new" / "a.txt")
    require_folder(tmp_path / "new" / "folder")
    require_replaceable(tmp_path / "new" / "model")
    assert os.listdir(tmp_path) == []
    require_writable(tmp_path / "new")
    assert os.listdir(tmp_path) == ["new"] and os.listdir(tmp_path / "new") == []
