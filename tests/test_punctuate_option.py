"""`--punctuate` takes a value, or none."""

import pytest

from asr.cli.optional_values import with_values


@pytest.mark.parametrize(
    ("arguments", "right"),
    [
        (["--punctuate", "talk.wav"], ["--punctuate=model", "talk.wav"]),
        (["talk.wav", "--punctuate"], ["talk.wav", "--punctuate=model"]),
        (["--punctuate", "--beam", "2"], ["--punctuate=model", "--beam", "2"]),
        (["--punctuate", "-"], ["--punctuate=model", "-"]),
        (["--punctuate", "pauses", "a.wav"], ["--punctuate", "pauses", "a.wav"]),
        (["--punctuate", "Model", "a.wav"], ["--punctuate", "Model", "a.wav"]),
        (["--punctuate", "pause"], ["--punctuate", "pause"]),  # misspelt: the option says what there is
        (["--punctuate=pauses", "a.wav"], ["--punctuate=pauses", "a.wav"]),
        (["--", "--punctuate"], ["--", "--punctuate"]),
        ([], []),
    ],
)
def test_where_the_value_is_left_out(arguments, right):
    assert with_values(arguments) == right


def test_a_folder_of_a_plain_name_is_no_value(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "talks").mkdir()
    assert with_values(["--punctuate", "talks"]) == ["--punctuate=model", "talks"]


def test_a_misspelt_value_is_told(run):
    status, _, err = run("transcribe", "--punctuate", "pause", "a.wav")
    assert status == 2 and "punctuate must be model or pauses, is 'pause'" in err
