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


def test_the_command_shows_names_and_obeys_none(run, tmp_path):
    status, out, err = run("transcribe", str(tmp_path / "a\x1b[2J\u202e.wav"))
    assert (status, out) == (1, "\n")
    assert err.endswith("a\\x1b[2J\\u202e.wav: no such file\n") and "\x1b" not in err
