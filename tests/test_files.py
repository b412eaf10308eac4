import errno
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from asr import files
from asr.files import PART, atomic_write, content_state, temporary_name
from tests.conftest import ROOT


def test_the_state_of_a_file_follows_its_content(tmp_path):
    """Of a large one that of its parts, unless the whole is asked for."""
    path = tmp_path / "a"
    path.write_bytes(bytes(10 * PART))
    states = content_state(path), content_state(path, 10 * PART)
    path.write_bytes(bytes(2 * PART) + b"1" + bytes(8 * PART - 1))
    assert content_state(path) == states[0] and content_state(path, 10 * PART) != states[1]
    assert content_state(path, 10 * PART - 1) == states[0]
    path.write_bytes(bytes(PART))
    assert content_state(path) == content_state(path, 10 * PART) != states[0]
    assert content_state(tmp_path / "missing") == ""


def test_a_file_appears_whole_and_in_utf_8(tmp_path):
    path = tmp_path / "new/folder/a.txt"
    with atomic_write(path) as file:
        file.write("你好\n")
        assert not path.exists()
    assert path.read_bytes() == "你好\n".encode()
    assert os.listdir(path.parent) == ["a.txt"]


def test_bytes(tmp_path):
    with atomic_write(str(tmp_path / "a.bin"), "wb") as file:
        file.write(b"\xff\x00")
    assert (tmp_path / "a.bin").read_bytes() == b"\xff\x00"


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with atomic_write(path) as file:
        file.write("new")
        file.flush()
        assert path.read_text() == "old"
    assert path.read_text() == "new"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_exception_leaves_the_old_file_and_nothing_else(tmp_path, error):
    (tmp_path / "a.txt").write_text("old")
    for name in ("a.txt", "b.txt"):
        with pytest.raises(error), atomic_write(tmp_path / name) as file:
            file.write("half")
            raise error
    assert os.listdir(tmp_path) == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_a_character_that_cannot_be_written_leaves_nothing(tmp_path):
    with pytest.raises(UnicodeEncodeError), atomic_write(tmp_path / "a.txt") as file:
        file.write("half" + "\ud800")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("umask", "permissions"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_permissions_are_those_of_any_new_file(tmp_path, umask, permissions):
    """A temporary file is made for its owner alone; others would not be able to read a model."""
    before = os.umask(umask)
    try:
        with atomic_write(tmp_path / "a.txt") as file:
            file.write("x")
        assert os.umask(umask) == umask
    finally:
        os.umask(before)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == permissions


def test_a_name_as_long_as_a_file_system_allows(tmp_path):
    name = "会" * 83 + ".txt"
    assert len(name.encode()) == 253
    (tmp_path / name).touch()
    with atomic_write(tmp_path / name) as file:
        file.write("你好")
    assert (tmp_path / name).read_text(encoding="utf-8") == "你好"


def test_what_a_link_points_to_is_replaced(tmp_path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with atomic_write(tmp_path / "link") as file:
        file.write("new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_text() == "new"


def test_a_device_is_written_to_and_not_replaced():
    with atomic_write("/dev/null") as file:
        file.write("gone")
    assert not Path("/dev/null").is_file() and not Path("/dev/null").is_symlink()


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="no /dev/shm here")
def test_files_in_shared_memory_are_files():
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        path = Path(folder) / "new/a.txt"
        with atomic_write(path) as file:
            file.write("a")
            assert not path.exists()
        assert path.read_text() == "a"


def test_an_output_that_cannot_be_written_is_named():
    with pytest.raises(OSError) as error, atomic_write("/sys/kernel/x.json"):
        pass
    assert error.value.filename == "/sys/kernel/x.json"


def test_the_mode_of_a_file_that_is_replaced_stays(tmp_path):
    (tmp_path / "a.txt").touch()
    (tmp_path / "a.txt").chmod(0o640)
    with atomic_write(tmp_path / "a.txt") as file:
        file.write("x")
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o640


@pytest.mark.skipif(os.name != "posix", reason="kill -9")
def test_what_a_killed_process_left_goes_when_the_file_is_next_written(tmp_path):
    code = "import os, sys; from asr.files import atomic_write\nwith atomic_write(sys.argv[1]) as f: "
    code += "f.write('half' * 9999); f.flush(); os.kill(os.getpid(), 9)"
    assert subprocess.run([sys.executable, "-c", code, tmp_path / "a.txt"], cwd=ROOT).returncode == -9
    assert os.listdir(tmp_path) == [temporary_name("a.txt")]
    with atomic_write(tmp_path / "a.txt") as file:
        file.write("x")
    assert os.listdir(tmp_path) == ["a.txt"] and (tmp_path / "a.txt").read_text() == "x"


def test_two_that_write_the_same_file_do_not_mix(tmp_path):
    with atomic_write(tmp_path / "a.txt") as one:
        one.write("first")
        with atomic_write(tmp_path / "a.txt") as other:
            other.write("second")
        assert (tmp_path / "a.txt").read_text() == "second"
    assert (tmp_path / "a.txt").read_text() == "first" and os.listdir(tmp_path) == ["a.txt"]


def test_a_full_disk_is_said_with_the_file(run, tmp_path):
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    (tmp_path / "t.txt").write_text("今天 天气\n")
    with pytest.raises(OSError, match="No space left on device: '/dev/full'"), atomic_write("/dev/full") as file:
        file.write("x")
    status, _, err = run("corpus", "tokens", tmp_path / "t.txt", "--out", "/dev/full", "--force")
    assert status == 1 and err == "asr: /dev/full: No space left on device\n"


def test_file_systems_without_locks(tmp_path, monkeypatch):
    def fails(*_):
        raise OSError(errno.ENOTSUP, "no locks")

    if files.fcntl is None:
        pytest.skip("no locks here at all")
    monkeypatch.setattr(files.fcntl, "flock", fails)
    with atomic_write(tmp_path / "a.txt") as file:
        file.write("x")
    assert os.listdir(tmp_path) == ["a.txt"]
