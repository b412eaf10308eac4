"""Two options that say different things of one setting: which is meant nobody can tell, so none of them is taken."""

import pytest

from asr.config_values import agreeing, parse_changes
from asr.errors import UsageError
from asr.training.config import load_config
from tests.conftest import ROOT

CLIP = ROOT / "data/sample/weather.flac"
RECIPE = ROOT / "recipes/toy/base.toml"


@pytest.mark.parametrize(
    ("arguments", "first", "second"),
    [
        (("transcribe", CLIP, "--beam", "5", "--decode", "beam=3"), "--beam 5", "--decode beam=3"),
        (("transcribe", CLIP, "--decode", "beam=3", "--beam", "5"), "--beam 5", "--decode beam=3"),
        (
            ("transcribe", CLIP, "--correct-names", "--decode", "correct_names=false"),
            "--correct-names",
            "--decode correct_names=false",
        ),
        (("evaluate", "model", "dev.jsonl", "--nbest", "1", "--decode", "nbest=3"), "--nbest 1", "--decode nbest=3"),
        (
            ("train", RECIPE, "--dry-run", "--processes", "2", "--set", "train.processes=4"),
            "--processes 2",
            "--set train.processes=4",
        ),
        (
            ("train", RECIPE, "--dry-run", "--init", "embedded", "--set", "train.initial_model=other"),
            "--init embedded",
            "--set train.initial_model=other",
        ),
    ],
)
def test_what_contradicts_is_refused(run, arguments, first, second, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert err == f"asr: {first} and {second} contradict each other: leave one of them out\n"


def test_the_processes_of_torchrun_are_not_another_number(run, monkeypatch):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    status, _, err = run("train", RECIPE, "--dry-run", "--set", "train.processes=4")
    assert status == 2 and "asr: WORLD_SIZE 2 and --set train.processes=4 contradict each other" in err


def test_the_same_value_twice_is_fine():
    assert parse_changes(["beam=3", "beam=3", "ctc_weight=.5", "ctc_weight=0.50"], "--decode", beam=3) == {
        "beam": 3,
        "ctc_weight": 0.5,
    }
    assert parse_changes(["correct_names=true"], "--decode", correct_names=True, beam=None) == {"correct_names": True}
    assert agreeing(["a.b=1"], "--set", {"--own": ("a.b", 1), "--other": ("a.c", None)}) == {"a.b": 1}


def test_of_one_option_the_last_holds():
    assert parse_changes(["beam=2", "nbest=2", "beam=3"], "--decode") == {"beam": 3, "nbest": 2}
    assert parse_changes(["beam=2", "beam=3"], "--decode", beam=3) == {"beam": 3}
    assert load_config(RECIPE, ["train.seed=1", "train.seed=2"]).train.seed == 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("train-lm", "a.txt", "--order", "3", "--kind", "transformer", "--out", "x"), "is for --kind ngram"),
        (("train-lm", "a.txt", "--prune", "0", "--kind", "transformer", "--out", "x"), "is for --kind ngram"),
        (("corpus", "prepare", "toy", "--from", "x", "--out", "y"), "the toy corpus is made, and needs none"),
    ],
)
def test_an_option_that_would_change_nothing_is_refused(run, arguments, told):
    status, out, err = run(*arguments)
    assert (status, out) == (2, "") and told in " ".join(err.split())


def test_a_row_cannot_have_two_values(run, tmp_path):
    (tmp_path / "a.tsv").write_text("audio\ttext\nx.wav\t今天\n")
    where = ("--where", "kind=a", "--where", "kind=b")
    status, _, err = run("corpus", "import", tmp_path / "a.tsv", "--out", tmp_path / "a.jsonl", *where)
    assert status == 2 and "no row has 'a' and 'b' in its kind" in " ".join(err.split())


def test_what_has_no_value_is_told_as_before():
    with pytest.raises(UsageError, match="--decode beam: must have the form key=value"):
        parse_changes(["beam"], "--decode", beam=3)
