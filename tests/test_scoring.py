"""What counts as an error: conventions by hand, and independent references."""

import math
import random
import unicodedata

import jiwer
import pytest
from rapidfuzz.distance import Levenshtein

from asr.errors import ConfigError
from asr.scoring.cer import CharErrors, align, char_errors, unit_errors, units_of
from asr.text.normalize import TRAINING, normalize


@pytest.mark.parametrize(
    ("reference", "hypothesis", "substitutions", "deletions", "insertions", "n"),
    [
        ("今天天气很好", "今天天气很好", 0, 0, 0, 6),
        ("今天天气很好", "今天天汽很好", 1, 0, 0, 6),
        ("今天天气很好", "今天天很好", 0, 1, 0, 6),
        ("今天天气很好", "今天的天气很好", 0, 0, 1, 6),
        ("今天天气很好", "明天天气很好吗", 1, 0, 1, 6),
        ("今天天气很好", "", 0, 6, 0, 6),
        ("", "今天", 0, 0, 2, 0),
        ("", "", 0, 0, 0, 0),
        ("好", "坏人", 1, 0, 1, 1),
        ("花儿", "花", 0, 1, 0, 2),
        # what is no character, or the same one in another form, does not count
        ("你好，世界！", "你好世界", 0, 0, 0, 4),
        ("你 好", "你好", 0, 0, 0, 2),
        ("ＡＢＣ１２３", "abc123", 0, 0, 0, 6),
        ("hello world", "HELLOWORLD", 0, 0, 0, 10),
        ("……", "你", 0, 0, 1, 0),
        ("2024年", "二〇二四年", 4, 0, 0, 5),
        ("𠮷野家", "吉野家", 1, 0, 0, 3),
    ],
)
def test_errors_of_a_pair(reference, hypothesis, substitutions, deletions, insertions, n):
    assert char_errors(reference, hypothesis) == CharErrors(substitutions, deletions, insertions, n)


@pytest.mark.parametrize(
    ("reference", "hypothesis", "settings", "expected"),
    [
        # the convention of the AISHELL recipes: every character, Latin letters too, spaces never
        ("我用 iphone 打电话", "我用 iphong 打电话", {}, CharErrors(1, 0, 0, 11)),
        ("我用 iphone 打电话", "我用 iphong 打电话", {"unit": "mixed"}, CharErrors(1, 0, 0, 6)),
        ("hello world", "helloworld", {}, CharErrors(0, 0, 0, 10)),
        ("hello world", "helloworld", {"unit": "mixed"}, CharErrors(1, 1, 0, 2)),
        ("2024年", "2025年", {"unit": "mixed"}, CharErrors(1, 0, 0, 2)),
        # spaces as characters, as ESPnet's recipes count them
        ("今天 天气", "今天天气", {"rules": ("width", "case", "punctuation")}, CharErrors(0, 1, 0, 5)),
        ("你好", "妳好", {"rules": ()}, CharErrors(1, 0, 0, 2)),
        ("你好。", "你好", {"rules": ()}, CharErrors(0, 1, 0, 3)),
        ("Ａ", "A", {"rules": ()}, CharErrors(1, 0, 0, 1)),
        ("他們發現了", "他们发现了", {}, CharErrors(3, 0, 0, 5)),
        ("他們發現了", "他们发现了", {"rules": ("script",)}, CharErrors(0, 0, 0, 5)),
        ("涨了30%", "涨了百分之三十", {"rules": ("numbers", "punctuation", "spaces")}, CharErrors(0, 0, 0, 7)),
        ("嗯我觉得啊", "我觉得", {"rules": ("interjections",)}, CharErrors(0, 0, 0, 3)),
    ],
)
def test_conventions(reference, hypothesis, settings, expected):
    assert char_errors(reference, hypothesis, **settings) == expected


def test_units():
    assert list(units_of("你好ABC公司")) == list("你好ABC公司")
    assert units_of("TIẾNG VIỆT", "mixed") == ["TIẾNG", "VIỆT"]
    assert units_of("HELLO WORLD你好A4 3か", "mixed") == ["HELLO", "WORLD", "你", "好", "A4", "3", "か"]
    assert units_of("CAFE\u0301 한국", "mixed") == ["CAFE\u0301", "한", "국"]
    assert list(units_of("A B", drop_spaces=False)) == ["A", " ", "B"]
    with pytest.raises(ConfigError, match="there is no rule 'foo'"):
        char_errors("你", "你", rules=["foo"])
    assert char_errors("30%", "百分之三十", rules="+numbers") == CharErrors(reference=5)
    with pytest.raises(ConfigError, match="there is no unit 'mixt'; did you mean mixed?"):
        units_of("你", "mixt")


def table_of_edits(reference: str, hypothesis: str) -> tuple[int, int]:
    """(least edits, characters of the reference), by the textbook and from the raw texts on."""

    def clean(text: str) -> list[str]:
        text = unicodedata.normalize("NFKC", text)
        text = "".join(c for c in text if not 0xFE00 <= ord(c) <= 0xFE0F and not 0xE0100 <= ord(c) <= 0xE01EF)
        text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).upper())
        return [c for c in text if unicodedata.category(c)[0] in "LNM"]

    a, b = clean(reference), clean(hypothesis)
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        above, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (x != y))
    return row[-1], len(a)


CHARACTERS = "你好再见今天的啊A1bＢ２Ｚ，。！ \u3000𠮷𪚥龘㐀〇\u0301e\u0301ñＮ\ufe0f\U000e0100か한½①㎏ß…·-%"


def test_a_thousand_pairs_against_a_table_of_edits_and_two_libraries():
    source = random.Random(0)
    lengths = [0, 0, 1, 2, 5, 15, 30]
    empty = 0
    for _ in range(1000):
        a, b = ("".join(source.choices(CHARACTERS, k=source.choice(lengths))) for _ in range(2))
        if source.random() < 0.5:  # half of them nearly right
            b = "".join(c if source.random() > 0.2 else source.choice(CHARACTERS) for c in a)
        errors = char_errors(a, b, rules=TRAINING)
        assert (errors.total, errors.reference) == table_of_edits(a, b), (a, b)
        target, guess = (normalize(text).replace(" ", "") for text in (a, b))
        assert errors.total == Levenshtein.distance(target, guess)
        other = jiwer.process_characters(target, guess)
        assert errors == CharErrors(other.substitutions, other.deletions, other.insertions, len(target))
        assert errors.deletions - errors.insertions == len(target) - len(guess)
        empty += not target or not guess
    assert 100 < empty < 500


def test_counts_add_up_and_the_rate_is_of_the_sums():
    short, long = CharErrors(1, 0, 0, 1), CharErrors(0, 1, 0, 9)
    assert short + long == CharErrors(1, 1, 0, 10)
    assert (short + long).cer == 0.2  # the mean of the two rates would be 0.56
    assert sum([short, long], CharErrors()).total == 2


def test_the_rate_of_an_empty_reference():
    assert CharErrors().cer == 0.0
    assert math.isinf(char_errors("", "你").cer)
    assert char_errors("好", "坏人了").cer == 3.0


@pytest.mark.parametrize(
    ("errors", "line"),
    [
        (CharErrors(312, 41, 28, 7441), "CER 5.12 % [ 312 S, 41 D, 28 I / 7,441 ]"),
        (CharErrors(0, 0, 0, 3), "CER 0.00 % [ 0 S, 0 D, 0 I / 3 ]"),
        (CharErrors(1234, 0, 2, 104765), "CER 1.18 % [ 1,234 S, 0 D, 2 I / 104,765 ]"),
    ],
)
def test_a_score_is_one_line(errors, line):
    assert str(errors) == line
    assert errors.line("MER") == line.replace("CER", "MER")


@pytest.mark.parametrize(
    ("reference", "hypothesis", "pairs"),
    [
        ("好", "好的", [("好", "好"), ("", "的")]),
        ("今天好", "天坏", [("今", ""), ("天", "天"), ("好", "坏")]),
        ("", "", []),
        ("今天天气", "昨气", [("今", ""), ("天", ""), ("天", "昨"), ("气", "气")]),
        ("今天天气", "今后", [("今", "今"), ("天", "后"), ("天", ""), ("气", "")]),
        ("他在", "她再见", [("他", "她"), ("在", "再"), ("", "见")]),
        ("𠮷A", "A", [("𠮷", ""), ("A", "A")]),
        (["HELLO", "你"], ["HALLO", "你", "OK"], [("HELLO", "HALLO"), ("你", "你"), ("", "OK")]),
    ],
)
def test_alignment(reference, hypothesis, pairs):
    assert align(reference, hypothesis) == pairs


def test_an_alignment_holds_both_texts_and_all_errors():
    source = random.Random(1)
    for _ in range(300):
        a, b = ("".join(source.choices("你好再见", k=source.randrange(12))) for _ in range(2))
        pairs = align(a, b)
        assert "".join(r for r, _ in pairs) == a and "".join(h for _, h in pairs) == b
        errors = unit_errors(a, b)
        assert sum(bool(r and h and r != h) for r, h in pairs) == errors.substitutions
        assert sum(not h for _, h in pairs) == errors.deletions
        assert sum(not r for r, _ in pairs) == errors.insertions
