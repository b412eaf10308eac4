"""Ids that mean the same utterances, written another way."""

import json

import pytest

from asr.errors import ManifestError
from asr.scoring.cer import CharErrors
from asr.scoring.matching import shared_names
from asr.scoring.score import score_files
from asr.scoring.transcripts import read_together
from tests.miniatures import write


@pytest.mark.parametrize(
    ("references", "hypotheses", "names"),
    [
        (["a", "b"], ["/data/wav/a.wav", "/data/wav/b.wav"], {"/data/wav/a.wav": "a", "/data/wav/b.wav": "b"}),
        (["x/a.flac"], ["a"], {"a": "x/a.flac"}),
        (["BAC1"], ["bac1.WAV"], {"bac1.WAV": "BAC1"}),
        (["a-1", "b-2"], ["S-1-a-1", "S-1-b-2", "S-1-c"], {"S-1-a-1": "a-1", "S-1-b-2": "b-2", "S-1-c": "S-1-c"}),
        (["S1-u1", "S1-u2"], ["u1", "u3"], {"u1": "S1-u1", "u3": "u3"}),
        # some agree as they are; two would become one; nothing is alike
        (["a", "b"], ["a", "b.wav"], {}),
        (["a"], ["x/a.wav", "y/a.wav"], {}),
        (["u1"], ["S1-u1", "S2-u1"], {}),
        (["x/u1", "y/u1"], ["S1-u1"], {}),
        (["S1-u1"], ["x/u1", "y/u1"], {}),
        (["a"], ["b"], {}),
        (["v1.5"], ["v1"], {}),
    ],
)
def test_names_of_the_same_utterances(references, hypotheses, names):
    found, how = shared_names(references, hypotheses)
    assert found == names and bool(how) == bool(names)


def test_how_ids_were_matched_is_said(tmp_path):
    reference = write(tmp_path / "ref", "u1 今天", "u2 明天")
    hypothesis = write(tmp_path / "hyp.trn", "今 天 (S1-u1)", "明 年 (S1-u2)")
    said: list[str] = []
    score = score_files(reference, hypothesis, say=said.append)
    assert score.errors == CharErrors(substitutions=1, reference=4) and not score.missing
    assert (
        f"{hypothesis}: has no id of {reference} as it is; they are matched without the speaker before a dash, as in"
        " ESPnet's trn"
    ) in said


@pytest.mark.parametrize(
    "line",
    [
        {"uttid": "u1", "text": "今天"},
        {"utt_id": "u1", "transcription": "今天"},
        {"id": "u1", "reference": "昨天", "prediction": "今天"},
        [{"key": "u1", "text": "今天"}],
    ],
)
def test_json_of_other_programs(tmp_path, line):
    path = write(tmp_path / "hyp", json.dumps(line), json.dumps(line).replace("u1", "u2"))
    reference = write(tmp_path / "ref", "u1 今天", "u2 今天")
    assert {id: hyp.text for id, hyp in read_together([reference, path])[1].lines.items()} == {
        "u1": "今天",
        "u2": "今天",
    }


def test_a_table_of_speechbrain(tmp_path):
    path = write(tmp_path / "test.csv", "ID,duration,wav,spk_id,wrd", "u1,2.0,$root/u1.wav,S1,今天")
    [read] = read_together([path])
    assert read.lines["u1"].text == "今天" and read.lines["u1"].fields["speaker"] == "S1"


def test_what_is_no_text_is_told_what_to_do(tmp_path):
    for text in ("{'uttid': 'u1', 'text': '今天'}", "[{'key': 'u1', 'text': '今天'}]"):
        with pytest.raises(
            ManifestError, match=r"/hyp: holds what Python prints, which is no JSON; write it by json\."
        ):
            read_together([write(tmp_path / "hyp", text, text)])
    (tmp_path / "hyp.gz").write_bytes(b"\x1f\x8b\x08\x00rest")
    with pytest.raises(ManifestError, match=r"/hyp\.gz: is compressed; `gzip -dc` unpacks it$"):
        read_together([tmp_path / "hyp.gz"])


def test_one_channel_may_have_two_names(tmp_path):
    stm = write(tmp_path / "a.stm", "r 1 s 0.0 2.0 今天")
    said: list[str] = []
    score = score_files(stm, write(tmp_path / "a.ctm", "r A 0.5 0.5 今天"), say=said.append)
    assert score.errors == CharErrors(reference=2)
    assert "channels 1 and A are taken for one: no file has several of these recordings" in said
    two = write(tmp_path / "b.ctm", "r A 0.5 0.5 今天", "r B 0.5 0.5 好")
    with pytest.raises(ManifestError, match=r"b\.ctm: has no recording of"):
        score_files(stm, two)
