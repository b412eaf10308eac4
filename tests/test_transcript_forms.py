"""Forms of other programs: sclite's trn, STM and CTM, JSON of NeMo, Whisper and FunASR; Kaldi text with its speakers."""

import json
import re

import pytest

from asr.errors import ManifestError
from asr.files import read_lines
from asr.scoring.cer import CharErrors
from asr.scoring.score import score_files
from asr.scoring.timed import IGNORED
from asr.scoring.transcripts import read_together
from tests.miniatures import write


def read(path, *lines):
    return read_together([write(path, *lines)])[0]


def texts(transcripts) -> dict[str, str]:
    return {id: line.text for id, line in transcripts.lines.items()}


@pytest.mark.parametrize("gap", ["", " ", "\t"])
def test_trn_is_told_by_its_content(tmp_path, gap):
    found = read(
        tmp_path / "ref", f"今 天 天 气{gap}(spk1-utt1)", f"HELLO (X) 好{gap}(spk2_utt2)", f"{gap}(u3)", ";; a remark"
    )
    assert found.form == "trn"
    assert texts(found) == {"spk1-utt1": "今 天 天 气", "spk2_utt2": "HELLO (X) 好", "u3": ""}
    assert [line.fields.get("speaker") for line in found.lines.values()] == ["spk1", "spk2", None]


@pytest.mark.parametrize("ids", [None, True, False])
def test_ids_in_trn_are_no_text(tmp_path, ids):
    ref = write(tmp_path / "ref", "今天天气很好(a-1)", "他在北京上大学(a-2)", "语音识别(b-3)")
    hyp = write(tmp_path / "hyp", "语 音 识 别 (b-3)", "他 在 北 京 上 大 雪 (a-2)", "今 天 天 汽 很 好 (a-1)")
    assert score_files(ref, hyp, ids=ids).errors == CharErrors(2, 0, 0, 17)


def test_trn_against_kaldi_text(tmp_path):
    ref, hyp = write(tmp_path / "ref", "u1 今天", "u2 明天"), write(tmp_path / "hyp", "明天 (u2)", "今年 (u1)")
    assert score_files(ref, hyp).errors == CharErrors(1, 0, 0, 4)


def test_remarks_in_brackets_make_no_trn(tmp_path):
    assert read(tmp_path / "a", "u1 你好(笑)", "u2 再见(笑)").form == "kaldi"
    assert read(tmp_path / "b", "你好(a)", "再见").form == "plain"


def test_what_is_wrong_in_a_trn(tmp_path):
    with pytest.raises(ManifestError, match=r"/t:3: id must be unique, 'u1' occurs twice$"):
        read(tmp_path / "t", "今天 (u1)", "好 (u2)", "明天 (u1)")
    with pytest.raises(
        ManifestError, match=r"/t\.trn:2: must end with its id in brackets, as in `text \(id\)`, is '明天'$"
    ):
        read(tmp_path / "t.trn", "今天 (u1)", "明天")


STM = (
    ";; CATEGORY",
    "rec1 1 S1 0.00 3.00 <o,f0,male> 今天天气很好",
    "rec1 1 S2 3.00 5.50 <unk> 他在",
    "rec1 1 X 5.50 6.50 IGNORE_TIME_SEGMENT_IN_SCORING",
    "rec2 1 S1 1.00 2.00 好",
)


def test_words_of_a_ctm_by_the_segments_of_an_stm(tmp_path):
    """The middle of a word decides: 他 begins in the first segment and lies in the second."""
    ctm = (
        *("rec1 1 0.10 0.40 今天", "rec1 1 1.00 0.50 天汽", "rec1 1 2.00 0.50 很好", "rec1 1 2.90 0.40 他 0.98"),
        *(
            "rec1 1 4.00 0.30 在",
            "rec1 1 5.80 0.30 嗯",
            "rec2 1 0.20 0.30 真",
            "rec2 1 1.20 0.30 好",
            "rec3 1 0.10 0.30 啊",
        ),
    )
    said: list[str] = []
    score = score_files(write(tmp_path / "r", *STM), write(tmp_path / "h", *ctm), rules="+tags", say=said.append)
    assert [(u.id, "".join(u.reference), "".join(u.hypothesis)) for u in score.utterances] == [
        ("rec1-S1-0.00-3.00", "今天天气很好", "今天天汽很好"),
        ("rec1-S2-3.00-5.50", "他在", "他在"),
        ("rec2-S1-1.00-2.00", "好", "真好"),
    ]
    assert score.errors == CharErrors(1, 0, 1, 9) and [u.value("speaker") for u in score.utterances] == [
        "S1",
        "S2",
        "S1",
    ]
    assert said[:5] == [
        f"{tmp_path / 'r'}: STM, 3 utterances",
        f"{tmp_path / 'h'}: CTM, 3 utterances",
        f"{tmp_path / 'h'}: 1 words lie in no segment; each counts in the nearest",
        f"{tmp_path / 'h'}: 1 words lie in segments that say IGNORE_TIME_SEGMENT_IN_SCORING, and are left out",
        f"{tmp_path / 'h'}: 1 words are of recordings that have no segment, and are left out",
    ]


def test_words_outside_of_all_segments_are_not_ignored(tmp_path):
    """Nor where a segment that is not scored is nearer than those that are."""
    stm = write(tmp_path / "a.stm", "r 1 s 0.0 2.0 今天", f"r 1 s 4.0 6.0 {IGNORED}")
    said: list[str] = []
    ctm = write(tmp_path / "a.ctm", "r 1 0.5 0.5 今天", "r 1 5.0 0.5 嗯", "r 1 9.0 0.5 好")
    score = score_files(stm, ctm, say=said.append)
    assert score.errors == CharErrors(insertions=1, reference=2)
    assert f"{ctm}: 1 words lie in no segment; each counts in the nearest" in said
    assert f"{ctm}: 1 words lie in segments that say {IGNORED}, and are left out" in said


@pytest.mark.parametrize("name", ["x.wav 1", "x A"])
def test_a_ctm_of_other_recordings_is_refused(tmp_path, name):
    stm = write(tmp_path / "a.stm", "r 1 s 0.0 2.0 今天")
    recording, channel = name.split()
    told = f"a.ctm: has no recording of .*a.stm; its first is '{recording}' on channel '{channel}', there it is 'r' on"
    with pytest.raises(ManifestError, match=told):
        score_files(stm, write(tmp_path / "a.ctm", f"{name} 0.5 0.5 今天"))


@pytest.mark.parametrize("line", ["r 1 nan 0.5 好", "r 1 1.0 -0.5 好", "r 1 1.0", "r 1 * * <ALT>"])
def test_a_line_that_is_none_of_a_ctm_is_named(tmp_path, line):
    with pytest.raises(ManifestError, match=f"a.ctm: holds a line that is none of a CTM: '{re.escape(line)}'$"):
        read(tmp_path / "a.ctm", "r 1 0.5 0.5 今天", line)
    with pytest.raises(ManifestError, match="a.stm: holds a line that is none of a STM: 'r 1 s 2.0 1.0 好'$"):
        read(tmp_path / "a.stm", "r 1 s 0.0 2.0 今天", "r 1 s 2.0 1.0 好")


def test_recordings_are_compared_as_wholes_otherwise(tmp_path):
    stm = write(tmp_path / "stm", "r1 A S1 3.0 5.0 很好", "r1 A S2 0.0 3.0 今天天气", "r2 A S1 0.0 1.0 好")
    ctm = write(tmp_path / "ctm", "r2 1 0.5 0.2 号", "r1 1 0.5 0.2 今天", "r1 1 4.5 0.2 很好", "r1 1 2.5 0.2 天气")
    text = write(tmp_path / "text", "r2 号", "r1 今天天气很好")
    document = write(tmp_path / "r1.json", '{"text": "今天天汽很好", "segments": []}')
    assert score_files(stm, text).errors == score_files(text, stm).errors == CharErrors(1, 0, 0, 7)
    assert score_files(text, ctm).errors == CharErrors(0, 0, 0, 7)
    assert score_files(ctm, text).errors == CharErrors(0, 0, 0, 7)
    assert score_files(stm, document).missing == ("r2",)


def test_channels_of_a_recording_are_apart(tmp_path):
    stm = write(tmp_path / "ref", "call A S1 0.0 1.0 你好", "call B S2 0.5 1.5 再见", "talk 1 S3 0.0 1.0 好")
    ctm = write(tmp_path / "hyp", "call A 0.1 0.5 你好", "call B 0.6 0.5 在见", "talk 1 0.1 0.5 好")
    assert score_files(stm, ctm).errors == CharErrors(1, 0, 0, 5)
    text = write(tmp_path / "text", "call-A 你好", "call-B 再见", "talk 好")
    assert score_files(text, stm).errors.total == 0


@pytest.mark.parametrize(
    ("lines", "form"),
    [
        (("u1 1 3 5 8", "u2 2 4 6 8"), "plain"),  # digits that are read, no times
        (("r 1 0.0 0.3 5 0.9", "r 1 0.3 0.3 7 0.9"), "ctm"),
        (("r 1 7 0.0 0.3 好", "r 1 8 0.3 0.9 好"), "stm"),
        (("r 1 S 1.0 0.3 5 0.9", "u2 好"), None),
    ],
)
def test_numbers_alone_are_no_times(tmp_path, lines, form):
    found = read(tmp_path / "t", *lines).form
    assert found == form if form else found not in ("stm", "ctm")


def test_nemo(tmp_path):
    """A manifest holds what was said and what was recognised; its utterances are named by their audio."""
    lines = [
        {"audio_filepath": "/data/a.wav", "duration": 2.0, "text": "今天天气", "pred_text": "今天天汽"},
        {"audio_filepath": "/data/b.wav", "duration": 2.0, "offset": 1.5, "text": "你好", "pred_text": "你好"},
    ]
    manifest = write(tmp_path / "m.json", *map(json.dumps, lines))
    references, hypotheses = read_together([manifest, manifest])
    assert texts(references) == {"a": "今天天气", "b-1.5": "你好"} and hypotheses.lines["a"].text == "今天天汽"
    assert score_files(write(tmp_path / "ref", "b-1.5 你好", "a 今天天气"), manifest).errors == CharErrors(1, 0, 0, 6)


def test_names_that_recur_come_with_their_folder(tmp_path):
    lines = [{"audio_filepath": f"{speaker}/1.wav", "text": "好"} for speaker in ("S1", "S2")]
    assert list(read(tmp_path / "m", *map(json.dumps, lines)).lines) == ["S1/1", "S2/1"]


SEGMENTS = [
    {"id": 0, "start": 0.0, "end": 1.5, "text": "今天天气"},
    {"id": 1, "start": 1.5, "end": 3.0, "text": " 很好OK"},
]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize(
    "data",
    [
        {"text": "今天天气很好OK", "segments": SEGMENTS, "language": "zh"},
        {"segments": SEGMENTS, "word_segments": [], "language": "zh"},
        {"task": "transcribe", "language": "chinese", "duration": 3.0, "text": "今天天气很好OK", "segments": SEGMENTS},
        {"text": "今天天气很好OK", "chunks": [{"timestamp": [0.0, 3.0], "text": "今天天气很好OK"}]},
        {
            "systeminfo": "",
            "result": {"language": "zh"},
            "transcription": [{"offsets": {}, "text": s["text"]} for s in SEGMENTS],
        },
    ],
)
def test_whisper(tmp_path, data, indent):
    """Each file is a recording, by the file's name: as Whisper, WhisperX, OpenAI, transformers and whisper.cpp write it."""
    (tmp_path / "talk.wav.json").write_text(json.dumps(data, ensure_ascii=False, indent=indent), encoding="utf-8")
    found = read_together([tmp_path / "talk.wav.json"])[0]
    assert (found.form, list(found.lines)) == ("document", ["talk"])
    for reference in (("talk 今天天气很好OK", "other 好"), ("u1 今天天气很好OK",), ("今天天气，", "很好OK。")):
        score = score_files(write(tmp_path / "ref", *reference), tmp_path / "talk.wav.json")
        assert score.errors.substitutions == 0 and score.errors.insertions == 0
        assert score.errors.deletions == (1 if "other 好" in reference else 0)


SRT = "1\n00:00:00,000 --> 00:00:01,500\n<i>今天天气</i>\n\n2\n00:00:01,500 --> 00:00:03,000\n很好\nOK\n\n"
VTT = (
    "WEBVTT - 3\n\nNOTE nobody says this\n\nfirst\n00:00.000 --> 00:01.500 align:start\n<v 甲>今天<00:00:00.700>天气\n\n"
    "00:01.500 --> 00:03.000\n很好 OK\n"
)
LRC = "[ti:3]\n[00:00.00]今天<00:00.70>天气\n[00:01.50]很好 OK\n[00:03.00]\n"
ASS = (
    "[Script Info]\nScriptType: v4.00+\n\n[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect,"
    " Text\nDialogue: 0,0:00:00.00,0:00:01.50,Default,,0,0,0,,{\\k70}今天{\\k80}天气\n"
    "Dialogue: 0,0:00:01.50,0:00:03.00,Default,,0,0,0,,很好\\NOK\n"
)


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("suffix", "text"), [("srt", SRT), ("srt", "\ufeff" + SRT), ("vtt", VTT), ("lrc", LRC), ("ass", ASS)]
)
def test_subtitles_are_what_is_shown(tmp_path, suffix, text, ending):
    """Neither numbers nor times count; by itself a file is a recording of its name, as in a folder of them."""
    (tmp_path / "hyp").mkdir()
    path = tmp_path / "hyp" / f"talk.{suffix}"
    path.write_bytes(text.replace("\n", ending).encode())
    found = read_together([path])[0]
    assert (found.form, list(found.lines)) == ("subtitles", ["talk"])
    for hypothesis in (path, tmp_path / "hyp"):
        score = score_files(write(tmp_path / "ref", "talk 今天天气很好OK"), hypothesis)
        assert score.errors == CharErrors(0, 0, 0, 8)


def test_signs_of_subtitles(tmp_path):
    """WebVTT spells out its own signs, and a tag of a toolkit is no style."""
    cue = "00:00.000 --> 00:01.000\n"
    assert texts(read(tmp_path / "a", "WEBVTT", "", cue + "A&amp;B &lt;1 <unk>")) == {"a": "A&B <1 <unk>"}
    assert texts(read(tmp_path / "b", "1", cue.replace(".", ",") + "A&amp;B <b>好</b>")) == {"b": "A&amp;B 好"}


def test_no_subtitles(tmp_path):
    assert read(tmp_path / "a", "今天 --> 明天", "好").form == "plain"
    assert read(tmp_path / "b", "[00:01.00]今天", "好").form == "plain"
    with pytest.raises(
        ManifestError, match=r"/c: is a TextGrid of Praat, which is not read; give texts, JSON or subtitles$"
    ):
        read(tmp_path / "c", 'File type = "ooTextFile"', 'Object class = "TextGrid"', "", "0", "3")


@pytest.mark.parametrize("name", ["id", "utterance", "utt", "utt_id", "key", "Key"])
def test_names_of_the_id_in_tables(tmp_path, name):
    assert texts(read(tmp_path / "a.csv", f"{name},hyp", "u1,今天")) == {"u1": "今天"}
    assert texts(read(tmp_path / "a.tsv", f"{name}\ttext", "u1\t今天")) == {"u1": "今天"}


def test_a_json_list(tmp_path):
    records = [{"key": "u1", "text": "今天", "timestamp": [[0, 100]]}, {"key": "u2", "text": "明天"}]
    path = tmp_path / "out.json"
    path.write_text(json.dumps(records, indent=1), encoding="utf-8")
    assert texts(read_together([path])[0]) == {"u1": "今天", "u2": "明天"}
    path.write_text('[\n{"key": "u1"}\n]')
    with pytest.raises(ManifestError, match=r"out\.json: item 1: must be a JSON object with id and text"):
        read_together([path])
    assert read(tmp_path / "t", "[NOISE] 你好", "再见").form == "plain"


def test_the_json_of_asr_transcribe(tmp_path):
    line = {"text": "今天", "segments": [{"start": 0.0, "text": "今天"}], "audio": "calls/a.m4a", "duration": 1.0}
    assert texts(read(tmp_path / "x.json", json.dumps(line))) == {"a": "今天"}


def test_kaldi_speakers(tmp_path):
    reference = write(tmp_path / "text", *(f"u{n:02} 你好" for n in range(20)))
    speakers = write(tmp_path / "utt2spk", *(f"u{n:02} S{n // 2}" for n in range(20)))
    hypothesis = write(tmp_path / "hyp", *(f"u{n:02} 你{'号' if n < 3 else '好'}" for n in range(20)))
    score = score_files(reference, hypothesis, utt2spk=speakers)
    assert (score.interval.over, score.interval.n) == ("speakers", 10)
    assert score_files(reference, hypothesis).interval.over == "utterances"
    said: list[str] = []
    score_files(reference, hypothesis, utt2spk=write(tmp_path / "few", "u00 S0"), say=said.append)
    assert f"{tmp_path / 'few'}: has no speaker for 19 of 20 ids" in said
    with pytest.raises(ManifestError, match=r"/none: has no id of .*/text; its first is 'x'"):
        score_files(reference, hypothesis, utt2spk=write(tmp_path / "none", "x S0"))


def test_a_byte_order_mark_may_begin_any_line(tmp_path):
    """As `cat` joins files that begin with one each."""
    joined = "\ufeffu1 今天\r\nu2 你好\n\ufeffu3 语音识别\n"
    (tmp_path / "ref").write_text(joined, encoding="utf-8")
    assert read_lines(tmp_path / "ref") == ["u1 今天", "u2 你好", "u3 语音识别"]
    score = score_files(tmp_path / "ref", write(tmp_path / "hyp", "u1 今天", "u2 你好", "u3 语音识别"))
    assert score.errors.total == 0 and not score.missing and not score.extra
