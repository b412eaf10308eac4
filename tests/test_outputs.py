"""Every format, read back by readers that are not ours: FFmpeg for subtitles, textgrid for Praat, json, csv, our manifests."""

import csv
import dataclasses
import io
import json
import os
import random

import av
import pytest

import asr
from asr.corpus.manifest import read_manifest
from asr.errors import AsrError, ConfigError
from asr.outputs.style import Style
from asr.outputs.subtitles import cues
from asr.outputs.textgrid import covering
from asr.outputs.writers import WRITERS, write
from asr.text.units import units
from asr.transcript import Segment, Transcript, TranscriptToken, joined


def spoken(
    text: str, start: float = 0.0, each: float = 0.2, pauses: dict[int, float] | None = None, **fields
) -> Segment:
    """A segment in which each token takes `each` seconds; pauses: token → seconds of pause before it."""
    tokens, at = [], start
    for i, unit in enumerate(units(text)):
        at += (pauses or {}).get(i, 0.0)
        tokens.append(TranscriptToken(unit.text, round(at, 3), round(at + each, 3), 0.9, (i, i), unit.mark))
        at += each
    return Segment(start, round(at, 3), tuple(tokens), text, -0.5, **fields)


def transcript(*segments: Segment, duration: float | None = None, audio: str = "talk.wav") -> Transcript:
    duration = duration if duration is not None else max([s.end for s in segments], default=0.0)
    return Transcript(audio, duration, segments, "m", (), {"beam": 4})


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
    spoken("今天我们来看一看这个东西到底是怎么一回事", 0.5, pauses={9: 0.6}),
    spoken("用APP STORE下载，然后打开。", 6.0),
    duration=12.0,
)


@pytest.mark.parametrize("format", ["srt", "vtt"])
def test_subtitles_are_read_by_ffmpeg(tmp_path, format):
    write(THREE, tmp_path / f"a.{format}")
    found = read_by_ffmpeg(tmp_path / f"a.{format}")
    assert [text for _, _, text in found] == [
        "今天我们来看一看这",
        "个东西到底是怎么一回事",
        "用APP STORE下载，\n然后打开。",
    ]
    assert [(start, end) for start, end, _ in found] == [
        (pytest.approx(a), pytest.approx(b)) for a, b in ((0.5, 2.3), (2.9, 5.1), (6.0, 8.0))
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


def speech(seed: int) -> Transcript:
    """Some minutes with Latin words, marks, pauses, two segments or many, now and then very fast."""
    chance = random.Random(seed)
    segments, at = [], chance.uniform(0, 2)
    for _ in range(chance.randint(1, 6)):
        words = []
        for _ in range(chance.randint(1, 60)):
            words.append(
                chance.choice("的一是在不了有和人这")
                if chance.random() < 0.9
                else chance.choice([" HELLO ", "A ", "INTERNATIONALIZATION "])
            )
            words.append(chance.choice("，。？") if chance.random() < 0.05 else "")
        text = "".join(words)
        n = len(list(units(text)))
        pauses = {i: chance.uniform(0, 1.5) for i in range(n) if chance.random() < 0.15}
        segment = spoken(text, round(at, 3), chance.choice([0.03, 0.1, 0.2, 0.4]), pauses)
        segments.append(segment)
        at = segment.end + chance.choice([0, 0.3, 5])
    return transcript(*segments, duration=at + 1)


@pytest.mark.parametrize("seed", range(40))
def test_cues_hold_every_token_once_in_lines_that_fit(seed):
    what, style = speech(seed), Style(line_characters=random.Random(seed).choice([8, 16, 20]), lines=2)
    found = cues(what, style)
    tokens = [token for segment in what.segments for token in segment.tokens]
    assert [token for cue in found for line in cue.lines for token in line] == tokens
    for cue in found:
        assert 1 <= len(cue.lines) <= 2 and all(cue.lines)
        assert all(len(joined(line)) <= style.line_characters or len(line) == 1 for line in cue.lines)
    for cue, following in zip(found, found[1:], strict=False):
        assert 0 <= cue.start < cue.end <= following.start
    assert found[-1].end <= what.duration


@pytest.mark.parametrize("seed", range(40))
def test_cues_stay_long_enough_to_be_read(seed):
    """Nine characters a second, unless speech itself is faster and there is no pause around the cue to make use of."""
    found = cues(what := speech(seed), Style())
    ends = [0.0, *(cue.end for cue in found)]
    starts = [*(cue.start for cue in found[1:]), what.duration]
    for cue, before, after in zip(found, ends, starts, strict=False):
        characters = sum(len(joined(line)) for line in cue.lines)
        if characters / (cue.end - cue.start) > 9.001:
            assert cue.start == before or cue.start == cue.lines[0][0].start
            assert cue.end == after


def test_speech_at_five_characters_a_second_is_never_too_fast():
    for seed in range(20):
        chance = random.Random(seed)
        text = "".join(chance.choice("的一是在不了有和人这") for _ in range(300))
        pauses = {i: chance.uniform(0.2, 0.9) for i in range(300) if chance.random() < 0.1}
        for cue in cues(transcript(spoken(text, 0.0, 0.2, pauses), duration=999.0), Style()):
            assert sum(map(len, cue.lines)) / (cue.end - cue.start) <= 9.001


def test_cues_break_at_pauses():
    text, pauses = "我今天早上起床以后先去跑步然后回来吃早饭再去上班", {8: 0.4, 12: 0.5, 18: 0.4}
    texts = ["".join(map(joined, cue.lines)) for cue in cues(transcript(spoken(text, 0.0, 0.2, pauses)), Style())]
    assert texts == ["我今天早上起床以", "后先去跑", "步然后回来吃", "早饭再去上班"]


def test_a_cue_of_two_lines_breaks_at_its_pause():
    (cue,) = cues(transcript(spoken("我今天早上起床以后先去跑步然后回来吃早饭", 0.0, 0.2, {11: 0.15})), Style())
    assert [joined(line) for line in cue.lines] == ["我今天早上起床以后先去", "跑步然后回来吃早饭"]


def test_numbers_are_not_torn():
    texts = [
        [joined(line) for line in cue.lines]
        for text in ("他说他在这个城市里住了二十五年了现在要回家乡去", "我们一共要在这里住上2025年之前剩下的所有日子")
        for cue in cues(transcript(spoken(text, 0.0, 0.2)), Style())
    ]
    assert texts == [
        ["他说他在这个城市里住了", "二十五年了现在要回家乡去"],
        ["我们一共要在这里住上", "2025年之前剩下的所有日子"],
    ]


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
    names = {field.name for field in dataclasses.fields(TranscriptToken)}
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
        assert text.strip() or format in ("txt", "srt")
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
    ],
)
def test_styles_that_cannot_be(wrong, message):
    with pytest.raises(ConfigError, match=message):
        Style(**wrong)
