"""Which recordings are meant, and where their transcripts go."""

import errno
import io
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest

from asr.errors import AsrError
from asr.transcription import recordings
from asr.transcription.inputs import find_inputs, find_targets
from asr.transcription.output import Output
from asr.transcription.results import Results
from tests import forked
from tests.sounds import speech, write_wav


@pytest.fixture
def clip(tmp_path) -> Path:
    return write_wav(tmp_path / "clip.wav", speech(2))


def found(*names: Path) -> list[str]:
    inputs, failed = find_inputs([str(name) for name in names], print)
    assert failed == 0
    return [one.name.as_posix() for one in inputs]


def test_links_to_folders_are_followed_and_circles_are_not(tmp_path, clip):
    (tmp_path / "calls" / "inside").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    shutil.copy(clip, tmp_path / "calls" / "a.wav")
    shutil.copy(clip, tmp_path / "elsewhere" / "b.wav")
    (tmp_path / "calls" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "calls" / "inside" / "round").symlink_to(tmp_path / "calls")
    assert found(tmp_path / "calls") == ["a.wav", "link/b.wav"]


def into(folder: Path) -> Results:
    return Results([Output("txt")], folder)


def test_one_recording_given_twice_has_the_name_that_it_has_alone(tmp_path, clip):
    once, twice = (find_inputs([str(clip)] * times, print)[0] for times in (1, 2))
    targets = find_targets(twice, into(tmp_path))
    assert list(targets.values()) == list(find_targets(once, into(tmp_path)).values()) == [[tmp_path / "clip.txt"]]


def test_a_transcript_never_takes_the_place_of_a_recording(tmp_path, clip, run, model):
    song = tmp_path / "song.txt"
    shutil.copy(clip, song)
    with pytest.raises(AsrError, match="song.txt: is an input, and would be written to; choose another name for --out"):
        find_targets(find_inputs([str(song)], print)[0], into(tmp_path))
    status, _, err = run("transcribe", song, "--model", model, "--out", tmp_path, "--force")
    assert status == 1 and "is an input" in err and song.read_bytes() == clip.read_bytes()


def test_a_name_that_cannot_be_written_stops_nothing_else(tmp_path, clip, run, model):
    long = tmp_path / f"{'长' * 83}.wav"  # 253 bytes; 255 are allowed
    shutil.copy(clip, long)
    (tmp_path / "out" / "clip.TextGrid").mkdir(parents=True)
    other = write_wav(tmp_path / "other.wav", speech(2, seed=1))
    status, out, err = run(
        "transcribe", long, clip, other, "--model", model, "--out", tmp_path / "out", "--format", "textgrid"
    )
    assert status == 1 and out == ""
    assert f"{'长' * 83}.TextGrid: File name too long; give the recording another name" in err
    assert "out/clip.TextGrid: Is a directory; give the recording another name" in err
    assert (tmp_path / "out" / "other.TextGrid").is_file()


def test_a_name_that_is_too_long_is_told_before_the_work(tmp_path, run, model, monkeypatch):
    long = write_wav(tmp_path / f"{'长' * 83}.wav", speech(1))
    opened = "asr.transcription.transcribing.Transcribing.open"
    monkeypatch.setattr(opened, lambda *_, **__: pytest.fail("read"))
    status, _, err = run(
        "transcribe", long, "--model", model, "--out", tmp_path / "out", "--format", "txt,json,textgrid"
    )
    assert status == 1 and f"{'长' * 83}.TextGrid: File name too long; give the recording another name" in err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == []


def test_documents_that_cannot_follow_each_other_are_wrong_usage(run, clip, tmp_path):
    other = write_wav(tmp_path / "other.wav", speech(1))
    status, _, err = run("transcribe", clip, other, "--format", "srt")
    assert status == 2 and "2 recordings cannot be printed as one srt document" in err


def keeps(process: int, folder: Path) -> bool:
    """Whether it has a file of the folder open, for what comes through the pipe."""
    with suppress(FileNotFoundError):  # some are closed meanwhile
        return any(os.readlink(file).startswith(str(folder)) for file in Path(f"/proc/{process}/fd").iterdir())
    return False


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc: elsewhere the file has a name")
def test_what_came_through_a_pipe_is_gone_even_if_the_program_is_killed(tmp_path, clip, model):
    environment = os.environ | {"TMPDIR": str(tmp_path / "temporary")}
    (tmp_path / "temporary").mkdir()
    command = [sys.executable, "-m", "asr", "transcribe", "-", "--model", str(model)]
    with forked.Popen(command, env=environment, stdin=forked.PIPE) as process:
        process.stdin.write(clip.read_bytes())
        process.stdin.flush()
        while process.poll() is None and not keeps(process.pid, tmp_path / "temporary"):
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
    assert process.returncode != 0 and list((tmp_path / "temporary").iterdir()) == []


def test_stdin_is_transcribed_as_the_file_is(run, clip, model, monkeypatch):
    expected = run("transcribe", clip, "--model", model)
    with open(clip, "rb") as file:
        monkeypatch.setattr(sys, "stdin", type("Stdin", (), {"buffer": file})())
        assert run("transcribe", "-", "--model", model)[:2] == expected[:2]


def test_a_named_pipe_is_read_like_stdin(run, clip, tmp_path, model):
    os.mkfifo(tmp_path / "pipe.wav")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe.wav").write_bytes(clip.read_bytes()))
    writer.start()
    status, out, _ = run("transcribe", tmp_path / "pipe.wav", clip, "--model", model)
    writer.join()
    lines = out.splitlines()
    assert status == 0 and len(lines) == 2 and lines[0] == lines[1]


@pytest.fixture
def through(tmp_path):
    """A pipe through which a text comes once, as `<(cat words.txt)` of a shell is one."""
    names, writers = count(), []

    def through(text: str) -> Path:
        pipe = tmp_path / f"pipe-{next(names)}"
        os.mkfifo(pipe)
        writers.append(threading.Thread(target=lambda: pipe.write_text(text)))
        writers[-1].start()
        return pipe

    yield through
    for writer in writers:
        writer.join()


def test_hot_words_that_come_through_a_pipe_are_known_by_what_they_are(run, clip, tmp_path, model, through):
    command = ("transcribe", clip, "--model", model, "--out", tmp_path / "out", "--hotwords")
    (tmp_path / "words.txt").write_text("衣鹅\n")
    assert run(*command, through("衣鹅\n"))[0] == 0
    for same in (through("衣鹅\n"), tmp_path / "words.txt"):
        status, _, err = run(*command, same)
        assert status == 0 and "is there already and stays as it is" in err
    status, _, err = run(*command, through("鹅衣\n"))
    assert status == 1 and "made with other settings (hotwords " in err
    status, _, err = run(*command, through("鹅衣\t3 x\n"))
    assert status == 1 and "made with other settings (hotwords " in err  # before anybody reads the words
    assert run(*command, through("鹅衣\n"), "--force")[0] == 0
    assert run(*command, through("鹅衣\n"))[0] == 0


def test_a_language_model_may_come_through_a_pipe(run, clip, tmp_path, model, through):
    """It is looked at more than once: what it is, and what is in it."""
    (tmp_path / "text.txt").write_text("衣鹅鹅\n")
    arpa = tmp_path / "lm.arpa"
    assert run("train-lm", tmp_path / "text.txt", "--out", arpa, "--order", "2")[0] == 0
    command = ("transcribe", clip, "--model", model, "--decode", "lm_weight=0.5", "--lm")
    assert run(*command, through(arpa.read_text()))[:2] == run(*command, arpa)[:2]
    command = ("transcribe", clip, "--model", model, "--out", tmp_path / "out", "--lm")
    assert run(*command, arpa)[0] == run(*command, through(arpa.read_text()))[0] == 0
    status, _, err = run(*command, through(arpa.read_text() + "\n"))
    assert status == 1 and "made with other settings (lm " in err


def test_a_pipe_in_a_folder_is_left_out_by_what_it_is(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "a.txt").touch()
    said: list[str] = []
    assert find_inputs([str(tmp_path)], said.append) == ([], 1)
    assert said[0] == (
        f"asr: {tmp_path / 'pipe.wav'}: is a pipe or a device, which is not read where a folder is; give it by its own name"
    )
    assert said[1].endswith("1 file is left out, by their names no recordings: 1 .txt")


def test_a_stdin_that_is_closed(run, monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    for arguments in (["transcribe", "-"], ["live", "-"]):
        status, out, err = run(*arguments)
        assert (status, out) == (1, "") and "asr: stdin: is closed, there is nothing to read" in err


def test_a_temporary_folder_that_is_full_is_named(run, clip, monkeypatch):
    class Full(io.BytesIO):
        def write(self, _) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    for kind in ("TemporaryFile", "NamedTemporaryFile"):
        monkeypatch.setattr(tempfile, kind, lambda prefix: Full())
    monkeypatch.setattr(sys, "stdin", type("Stdin", (), {"buffer": io.BytesIO(clip.read_bytes())})())
    status, out, err = run("transcribe", "-")
    assert (status, out) == (1, "") and err == f"asr: {tempfile.gettempdir()}: No space left on device\n"


def test_every_kind_of_recording_in_a_folder_is_found_and_the_rest_is_named(tmp_path):
    names = [f"{n}.{s}" for n, s in enumerate("wav m4b m4v avi wmv flv mpg wv silk MP3 mka mp2 3gpp".split())]
    for name in (*names, "a.txt", "b.txt", "cover.jpg", "README", ".hidden.txt", ".a.wav"):
        (tmp_path / name).write_bytes(b"\0")
    (tmp_path / "video.ts").write_bytes(b"G\x40\x11\x10" + bytes(184))
    (tmp_path / "program.ts").write_text("const 今天 = 1;\n", encoding="utf-8")
    said: list[str] = []
    inputs, failed = find_inputs([str(tmp_path)], said.append)
    assert sorted(one.name.name for one in inputs) == sorted([*names, "video.ts"]) and failed == 0
    begin, _, kinds = said[0].rpartition(": ")
    assert begin == f"asr: {tmp_path}: 5 files are left out, by their names no recordings" and len(said) == 1
    assert sorted(kinds.split(", ")) == ["1 .jpg", "1 .ts", "1 without a suffix", "2 .txt"] and kinds[0] == "2"


@pytest.mark.parametrize(
    "error", [OSError(5, "Input/output error"), ValueError("of a decoder"), MemoryError(), TypeError()]
)
def test_whatever_happens_inside_a_recording_stays_with_it(run, model, clip, tmp_path, monkeypatch, error):
    others = [shutil.copy(clip, tmp_path / name) for name in ("a.wav", "c.wav")]
    bad = shutil.copy(clip, tmp_path / "b.wav")
    real = recordings.Recording

    class Recording(real):
        def blocks(self, *args, **named):
            if self.path.name == "b.wav":
                raise error
            yield from super().blocks(*args, **named)

    monkeypatch.setattr(recordings, "Recording", Recording)
    status, _, err = run("transcribe", "--model", model, others[0], bad, others[1], "--out", tmp_path / "out")
    assert status == 1 and f"asr: {bad}: cannot be read ({str(error) or type(error).__name__})\n" in err
    assert sorted(path.name for path in (tmp_path / "out").glob("[!.]*")) == ["a.txt", "c.txt"]
