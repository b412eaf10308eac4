"""A clean style leaves out what was said by mistake, and nothing that is grammar."""

import pytest

from asr.errors import AsrError
from asr.finishing import disfluencies
from asr.finishing.disfluencies import cleaned
from asr.finishing.finishing import Finishing, check, finish
from tests.conftest import ROOT
from tests.transcripts import needs_jieba, spoken, transcript

TRAPS = [line.split() for line in (ROOT / "tests/disfluency_traps.txt").read_text(encoding="utf-8").splitlines()]
"""What is said, and what is written of it where that is less."""


@needs_jieba
@pytest.mark.parametrize("said", [trap[0] for trap in TRAPS])
def test_traps(said):
    right = next(trap[-1] for trap in TRAPS if trap[0] == said)
    assert cleaned(spoken(said)).text == right


def test_there_are_traps_of_both_kinds():
    kept = sum(len(trap) == 1 for trap in TRAPS)
    assert kept >= 60 and len(TRAPS) - kept >= 40


@needs_jieba
def test_spans_and_the_raw_text_stay():
    said = spoken("嗯我我想去", pauses={2: 0.4})
    clean = cleaned(said)
    assert clean.tokens == said.tokens[2:] and clean.raw == "嗯我我想去"
    assert (clean.start, clean.end, clean.score) == (said.start, said.end, said.score)


@needs_jieba
def test_corrections_keep_their_places():
    """Among the tokens that are left; what was two of them may have become one."""
    from asr.transcript import Correction

    said = spoken("嗯二十个张珊嗯来了", corrections=(Correction(4, "章山", "张珊"),))
    segment = finish(transcript(said), Finishing(numbers="digits", style="clean")).segments[0]
    (one,) = segment.corrections
    assert "".join(token.text for token in segment.tokens[one.place :][:2]) == one.written == "张珊"


def test_a_hesitation_between_marks_takes_one_of_them_along():
    assert cleaned(spoken("我觉得，嗯，可以。")).text == "我觉得，可以。"
    assert cleaned(spoken("我觉得可以嗯。")).text == "我觉得可以。"


@needs_jieba
def test_a_pause_tells_an_exclamation_from_a_hesitation():
    assert cleaned(spoken("啊天气好")).text == "啊天气好"
    assert cleaned(spoken("啊天气好", pauses={1: 0.5})).text == "天气好"


@needs_jieba
def test_words_are_cleaned_before_numbers_and_marks_are_written():
    said = transcript(spoken("嗯我我有二十块钱"))
    assert finish(said, Finishing(numbers="digits", style="clean")).text == "我有20块钱"
    assert finish(said, Finishing(numbers="digits")).text == "嗯我我有20块钱"


def test_without_jieba_it_is_said_before_the_work(monkeypatch):
    monkeypatch.setattr(disfluencies, "knows_words", lambda: False)
    with pytest.raises(AsrError, match=r"a clean style needs jieba, .*: pip install 'mandarin-asr\[text\]'"):
        check(Finishing(style="clean"))
