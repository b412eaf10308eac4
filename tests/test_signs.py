"""Signs that are part of a number or a word, other code points of the same: what scoring keeps apart, and what not."""

import random
import unicodedata

import pytest

from asr.scoring.cer import SCORING, CharErrors, char_errors, language, units_of
from asr.text.forms import unify_forms
from asr.text.normalize import TRAINING, normalize, unify_case, unify_width
from asr.text.signs import drop_punctuation


@pytest.mark.parametrize(
    ("number", "without"),
    [
        *[("3.14", "314"), ("30%", "30"), ("-5", "5"), ("1/2", "12"), ("12:30", "1230"), ("3-5天", "35天")],
        *[
            ("3~5天", "35天"),
            ("5‰", "5"),
            ("25°", "25"),
            ("$5", "5"),
            ("5€", "5"),
            ("±5", "5"),
            ("+5", "5"),
            ("18+", "18"),
        ],
        *[("2×3", "23"), ("1+1=2", "112"), ("≥5", "5"), ("<5", "5"), ("2.4.1", "241"), ("3·15", "315")],
        *[("３．１４", "314"), ("３０％", "30"), ("－5", "5"), ("−5", "5"), ("１２：３０", "1230"), ("１／２", "12")],
        *[("￥5", "5"), ("½", "12"), ("2½", "212"), ("10²", "102"), ("10⁻³", "103"), ("1,5", "15"), ("三十%", "三十")],
        *[("零下-5度", "零下5度"), ("3 . 14", "314"), ("30 %", "30"), ("2019—2020", "20192020")],
        *[
            ("3%-5%", "3%5%"),
            ("-.5", ".5"),
            ("-$5", "$5"),
            ("$-5", "$5"),
            ("5′", "5"),
            ("20%+", "20%"),
            ("1'30", "130"),
            ("–5", "5"),
            ("3・8", "38"),
            ("零.五", "零五"),
            ("二/三", "二三"),
        ],
    ],
)
@pytest.mark.parametrize("unit", ["char", "mixed"])
def test_two_numbers_are_not_equal_for_want_of_a_sign(number, without, unit):
    assert char_errors(f"是{number}吗", f"是{without}吗", unit).total > 0
    assert char_errors(f"是{number}吗", f"是{number}吗", unit).total == 0


def test_signs_are_counted_as_characters():
    assert char_errors("3.14", "314") == CharErrors(0, 1, 0, 4)
    assert char_errors("30", "30%") == CharErrors(0, 0, 1, 2)
    assert char_errors("气温-5到3.5", "气温5到35") == CharErrors(0, 2, 0, 8)
    assert char_errors(".5", "5") == CharErrors(0, 1, 0, 2)
    assert char_errors("气 温 - 5 度 3 . 5", "气 温 5 度 3 5") == CharErrors(0, 2, 0, 8)  # each character alone


@pytest.mark.parametrize(
    ("one", "other"),
    [
        *[
            ("1,234", "1234"),
            ("12,345,678.9", "12345678.9"),
            ("１，２３４", "1234"),
            ("３０％", "30%"),
            ("30 %", "30%"),
        ],
        *[
            ("−5", "-5"),
            ("1⁄2", "1/2"),
            ("½", "1/2"),
            ("3∶2", "3:2"),
            ("5–6", "5-6"),
            ("3～5", "3~5"),
            ("２５℃", "25°C"),
        ],
        # punctuation beside numbers is none of theirs
        *[("买5，6个。", "买5 6个"), ("有5个。（5）", "有5个5"), ("5!", "5"), ("第5.好", "第5好"), ("——5个", "5个")],
        *[
            ("“5”", "5"),
            ("5、6", "5 6"),
            ("说:5", "说5"),
            ("COVID-19", "COVID19"),
            ("A-5", "A5"),
            ("2024年。", "2024年"),
        ],
    ],
)
def test_one_number_in_another_writing_is_the_same(one, other):
    assert char_errors(one, other).total == 0


def test_the_rule_for_signs_brings_back_what_training_does():
    assert char_errors("3.14", "314", rules="+number_signs").total == 0
    assert normalize("3.14，30%", SCORING["char"]) == "3.14 30%" and normalize("3.14，30%") == "3 14 30"


ALPHABET = "你好一5１3０ab'.-,:/%‰°+~±<>=×^$¥€ ₂²½−—～·’#@_&!，。％．－：|[]O○"


def test_training_drops_every_sign_as_it_always_did():
    source = random.Random(4)
    for _ in range(3000):
        text = "".join(source.choices(ALPHABET, k=12))
        spaced = "".join(c if unicodedata.category(c)[0] in "LNM" else " " for c in unify_case(unify_width(text)))
        assert normalize(text, TRAINING) == normalize(spaced, ("spaces",)), text


PIECES = (
    "3.14 -5 30% 1,234 ½ 10² 12:30 3–5天 $5 +5 25℃ 二○○八 ⻄安 DON’T C++ U.S.A. e-mail 你好 ， 。 （ “ ” … 😀".split()
)


@pytest.mark.parametrize("unit", SCORING)
def test_normalising_twice_changes_nothing_more(unit):
    source = random.Random(5)
    for _ in range(1000):
        text = normalize(" ".join(source.choices(PIECES, k=6)), SCORING[unit])
        assert normalize(text, SCORING[unit]) == text


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("DON'T don’t", ["DON'T", "DON'T"]),
        ("U.S.A. 的 e-mail，Wi-Fi", ["U.S.A", "的", "E-MAIL", "WI-FI"]),
        ("涨了3.14，30%。", ["涨", "了", "3.14", "30%"]),
        ("AT&T用C++和C#", ["AT&T", "用", "C++", "和", "C#"]),
        ("'hello', (world)!", ["HELLO", "WORLD"]),
        ("-5度，12:30，1,234元", ["-5", "度", "12:30", "1234", "元"]),
        ("v2.0-rc1 qq.com", ["V2.0-RC1", "QQ.COM"]),
        ("好-的 ok - fine", ["好", "的", "OK", "FINE"]),
    ],
)
def test_words_and_numbers_are_one_mixed_unit_each(text, units):
    assert units_of(normalize(text, SCORING["mixed"]), "mixed") == units


def test_as_characters_words_have_no_signs():
    assert char_errors("DON'T用Wi-Fi", "DONT用WIFI") == CharErrors(reference=9)
    assert char_errors("DON'T", "DONT", rules="-word_signs") == CharErrors(0, 1, 0, 5)


def test_the_language_of_a_unit():
    assert [language(unit) for unit in ("好", "〇", "DON'T", "É", "30%", "-3.14", "12:30")] == [
        *["Mandarin"] * 2, *["English"] * 2, *["numbers"] * 3
    ]  # fmt: skip
    assert {language(unit) for unit in ("A4", "か", "한", "%", "ЯЗЫК")} == {"other"}


@pytest.mark.parametrize(
    ("text", "unified"),
    [
        *[("二○○八年", "二〇〇八年"), ("二◯一八", "二〇一八"), ("一九八○", "一九八〇"), ("○七年", "〇七年")],
        *[("二OO八年", "二〇〇八年"), ("二０一０年", "二〇一〇年"), ("王○○", "王○○"), ("○号", "○号"), ("一OK", "一OK")],
        *[("⻄安", "西安"), ("⻓⻋⻢⻰⻩", "长车马龙黄"), ("㇐", "一")],
        *[("1,234，5", "1234、5"), ("1,23", "1,23"), ("0,123", "0,123"), ("5，678", "5、678")],
    ],
)
def test_one_form_for_what_is_the_same(text, unified):
    assert unify_forms(text) == unified


def test_every_radical_is_a_character():
    """Those that the rule leaves are written as characters by NFKC."""
    radicals = [*range(0x2E81, 0x2E9A), *range(0x2E9B, 0x2EF4), *range(0x2F00, 0x2FD6)]
    for code in radicals:
        (character,) = unify_width(unify_forms(chr(code)))
        name = unicodedata.name(character)
        assert name.startswith("CJK UNIFIED"), f"{chr(code)} {name}"
    assert char_errors("⻄⼊⾦⿓", "西入金龍").total == 0


def test_punctuation_is_what_separates():
    assert drop_punctuation("好！A-B？") == "好 A-B "
