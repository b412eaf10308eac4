"""KenLM's binaries are read by KenLM; with the same model its scores are those of our own reader."""

import sys
import types

import pytest
import torch

from asr.decoding.beam import Chosen
from asr.decoding.kenlm_scorer import MAGIC, KenlmScorer, is_kenlm_binary
from asr.decoding.ngram import NgramScorer
from asr.errors import AsrError
from asr.training.ngram import train_ngram
from tests.conftest import ROOT

SYMBOLS = ["<blank>", "<unk>", "<sos>", "<eos>", *"甲乙丙丁"]
EOS = 3


@pytest.fixture
def arpa(tmp_path):
    train_ngram([list(text) for text in ("甲乙丙", "甲乙", "丙甲乙", "乙乙甲")], tmp_path / "lm.arpa", 3, 0)
    return tmp_path / "lm.arpa"


def test_a_binary_is_known_by_its_first_bytes(tmp_path, arpa):
    (tmp_path / "lm.bin").write_bytes(MAGIC + b" version 5\n\0")
    assert is_kenlm_binary(tmp_path / "lm.bin") and not is_kenlm_binary(arpa) and not is_kenlm_binary(tmp_path)


def test_without_the_library_the_message_names_the_extra(tmp_path, run, monkeypatch):
    monkeypatch.setitem(sys.modules, "kenlm", None)
    (tmp_path / "lm.bin").write_bytes(MAGIC + b" version 5\n\0")
    model = ROOT / "tests/fixtures/toy"
    status, _, err = run("transcribe", "data/sample/weather.flac", "--model", model, "--lm", tmp_path / "lm.bin")
    assert status == 1 and "lm.bin: is a binary of KenLM" in err and "pip install 'mandarin-asr[kenlm]'" in err


def test_scores_are_those_of_our_own_reader_whatever_the_search_chooses(arpa):
    pytest.importorskip("kenlm", reason="the extra `kenlm` is not installed")
    candidates = torch.tensor([4, 5, 6, 7, EOS]).expand(2, 2, -1)
    scorers = [NgramScorer(arpa, SYMBOLS, EOS), KenlmScorer(arpa, SYMBOLS, EOS)]
    states = [scorer.start(2) for scorer in scorers]
    generator = torch.Generator().manual_seed(1)
    B, N = 2, 1
    for _ in range(5):
        said = torch.zeros(B, N, 5)
        found = [
            s.score(said[..., 0], candidates[:B, :N], said, state) for s, state in zip(scorers, states, strict=True)
        ]
        known = candidates[:B, :N] != 7  # 丁 is not in the model: its <unk> differs in what the toolkits add to it
        assert torch.allclose(found[0][0][known].float(), found[1][0][known].float(), atol=1e-4)
        kept = 1 if B == 1 else int(torch.randint(1, 3, (), generator=generator))
        pick = torch.randint(0, N, (kept, 2), generator=generator), torch.randint(0, 3, (kept, 2), generator=generator)
        chosen = Chosen(torch.arange(B)[B - kept :], *pick)
        states = [s.select(state, chosen) for s, (_, state) in zip(scorers, found, strict=True)]
        B, N = kept, 2


def test_a_binary_of_words_is_told(tmp_path, monkeypatch):
    """By a library that is not there: what its model knows is all that is asked."""
    fake = types.SimpleNamespace(Model=lambda path: {"我们", "他们", "没有", "可以", "中国", "我"}, State=object)
    monkeypatch.setitem(sys.modules, "kenlm", fake)
    (tmp_path / "lm.bin").write_bytes(MAGIC)
    with pytest.raises(AsrError, match="lm.bin: is a language model of words .*, the model writes characters"):
        KenlmScorer(tmp_path / "lm.bin", SYMBOLS, EOS)
    KenlmScorer(tmp_path / "lm.bin", [*SYMBOLS, "我们"], EOS)  # a model of pieces


def test_what_the_library_cannot_read(tmp_path):
    pytest.importorskip("kenlm", reason="the extra `kenlm` is not installed")
    (tmp_path / "lm.bin").write_bytes(MAGIC + b" version 5\n\0" + bytes(100))
    with pytest.raises(AsrError, match="lm.bin: cannot be read by KenLM"):
        KenlmScorer(tmp_path / "lm.bin", SYMBOLS, EOS)
