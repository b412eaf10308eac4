"""Runs that go on from a model: settings that fit their length, its way of decoding, its CER before the first step."""

import json
import shutil
from pathlib import Path

import pytest

from asr.catalogue.decode_settings import save_decode_settings
from asr.decoding.decode_config import DecodeConfig
from asr.evaluation.evaluate import evaluate
from asr.model.companions import copy_companions, own_language_model
from asr.model.folder import load_model, read_header, read_weights, save_model
from asr.text.tokenizer import TokenTable
from asr.training.config import Config, load_config
from asr.training.history import read_history
from asr.training.suitability import unsuitable
from asr.training.train_config import TrainConfig, learning_rate
from tests.conftest import ROOT, random_model
from tests.runs import lines_of

TOY = ROOT / "tests/fixtures/toy"


@pytest.fixture
def recipe(corpus, tmp_path) -> Path:
    path = tmp_path / "r.toml"
    path.write_text(
        f'[data]\ntrain = ["{corpus["train"]}"]\ndev = ["{corpus["dev"]}"]\nbatch_seconds = 12\n'
        '[train]\nmax_steps = 4\nprecision = "float32"\nlearning_rate = 1e-4\n'
    )
    return path


@pytest.fixture
def start(tmp_path, run) -> Path:
    """The trained toy model with a language model, decoding settings and a licence of its own."""
    folder = tmp_path / "start"
    shutil.copytree(TOY, folder)
    for name in ("log.jsonl", "settings.json"):
        (folder / name).unlink()
    (folder / "LICENSE").write_text("say who made it\n")
    save_decode_settings(folder, DecodeConfig(beam=2, lm_weight=0.7))
    symbols = TokenTable.load(folder / "tokens.txt").tokens[4:]
    (tmp_path / "texts.txt").write_text("".join(f"{a}{b}\n" for a, b in zip(symbols, symbols[1:], strict=False)))
    assert run("train-lm", tmp_path / "texts.txt", "--out", tmp_path / "lm.arpa", "--order", "2")[0] == 0
    assert run("model", "add-lm", folder, tmp_path / "lm.arpa")[0] == 0
    return folder


@pytest.mark.parametrize(
    ("max_steps", "warmup", "log", "evaluate", "checkpoint", "health"),
    [
        (1, 1, 1, 1, 1, 1),
        (60, 6, 6, 12, 12, 12),
        (2_000, 200, 10, 400, 400, 200),
        (100_000, 5_000, 10, 1_000, 500, 200),
    ],
)
def test_what_is_not_set_fits_the_length_of_the_run(max_steps, warmup, log, evaluate, checkpoint, health):
    train = TrainConfig(max_steps=max_steps).fitted()
    assert (train.warmup_steps, train.log_every, train.evaluate_every) == (warmup, log, evaluate)
    assert (train.checkpoint_every, train.health_every) == (checkpoint, health)
    assert list(unsuitable(Config(train=train))) == []
    assert max(learning_rate(step, train) for step in range(max_steps)) == train.learning_rate


def test_what_is_set_stays():
    train = TrainConfig(max_steps=60, warmup_steps=0, health_every=0, evaluate_every=7).fitted()
    assert (train.warmup_steps, train.health_every, train.evaluate_every) == (0, 0, 7)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"warmup_steps": 5000},
            "train.warmup_steps 5,000 is much for a run of 60 steps, whose rate never comes above 1.2e-05 of 0.001; a tenth is"
            " usual, and what it is where it is not set: --set train.warmup_steps=6",
        ),
        (
            {"warmup_steps": 40},
            "train.warmup_steps 40 is much for a run of 60 steps; a tenth is usual, and what it is where it is not set:"
            " --set train.warmup_steps=6",
        ),
        (
            {"evaluate_every": 1000},
            "train.evaluate_every 1,000 is more than a run of 60 steps: dev manifests are decoded at its end only",
        ),
        (
            {"health_every": 61},
            "train.health_every 61 is more than a run of 60 steps: nobody looks whether the decoder listens",
        ),
        (
            {"new_only_steps": 60},
            "train.new_only_steps 60 is not less than a run of 60 steps: nothing learns but what is new",
        ),
        (
            {"initial_model": "a"},
            "train.learning_rate 0.001 suits random weights; a model that goes on forgets much at it: 1e-5 to 1e-4 are usual",
        ),
    ],
)
def test_what_does_not_suit_is_said(settings, message):
    assert list(unsuitable(Config(train=TrainConfig(max_steps=60, **settings)))) == [message]


def test_a_warm_up_that_outlasts_the_run_is_said_before_it(run, recipe, tmp_path):
    for more in (["--dry-run"], ["--out", tmp_path / "run"]):
        small = ["--init", TOY, "--set", "train.warmup_steps=5000", *more]
        status, out, err = run("train", recipe, *small)
        said = out + err
        assert status == 0 and "whose rate never comes above 8e-08 of 0.0001" in said
        assert said.index("train.warmup_steps 5,000 is much for a run of 4 steps") < said.index("M parameters")


def test_the_first_figure_is_that_of_the_initial_model(run, recipe, start, corpus, tmp_path):
    expected = evaluate(start, corpus["dev"], out=tmp_path / "eval").score.cer
    status, _, err = run("train", recipe, "--init", start, "--out", tmp_path / "run")
    assert status == 0
    assert "taken over from start: decode.json and lm.safetensors; dev manifests are decoded with beam 2" in err
    first = next(line for line in lines_of(tmp_path / "run") if "dev_cer" in line)
    assert first["step"] == 0 and first["dev_cer"] == pytest.approx(expected)
    assert f"step 0, before the first step  dev CER {100 * expected:.2f} %" in err
    for name in ("decode.json", "lm.safetensors", "LICENSE"):
        assert (tmp_path / "run" / name).read_bytes() == (start / name).read_bytes()
    assert run("report", tmp_path / "run")[0] == 0
    assert f"Dev CER before the first step {100 * expected:.2f} %." in (tmp_path / "run/report.html").read_text()


def test_what_the_recipe_says_of_decoding_holds(run, recipe, start, tmp_path):
    recipe.write_text(recipe.read_text() + "[decode]\nbeam = 1\nlm_weight = 0.0\n")
    assert run("train", recipe, "--init", start, "--out", tmp_path / "run", "--set", "train.max_steps=1")[0] == 0
    decode = read_history(tmp_path / "run").settings
    assert decode["decode.beam"] == 1 and decode["decode.lm_weight"] == 0.0
    assert json.loads((tmp_path / "run/decode.json").read_text()) == {"beam": 2, "lm_weight": 0.7}


def test_one_setting_of_decoding_leaves_the_others(run, recipe, start, tmp_path):
    more = ["--set", "decode.ctc_weight=0.2", "--set", "train.max_steps=1"]
    assert run("train", recipe, "--init", start, "--out", tmp_path / "run", *more)[0] == 0
    decode = read_history(tmp_path / "run").settings
    assert (decode["decode.beam"], decode["decode.ctc_weight"], decode["decode.lm_weight"]) == (2, 0.2, 0.7)
    assert load_config(recipe, ["decode.ctc_weight=0.2"]).decode.beam == 1  # as without any


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("lm.safetensors", "junk", "start/lm.safetensors: damaged or no packed language model"),
        ("decode.json", '{"beam": "many"}', "start/decode.json: decode.beam must be a whole number, is 'many'"),
    ],
)
def test_what_is_damaged_in_the_initial_model_is_refused_before_the_run(
    run, recipe, start, tmp_path, name, content, message
):
    (start / name).write_text(content)
    status, _, err = run("train", recipe, "--init", start, "--out", tmp_path / "run")
    assert status == 1 and f"{tmp_path}/{message}" in err and not (tmp_path / "run/settings.json").exists()


def test_another_warm_up_is_another_run(run, recipe, tmp_path):
    assert run("train", recipe, "--init", TOY, "--out", tmp_path / "run")[0] == 0
    status, _, err = run("train", recipe, "--init", TOY, "--out", tmp_path / "run", "--set", "train.warmup_steps=3")
    assert status == 1 and "was started with other settings: train.warmup_steps was not set and is 3." in err


def test_a_run_that_makes_a_model_worse_keeps_the_model(run, recipe, tmp_path):
    """A rate at which everything is lost: what was there before the first step is what is kept."""
    lost = ["--set", "train.learning_rate=10", "--set", "train.warmup_steps=0"]
    status, _, err = run("train", recipe, "--init", TOY, "--out", tmp_path / "run", *lost)
    last = err.splitlines()[-1]
    assert status == 0
    assert last.startswith(
        f"kept in {tmp_path / 'run'}: the initial model as it was: nothing later was better, dev CER "
    )
    before, after = (read_weights(folder / "model.safetensors")[0] for folder in (TOY, tmp_path / "run"))
    assert all((before[name].float() == after[name]).all() for name in before)
    assert read_header(tmp_path / "run/model.safetensors")["step"] == "0"
    assert not list((tmp_path / "run/checkpoints").glob("step-00000000*"))


def test_a_ctc_loss_for_a_model_with_a_head_and_for_one_without(run, recipe, tokenizer, tmp_path):
    for name, ctc in (("with", True), ("without", False)):
        save_model(tmp_path / name, random_model(ctc=ctc), tokenizer.table)
        out = tmp_path / f"run-{name}"
        loss = ["--set", "train.ctc_weight=0.3", "--set", "train.max_steps=2", "--set", "train.log_every=1"]
        status, _, err = run("train", recipe, "--init", tmp_path / name, "--out", out, *loss)
        assert status == 0 and load_model(out).model.ctc is not None
        assert ("the model had no CTC head; the new one starts from random weights" in err) == (not ctc)
        assert all(line["ctc"] > 0 for line in lines_of(out) if "loss" in line)
    assert json.loads((tmp_path / "run-without/decode.json").read_text()) == {"ctc_weight": 0.0}
    status, _, err = run("train", recipe, "--out", tmp_path / "alone", "--set", "train.ctc_weight=0.3")
    assert status == 2 and "train.ctc_weight 0.3 needs the head it trains: set model.ctc = true" in " ".join(
        err.split()
    )


def test_a_head_that_is_not_trained_is_told(run, recipe, tokenizer, tmp_path):
    save_model(tmp_path / "start", random_model(), tokenizer.table)
    err = run("train", recipe, "--init", tmp_path / "start", "--out", tmp_path / "run", "--set", "train.max_steps=1")[2]
    assert "the CTC head is not trained and will fit the changed encoder less and less" in err


def test_a_language_model_does_not_know_new_tokens(start, tmp_path):
    """Its scores of the old tokens stay; a new one is scored as the unknown word is."""
    from asr.decoding.ngram import NgramScorer

    table = TokenTable.load(start / "tokens.txt")
    more = [*table.tokens, "龘", "龖"]
    (tmp_path / "copy").mkdir()
    copy_companions(start, tmp_path / "copy", table.tokens, more)
    old = NgramScorer(own_language_model(start), table.tokens, table.eos)
    new = NgramScorer(own_language_model(tmp_path / "copy"), more, table.eos)
    assert new.unknown == old.unknown and new.order == old.order and new.first == old.first
    n = len(table)
    assert (new.vocabulary[:n] == old.vocabulary.where(old.vocabulary < n, n + 3)).all()
    assert new.vocabulary[n:].tolist() == [n + 3] * 2


def test_a_longer_run_is_recorded(run, recipe, tmp_path):
    folder, init = tmp_path / "run", ["--init", TOY]
    assert run("train", recipe, *init, "--out", folder)[0] == 0
    status, _, err = run("train", recipe, *init, "--out", folder, "--set", "train.max_steps=6")
    assert status == 0 and "from now on train.max_steps 4 → 6" in err
    assert run("train", recipe, *init, "--out", folder, "--set", "train.max_steps=6")[0] == 0  # nothing is left to do
    change = "step 4: train.max_steps 4 → 6"
    history = read_history(folder)
    assert history.settings["train.max_steps"] == 6 and history.notes == [change]
    assert history.origin["changed"] == change and f"changed     {change}" in run("model", "info", folder)[1]
    assert run("report", folder)[0] == 0
    page = (folder / "report.html").read_text()
    assert "Step 6 of 6" in page and "S" + change[1:] in page
