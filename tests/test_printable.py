"""Names of files and uploads, on a terminal."""

import pytest

from asr.printable import printable


@pytest.mark.parametrize(
    "text, shown",
    [
        ("asr: a.wav: no such file", "asr: a.wav: no such file"),
        ("会议　记录 – é 🎙.wav", "会议　记录 – é 🎙.wav"),
        ("two\nlines", "two\nlines"),
        ("a\x1b[2J\x1b]0;title\x07.wav", "a\\x1b[2J\\x1b]0;title\\x07.wav"),
        ("a\rb\tc\x7f\x9b31m", "a\\rb\\tc\\x7f\\x9b31m"),
        ("a\u202egpj\u200b\u2028\ufeff", "a\\u202egpj\\u200b\\u2028\\ufeff"),
        ("\udcff\ue000", "\\udcff\\ue000"),
    ],
)
def test_what_a_terminal_would_obey_is_shown(text, shown):
    assert printable(text) == shown


def test_a_name_begins_no_line_of_its_own(run, model, wav, tmp_path):
    """It could pass for a message."""
    good, bad = wav("good\nasr: well done.wav"), tmp_path / "bad\nasr: all is lost.wav"
    bad.write_text("no audio")
    _, _, err = run("transcribe", good, bad, tmp_path / "no\nasr: file.wav", "--model", model)
    assert (
        all(line.startswith(f"asr: {tmp_path}/") for line in err.splitlines()) and "bad\\nasr: all is lost.wav: " in err
    )
    _, _, err = run("transcribe", good, "--model", tmp_path)
    assert "bad\\nasr: all is lost.wav" in err and len(err.splitlines()) == 1


def test_the_command_shows_names_and_obeys_none(run, tmp_path):
    status, out, err = run("transcribe", str(tmp_path / "a\x1b[2J\u202e.wav"))
    assert (status, out) == (1, "\n")
    assert err.endswith("a\\x1b[2J\\u202e.wav: no such file\n") and "\x1b" not in err
