"""Every format, read back by readers that are not ours: FFmpeg for subtitles, textgrid for Praat, json, csv, our manifests."""

import csv
import dataclasses
import io
import json
import os

import av
import pytest

import asr
from asr.corpus.manifest import read_manifest
from asr.errors import AsrError, ConfigError
from asr.outputs.cues import cues
from asr.outputs.style import Style
from asr.outputs.textgrid import covering
from asr.outputs.writers import WRITERS, write
from asr.transcript import Segment, Transcript, TranscriptToken
from tests.transcripts import needs_jieba, speech, spoken, transcript


def written(format: str, what: Transcript, **style) -> str:
    file = io.StringIO()
    WRITERS[format].write(what, file, Style(**style))
    return file.getvalue()


def read_by_ffmpeg(path) -> list[tuple[float, float, str]]:
    """Start, end and text of each subtitle."""
    found = []
    with av.open(str(path)) as container:
        stream = container.streams.subtitles[0]
        for packet in container.demux(stream):
            if packet.size:
                start = float(packet.pts * packet.time_base)
                text = bytes(packet).decode("utf-8").replace("\r", "")
                found.append((start, start + float(packet.duration * packet.time_base), text))
    return found


THREE = transcript(
    spoken("今天我们来看一看这个东西到底是怎么一回事", 0.5, pauses={10: 0.6}),
    spoken("用APP STORE下载，然后打开。", 6.0),
    duration=12.0,
)


@pytest.mark.parametrize("format", ["srt", "vtt"])
def test_subtitles_are_read_by_ffmpeg(tmp_path, format):
    write(THREE, tmp_path / f"a.{format}")
    found = read_by_ffmpeg(tmp_path / f"a.{format}")
    assert [text for _, _, text in found] == [
        "今天我们来看一看这个",
        "东西到底是怎么一回事",
        "用APP STORE下载，\n然后打开",
    ]
    assert [(start, end) for start, end, _ in found] == [
        (pytest.approx(a), pytest.approx(b)) for a, b in ((0.5, 2.5), (3.1, 5.1), (6.0, 8.0))
    ]


def test_subrip_as_text():
    assert written("srt", transcript(spoken("你好", 3661.5), duration=3700.0)) == (
        "1\n01:01:01,500 --> 01:01:02,500\n你好\n\n"
    )


def test_karaoke_has_the_time_of_each_token():
    text = written("vtt", transcript(spoken("你好HELLO WORLD吗", 1.0), duration=9.0), words=True)
    assert text == (
        "WEBVTT\n\n00:00:01.000 --> 00:00:02.556\n"
        "你<00:00:01.200>好<00:00:01.400>HELLO <00:00:01.600>WORLD<00:00:01.800>吗\n"
    )


def test_karaoke_is_read_by_ffmpeg(tmp_path):
    write(transcript(spoken("你好A&B", 1.0), duration=9.0), tmp_path / "a.vtt", style=Style(words=True))
    ((start, _, text),) = read_by_ffmpeg(tmp_path / "a.vtt")
    assert start == 1.0 and "<00:00:01.400>A&amp;B" in text


def test_lyrics_as_text():
    what = transcript(spoken("你好，世界。", 1.5, pauses={2: 5.0}), spoken("再见", 3661.0), duration=3700.0)
    assert (
        written("lrc", what) == "[00:01.50]你好\n[00:02.50]\n[00:06.90]世界\n[00:07.90]\n[61:01.00]再见\n[61:02.00]\n"
    )
    assert written("lrc", transcript(spoken("你好HELLO吗", 1.0), duration=9.0), words=True) == (
        "[00:01.00]你<00:01.20>好<00:01.40>HELLO<00:01.60>吗\n[00:02.00]\n"
    )


def test_substation_as_text():
    lines = written("ass", transcript(spoken("你{好}\\", 3661.5), duration=3700.0)).splitlines()
    assert lines[0] == "[Script Info]" and "[V4+ Styles]" in lines
    assert lines[-1] == "Dialogue: 0,1:01:01.50,1:01:02.50,Default,,0,0,0,,你｛好｝ ＼"
    (line,) = (
        x for x in written("ass", transcript(spoken("你好吗", 1.0), duration=9.0), words=True).splitlines() if "你" in x
    )
    assert line == "Dialogue: 0,0:00:01.00,0:00:02.00,Default,,0,0,0,,{\\k20}你{\\k20}好{\\k60}吗"


@pytest.mark.parametrize(("format", "codec"), [("ass", "ssa"), ("lrc", "text")])
def test_lyrics_and_substation_are_read_by_ffmpeg(tmp_path, format, codec):
    write(THREE, tmp_path / f"a.{format}")
    with av.open(str(tmp_path / f"a.{format}")) as container:
        stream = container.streams.subtitles[0]
        assert stream.codec_context.name == codec
        packets = [(p.pts, bytes(p).decode()) for p in container.demux(stream) if p.size]
        starts = [float(pts * stream.time_base) for pts, _ in packets]
    texts = [text.rpartition(",,")[2].replace("\\N", "").strip() for _, text in packets]
    said = dict(zip(starts, texts, strict=True))
    assert said[0.5] == "今天我们来看一看这个" and said[3.1] == "东西到底是怎么一回事"


def test_channels_are_told_apart(tmp_path):
    both = transcript(spoken("你好", 0.0, channel=0), spoken("喂", 0.2, channel=1), duration=5.0)
    assert written("txt", both) == "0: 你好\n1: 喂\n"
    assert [cue.label for cue in cues(both, Style())] == ["0: ", "1: "]
    assert "\n0: 你好\n" in written("srt", both) and "\n<v 1>喂\n" in written("vtt", both)
    assert '"tokens 1"' in written("textgrid", both)
    assert written("tsv", both).splitlines()[2].split("\t")[2] == "1"
    write(both, tmp_path / "a.srt")
    assert len(read_by_ffmpeg(tmp_path / "a.srt")) == 2


def test_json_holds_everything_and_no_clock():
    data = json.loads(written("json", THREE))
    assert data["text"] == THREE.text and data["model"] == "m" and data["settings"] == {"beam": 4}
    assert data["segments"][1]["text"] == "用APP STORE下载，然后打开。" == data["segments"][1]["raw"]
    assert data["segments"][0]["confidence"] == 0.9 and data["segments"][0]["score"] == -0.5
    names = {field.name for field in dataclasses.fields(TranscriptToken)} - {"speaker"}  # which was not asked
    assert set(data["segments"][1]["tokens"][1]) == names
    tokens = tuple(TranscriptToken(**t | {"source": tuple(t["source"])}) for t in data["segments"][1]["tokens"])
    assert tokens == THREE.segments[1].tokens
    assert written("json", THREE) == written("json", THREE)


@pytest.mark.parametrize("format", ["json", "manifest"])
def test_names_of_files_that_are_no_utf8(tmp_path, format):
    path = os.path.join(tmp_path, os.fsdecode("音.wav".encode("gbk")))
    open(path, "w").close()
    line = written(format, dataclasses.replace(THREE, audio=path)).splitlines()[0]
    assert json.loads(line)["audio"].endswith("/\\xd2\\xf4.wav") and line.encode()


def test_tsv_of_segments_and_of_tokens():
    rows = list(csv.DictReader(io.StringIO(written("tsv", THREE)), delimiter="\t"))
    assert [row["text"] for row in rows] == [s.text for s in THREE.segments]
    assert (rows[1]["start"], rows[1]["end"], rows[1]["confidence"]) == ("6.000", "7.800", "0.9000")
    rows = list(csv.DictReader(io.StringIO(written("tsv", THREE, words=True)), delimiter="\t"))
    assert len(rows) == 29 and rows[21]["text"] == "APP" and rows[24]["text"] == "载，"


@needs_jieba
def test_words_have_times_beside_those_of_characters():
    what = transcript(spoken("他们刚刚公布了，HELLO WORLD", 1.0), duration=5.0)
    texts, ends = ["他们", "刚刚", "公布", "了", "HELLO", "WORLD"], [1.0, 1.4, 1.8, 2.2, 2.4, 2.6, 2.8]
    words = list(zip(texts, ends, ends[1:], strict=False))
    (segment,) = json.loads(written("json", what, word_times=True))["segments"]
    assert [(w["text"], w["start"], w["end"]) for w in segment["words"]] == words and len(segment["tokens"]) == 9
    assert "words" not in json.loads(written("json", what))["segments"][0]
    rows = list(csv.DictReader(io.StringIO(written("tsv", what, word_times=True)), delimiter="\t"))
    assert [row["text"] for row in rows] == ["他们", "刚刚", "公布", "了，", "HELLO", "WORLD"]
    assert [(float(row["start"]), float(row["end"])) for row in rows] == [(start, end) for _, start, end in words]
    grid = written("textgrid", what, word_times=True)
    assert 'name = "words"' in grid and 'text = "公布"' in grid and 'text = "公"' in grid
    assert "他们<00:00:01.400>刚刚<00:00:01.800>公布" in written("vtt", what, word_times=True)
    assert "他们<00:01.40>刚刚<00:01.80>公布" in written("lrc", what, word_times=True)
    assert "{\\k40}他们{\\k40}刚刚{\\k40}公布" in written("ass", what, word_times=True)


def test_text_by_segment_and_by_paragraph():
    what = transcript(
        spoken("早上好。", 0.0), spoken("今天", 1.0), Segment(2.0, 3.0), spoken("再见", 9.0), duration=10.0
    )
    assert written("txt", what) == "早上好。今天再见\n"
    assert written("txt", what, txt_lines="segment") == "早上好。\n今天\n再见\n"
    assert written("txt", what, txt_lines="paragraph") == "早上好。今天\n再见\n"
    both = transcript(spoken("喂", 0.0, channel=0), spoken("在", 3.0, channel=0), spoken("谁", 1.0, channel=1))
    assert written("txt", both, txt_lines="segment") == "0: 喂\n1: 谁\n0: 在\n"  # as a dialogue, in order of time


def test_paragraphs_end_where_sentences_do():
    what = transcript(spoken("早上好，"), spoken("今天", 5.0), spoken("再见。", 6.0), spoken("好", 9.0))
    assert written("txt", what, txt_lines="paragraph") == "早上好，今天再见。\n好\n"
    long = "今天天气很好。" * 40
    what = transcript(spoken(long, each=0.01), spoken("再见，", 3.0), spoken("我走了。", 3.7))
    assert written("txt", what, txt_lines="paragraph") == f"{long}\n再见，我走了。\n"


def test_intervals_touch_where_something_takes_no_time():
    assert list(covering([(1.0, 1.0, "北"), (2.0, 2.0, "京"), (2.0, 3.0, "好")], 4.0)) == [
        *((0.0, 1.0, ""), (1.0, 2.0, ""), (2.0, 3.0, "好"), (3.0, 4.0, "")),
    ]


def test_textgrid_is_read_by_a_library_for_them(tmp_path):
    textgrid = pytest.importorskip("textgrid")
    what = transcript(spoken('说"好"吧', 0.5), spoken("再见", 3.0, pauses={1: 0.5}), duration=5.0)
    write(what, tmp_path / "a.TextGrid")
    grid = textgrid.TextGrid.fromFile(str(tmp_path / "a.TextGrid"))
    assert grid.getNames() == ["segments", "tokens"] and grid.maxTime == 5.0
    assert [(i.minTime, i.maxTime, i.mark) for i in grid.getFirst("tokens")] == [
        *((0.0, 0.5, ""), (0.5, 0.7, '说"'), (0.7, 0.9, '好"'), (0.9, 1.1, "吧"), (1.1, 3.0, ""), (3.0, 3.2, "再")),
        *((3.2, 3.7, ""), (3.7, 3.9, "见"), (3.9, 5.0, "")),
    ]
    spoken_ones = [(i.minTime, i.maxTime, i.mark) for i in grid.getFirst("segments") if i.mark]
    assert spoken_ones == [(0.5, 1.1, '说"好"吧'), (3.0, 3.9, "再见")]


@pytest.mark.parametrize("seed", range(20))
def test_intervals_cover_the_recording(seed):
    what = speech(seed)
    spoken_ones = [(t.start, t.end, t.text) for s in what.segments for t in s.tokens]
    found = list(covering(spoken_ones, what.duration))
    assert found[0][0] == 0 and found[-1][1] == what.duration
    assert all(a[1] == b[0] and a[0] < a[1] for a, b in zip(found, found[1:], strict=False))
    assert [text for _, _, text in found if text] == [text for _, _, text in spoken_ones]


def test_a_manifest_of_what_can_be_trusted(tmp_path):
    (tmp_path / "calls").mkdir()
    audio = tmp_path / "calls/a.wav"
    audio.write_bytes(b"")
    unsure = spoken("不清楚", 5.0)
    unsure = dataclasses.replace(unsure, tokens=tuple(dataclasses.replace(t, confidence=0.3) for t in unsure.tokens))
    what = transcript(
        *(
            spoken("今天", 1.0),
            Segment(2.0, 5.0),
            unsure,
            spoken("绕圈", 9.0, warnings=("loop",)),
            spoken("右边", 12.0, channel=1),
        ),
        audio=str(audio),
    )
    write(what, tmp_path / "all.jsonl")
    found = read_manifest(tmp_path / "all.jsonl")
    assert [u.text for u in found] == ["今天", "不清楚", "绕圈", "右边"] and len({u.id for u in found}) == 4
    assert all(os.path.samefile(u.audio, audio) for u in found)
    assert (found[0].start, found[0].duration, found[0].source) == (1.0, pytest.approx(0.4), "m")
    assert found[0].extra == {"confidence": 0.9} and [u.channel for u in found] == [None, None, None, 1]
    write(what, tmp_path / "sure.jsonl", style=Style(min_confidence=0.5))
    assert [u.text for u in read_manifest(tmp_path / "sure.jsonl")] == ["今天", "右边"]


def test_a_manifest_needs_files():
    with pytest.raises(AsrError, match="array: a manifest names files that can be read again; this is none"):
        written("manifest", transcript(spoken("好"), audio="array"))


@pytest.mark.parametrize("format", [name for name in WRITERS if name != "manifest"])
def test_nothing_said_can_be_written_too(format, tmp_path):
    for what in (transcript(duration=0.0), transcript(Segment(0.0, 3.0), duration=3.0)):
        text = written(format, what)
        assert text.strip() or format in ("txt", "srt", "lrc", "rttm")
    if format == "textgrid":
        textgrid = pytest.importorskip("textgrid")
        write(what, tmp_path / "a.TextGrid")
        assert textgrid.TextGrid.fromFile(str(tmp_path / "a.TextGrid")).maxTime == 3.0


def test_the_name_tells_the_format(tmp_path):
    for name in ("a.txt", "b.TextGrid", "c.SRT"):
        asr.write(THREE, tmp_path / name)
    assert (tmp_path / "c.SRT").read_text(encoding="utf-8").startswith("1\n00:00:00,500")
    with pytest.raises(AsrError, match="a.pdf: the format must be one of txt, json, srt, .*, is not told by its name"):
        asr.write(THREE, tmp_path / "a.pdf")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"lines": 0}, "subtitles need a line of a character at least, not 0 of 16"),
        ({"characters_per_second": 0.0}, "characters per second must be above 0, is 0"),
        ({"longest": 0.5}, "a subtitle needs a second at least, not 0.5"),
        ({"txt_lines": "word"}, "a line of txt can be a recording or segment or paragraph, not 'word'"),
        ({"words": True, "word_times": True}, "times are those of characters or those of words, not of both"),
    ],
)
def test_styles_that_cannot_be(wrong, message):
    with pytest.raises(ConfigError, match=message):
        Style(**wrong)
