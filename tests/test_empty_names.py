"""An empty name, as a shell makes of a variable that is not set, is not taken for the folder one is in."""

from collections.abc import Iterator
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
import typer.main

from asr.cli import app
from asr.cli.command import MODELS
from asr.corpus.indexing import open_manifest
from asr.errors import ManifestError
from tests.conftest import ROOT
from tests.messages import commands


def places() -> Iterator[tuple[tuple[str, ...], str]]:
    """(words of a command, option) of each path, argument and model of each command."""
    for name, command in commands(typer.main.get_command(app)):
        kinds = get_type_hints(command.callback) if not hasattr(command, "commands") else {}
        for parameter in command.params:
            kind = kinds.get(parameter.name)
            option = parameter.opts[0] if parameter.param_type_name == "option" else ""
            if Path in (kind, *get_args(kind)) or parameter.name in MODELS or (kind and not option):
                yield tuple(name.split()), option


FOUND = list(places())


def test_every_command_with_an_output_is_looked_at():
    assert len(FOUND) > 80
    writing = {" ".join(words) for words, option in FOUND if option in ("--out", "-o")}
    assert {"transcribe", "align", "train", "report", "corpus import", "corpus shard", "model export"} <= writing


@pytest.mark.parametrize(("words", "option"), FOUND, ids=[" ".join((*words, option)) for words, option in FOUND])
def test_it_is_wrong_usage(run, words, option, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, err = run(*words, *([option] if option else []), "")
    told = " ".join(err.split())
    assert (status, out, list(tmp_path.iterdir())) == (2, "", [])
    assert "is empty; give " in told and (option in told or not option)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("transcribe", "a.wav", "--out", ""),
            "Invalid value for '--out' / '-o': is empty; give the name of a file or a folder (. is the one you are in), or"
            " leave it out",
        ),
        (("transcribe", "a.wav", ""), "is empty; give a name"),
        (("align", "a.wav", ""), "is empty; give a file of the text, or the text itself"),
        (("transcribe", "a.wav", "--out="), "is empty; give the name of a file or a folder"),
        (("train-lm", "a.txt", "-o", ""), "is empty; give the name of a file or a folder (. is the one you are in)"),
        (("evaluate", "model", "dev.jsonl", "--lm", ""), "Invalid value for '--lm': is empty; give a name, or leave it out"),
        (("corpus", "mix", "a.jsonl", "b.jsonl", "--out", "c", "--exclude", "d.jsonl", "--exclude", ""), "is empty; give"),
    ],
)  # fmt: skip
def test_what_to_give_is_said(run, arguments, message):
    status, _, err = run(*arguments)
    assert status == 2 and message in " ".join(err.split())


def test_help_is_given_beside_an_empty_name(run):
    status, out, _ = run("transcribe", "", "--model", "", "--help")
    assert status == 0 and "--model" in out


@pytest.mark.parametrize("name", ["train", "nonspeech", "rehearsal", "dev", "texts"])
def test_an_empty_name_in_a_recipe_is_refused(run, name):
    status, _, err = run("train", ROOT / "recipes/toy/base.toml", "--dry-run", "--set", f'data.{name}=["a.jsonl", ""]')
    assert status == 2 and f"data.{name} must hold names of files, one is empty" in err


def test_the_folder_one_is_in_is_no_manifest(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ManifestError, match=r"\.: cannot be read \(Is a directory\)"):
        open_manifest(".")


def test_no_name_at_all_is_as_before(run):
    assert run("model", "info")[0] == 0  # the embedded model
