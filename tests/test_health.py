"""The meter that says whether the decoder listens."""

import dataclasses
import json

import pytest
import torch

from asr.corpus.manifest import read_manifest, write_manifest
from asr.corpus.toy import CHARACTERS
from asr.text.tokenizer import CharacterTokenizer, TokenTable
from asr.training.config import Config, load_config
from asr.training.health import Health, Probe, diagonality, measure
from asr.training.health_advice import advice
from asr.training.history import read_history
from asr.training.loop import train
from asr.training.train_config import TrainConfig
from tests.conftest import ROOT, random_model
from tests.runs import Lines, small_run

HEALTHY = Health(diagonal=0.9, entropy=0.3, gain=3.0, accuracy=0.9, by_position={"1": 0.9})
RECITES = Health(diagonal=0.1, entropy=0.95, gain=0.01, accuracy=0.2, by_position={"1": 0.05, "2": 0.2})


def test_diagonality_by_hand():
    eye = torch.eye(4)
    equal = torch.full((4, 4), 0.25)
    half = 0.5 * eye + 0.5 * equal
    found = diagonality(torch.stack([eye, eye.flip(0), equal, half]))
    assert found == pytest.approx(torch.tensor([1.0, -1.0, 0.0, 0.5]))


def test_a_diagonal_need_not_be_square_nor_sharp():
    places = torch.arange(40.0)
    centres = torch.arange(10.0)[:, None] * 4 + 2
    blurred = torch.softmax(-((places - centres) ** 2) / 18, dim=1)
    assert diagonality(blurred[None]).item() > 0.9
    assert diagonality(blurred.mean(0).expand(1, 10, 40)).item() == pytest.approx(0, abs=1e-6)


def test_attention_to_one_place_is_not_diagonal():
    stuck = torch.zeros(1, 5, 8)
    stuck[:, :, 3] = 1
    assert diagonality(stuck).item() == 0


@pytest.fixture(scope="module")
def probe(toy_corpus):
    tokenizer = CharacterTokenizer(TokenTable(["<blank>", "<unk>", "<sos>", "<eos>", *CHARACTERS]))
    return Probe.choose(read_manifest(toy_corpus["dev"]), tokenizer)


def test_a_random_model_does_not_listen_and_measuring_changes_nothing(probe):
    model = random_model().train()
    before, state = torch.get_rng_state(), {n: t.clone() for n, t in model.state_dict().items()}
    health = measure(model, probe, torch.device("cpu"))
    assert health == measure(model, probe, torch.device("cpu"))
    assert model.training and torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(t, state[n]) for n, t in model.state_dict().items())
    assert not health.formed and abs(health.gain) < 0.1 and health.diagonal < 0.3 and health.entropy > 0.9
    assert list(health.by_position) == ["1", "2", "3-4", "5-8"]


def test_short_and_unreadable_utterances_are_not_probed(toy_corpus, tokenizer, tmp_path):
    utterances = [u for u in read_manifest(toy_corpus["dev"]) if len(u.text) > 2][:4]
    short = dataclasses.replace(utterances[0], text="阿衣")
    lost = dataclasses.replace(utterances[1], audio=tmp_path / "none.wav")
    assert Probe.choose([short, lost, *utterances[2:]], tokenizer).batch.ids == (utterances[2].id, utterances[3].id)
    assert Probe.choose([short, lost, utterances[2]], tokenizer) is None


def test_advice_by_hand():
    config = Config(train=TrainConfig(warmup_steps=1000, learning_rate=2e-3))
    assert advice(HEALTHY, 5000, 9, config) == []
    assert advice(RECITES, 5000, 2, config) == []  # too early
    assert advice(RECITES, 499, 9, config) == []  # in the first half of the warm-up
    assert advice(RECITES, 500, 3, config) == [
        "WARNING: attention has not formed after 3 epochs: the decoder recites: another recording would cost it 0.01 nats a"
        " token, a good model several. What to try, the likeliest first:",
        "  - do the texts belong to the recordings? Listen to a few lines of the manifest, and run asr corpus check",
        "  - data.curriculum_epochs=2: short utterances first",
        "  - train.accumulate=3: a step sees 120 s of audio; 300 s are better",
        "  - train.warmup_steps=2000, or train.learning_rate=0.001: half as fast a start",
        "  - model.ctc=true and train.ctc_weight=0.3: a CTC loss teaches the encoder what to listen to",
        "  - model.ctc=true and train.ctc_only_steps=500: CTC alone at first",
    ]
    blurred = dataclasses.replace(HEALTHY, diagonal=0.2)
    assert "hears something, but not in order: 0.20 diagonal" in advice(blurred, 500, 3, config)[0]


def test_what_is_set_already_is_not_advised():
    overrides = ["model.ctc=true", "train.ctc_weight=0.3", "train.ctc_only_steps=10", "data.curriculum_epochs=1"]
    config = load_config(ROOT / "recipes/toy/base.toml", [*overrides, "train.accumulate=8"])
    assert len(advice(RECITES, 5000, 9, config)) == 3


def logged(run) -> list[dict]:
    return [line for line in map(json.loads, (run / "log.jsonl").read_text().splitlines()) if "health" in line]


def test_silent_on_the_healthy_toy(toy_run):
    config = load_config(ROOT / "recipes/toy/base.toml")
    lines = logged(toy_run)
    assert [line["step"] for line in lines] == list(range(200, 1001, 200))
    for line in lines:
        health = Health(**line["health"])
        assert health.formed and advice(health, line["step"], line["epoch"], config) == []
    assert lines[-1]["health"]["diagonal"] > 0.9 and lines[-1]["health"]["gain"] > 3


def test_a_run_that_does_not_listen_is_warned_once(corpus, tmp_path):
    """A rate of next to nothing leaves the network as random as it began, on any machine."""
    rate = ["train.learning_rate=1e-9", "train.warmup_steps=2"]
    epochs = ["train.max_steps=60", "train.health_every=30", "train.evaluate_every=1000"]
    told = Lines()
    run = train(small_run(corpus, *rate, *epochs), tmp_path / "run", display=told)
    warnings = [line for line in told.lines if line.startswith("WARNING: attention has not formed")]
    assert len(warnings) == 2 and all("the decoder recites" in line for line in warnings)
    assert sum("do the texts belong to the recordings" in line for line in told.lines) == 1
    assert len(logged(run)) == 2 and logged(run)[-1]["health"]["diagonal"] < 0.3


def test_it_says_why_it_is_silent_on_two_character_words(corpus, tmp_path, run):
    words = [dataclasses.replace(u, text=u.text[:2]) for u in read_manifest(corpus["train"])]
    write_manifest(tmp_path / "words.jsonl", words)
    told = Lines()
    lists = {name: tmp_path / "words.jsonl" for name in ("train", "dev")}
    folder = train(small_run(lists, "train.max_steps=2"), tmp_path / "run", display=told)
    why = (
        "whether the decoder listens is not looked at: that takes two dev utterances of at least 3 tokens and at most 15 s whose"
        " audio can be read; of 40, 40 have fewer tokens, 0 are longer"
    )
    assert told.lines.count(why) == 1 and logged(folder) == []
    assert read_history(folder).notes == [why]
    assert run("report", folder)[0] == 0
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert (
        page.count("of 40, 40 have fewer tokens, 0 are longer") == 2
    )  # beside the summary, and where attention would be drawn


def test_it_is_silent_without_a_word_where_it_is_not_asked(corpus, tmp_path):
    told = Lines()
    train(small_run(corpus, "train.max_steps=1", "train.health_every=0"), tmp_path / "run", display=told)
    assert not any("attention" in line or "listens" in line for line in told.lines)
