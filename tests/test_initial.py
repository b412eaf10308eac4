"""Training that goes on from a model, an imported one too: known rows are kept, new tokens and heads are added and reported."""

import dataclasses
import math

import pytest
import torch

from asr.corpus.toy import prepare_toy
from asr.errors import CheckpointError
from asr.interop.importing import import_model
from asr.model.folder import load_model, read_weights
from asr.training.checkpoint import load_state
from asr.training.config import Config
from asr.training.initial import BY_TOKEN, fill_from, from_model, grown_table, lacking_symbols
from asr.training.loop import train
from tests.conftest import ROOT
from tests.runs import Lines, small_run
from tests.test_interop import FIXTURES


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return prepare_toy(tmp_path_factory.mktemp("small"), n_train=24, n_dev=2, n_test=2)


@pytest.fixture
def recipe(corpus) -> Config:
    return small_run(
        corpus,
        "data.curriculum_epochs=0",
        "data.min_count=1",
        "train.max_steps=4",
        "train.evaluate_every=4",
        "train.checkpoint_every=1",
        "train.log_every=1",
    )


def imported(name: str, toolkit: str, folder):
    return import_model(toolkit, FIXTURES / name, folder / name).folder


@pytest.mark.parametrize(
    ("name", "toolkit"),
    [
        ("wenet-u2pp-conformer", "wenet"),
        ("espnet2-conformer", "espnet"),
        ("speechbrain-transformer", "speechbrain"),
        ("fireredasr-aed", "firered"),
    ],
)
def test_an_imported_model_trains_on(name, toolkit, recipe, tmp_path):
    folder = imported(name, toolkit, tmp_path)
    config = from_model(recipe, folder)
    config = dataclasses.replace(config, train=dataclasses.replace(config.train, learning_rate=1e-12, weight_decay=0.0))
    shown = Lines()
    run = train(config, tmp_path / "run", display=shown)
    before, after = load_model(folder), load_model(run)
    known = len(before.tokenizer.table)
    assert after.tokenizer.table.tokens[:known] == before.tokenizer.table.tokens
    new = after.tokenizer.table.tokens[known:]
    assert new and any(
        f"{len(new)} new tokens, whose rows start from random weights: {new[0]}" in t for t in shown.lines
    )
    assert type(after.tokenizer) is type(before.tokenizer)
    assert after.tokenizer.table.unk not in after.tokenizer.encode("".join(new))
    assert after.tokenizer.decode(after.tokenizer.encode("".join(new))) == "".join(new)
    old, now = read_weights(folder / "model.safetensors")[0], load_state(run)["model"]
    for tensor in set(old) - {n for n in old if "running" in n}:
        rows = now[tensor][:known] if tensor in BY_TOKEN else now[tensor]
        assert torch.allclose(old[tensor], rows, atol=1e-6), tensor


def test_a_run_from_a_model_goes_on_where_it_was_killed(recipe, tmp_path):
    folder = imported("fireredasr-aed", "firered", tmp_path)
    config = from_model(recipe, folder)
    whole = train(config, tmp_path / "whole", display=Lines())
    train(config, tmp_path / "parts", display=Lines(), stop_after=2)
    parts = train(config, tmp_path / "parts", display=Lines())
    first, second = (load_state(run)["model"] for run in (whole, parts))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_ctc_head_is_added_where_the_recipe_trains_one(recipe, tmp_path):
    folder = imported("fireredasr-aed", "firered", tmp_path)
    recipe = dataclasses.replace(
        recipe,
        model=dataclasses.replace(recipe.model, ctc=True),
        train=dataclasses.replace(recipe.train, ctc_weight=0.3),
    )
    shown = Lines()
    run = train(from_model(recipe, folder), tmp_path / "run", display=shown)
    assert "the model had no CTC head; the new one starts from random weights" in shown.lines
    assert load_model(run).model.ctc is not None


def test_tokens_are_added_by_their_counts(tmp_path):
    folder = imported("wenet-transformer", "wenet", tmp_path)
    table = grown_table(folder, lacking_symbols(folder, ["你好好 HELLO", "好吗吗吗 hello"]), 1)
    assert sorted(table.tokens[57:]) == sorted("好吗HELO")
    assert grown_table(folder, lacking_symbols(folder, ["你好好", "好吗吗吗"]), 3).tokens[57:] == ("吗", "好")
    assert grown_table(folder, lacking_symbols(folder, ["你我他"]), 1).tokens == table.tokens[:57]


def test_new_rows_are_random_and_their_biases_the_mean(recipe, tmp_path):
    folder = imported("wenet-transformer", "wenet", tmp_path)
    config = from_model(recipe, folder)
    table = grown_table(folder, lacking_symbols(folder, ["好吗"]), 1)
    from asr.model.model import SpeechModel

    torch.manual_seed(0)
    model = SpeechModel(config.features, config.model, len(table))
    drawn = model.decoder.out.weight[57:].clone()
    fill_from(model, folder, table)
    old = read_weights(folder / "model.safetensors")[0]["decoder.out.bias"]
    assert torch.equal(model.decoder.out.weight[57:], drawn)
    assert torch.allclose(model.decoder.out.bias[57:], old.mean().expand(2))
    assert torch.equal(model.decoder.out.bias[:57], old) and math.isfinite(float(old.mean()))


def test_init_on_the_command_line(run, corpus, tmp_path):
    folder = imported("wenet-conformer", "wenet", tmp_path)
    sets = [f'data.train=["{corpus["train"]}"]', "data.dev=[]", "train.max_steps=1", "data.batch_seconds=6"]
    arguments = [part for value in sets for part in ("--set", value)]
    recipe = ROOT / "recipes/toy/base.toml"
    status, _, err = run("train", recipe, "--init", folder, "--out", tmp_path / "run", *arguments)
    assert status == 0 and "new tokens, whose rows start from random weights" in err
    assert load_model(tmp_path / "run").model.config.encoder.conv_norm == "batch"
    status, _, err = run("train", recipe, "--init", tmp_path / "none", "--out", tmp_path / "other", *arguments)
    assert status == 1 and "none: no such model folder" in err


def test_a_folder_that_is_no_model_is_refused(recipe, tmp_path):
    with pytest.raises(CheckpointError, match="not a model folder, config.json is missing"):
        from_model(recipe, tmp_path)
