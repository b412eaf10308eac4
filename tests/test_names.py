"""Hot words in the place of what sounds like them and was not heard with certainty."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from asr.decoding.search import Hypothesis
from asr.outputs.writers import render
from asr.recognition.names import corrected, corrections_of, with_names
from asr.recognition.recognized import Recognized
from asr.text.sounding_alike import NEAR, OTHER_TONE, sound_cost
from asr.text.tokenizer import CharacterTokenizer, TokenTable
from asr.transcript import Correction, Transcript, TranscriptToken
from asr.transcription.pieces import Piece
from asr.transcription.segments import segment_of
from tests.transcripts import needs_jieba

pytestmark = needs_jieba


def heard(text: str, unsure: str = "", confidence: float = 0.4) -> list[TranscriptToken]:
    """Tokens of a text; those of the part `unsure` were heard with this confidence, all else with 0.99."""
    at = text.index(unsure)
    sure = [at <= i < at + len(unsure) for i in range(len(text))]
    return [
        TranscriptToken(c, 0.0, 0.0, confidence if low else 0.99, (i, i))
        for i, (c, low) in enumerate(zip(text, sure, strict=True))
    ]


def written(text: str, unsure: str, *names: str, confidence: float = 0.4) -> str:
    tokens = heard(text, unsure, confidence)
    return "".join(token.text for token in corrected(tokens, corrections_of(tokens, names)))


@pytest.mark.parametrize(
    ("one", "other", "cost"),
    [
        ("山", "珊", 0.0),
        ("是", "事", 0.0),
        ("妈", "马", OTHER_TONE),
        ("张", "章", 0.0),
        ("身", "声", NEAR),  # en, eng
        ("因", "英", NEAR),
        ("资", "知", NEAR),
        ("蓝", "南", NEAR),
        ("早", "赵", OTHER_TONE + NEAR),
        ("行", "航", 0.0),  # one of its readings
        ("山", "水", float("inf")),
        ("A", "山", float("inf")),
    ],
)
def test_what_sounds_alike(one, other, cost):
    assert sound_cost(one, other) == sound_cost(other, one) == pytest.approx(cost)


@pytest.mark.parametrize(
    ("text", "unsure", "name", "right"),
    [
        ("请章山来一下", "章山", "张珊", "请张珊来一下"),
        ("请找心怡来一下", "找心怡", "赵欣怡", "请赵欣怡来一下"),  # another tone
        ("我认识林习月", "林习月", "凌汐月", "我认识凌汐月"),  # in, ing
        ("诸葛碗青说得对", "碗青", "诸葛婉清", "诸葛婉清说得对"),
        ("他叫聂岁", "聂岁", "聂碎", "他叫聂碎"),
    ],
)
def test_names_replace_what_sounds_like_them(text, unsure, name, right):
    assert written(text, unsure, name) == right


@pytest.mark.parametrize(
    ("text", "unsure", "names"),
    [
        ("我去北京", "北京", ("背景",)),  # a word of the dictionary
        ("请张珊来", "张珊", ("张珊", "章山")),  # a word of the list
        ("请李四来", "李四", ("张珊",)),  # sounds unlike
        ("今天好", "天好", ("添",)),  # a single character is everywhere
        ("他用APP", "APP", ("阿皮皮",)),
        ("我们是一起的", "是一", ("石怡",)),  # would tear 一起
        ("", "", ("张珊",)),
        ("请章山来", "章山", ()),
        ("请章山来", "章山", ("GPT", "")),
    ],
)
def test_what_stays(text, unsure, names):
    assert written(text, unsure, *names) == text


def test_what_was_heard_with_certainty_stays():
    assert written("请章山来", "章山", "张珊", confidence=0.95) == "请章山来"
    assert written("请章山来", "章山", "张珊", confidence=0.85) == "请张珊来"
    assert written("请早山来", "早山", "赵珊", confidence=0.85) == "请早山来"  # sounds less alike, so less was enough


def test_one_uncertain_character_of_three_is_enough():
    assert written("请幸子莫来", "莫", "幸子墨") == "请幸子墨来"
    assert written("请信资莫来", "信", "幸子墨", confidence=0.7) == "请幸子墨来"
    assert written("请章山来", "章", "张珊", confidence=0.85) == "请章山来"  # of two, both on average


def test_no_name_goes_beyond_a_mark():
    tokens = heard("请章山来", "章山")
    tokens[1] = replace(tokens[1], mark="，")
    assert corrections_of(tokens, ["张珊"]) == ()


def test_spans_and_confidences_stay_and_each_replacement_is_told():
    tokens = [replace(t, start=i / 10, end=(i + 1) / 10) for i, t in enumerate(heard("请章山和章山来", "章山和章山"))]
    corrections = corrections_of(tokens, ["张珊"])
    assert corrections == (Correction(1, "章山", "张珊"), Correction(4, "章山", "张珊"))
    after = corrected(tokens, corrections)
    assert [replace(t, text="") for t in after] == [replace(t, text="") for t in tokens]
    assert "".join(t.text for t in after) == "请张珊和张珊来"


def test_the_name_that_sounds_most_alike_is_written():
    assert written("请章山来", "章山", "庄山", "张珊") == "请张珊来"
    assert written("请章山来", "章山", "章三", "张珊") == "请张珊来"


def test_a_segment_has_the_name_and_keeps_what_was_heard():
    tokenizer = CharacterTokenizer(TokenTable(["<blank>", "<unk>", "<sos>", "<eos>", *"请章山来张珊"]))
    tokens = tuple(tokenizer.encode("请章山来"))
    log_probs = tuple(math.log(p) for p in (0.99, 0.3, 0.3, 0.99, 0.99))
    hypothesis = Hypothesis(tokens, -0.5, log_probs)
    spans = tuple((i / 10, (i + 1) / 10) for i in range(4))
    found = with_names(Recognized("请章山来", hypothesis, spans=spans), tokenizer, ["张珊"])
    assert found.text == "请张珊来" and found.hotwords == ((1, "张珊"),)
    segment = segment_of(found, tokenizer, Piece(0, np.zeros(8000, np.float32)))
    assert (segment.text, segment.raw) == ("请张珊来", "请章山来")
    assert segment.corrections == (Correction(1, "章山", "张珊"),) and segment.hotwords == ("张珊",)
    assert [token.start for token in segment.tokens] == [0.0, 0.1, 0.2, 0.3]
    data = json.loads(render(Transcript("a.wav", 0.5, (segment,), "m"), "json"))
    assert data["segments"][0]["corrections"] == [{"place": 1, "heard": "章山", "written": "张珊"}]


def test_of_thousands_of_names_those_are_compared_that_begin_alike(monkeypatch):
    """Each comparison of two characters is one call."""
    calls = []
    monkeypatch.setattr("asr.recognition.names.sound_cost", lambda a, b: calls.append(1) or sound_cost(a, b))
    names = [first + second for first in "张赵林凌聂" for second in map(chr, range(0x7800, 0x7800 + 600))]
    found = corrections_of(heard("请章山来一下" + "我们今天去公园" * 20, "章山"), [*names, "张珊"])
    assert [(c.heard, c.written) for c in found[:1]] == [("章山", "张珊")]
    assert len(calls) < 5_000  # of 450,000 pairs of a name and a place


@pytest.mark.parametrize("names", [("章珊", "张珊"), ("张珊", "章珊")])
def test_of_names_that_sound_the_same_the_one_that_changes_least_is_written(names):
    assert written("请张山来一下", "张山", *names) == "请张珊来一下"
    assert written("请章山来一下", "章山", *names) == "请章珊来一下"
