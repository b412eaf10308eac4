"""When each character of a known text is said."""

import io
import re
import sys

import numpy as np
import pytest
import soundfile

import asr
from asr.audio.reading import SAMPLE_RATE, read_samples
from asr.catalogue.opening import open_model
from asr.errors import AsrError
from asr.text.tokenizer import CharacterTokenizer, TokenTable
from asr.text.units import units, with_all_between
from asr.transcription.aligning import Aligner, read_line, segments_of
from tests.conftest import ROOT
from tests.sounds import noise
from tests.test_times import CLIPS, check_invariants


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("你好", ["你", "好"]),
        ("用APP 2.0，好！", ["用", "APP", "2.0，", "好！"]),
        ("It's 3,000 or 10:30.", ["It's", "3,000", "or", "10:30."]),
        ("“引号”（括号）", ["引", "号”（", "括", "号）"]),
        ("a,b", ["a,", "b"]),
        ("。，", []),
        ("", []),
    ],
)
def test_units_of_a_text(text, found):
    assert [unit.text + unit.mark for unit in units(text)] == found
    assert all(text[unit.first : unit.end] == unit.text for unit in units(text))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("他说 “今天”，看《书》", ["他", "说", "“今", "天”，", "看", "《书》"]),
        ("——（好）", ["——（好）"]),
        ('"Hi" (you) & me', ['"Hi"', "(you) &", "me"]),
        (' 好 "今天" ', ["好", '"今', '天"']),
        ("1 - 2 《", ["1 -", "2《"]),
        ("甲 \"“乙'“丙", ["甲", "\"“乙'", "“丙"]),
        ("甲" + 20000 * "(" + ".乙", ["甲" + 20000 * "(" + ".", "乙"]),
        ("…", []),
    ],
)
def test_nothing_around_units_is_lost(text, found):
    kept = [unit for unit in units(text) if any(c.isalnum() for c in unit.text)]  # & and - are units, too
    assert [unit.text + unit.mark for unit in with_all_between(text, kept)] == found


@pytest.fixture(scope="module")
def embedded():
    return open_model("", "cpu")


def clips_with_pauses(names, pause=0.7):
    """Samples of the clips one after the other, their text, and where each begins and ends."""
    parts, bounds, at = [], [], 0.0
    for name in names:
        samples = read_samples(ROOT / f"data/sample/{name}.flac")
        parts += [samples, noise(pause, level=1e-4)]
        bounds.append((at, at + len(samples) / SAMPLE_RATE))
        at += len(samples) / SAMPLE_RATE + pause
    return np.concatenate(parts), [CLIPS[name] for name in names], bounds


def test_lines_are_found_where_they_are_said(embedded):
    """But for a few tokens: this decoder hardly expects that another sentence follows."""
    samples, lines, bounds = clips_with_pauses(["weather", "beijing", "recognition"])
    transcript = Aligner(embedded).align((samples, SAMPLE_RATE), "\n".join(lines))
    assert [segment.text for segment in transcript.segments] == lines
    check_invariants(transcript)
    inside = [
        start - 0.3 <= token.start and token.end <= end + 0.3
        for segment, (start, end) in zip(transcript.segments, bounds, strict=True)
        for token in segment.tokens
    ]
    assert np.mean(inside) >= 0.85
    assert transcript.settings == {"aligned_by": "attention"}


def test_a_recording_of_several_pieces(embedded):
    """Two minutes, the same three sentences over and over: what is written for each piece says what of the text is in it."""
    samples, lines, bounds = clips_with_pauses(["weather", "beijing", "recognition"] * 12)
    assert len(samples) > 100 * SAMPLE_RATE
    transcript = Aligner(embedded).align((samples, SAMPLE_RATE), "\n".join(lines))
    check_invariants(transcript)
    found = [(segment.start + segment.end) / 2 for segment in transcript.segments]
    truth = [(start + end) / 2 for start, end in bounds]
    assert max(abs(a - b) for a, b in zip(found, truth, strict=True)) < 2  # clips are 3 s apart


def test_punctuation_stays_and_costs_nothing(embedded):
    path = ROOT / "data/sample/weather.flac"
    plain, marked = (asr.align(path, text).segments for text in ("今天天气很好", "“今天天气，很好！”"))
    assert marked[0].text == "“今天天气，很好！”"
    assert [(t.start, t.end) for t in marked[0].tokens] == [(t.start, t.end) for t in plain[0].tokens]


def test_the_right_text_is_more_likely_than_another(embedded):
    aligner, path = Aligner(embedded), ROOT / "data/sample/weather.flac"
    right, wrong = (aligner.align(path, text).segments[0].score for text in ("今天天气很好", "她在北京上学"))
    assert right > wrong + 1


def test_what_the_model_cannot_write():
    tokenizer = CharacterTokenizer(TokenTable(["<blank>", "<unk>", "<sos>", "<eos>", *"今天是二零四年月五号十个"]))
    line = read_line("今天是2024年5月5号，10个龘", tokenizer)
    ids = [tokenizer.decode(word) for word in line.ids]
    assert ids == ["今", "天", "是", "二零二四", "年", "五", "月", "五", "号", "十", "个", ""]
    assert line.unknown == ("龘",) and line.units[3].text == "2024"


def test_what_is_counted_is_not_taken_for_a_part_of_the_number():
    tokenizer = CharacterTokenizer(TokenTable(["<blank>", "<unk>", "<sos>", "<eos>", *"买三二两肉"]))
    assert [tokenizer.decode(word) for word in read_line("买3两肉", tokenizer).ids] == ["买", "三", "两", "肉"]


def test_a_rare_character_is_spelled_in_bytes(embedded):
    (segment,) = Aligner(embedded).align(ROOT / "data/sample/recognition.flac", "语音识别龘").segments
    assert segment.warnings == () and [token.text for token in segment.tokens] == list("语音识别龘")


def test_a_text_that_is_not_said_is_told(embedded):
    right, wrong = "今天天气很好", "她在北京上学"
    samples, aligner = read_samples(ROOT / "data/sample/weather.flac"), Aligner(embedded)
    assert aligner.align((samples, SAMPLE_RATE), right).warnings == ()
    (warning,) = aligner.align((samples, SAMPLE_RATE), wrong).warnings
    assert re.fullmatch(
        r"the model hears hardly anything of the text \(mean confidence 0\.0\d+\): is it the right one\?"
        " The times are worth nothing if it is not",
        warning,
    )
    *_, line = aligner.align((np.concatenate([samples, samples]), SAMPLE_RATE), f"{right}\n{wrong}").segments
    assert line.warnings == ("the model hears hardly anything of this line there: is it said at all?",)


def test_more_text_than_anybody_says_is_told(embedded):
    first, *_ = Aligner(embedded).align(ROOT / "data/sample/recognition.flac", "语音识别" * 8).warnings
    assert first == "32 characters in 2.5 s of sound are more than anybody says: is the text the right one?"


def test_a_line_that_nobody_says_so_fast_is_told(embedded):
    """What is said once, and stands in the text twice: the second time has to be in what is left of the recording."""
    lines = [read_line("今天天气很好我们出去走走吧", embedded.tokenizer)] * 2
    ends = np.concatenate([np.linspace(0.3, 3.0, 13), np.linspace(3.05, 3.5, 13)])
    times = [(end - 0.03, end) for end in ends.tolist()]
    first, second = segments_of(lines, times, [-0.1] * 26, -3.5)
    assert first.warnings == ()
    assert second.warnings == ("nobody says this line as fast as that: is it said at all, and once only?",)


def test_text_that_cannot_be_there(embedded):
    aligner, path = Aligner(embedded), ROOT / "data/sample/recognition.flac"
    with pytest.raises(
        AsrError, match=r"recognition.flac: 2.5 s cannot hold the \d+ tokens of the text: is it the right"
    ):
        aligner.align(path, "识别" * 90)
    with pytest.raises(AsrError, match="the text to align holds no word"):
        aligner.align(path, "。\n\n")
    with pytest.raises(AsrError, match="array: is silent: there is nothing to align the text with"):
        aligner.align((np.zeros(0, np.float32), SAMPLE_RATE), "今天")


def test_the_command(run, tmp_path):
    clip = ROOT / "data/sample/weather.flac"
    (tmp_path / "text.txt").write_text("今天天气，\n很好。\n", encoding="utf-8")
    status, out, err = run("align", clip, tmp_path / "text.txt")
    assert status == 0 and err == ""
    assert [line.split("\t")[4] for line in out.splitlines()] == ["text", "今", "天", "天", "气，", "很", "好。"]
    status, out, err = run("align", clip, "今天天气很好", "--format", "srt", "--by", "attention")
    assert status == 0 and out.startswith("1\n00:00:0") and "今天天气很好" in out
    status, out, err = run("align", clip, tmp_path / "text.txt", "--out", tmp_path / "a.TextGrid")
    assert status == 0 and out == "" and 'text = "很好。"' in (tmp_path / "a.TextGrid").read_text(encoding="utf-8")
    status, out, err = run("align", clip, tmp_path / "text.txt", "--out", tmp_path / "a.TextGrid")
    assert status == 1 and "is there already" in err


def test_the_command_reads_stdin(run, monkeypatch):
    clip = ROOT / "data/sample/weather.flac"
    expected = run("align", clip, "今天天气很好")
    for data in (clip.read_bytes(), b""):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        found = run("align", "-", "今天天气很好")
        assert found == (expected if data else (1, "", "asr: stdin: the file is empty (0 bytes)\n"))


def test_the_command_warns_of_another_text(run):
    status, out, err = run("align", ROOT / "data/sample/weather.flac", "她在北京上学")
    assert status == 0 and len(out.splitlines()) == 7
    assert "weather.flac: warning: the model hears hardly anything of the text" in err and err.count("warning") == 1


def test_the_command_reads_a_damaged_recording_as_far_as_it_goes(run, tmp_path):
    samples, rate = soundfile.read(ROOT / "data/sample/weather.flac", dtype="int16")
    for name, why in (("a.wav", "is cut off: it ends in the middle"), ("a.flac", "damaged ")):
        path = tmp_path / name
        soundfile.write(path, np.concatenate([samples, samples]), rate)
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
        status, out, err = run("align", path, "今天天气很好")
        assert status == 0 and len(out.splitlines()) == 7
        assert f"{path}: warning: {why}" in err


def test_damage_does_not_hide_that_a_line_is_not_said(run, tmp_path):
    samples, rate = soundfile.read(ROOT / "data/sample/weather.flac", dtype="int16")
    path, text = tmp_path / "a.wav", tmp_path / "text.txt"
    soundfile.write(path, np.concatenate(4 * [samples]), rate)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 15 // 16])
    text.write_text("今天天气很好\n今天天气很好\n她在北京上学\n", encoding="utf-8")
    status, _, err = run("align", path, text)
    assert status == 0 and "warning: is cut off" in err and "hardly anything of this line there" in err


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("x.wav", "missing.txt"), 1, "asr: missing.txt: no such text file"),
        (("missing.wav", "今天"), 1, "missing.wav"),
        (("x.wav", ""), 2, "Invalid value for TEXT: is empty"),
        (("x.wav", "今天", "--by", "magic"), 2, "'magic' is not one of auto, ctc, attention"),
        (
            ("x.wav", "今天", "--format", "srt", "--words"),
            2,
            "characters have times of their own in vtt, lrc, ass, tsv",
        ),
    ],
)
def test_wrong_usage(run, arguments, status, message):
    found, out, err = run("align", *arguments)
    assert found == status and message in " ".join(err.split()) and out == ""
