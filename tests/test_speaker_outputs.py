"""Speakers of tokens, and how each format writes them."""

import json
from dataclasses import replace

import pytest

from asr.cli.optional_values import with_values
from asr.errors import AsrError
from asr.outputs.style import Style
from asr.outputs.writers import render
from asr.scoring.speakers import score_speakers
from asr.transcript import Correction, Transcript, Turn
from asr.transcription.attribution import attributed
from tests.transcripts import needs_jieba, spoken, transcript

TURNS = (Turn(0.0, 1.0, "S1"), Turn(0.95, 3.0, "王芳"), Turn(4.0, 6.0, "S1"))


def told(*segments, turns=TURNS) -> Transcript:
    made = transcript(*segments, duration=6.0)
    return replace(made, segments=tuple(attributed(segments, turns)), turns=turns)


def test_a_piece_of_two_people_becomes_two_segments():
    """Spans, raw text and the places of the model's tokens are those of each part; the hot word goes where it was said."""
    piece = spoken("你好。我很好！", hotwords=("很好",), warnings=("is faint",))
    (first, second) = attributed([piece], [Turn(0, 0.41, "S1"), Turn(0.41, 2, "S2")])
    assert (first.text, first.raw, first.speaker, first.hotwords) == ("你好。", "你好。", "S1", ())
    assert (second.text, second.raw, second.speaker, second.hotwords) == ("我很好！", "我很好！", "S2", ("很好",))
    assert (first.start, first.end, second.start, second.end) == (0.0, 0.4, 0.4, 1.0)
    assert [token.source for token in second.tokens] == [(0, 0), (1, 1), (2, 2)]
    assert first.warnings == second.warnings == ("is faint",)


def test_hot_words_and_corrections_go_where_they_were_said():
    """Each stands in one part, with its place there, even where both parts hold the word."""
    corrections = (Correction(1, "章山", "张珊"), Correction(5, "章山", "张珊"))
    piece = spoken("请张珊来让张珊走", hotwords=("张珊", "张珊"), corrections=corrections)
    first, second = attributed([piece], [Turn(0, 0.81, "S1"), Turn(0.81, 2, "S2")])
    assert (first.text, second.text, first.hotwords, second.hotwords) == ("请张珊来", "让张珊走", ("张珊",), ("张珊",))
    assert first.corrections == second.corrections == (Correction(1, "章山", "张珊"),)


def test_who_speaks_at_the_same_time_goes_on_and_who_speaks_in_a_pause_is_the_nearest():
    turns = [Turn(0, 2, "a"), Turn(0.5, 1.5, "b"), Turn(5, 6, "c")]
    assert {s.speaker for s in attributed([spoken("是的，是的")], turns)} == {"a"}
    assert [s.speaker for s in attributed([spoken("好", 4.5), spoken("好", 2.2)], turns)] == ["c", "a"]
    assert attributed([spoken("好")], []) == [spoken("好")]
    assert [s.speaker for s in attributed([replace(spoken("好"), tokens=())], turns)] == [""]


@needs_jieba
def test_a_word_is_one_persons():
    turns = [Turn(0, 0.7, "a"), Turn(0.7, 2, "b")]
    assert [s.text for s in attributed([spoken("我们去北京吧")], turns)] == ["我们去", "北京吧"]


def test_texts_of_a_model_that_do_not_fit_its_tokens():
    piece = replace(spoken("你好我好"), raw="你好")
    assert [s.raw for s in attributed([piece], [Turn(0, 0.4, "a"), Turn(0.4, 2, "b")])] == ["你好", "我好"]


TALK = told(spoken("你好。是的。我也很好", each=0.25), spoken("再见", 4.2))


def test_txt_has_a_line_for_each_turn():
    assert render(TALK) == "S1: 你好。是的。\n王芳: 我也很好\nS1: 再见\n"
    assert render(told(spoken("你好"), spoken("再见", 0.5))) == "S1: 你好再见\n"
    assert render(TALK, "txt", Style(txt_lines="segment")) == "S1: 你好。是的。\n王芳: 我也很好\nS1: 再见\n"


def test_subtitles_have_the_speaker_in_front_and_end_where_another_one_speaks():
    assert render(TALK, "srt") == (
        "1\n00:00:00,000 --> 00:00:01,000\nS1: 你好。是的\n\n"
        "2\n00:00:01,000 --> 00:00:02,000\n王芳: 我也很好\n\n"
        "3\n00:00:04,200 --> 00:00:05,200\nS1: 再见\n\n"
    )
    assert "\n<v 王芳>我也很好\n" in render(TALK, "vtt")
    assert "[00:01.00]王芳: 我也很好\n" in render(TALK, "lrc")
    assert ",Default,王芳,0,0,0,,王芳: 我也很好\n" in render(TALK, "ass")


def test_json_has_turns_overlaps_and_the_speaker_of_every_token():
    data = json.loads(render(TALK, "json"))
    assert data["turns"][1] == {"start": 0.95, "end": 3.0, "speaker": "王芳"}
    assert data["overlaps"] == [{"start": 0.95, "end": 1.0}]
    assert [segment["speaker"] for segment in data["segments"]] == ["S1", "王芳", "S1"]
    assert {token["speaker"] for token in data["segments"][1]["tokens"]} == {"王芳"}
    plain = json.loads(render(transcript(spoken("好")), "json"))
    assert "turns" not in plain and "speaker" not in plain["segments"][0]["tokens"][0]


def test_overlaps_are_where_two_or_more_speak():
    turns = (Turn(0, 4, "a"), Turn(1, 3, "b"), Turn(2, 5, "c"), Turn(6, 7, "a"))
    assert told(spoken("好"), turns=turns).overlaps == [(1, 4)]


def test_tables_praat_manifests_and_rttm(tmp_path):
    assert render(TALK, "tsv").splitlines()[2] == "1.000\t2.000\t\t王芳\t0.9000\t我也很好"
    assert render(transcript(spoken("好")), "tsv").startswith("start\tend\tchannel\tconfidence\ttext\n")
    names = [line.split('"')[1] for line in render(TALK, "textgrid").splitlines() if "name =" in line]
    assert names == ["segments S1", "tokens S1", "segments 王芳", "tokens 王芳"]
    assert render(replace(TALK, audio="my talk.wav"), "rttm") == (
        "SPEAKER my_talk 1 0.000 1.000 <NA> <NA> S1 <NA> <NA>\n"
        "SPEAKER my_talk 1 0.950 2.050 <NA> <NA> 王芳 <NA> <NA>\n"
        "SPEAKER my_talk 1 4.000 2.000 <NA> <NA> S1 <NA> <NA>\n"
    )
    with pytest.raises(AsrError, match="RTTM says who speaks when, which was not asked: --speakers"):
        render(transcript(spoken("好")), "rttm")
    (tmp_path / "talk.wav").write_bytes(b"")
    manifest = render(replace(TALK, audio=str(tmp_path / "talk.wav")), "manifest").splitlines()
    assert [json.loads(line)["speaker"] for line in manifest] == ["S1", "王芳", "S1"]


def test_what_is_written_can_be_scored(tmp_path):
    for format in ("json", "rttm"):
        (tmp_path / f"talk.{format}").write_text(render(TALK, format), encoding="utf-8")
    score = score_speakers(tmp_path / "talk.rttm", tmp_path / "talk.json")
    assert score.exact.total == pytest.approx(0) and score.exact.reference == pytest.approx(5.05)
    assert score_speakers(tmp_path / "talk.json", tmp_path / "talk.json").text.reference == 10
    (tmp_path / "words.json").write_text(
        render(TALK, "json", Style(word_times=True))
    )  # as of WhisperX, beside the text
    assert score_speakers(tmp_path / "talk.json", tmp_path / "words.json").text.cer == 0


def test_an_option_whose_value_may_be_left_out():
    assert with_values(["--speakers", "a.wav"]) == ["--speakers=auto", "a.wav"]
    assert with_values(["--speakers", "2-5", "a.wav"]) == ["--speakers", "2-5", "a.wav"]
    assert with_values(["a.wav", "--speakers"]) == ["a.wav", "--speakers=auto"]
    assert with_values(["--speakers=3", "--", "--speakers"]) == ["--speakers=3", "--", "--speakers"]
