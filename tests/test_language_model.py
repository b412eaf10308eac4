"""The Transformer language model: trained on text, kept in a folder, a scorer in the search."""

import json
import os

import pytest
import torch

from asr.corpus.manifest import Utterance, write_manifest
from asr.decoding.beam import Chosen
from asr.decoding.network_lm import NetworkLm
from asr.errors import CheckpointError, ConfigError, ManifestError
from asr.model.folder import save_model
from asr.model.language_model import LanguageModel, LanguageModelConfig, load_language_model, save_language_model
from asr.text.tokenizer import TokenTable
from asr.training.language_model import train_language_model, training_settings
from tests.conftest import ROOT, random_model

TABLE = TokenTable(["<blank>", "<unk>", "<sos>", "<eos>", *"甲乙丙丁"])
SMALL = {"model": {"width": 16, "decoder": {"layers": 2, "heads": 2, "feed_forward": 32, "dropout": 0.0}}}


@pytest.fixture
def model() -> LanguageModel:
    torch.manual_seed(1)
    return LanguageModel(training_settings(SMALL).model, len(TABLE)).eval()


def scorer(model: LanguageModel, symbols: list[str], sos: int, eos: int) -> NetworkLm:
    return NetworkLm(model, TABLE, symbols, sos, eos=eos, device="cpu", path="lm")


@torch.inference_mode()
def test_each_step_says_what_the_whole_text_does(model):
    text = torch.tensor([[[2, 4, 6, 5, 7]]])
    whole, _ = model(text, model.start(1))
    assert torch.allclose(whole.exp().sum(-1), torch.ones(1, 1, 5), atol=1e-5)
    state = model.start(1)
    for u in range(5):
        step, state = model(text[..., u : u + 1], state)
        assert torch.allclose(step[0, 0, 0], whole[0, 0, u], atol=1e-5)
        state = state.select(torch.tensor([0]), torch.tensor([[0]]))


@torch.inference_mode()
def test_later_tokens_change_nothing(model):
    first, second = (model(torch.tensor([[[2, 4, last]]]), model.start(1))[0] for last in (5, 7))
    assert torch.equal(first[0, 0, :2], second[0, 0, :2])


@torch.inference_mode()
def test_the_scorer_follows_hypotheses_through_the_search(model):
    """Two utterances, hypotheses that change places, one utterance that ends: as if each text had been read alone."""
    lm = scorer(model, list(TABLE.tokens), TABLE.sos, TABLE.eos)
    state = lm.start(2)
    candidates = torch.tensor([[[4, 5, 3]], [[6, 7, 3]]])
    _, state = lm.score(torch.full((2, 1), TABLE.sos), candidates, torch.zeros(2, 1, 3), state)
    chosen = Chosen(torch.tensor([0, 1]), torch.tensor([[0, 0], [0, 0]]), torch.tensor([[0, 1], [1, 0]]))
    state = lm.select(state, chosen)
    last = torch.tensor([[4, 5], [7, 6]])
    _, state = lm.score(last, last[:, :, None], torch.zeros(2, 2, 1), state)
    state = lm.select(state, Chosen(torch.tensor([1]), torch.tensor([[1, 0]]), torch.tensor([[0, 0]])))
    found, _ = lm.score(torch.tensor([[5, 4]]), torch.tensor([[[4, 3], [5, 3]]]), torch.zeros(1, 2, 2), state)
    for n, (text, ids) in enumerate((([2, 6, 5], [4, 3]), ([2, 7, 4], [5, 3]))):
        alone, _ = model(torch.tensor([[text]]), model.start(1))
        assert torch.allclose(found[0, n], alone[0, 0, -1, ids], atol=1e-5)


@torch.inference_mode()
def test_a_model_with_another_table_is_helped_by_its_symbols(model):
    """Ids by text, unknown ones as <unk>; a token that is both sos and eos is read as the one and predicted as the other."""
    symbols = ["<blank>", "<unk>", "<sos/eos>", "丁", "另", "甲"]
    lm = scorer(model, symbols, 2, 2)
    found, _ = lm.score(torch.tensor([[2]]), torch.tensor([[[3, 4, 5, 2]]]), torch.zeros(1, 1, 4), lm.start(1))
    alone, _ = model(torch.tensor([[[TABLE.sos]]]), model.start(1))
    expected = alone[0, 0, 0, [TABLE.ids["丁"], TABLE.unk, TABLE.ids["甲"], TABLE.eos]]
    assert torch.allclose(found[0, 0], expected, atol=1e-6)


def test_it_learns_what_always_follows(tmp_path):
    """甲乙丙 without end: after a few epochs the next symbol is certain; the folder holds the best epoch."""
    sentences = [list("甲乙丙" * n) for n in (1, 2, 3, 4) for _ in range(12)]
    said: list[str] = []
    settings = training_settings(SMALL | {"epochs": 12, "batch_tokens": 60, "learning_rate": 1e-2, "held_out": 0.1})
    reached = train_language_model(sentences, tmp_path / "lm", settings, said.append)
    assert reached < 2 and said[0].startswith("36 sentences")  # the twelve that are the one held out are not learnt
    assert said[1].startswith("epoch 1 of 12: perplexity") and said[1].endswith(" on 1 sentences held out")
    model, table = load_language_model(tmp_path / "lm")
    with torch.inference_mode():
        log_probs, _ = model(torch.tensor([[[table.sos, table.ids["甲"]]]]), model.start(1))
    assert float(log_probs[0, 0, 1, table.ids["乙"]].exp()) > 0.9


def test_settings_that_are_not_named_stay_as_they_are():
    decoder = training_settings({"model": {"decoder": {"layers": 3}}}).model.decoder
    assert (decoder.layers, decoder.feed_forward, decoder.tied) == (3, 1024, True)


def test_the_same_run_gives_the_same_weights(tmp_path):
    sentences = [list("甲乙丙丁"[: 1 + n % 4]) for n in range(40)]
    settings = training_settings(SMALL | {"epochs": 2})
    for name in ("a", "b"):
        train_language_model(sentences, tmp_path / name, settings, lambda line: None)
    assert (tmp_path / "a" / "model.safetensors").read_bytes() == (tmp_path / "b" / "model.safetensors").read_bytes()


def test_damaged_folders_and_impossible_settings(model, tmp_path):
    with pytest.raises(CheckpointError, match="lacks config.json: it is neither a language model that"):
        load_language_model(tmp_path)
    save_language_model(tmp_path / "lm", model, TABLE, {})
    TokenTable([*TABLE.tokens, "另"]).save(tmp_path / "lm" / "tokens.txt")
    with pytest.raises(CheckpointError, match="tokens.txt is not the table that model.safetensors was trained with"):
        load_language_model(tmp_path / "lm")
    with pytest.raises(ConfigError, match="epochs must be above 0, is 0"):
        training_settings({"epochs": 0})
    with pytest.raises(ConfigError, match="model.widht: there is no such setting; did you mean width?"):
        training_settings({"model": {"widht": 3}})
    with pytest.raises(ManifestError, match="1 different sentences are too few"):
        train_language_model([["甲"]], tmp_path / "few", training_settings(SMALL), print)


def test_on_the_command_line(run, tmp_path):
    texts = tmp_path / "texts.txt"
    texts.write_text("今天天气很好\n她在北京上大学\n语音识别\n" * 10, encoding="utf-8")
    small = ("--set", "model.width=16", "--set", "model.decoder.layers=1", "--set", "epochs=1")
    status, _, err = run("train-lm", texts, "--kind", "transformer", "--out", tmp_path / "lm", *small)
    assert status == 0 and "perplexity" in err
    sample, model = "data/sample/weather.flac", tmp_path / "model"
    table = TokenTable(["<blank>", "<unk>", "<sos>", "<eos>", *"今天气很好"])
    save_model(model, random_model(vocabulary=len(table)), table)
    status, _, err = run("transcribe", sample, "--model", model, "--lm", tmp_path / "lm", "--decode", "lm_weight=0.1")
    assert status == 0, err
    u = Utterance("a", ROOT / sample, 2.0, "今天天气很好")
    write_manifest(tmp_path / "one.jsonl", [u])
    status, out, err = run("evaluate", model, tmp_path / "one.jsonl", "--lm", tmp_path / "lm", "--out", tmp_path / "e")
    assert status == 0 and "CER" in out, err
    assert json.loads((tmp_path / "e/result.json").read_text())["settings"]["lm"] == str(tmp_path / "lm")
    status, _, err = run("train-lm", texts, "--kind", "neural", "--out", tmp_path / "other")
    assert status == 2 and "is not one of ngram, transformer" in err
    assert LanguageModelConfig().decoder.tied


def test_another_model_takes_the_place_as_a_whole(model, tmp_path, monkeypatch):
    """Killed at any file, the folder holds the old one or the new one; new weights of the same leave it the one that it is."""
    folder = tmp_path / "lm"
    save_language_model(folder, model, TABLE, {"epoch": "1"})
    before = folder.stat().st_ino
    save_language_model(folder, model, TABLE, {"epoch": "2"})
    assert folder.stat().st_ino == before
    larger, rename = [*TABLE.tokens, "另"], os.replace
    other = LanguageModel(model.config, len(larger))
    found = []

    def looked(*arguments):
        rename(*arguments)
        found.append(len(load_language_model(folder)[1]))

    monkeypatch.setattr("asr.files.os.replace", looked)
    save_language_model(folder, other, TokenTable(larger), {})
    assert set(found) == {len(TABLE)} and len(load_language_model(folder)[1]) == len(larger)
