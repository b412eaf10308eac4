"""Which words of a transcript are shown together, in which lines, and how long."""

import itertools
import random

import pytest

from asr.outputs.cues import STOPS, cues
from asr.outputs.style import Style
from asr.text.words import in_words
from asr.transcript import Transcript, joined
from tests.transcripts import needs_jieba, speech, spoken, transcript


@pytest.mark.parametrize("seed", range(40))
def test_cues_hold_every_token_once_in_lines_that_fit(seed):
    what, style = speech(seed), Style(line_characters=random.Random(seed).choice([8, 16, 20]), end_marks=True)
    found = cues(what, style)
    tokens = [token for segment in what.segments for token in segment.tokens]
    assert [token for cue in found for line in cue.lines for token in line] == tokens
    for cue in found:
        assert 1 <= len(cue.lines) <= 2 and all(cue.lines)
        assert all(len(joined(line)) <= style.line_characters or len(line) == 1 for line in cue.lines)
        assert cue.end - cue.start <= 7.001
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


def texts_of(what: Transcript, **style) -> list[str]:
    return ["".join(map(joined, cue.lines)) for cue in cues(what, Style(**style))]


def test_cues_break_at_pauses():
    text, pauses = "我今天早上起床以后先去跑步然后回来吃早饭再去上班", {9: 0.4, 13: 0.5, 18: 0.4}
    found = texts_of(transcript(spoken(text, 0.0, 0.2, pauses)))
    assert found == ["我今天早上起床以后", "先去跑步", "然后回来吃", "早饭再去上班"]


@needs_jieba
@pytest.mark.parametrize("each", [0.12, 0.2, 0.35])
@pytest.mark.parametrize("room", [4, 6, 9, 16])
def test_neither_cues_nor_lines_break_inside_words(each, room):
    """However fast, and wherever the pauses below two seconds are; the words are those that are written down here."""
    words = (
        "他们 刚刚 公布 了 这个 重要 消息 大家 都 觉得 非常 惊讶 政府 决定 修建 一条 新 铁路 乌鲁木齐 人民 高兴".split()
    )
    source = random.Random(room)
    n = sum(map(len, words))
    pauses = {i: source.uniform(0, 1.8) for i in range(n) if source.random() < 0.2}
    ends = {0, *itertools.accumulate(map(len, words))}
    at = 0
    for cue in cues(transcript(spoken("".join(words), 0.0, each, pauses)), Style(line_characters=room)):
        for line in cue.lines:
            at += len(joined(line))
            assert at in ends
    assert at == n


@needs_jieba
def test_traditional_words_are_whole_too():
    pytest.importorskip("opencc")
    words = in_words(spoken("政府剛剛公佈了這個計劃").tokens)
    assert [joined(word) for word in words] == ["政府", "刚刚".replace("刚", "剛"), "公佈", "了", "這個", "計劃"]


def test_a_word_that_no_line_holds_is_broken_after_all():
    found = [
        joined(line) for cue in cues(transcript(spoken("乌鲁木齐")), Style(line_characters=3)) for line in cue.lines
    ]
    assert "".join(found) == "乌鲁木齐" and max(map(len, found)) <= 3


def test_without_jieba_every_character_is_a_word(monkeypatch):
    monkeypatch.setattr("asr.text.words.knows_words", lambda: False)
    assert [joined(word) for word in in_words(spoken("刚刚HELLO").tokens)] == ["刚", "刚", "HELLO"]


def test_no_cue_is_longer_than_it_may_be():
    """Slow speech, one that never pauses, and a reader who is slower than that."""
    text = "今天天气很好我们一起去公园散步吧" * 4
    for each, style in (
        (0.6, {}),
        (1.5, {}),
        (9.0, {}),
        (0.2, {"characters_per_second": 0.5}),
        (0.6, {"longest": 3.0}),
    ):
        longest = style.get("longest", 7.0)
        found = cues(transcript(spoken(text, 0.0, each)), Style(**style))
        assert all(cue.end - cue.start <= longest + 0.001 for cue in found)
        assert sum(len(joined(line)) for cue in found for line in cue.lines) == len(text)


def test_no_mark_ends_a_cue_unless_asked():
    what = transcript(spoken("他说：“走吧。”然后，我们就走了！真的吗？真的。", 0.0, 0.2))
    assert all(text[-1] not in STOPS for text in texts_of(what))
    assert "".join(texts_of(what, end_marks=True)) == "他说：“走吧。”然后，我们就走了！真的吗？真的。"
    assert texts_of(transcript(spoken("他说：“走吧。”"))) == ["他说：“走吧”"]  # what was opened is closed
    assert "走吧，然后" in "".join(texts_of(transcript(spoken("走吧，然后呢。"))))  # within a cue they stay


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


@needs_jieba
def test_words_of_a_text_that_never_ends():
    tokens = spoken("北京" * 20_000).tokens
    words = in_words(tokens)
    assert {joined(word) for word in words} == {"北京"} and len(words) == 20_000
