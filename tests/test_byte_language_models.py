"""Language models for a model whose tokens are bytes: n-grams and networks of its own tokens, and no others."""

import shutil

import pytest
import torch

from asr.catalogue.opening import Decoding, open_decoding
from asr.interop.importing import import_model
from asr.model.folder import load_model, save_model
from asr.model.language_model import load_language_model
from asr.text.tokenizer import TokenTable
from tests.conftest import ROOT, random_model
from tests.test_interop import FIXTURES


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return import_model("whisper", FIXTURES / "whisper-tiny-hf", tmp_path_factory.mktemp("models") / "tiny").folder


def test_a_language_model_of_characters_is_refused(folder, tmp_path, run):
    """None of its words would be a token, and each would cost as much as an unknown one."""
    (tmp_path / "texts.txt").write_text("今天天气很好\n", encoding="utf-8")
    assert run("train-lm", tmp_path / "texts.txt", "--out", tmp_path / "lm.arpa")[0] == 0
    message = (
        "lm.arpa: is a language model of characters or words, the tokens of tiny are bytes of UTF-8; asr train-lm --tokens"
        " tiny makes one of these"
    )
    recording = ROOT / "data/sample/weather.flac"
    for command in (
        ("transcribe", "--model", folder, "--lm", tmp_path / "lm.arpa", recording),
        ("model", "add-lm", folder, tmp_path / "lm.arpa"),
    ):
        status, _, err = run(*command)
        assert status == 1 and message in err
    assert run("transcribe", "--model", folder, "--lm", "none", recording)[0] == 0


def test_a_language_model_of_bytes_scores_what_is_found(folder, tmp_path, run):
    """Of the model's own tokens: it is searched with, stored with the model, and changes what is written."""
    (tmp_path / "texts.txt").write_text("今天天气很好\n今天很好\n", encoding="utf-8")
    arpa = tmp_path / "lm.arpa"
    assert run("train-lm", tmp_path / "texts.txt", "--tokens", folder, "--out", arpa)[0] == 0
    tokenizer = load_model(folder).tokenizer
    first, *_ = [tokenizer.table.tokens[i] for i in tokenizer.encode("今天很好")]
    assert f"\t<s> {first}" in arpa.read_text(encoding="utf-8")
    copy = shutil.copytree(folder, tmp_path / "with-lm")
    assert run("model", "add-lm", copy, arpa)[0] == 0
    recording = ROOT / "data/sample/weather.flac"
    texts = [
        run("transcribe", "--model", model, "--decode", "lm_weight=30", recording, *arguments)[1]
        for model, arguments in ((folder, ("--lm", arpa)), (copy, ()), (copy, ("--lm", "none")))
    ]
    assert texts[0] == texts[1] != texts[2]


def test_a_network_of_bytes_is_of_the_models_own_tokens(folder, tmp_path, run):
    """`train-lm --kind transformer --tokens`: the model's whole table, in its order, searched with at once; no other fits."""
    texts, lm = tmp_path / "texts.txt", tmp_path / "lm"
    texts.write_text("今天天气很好\n今天很好\n她在北京\n", encoding="utf-8")
    sizes = ("--set", "model.width=16", "--set", "model.decoder.layers=1", "--set", "epochs=1")
    status, _, err = run("train-lm", texts, "--kind", "transformer", "--tokens", folder, "--out", lm, *sizes)
    assert status == 0 and "perplexity" in err, err
    table = load_model(folder).tokenizer.table
    assert load_language_model(lm)[1].tokens == table.tokens
    opened = open_decoding(Decoding(folder, {"lm_weight": 1.0}, lm=lm)).lm
    ids = torch.tensor([load_model(folder).tokenizer.encode("今天")])
    assert opened.said[ids].equal(ids)  # a token is scored as itself
    recording = ROOT / "data/sample/weather.flac"
    written = [
        run("transcribe", "--model", folder, "--decode", f"lm_weight={weight}", recording, "--lm", lm)[1]
        for weight in (0, 30)
    ]
    assert written[0] != written[1]
    of_characters, other = tmp_path / "characters", tmp_path / "other"
    assert run("train-lm", texts, "--kind", "transformer", "--out", of_characters, *sizes)[0] == 0
    save_model(other, random_model(vocabulary=6), TokenTable(["<blank>", "<unk>", "<sos>", "<eos>", *"今天"]))
    for model, wrong, message in (
        (folder, of_characters, "is a language model of characters or words, the tokens of tiny are bytes of UTF-8"),
        (other, lm, "is a language model of bytes of UTF-8, which the tokens of other are not; asr train-lm --tokens"),
    ):
        status, _, err = run("transcribe", "--model", model, "--lm", wrong, recording)
        assert status == 1 and message in err
