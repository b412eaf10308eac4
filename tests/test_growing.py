"""The text of a transcript that grows, as a stream tells it."""

from dataclasses import replace

from asr.finishing.finishing import Finishing, finish
from asr.serving.events import Growth
from asr.transcript import Segment
from tests.transcripts import spoken, transcript


def told(*grown: tuple[Segment, ...]) -> list[str]:
    """What is told of a transcript each time, in the end of all of it."""
    growth = Growth()
    return [growth.add(transcript(*segments), False)[0] for segments in grown] + [
        growth.add(transcript(*grown[-1]), True)[0]
    ]


def test_what_is_new_is_told_once_and_the_last_mark_when_it_is_known():
    first, second = spoken("今天。"), spoken("OK你好。", 1.0)
    assert told((first,), (first,), (first, second)) == ["今天", "", "。OK你好", "。"]
    assert told((spoken("A"),), (spoken("A"), spoken("B", 1.0))) == ["A", " B", ""]


def test_a_mark_that_changes_holds_nothing_up():
    """A model of punctuation sees what was said later: it sets other marks in what was told."""
    before, after = spoken("今天，天气"), spoken("今天天气，")
    assert told((before,), (after, spoken("很好。", 1.5))) == ["今天，天气", "，很好", "。"]


def test_numbers_that_are_cut_where_another_one_speaks_are_told_once():
    whole = finish(transcript(spoken("二十三")), Finishing(numbers="digits")).segments
    parts = spoken("二十"), spoken("三", 0.4)
    cut = finish(transcript(*parts), Finishing(numbers="digits")).segments
    assert told(whole, (*cut, spoken("个", 0.6))) == ["23", "个", ""]


def test_each_token_is_told_with_its_text():
    growth, first = Growth(), spoken("今天，")
    assert [token.text for token in growth.add(transcript(first), False)[1]] == ["今", "天"]
    later = replace(first, tokens=tuple(replace(token, mark="") for token in first.tokens))
    text, tokens = growth.add(transcript(later, spoken("好", 1.0)), True)
    assert (text, [token.text for token in tokens]) == ("好", ["好"])
