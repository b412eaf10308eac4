"""What a call changes of the decoding settings that a model comes with leaves the others as they are, wherever it is made."""

import copy
import json
import pickle
from dataclasses import replace

import numpy as np
import pytest

import asr
from asr.catalogue.decode_settings import DECODE, changed_settings, decode_settings
from asr.catalogue.opening import Decoding, open_model
from asr.corpus.manifest import read_manifest
from asr.decoding.decode_config import DecodeConfig
from asr.errors import ConfigError, UsageError
from asr.evaluation.benchmark import benchmark
from asr.evaluation.tune import tune
from asr.model.folder import save_model
from asr.recognition.recognizer import Recognizer
from asr.transcription.aligning import Aligner
from asr.transcription.live import LiveTranscriber
from asr.transcription.transcriber import Transcriber
from tests.conftest import random_model
from tests.sounds import speech

OWN = {"beam": 3, "ctc_weight": 0.2, "length_bonus": 0.7, "max_chars_per_second": 7.0}


@pytest.fixture
def folder(tmp_path, tokenizer):
    """A model that comes with settings of its own."""
    save_model(tmp_path / "model", random_model(), tokenizer.table)
    (tmp_path / "model" / DECODE).write_text(json.dumps(OWN))
    return tmp_path / "model"


@pytest.fixture
def used(monkeypatch) -> list[DecodeConfig]:
    """The settings of everything that has decoded."""
    found, make = [], Recognizer.__init__

    def noting(self, *arguments, **named):
        make(self, *arguments, **named)
        found.append(self.config)

    monkeypatch.setattr(Recognizer, "__init__", noting)
    return found


CHANGES = [{"beam": 1}, DecodeConfig(beam=1)]


@pytest.mark.parametrize("changed", CHANGES)
def test_what_is_not_named_stays_as_the_model_has_it(folder, changed):
    expected = DecodeConfig(**OWN | {"beam": 1})
    assert decode_settings(folder, changed) == expected
    assert asr.load(folder, "cpu", decode=changed).recognizer.config == expected
    assert asr.load(folder, "cpu", beam=1).recognizer.config == expected
    assert asr.load(folder, "cpu").recognizer.config == DecodeConfig(**OWN)
    assert Transcriber(open_model(folder, "cpu"), changed).recognizer.config == expected
    assert Transcriber(open_model(folder, "cpu")).recognizer.config == DecodeConfig(**OWN)


def test_a_setting_can_be_put_back_to_what_it_is_by_default(folder):
    assert asr.load(folder, "cpu", decode=DecodeConfig(length_bonus=0.0)).recognizer.config.length_bonus == 0.0
    assert decode_settings(folder, replace(DecodeConfig(**OWN), beam=1, length_bonus=0.0)).length_bonus == 0.0


def test_a_config_knows_what_it_was_given():
    config = DecodeConfig(beam=4, ctc_weight=0.1)
    assert config.given() == {"beam": 4, "ctc_weight": 0.1} and DecodeConfig().given() == {}
    assert set(replace(config, beam=2).given()) == set(vars(DecodeConfig())) - {"_given"}
    for same in (copy.deepcopy(config), pickle.loads(pickle.dumps(config))):
        assert same == config and same.given() == config.given()


def test_beam_and_decode_together(folder):
    assert changed_settings({"beam": 2, "nbest": 2}, 5) == {"beam": 5, "nbest": 2}
    assert asr.load(folder, "cpu", beam=5, decode={"length_bonus": 1}).recognizer.config == DecodeConfig(
        **OWN | {"beam": 5, "length_bonus": 1.0}
    )


@pytest.mark.parametrize("changed", CHANGES)
def test_every_call_that_decodes_keeps_them(folder, changed, used, corpus, tmp_path):
    few, decoding = corpus["dev"], Decoding(folder, changed, device="cpu")
    asr.evaluate(decoding, few, out=tmp_path / "eval")
    assert json.loads((tmp_path / "eval/result.json").read_text())["settings"]["decode"]["length_bonus"] == 0.7
    assert benchmark(decoding, [read_manifest(few)[0].read()], rounds=1).beam == 1
    LiveTranscriber(asr.load(folder, "cpu", decode=changed))
    expected = DecodeConfig(**OWN | {"beam": 1})
    assert used == [expected, expected, expected, replace(expected, redecode=False)]
    tune(decoding, few)
    assert used[4:6] == [DecodeConfig(**OWN), expected]  # as it is, then as it is asked for
    assert all((config.beam, config.max_chars_per_second) == (1, 7) for config in used[5:])


def test_alignment_by_attention_writes_with_them(folder, used, monkeypatch):
    monkeypatch.setattr("asr.transcription.aligning.LONGEST_ATTENTION", 0.5)
    samples = np.concatenate([speech(8.0), speech(8.0, seed=1)])
    Aligner(open_model(folder, "cpu"), "attention").align((samples, 16000), "今天")
    assert used and all(c == DecodeConfig(**OWN | {"beam": 1, "ctc_weight": 0.0}) for c in used)


def test_alignment_writes_as_transcription_is_asked_for(folder, used, monkeypatch):
    monkeypatch.setattr("asr.transcription.aligning.LONGEST_ATTENTION", 0.5)
    asked = {"window": 20.0, "no_speech": 0.9, "max_chars_per_second": 3.0}
    Transcriber(open_model(folder, "cpu"), asked).align((speech(4.0), 16000), "今天", by="attention")
    assert used and used[-1] == DecodeConfig(**OWN | asked | {"beam": 1, "ctc_weight": 0.0})


def test_commands_keep_them(folder, used, run, wav):
    assert run("transcribe", "--model", folder, wav("a.wav"), "--beam", "1", "--decode", "length_power=0.5")[0] == 0
    assert used == [DecodeConfig(**OWN | {"beam": 1, "length_power": 0.5})]


def test_what_is_no_table_of_settings(folder):
    with pytest.raises(UsageError, match=r'decode must be a table of settings, such as {"ctc_weight": 0.3}, is \[1\]'):
        asr.load(folder, decode=[1])
    with pytest.raises(ConfigError, match=r"decode.baem: there is no such setting; did you mean beam\?"):
        asr.load(folder, decode={"baem": 1})
    with pytest.raises(ConfigError, match="decode.beam must be a whole number, is '1'"):
        asr.load(folder, beam="1")
