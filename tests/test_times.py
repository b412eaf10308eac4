"""Times and confidences of transcripts, and known text aligned with recordings."""

import io
import json
import math
import re
import sys

import numpy as np
import pytest
import soundfile

import asr
from asr.audio.reading import SAMPLE_RATE, read_samples
from asr.decoding.recognizer import Recognized
from asr.decoding.search import Hypothesis
from asr.decoding.settings import DecodeConfig
from asr.errors import AsrError
from asr.model.folder import save_model
from asr.text.tokenizer import CharacterTokenizer, TokenTable
from asr.text.units import units
from asr.transcript import Transcript
from asr.transcription.aligning import LONGEST_ATTENTION, Aligner, read_line
from asr.transcription.models import open_model
from asr.transcription.tokens import transcript_tokens
from asr.transcription.transcriber import load
from tests.conftest import ROOT, random_model
from tests.sounds import noise, speech

CLIPS = {"beijing": "她在北京上大学", "recognition": "语音识别", "weather": "今天天气很好"}
"""Samples of data/sample and what is said in them."""


def check_invariants(transcript: Transcript) -> int:
    """Tokens are in order, inside their segments, none without a span; together they are the text. Returns how many."""
    n = 0
    for segment in transcript.segments:
        times = [t for token in segment.tokens for t in (token.start, token.end)]
        assert times == sorted(times) and all(segment.start <= t <= segment.end for t in times)
        assert all(token.start < token.end for token in segment.tokens)
        assert all(0 <= token.confidence <= 1 for token in segment.tokens)
        sources = [place for token in segment.tokens for place in token.source]
        assert sources == sorted(sources)
        assert segment.text == segment.raw
        n += len(segment.tokens)
    return n


@pytest.fixture(scope="module", params=["ctc", "attention"])
def tiny(request, tmp_path_factory):
    """A random model with a CTC head and one without."""
    from asr.corpus.toy import CHARACTERS

    folder = tmp_path_factory.mktemp(request.param) / "tiny"
    table = TokenTable(["<blank>", "<unk>", "<sos>", "<eos>", *CHARACTERS])
    save_model(folder, random_model(subsampling=6, ctc=request.param == "ctc"), table)
    return folder


@pytest.mark.parametrize("ctc_weight", [0.0, 0.5])
def test_every_token_has_its_place(tiny, ctc_weight):
    transcriber = load(tiny, "cpu", DecodeConfig(beam=2, ctc_weight=ctc_weight))
    lengths = (0.3, 1.0, 40.0)
    found = [check_invariants(transcriber.transcribe((speech(s, seed=i), SAMPLE_RATE))) for i, s in enumerate(lengths)]
    assert sum(found) > 20


def test_times_do_not_depend_on_what_is_decoded_together(tiny):
    transcriber = load(tiny, "cpu", DecodeConfig(beam=2))
    alone = transcriber.recognizer.recognize([noise(3.0)], timed=True)[0][0]
    among = transcriber.recognizer.recognize([noise(2.0, seed=5), noise(3.0), noise(5.0, seed=6)], timed=True)[1][0]
    assert alone.spans == among.spans and len(alone.spans) == len(alone.hypothesis.tokens) > 0


def test_times_go_on_where_audio_was_decoded_in_pieces(tiny):
    """A hypothesis that loops is decoded again in halves; times of the second half come after the cut."""
    transcriber = load(tiny, "cpu", DecodeConfig(beam=1, max_chars_per_second=30, stop_loops=False))
    result = transcriber.recognizer.recognize([noise(6.0)], timed=True)[0][0]
    assert any("decoded again in pieces" in warning for warning in result.hypothesis.warnings)
    assert len(result.spans) == len(result.hypothesis.tokens)
    flat = [t for span in result.spans for t in span]
    assert flat == sorted(flat) and flat[-1] <= 6.0


def test_times_are_computed_where_they_are_asked_for():
    table = TokenTable(["<blank>", "<unk>", "<sos>", "<eos>", *"一二三四五六七八九十百千万亿零甲乙丙丁戊"])
    from asr.decoding.recognizer import Recognizer

    recognizer = Recognizer(random_model(), CharacterTokenizer(table), DecodeConfig(beam=1))
    assert recognizer.recognize([noise(2.0)])[0][0].spans == ()


class Pieces:
    """A tokenizer of pieces, as far as a transcript needs it."""

    texts = [" HELLO", " WOR", "LD", "你", "", "好", "，", " 3", ".5", "米"]

    def pieces(self, ids):
        return [self.texts[i] for i in ids]


def recognized(ids, log_probs=None) -> Recognized:
    log_probs = log_probs or [math.log(0.5)] * len(ids)
    spans = tuple((i / 10, i / 10 + 0.1) for i in range(len(ids)))
    return Recognized("", Hypothesis(tuple(ids), 0.0, tuple(log_probs)), spans=spans)


def test_pieces_become_words():
    log_probs = [math.log(p) for p in (0.9, 0.4, 0.9, 0.8, 0.1, 0.7, 0.6, 0.5, 0.5, 0.5)]
    tokens = transcript_tokens(recognized(range(10), log_probs), Pieces(), 2.0, 60.0)
    assert [(t.text, t.start, t.end, t.source, t.mark) for t in tokens] == [
        ("HELLO", 2.0, 2.1, (0, 0), ""),
        ("WORLD", 2.1, 2.3, (1, 2), ""),
        ("你", 2.3, 2.4, (3, 3), ""),
        ("好", 2.5, 2.6, (5, 5), "，"),
        ("3.5", 2.7, 2.9, (7, 8), ""),
        ("米", 2.9, 3.0, (9, 9), ""),
    ]
    assert [t.confidence for t in tokens[:3]] == [0.9, 0.6, 0.8]  # 0.6 is the geometric mean of 0.4 and 0.9


def test_characters_of_one_piece_share_its_time(monkeypatch):
    monkeypatch.setattr(Pieces, "texts", ["▁今天", "天气好"])
    monkeypatch.setattr(Pieces, "pieces", lambda self, ids: [self.texts[i].replace("▁", " ") for i in ids])
    tokens = transcript_tokens(recognized([0, 1]), Pieces(), 1.0, 60.0)
    assert [(t.text, t.start, t.end, t.source) for t in tokens] == [
        ("今", 1.0, 1.05, (0, 0)),
        ("天", 1.05, 1.1, (0, 0)),
        ("天", 1.1, 1.133, (1, 1)),
        ("气", 1.133, 1.167, (1, 1)),
        ("好", 1.167, 1.2, (1, 1)),
    ]


def test_times_are_rounded_but_stay_inside():
    (token,) = transcript_tokens(recognized([3]), Pieces(), 0.0004, 0.0996)
    assert (token.start, token.end) == (0.0, 0.0996)


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


@pytest.mark.parametrize(("by", "share"), [("ctc", 1.0), ("attention", 0.85)])
def test_lines_are_found_where_they_are_said(embedded, by, share):
    """Attention loses two of the 17 tokens: this decoder does not expect that another sentence follows."""
    samples, lines, bounds = clips_with_pauses(["weather", "beijing", "recognition"])
    transcript = Aligner(embedded, by).align((samples, SAMPLE_RATE), "\n".join(lines))
    assert [segment.text for segment in transcript.segments] == lines
    check_invariants(transcript)
    inside = [
        start - 0.3 <= token.start and token.end <= end + 0.3
        for segment, (start, end) in zip(transcript.segments, bounds, strict=True)
        for token in segment.tokens
    ]
    assert np.mean(inside) >= share
    assert transcript.settings == {"aligned_by": by}


def test_a_recording_of_several_pieces(embedded):
    """Two minutes: cut, encoded in pieces, aligned as a whole."""
    samples, lines, bounds = clips_with_pauses(["weather", "beijing", "recognition"] * 12)
    assert len(samples) > 100 * SAMPLE_RATE
    transcript = Aligner(embedded).align((samples, SAMPLE_RATE), "\n".join(lines))
    check_invariants(transcript)
    inside = [
        start - 0.35 <= segment.start and segment.end <= end + 0.35
        for segment, (start, end) in zip(transcript.segments, bounds, strict=True)
    ]
    assert all(inside)


def test_punctuation_stays_and_costs_nothing(embedded):
    path = ROOT / "data/sample/weather.flac"
    plain, marked = (asr.align(path, text).segments for text in ("今天天气很好", "“今天天气，很好！”"))
    assert marked[0].text == "今天天气，很好！”"
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


def test_unknown_characters_are_told(embedded):
    (segment,) = Aligner(embedded).align(ROOT / "data/sample/recognition.flac", "语音识别龘").segments
    assert segment.warnings == ("not known to the model, times are guesses: 龘",) and len(segment.tokens) == 5


@pytest.mark.parametrize("by", ["ctc", "attention"])
def test_a_text_that_is_not_said_is_told(embedded, by):
    right, wrong = "今天天气很好", "她在北京上学"
    samples, aligner = read_samples(ROOT / "data/sample/weather.flac"), Aligner(embedded, by)
    assert aligner.align((samples, SAMPLE_RATE), right).warnings == ()
    (warning,) = aligner.align((samples, SAMPLE_RATE), wrong).warnings
    assert re.fullmatch(
        r"the model hears hardly anything of the text \(mean confidence 0\.000\d\d\): is it the right one\?"
        " The times are worth nothing if it is not",
        warning,
    )
    *_, line = aligner.align((np.concatenate([samples, samples]), SAMPLE_RATE), f"{right}\n{wrong}").segments
    assert line.warnings == ("the model hears hardly anything of this line there: is it said at all?",)


def test_more_text_than_anybody_says_is_told(embedded):
    first, *_ = Aligner(embedded).align(ROOT / "data/sample/recognition.flac", "语音识别" * 5).warnings
    assert first == "20 characters in 1.9 s of sound are more than anybody says: is the text the right one?"


def test_text_that_cannot_be_there(embedded):
    aligner, path = Aligner(embedded), ROOT / "data/sample/recognition.flac"
    with pytest.raises(
        AsrError, match=r"recognition.flac: 1.9 s cannot hold the 60 tokens of the text: is it the right"
    ):
        aligner.align(path, "今天" * 30)
    with pytest.raises(AsrError, match="the text to align holds no word"):
        aligner.align(path, "。\n\n")
    with pytest.raises(AsrError, match="array: is silent: there is nothing to align the text with"):
        aligner.align((np.zeros(0, np.float32), SAMPLE_RATE), "今天")


def test_attention_has_its_limit(tiny, embedded):
    aligner = Aligner(embedded, "attention")
    with pytest.raises(
        AsrError, match=r"embedded: without a CTC head at most 30 s can be aligned, the recording has 31.0 s"
    ):
        aligner.align((noise(LONGEST_ATTENTION + 1), SAMPLE_RATE), "今天")
    if "attention" in str(tiny):
        with pytest.raises(AsrError, match="tiny: has no CTC head to align by; its attention can"):
            Aligner(open_model(tiny), "ctc")


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
        (("x.wav", "今天", "--format", "srt", "--words"), 2, "words have times of their own in vtt and tsv"),
    ],
)
def test_wrong_usage(run, arguments, status, message):
    found, out, err = run("align", *arguments)
    assert found == status and message in " ".join(err.split()) and out == ""


def test_transcribe_in_every_format(run, tmp_path):
    clip = ROOT / "data/sample/weather.flac"
    for format, end in (
        ("srt", "srt"),
        ("vtt", "vtt"),
        ("tsv", "tsv"),
        ("textgrid", "TextGrid"),
        ("manifest", "jsonl"),
    ):
        status, _, err = run("transcribe", clip, "--format", format, "--out", tmp_path, "--punctuate")
        assert status == 0 and (tmp_path / f"weather.{end}").stat().st_size > 50, err
    assert "今天天气很好。" in (tmp_path / "weather.srt").read_text(encoding="utf-8")
    assert '今天天气很好"' in (tmp_path / "weather.jsonl").read_text(encoding="utf-8")  # raw: without punctuation
    for format in ("srt", "vtt", "tsv", "textgrid"):
        assert run("transcribe", clip, ROOT / "data/sample/beijing.flac", "--format", format) == (
            2,
            "",
            f"asr: 2 recordings cannot be printed as one {format} document; give them a folder with --out\n",
        )
    status, out, _ = run("transcribe", clip, clip, "--format", "json")
    assert status == 0 and [json.loads(line)["text"] for line in out.splitlines()] == 2 * ["今天天气很好"]
    status, out, _ = run("transcribe", clip, "--format", "vtt", "--words", "--script", "traditional")
    assert status == 0 and ">氣<" in out
