"""Finishing changes texts, never spans, and leaves the raw text alone."""

import builtins
import io
import json
import random
from dataclasses import replace

import pytest

from asr.errors import AsrError, ConfigError
from asr.finishing.finishing import Finishing, finish
from asr.finishing.punctuating import PUNCTUATORS
from asr.outputs.writers import WRITERS
from asr.text import scripts
from asr.transcript import Segment, Transcript, TranscriptToken
from asr.transcription.output import Output
from tests.transcripts import speech, spoken, transcript

EVERYTHING = [
    Finishing(script, numbers, punctuate)
    for script in ("", "simplified", "traditional")
    for numbers in ("", "digits")
    for punctuate in ("", "model", "pauses")
]


def numbered(seed: int) -> Transcript:
    """Speech with numbers in it, pauses, and characters that differ between scripts."""
    chance = random.Random(seed)
    phrases = [
        "二零二四年",
        "三月五号",
        "三百二十五块",
        "百分之三十",
        "万里长城",
        "头发",
        "发现",
        "APP",
        "五G",
        "三分之一",
        "，",
        "。",
        "吗",
        "G二十",
    ]
    segments, at = [], 0.0
    for _ in range(3):
        text = "".join(chance.choice(phrases) for _ in range(chance.randint(1, 12)))
        pauses = {i: chance.uniform(0, 1.2) for i in range(40) if chance.random() < 0.2}
        segments.append(spoken(text, round(at, 3), 0.2, pauses))
        at = segments[-1].end + chance.random()
    return transcript(*(s for s in segments), duration=at + 1)


@pytest.mark.parametrize("finishing", EVERYTHING, ids=str)
def test_spans_stay_in_order_inside_and_where_they_were(finishing):
    for seed in range(15):
        what = numbered(seed)
        finished = finish(what, finishing)
        for before, after in zip(what.segments, finished.segments, strict=True):
            flat = [t for token in after.tokens for t in (token.start, token.end)]
            assert flat == sorted(flat) and all(after.start <= t <= after.end for t in flat)
            assert all(token.text and token.start < token.end and 0 <= token.confidence <= 1 for token in after.tokens)
            sources = [token.source for token in after.tokens]
            assert [first for first, _ in sources] == [0, *(last + 1 for _, last in sources[:-1])][: len(sources)]
            for token in after.tokens:
                whole = before.tokens[token.source[0] : token.source[1] + 1]
                assert (token.start, token.end) == (whole[0].start, whole[-1].end)
            assert (after.raw, after.start, after.end, after.score) == (
                before.raw,
                before.start,
                before.end,
                before.score,
            )


@pytest.mark.parametrize("finishing", EVERYTHING, ids=str)
def test_json_keeps_the_raw_text(finishing, tmp_path):
    what = numbered(1)
    with open(tmp_path / "a.json", "w", encoding="utf-8") as file:
        Output("json", finishing=finishing).write(what, file)
    data = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert [segment["raw"] for segment in data["segments"]] == [segment.raw for segment in what.segments]
    assert ("finishing" in data["settings"]) == (finishing != Finishing())


def finished(text: str, pauses: dict[int, float] | None = None, **wanted) -> str:
    return finish(transcript(spoken(text, pauses=pauses)), Finishing(**wanted)).text


def test_digits():
    assert finished("二零二四年三月五号用了三百二十五块", numbers="digits") == "2024年3月5号用了325块"
    assert finished("G二十和五G", numbers="digits") == "G20和5G"
    assert finished("三，百二十五块", numbers="digits") == "三，百二十五块"  # not through punctuation


@pytest.mark.parametrize(
    ("said", "pause", "right"),
    [
        (("同比下跌百分之三十六点", "六的份额"), 0.1, ("同比下跌百分之三十六点", "六的份额")),  # not 36, 6
        (("一共三百二十", "五块钱"), 0.1, ("一共三百二十", "五块钱")),  # not 320, 5
        (("一共三百二十", "五块钱"), 2.0, ("一共320", "5块钱")),  # after a pause something new
        (("电话一三八零零", "一三八零零零"), 0.1, ("电话13800", "138000")),
        (("二零二四年三月", "五号来的"), 0.1, ("2024年3月", "5号来的")),
        (("用了三百二十五", "块钱"), 0.1, ("用了325", "块钱")),
        (("今天来了十二", "个人"), 0.1, ("今天来了12", "个人")),  # what is counted comes in the next one
    ],
)
def test_a_number_that_goes_on_in_the_next_segment_is_not_two(said, pause, right):
    first = spoken(said[0])
    both = transcript(first, spoken(said[1], first.end + pause))
    assert tuple(s.text for s in finish(both, Finishing(numbers="digits")).segments) == right


def test_numbers_of_two_speakers_or_channels_are_two():
    for names in ({"channel": 0}, {"channel": 1}), ({}, {}):
        first = spoken("一共三百二十", **names[0])
        second = spoken("五百二十块", first.end, **names[1])
        if not names[0]:
            told = [
                replace(segment, tokens=tuple(replace(token, speaker=who) for token in segment.tokens))
                for segment, who in ((first, "S1"), (second, "S2"))
            ]
            first, second = told
        found = finish(transcript(first, second), Finishing(numbers="digits")).segments
        assert [segment.text for segment in found] == ["一共320", "520块"]


@pytest.mark.parametrize(
    ("words", "right"),
    [
        ("坐 BOEING AIR 七 四 七", "坐BOEING AIR747"),
        ("看 MEN IN BLACK 二 十 遍", "看MEN IN BLACK20遍"),
        ("I'M 二 十 岁", "I'M20岁"),
        ("ÉTAGE 二 十", "ÉTAGE20"),
    ],
)
def test_digits_behind_words_of_letters_lose_none(words, right):
    tokens = tuple(TranscriptToken(w, i / 10, (i + 1) / 10, 0.5, (i, i)) for i, w in enumerate(words.split()))
    assert finish(transcript(Segment(0, 1, tokens, words)), Finishing(numbers="digits")).text == right


def test_a_number_is_as_sure_as_its_tokens():
    tokens = tuple(TranscriptToken(c, i / 10, (i + 1) / 10, 0.5 + i / 10, (i, i)) for i, c in enumerate("二十个"))
    (number, _) = finish(transcript(Segment(0, 1, tokens, "二十个")), Finishing(numbers="digits")).segments[0].tokens
    assert number == TranscriptToken("20", 0.0, 0.2, 0.55, (0, 1))


def test_scripts():
    assert finished("理发以后发现头发", script="traditional") == "理髮以後發現頭髮"
    assert finished("理髮以後發現HELLO", script="simplified") == "理发以后发现HELLO"
    assert finished("三十五里", script="traditional", numbers="digits") == "35裏"


def test_punctuation_by_pauses():
    said = finished("今天天气很好我们出去走走吧你去吗好", {6: 0.4, 13: 1.0, 16: 0.9}, punctuate="pauses")
    assert said == "今天天气很好，我们出去走走吧。你去吗？好。"
    assert finished("好，我们走吧", {1: 2.0}, punctuate="pauses") == "好，我们走吧。"  # a mark that is there stays
    assert (
        finished("那好我们走吧", {1: 0.5}, punctuate="pauses") == "那好我们走吧。"
    )  # no comma behind a single character


def test_punctuation_by_the_model():
    said = finished("今天天气很好我们出去走走吧你去吗", punctuate="model")
    assert said[-1] == "？" and "我们出去走走吧" in said
    assert (
        finish(transcript(spoken("你叫什么名字")), Finishing(punctuate=True)).text == "你叫什么名字？"
    )  # True is the model
    assert finished("好，我住在北京", punctuate="model") == "好，我住在北京。"  # a mark that is there stays
    assert finished("HELLO WORLD", {1: 2.0}, punctuate="model") == "HELLO WORLD"  # nothing that it knows


@pytest.mark.parametrize("how", PUNCTUATORS)
@pytest.mark.parametrize("seed", range(20))
def test_punctuation_changes_no_character(seed, how):
    tokens = [token for segment in speech(seed).segments for token in segment.tokens]
    found = PUNCTUATORS[how](tokens)
    assert [t.text for t in found] == [t.text for t in tokens]
    assert all(after.mark == before.mark for before, after in zip(tokens, found, strict=True) if before.mark)


@pytest.mark.parametrize("how", PUNCTUATORS)
def test_where_nothing_was_written_there_is_nothing_to_punctuate(how):
    assert PUNCTUATORS[how]([]) == []


def of_two(*said: tuple[str, str]):
    """(speaker, text): one behind the other without a pause."""
    at, segments = 0.0, []
    for speaker, text in said:
        segment = spoken(text, at)
        segments.append(replace(segment, tokens=tuple(replace(token, speaker=speaker) for token in segment.tokens)))
        at = segments[-1].tokens[-1].end
    return transcript(*segments)


@pytest.mark.parametrize("how", PUNCTUATORS)
def test_where_another_one_speaks_a_sentence_ends(how):
    both = of_two(("A", "我觉得"), ("B", "你去吗"), ("A", "可以的"), ("A", "那就好"))
    texts = [segment.text for segment in finish(both, Finishing(punctuate=how)).segments]
    assert texts[0][-1] in "。？！" and texts[1] == "你去吗？" and texts[3][-1] in "。？！"
    assert texts[2][-1] not in "。？！" or how == "model"  # the same one goes on without a pause
    latin = of_two(("A", "我说OK"), ("B", "YES"))
    assert finish(latin, Finishing(punctuate=how)).segments[0].text[-1] in "。？！"


def test_channels_are_punctuated_apart():
    both = transcript(
        spoken("今天天气", 0.0, channel=0), spoken("是的是的", 0.3, channel=1), spoken("很好", 0.85, channel=0)
    )
    found = finish(both, Finishing(punctuate="pauses"))
    assert [s.text for s in found.segments] == ["今天天气", "是的是的。", "很好。"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"script": "klingon"}, "script must be simplified or traditional, is 'klingon'"),
        ({"numbers": "roman"}, "numbers must be digits, is 'roman'"),
        ({"punctuate": "dots"}, "punctuate must be model or pauses, is 'dots'"),
        ({"style": "nice"}, "style must be verbatim or clean, is 'nice'"),
    ],
)
def test_what_is_not_known(wrong, message):
    with pytest.raises(ConfigError, match=message):
        Finishing(**wrong)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (("srt", {"words": True}), "characters have times of their own in vtt, lrc, ass, tsv"),
        (
            ("txt", {"line_characters": 20}),
            "lines, speed and end marks of subtitles are for srt, vtt, lrc, ass, not for txt",
        ),
        (
            ("txt", {"word_times": True}),
            "words have times of their own in json, vtt, lrc, ass, tsv, textgrid, not in txt",
        ),
        (("srt", {"txt_lines": "segment"}), "a line for each segment is for txt, not for srt"),
        (("json", {"min_confidence": 0.5}), "a least confidence is for manifests, not for json"),
        (("pdf", {}), "format must be one of txt, json, srt, vtt, lrc, ass, tsv, textgrid, rttm, manifest, is 'pdf'"),
    ],
)
def test_what_does_not_go_together(wrong, message):
    from asr.outputs.style import Style

    with pytest.raises(ConfigError, match=message):
        Output(wrong[0], Style(**wrong[1]))


def test_without_opencc_it_is_said_before_the_work(monkeypatch):
    real = builtins.__import__

    def absent(name, *arguments):
        if name == "opencc":
            raise ImportError(name)
        return real(name, *arguments)

    scripts._converter.cache_clear()
    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(AsrError, match=r"converting scripts needs OpenCC: pip install 'mandarin-asr\[text\]'"):
        Output("txt", finishing=Finishing(script="simplified")).check()
    Output("txt", finishing=Finishing(numbers="digits", punctuate="model")).check()


def test_writers_take_finished_transcripts():
    what = finish(numbered(3), Finishing("traditional", "digits", True))
    for name, writer in ((name, writer.write) for name, writer in WRITERS.items()):
        if name not in ("manifest", "rttm"):
            file = io.StringIO()
            writer(what, file, Output(name).style)
            assert all(text in file.getvalue() for text in ("325塊頭髮", "3月5號1/3", "30%")), name
