"""Test sets: sums, ids that do not match, oracle, where the errors are, and two systems compared."""

import json

import pytest

from asr.errors import ManifestError
from asr.scoring import breakdown
from asr.scoring.breakdown import Confusion, Deletions, Group
from asr.scoring.cer import CharErrors
from asr.scoring.compare import Comparison, compare_files
from asr.scoring.score import score_files, score_lines
from asr.scoring.transcripts import Line
from tests.miniatures import write


def scored(*pairs: tuple[str, str], speakers: str = "", **settings):
    """A score of references and hypotheses in this order; one letter per speaker."""
    lines = [({"speaker": speakers[n]} if speakers else {}) for n in range(len(pairs))]
    references = {f"u{n}": Line(r, fields=fields) for n, ((r, _), fields) in enumerate(zip(pairs, lines, strict=True))}
    hypotheses = {f"u{n}": Line(h) for n, (_, h) in enumerate(pairs)}
    return score_lines(references, hypotheses, **settings)


def test_files_in_any_form_give_the_same_score(tmp_path):
    forms = {
        "kaldi": ("a 今天 天气", "b 你好"),
        "jsonl": ('{"id": "a", "text": "今天天气"}', '{"id": "b", "text": "你好"}'),
        "table": ("id\ttext", "a\t今天天气", "b\t你好"),
        "plain": ("今天天气", "你好"),
    }
    guesses = {
        "kaldi": ("b 您好。", "a 今天天汽好"),
        "jsonl": ('{"id": "b", "text": "您好"}', '{"id": "a", "text": "今天天汽好"}'),
        "table": ("id\ttext", "b\t您好", "a\t今天天汽好"),
        "plain": ("今天天汽好", "您好"),
    }
    for name, lines in forms.items():
        for other, guess in guesses.items():
            reference, hypothesis = write(tmp_path / name, *lines), write(tmp_path / f"{other}-hyp", *guess)
            if "plain" in (name, other) and name != other:
                hypothesis = write(tmp_path / f"{other}-hyp", *(guess if other == "plain" else _in_order(other, guess)))
            assert score_files(reference, hypothesis).errors == CharErrors(2, 0, 1, 6), (name, other)


def _in_order(form: str, lines: tuple[str, ...]) -> list[str]:
    head, rows = (lines[:1], lines[1:]) if form == "table" else ((), lines)
    return [*head, *reversed(rows)]


def test_a_score_in_words():
    score = scored(*[("今天天气很好", "今天天汽很好"), ("你好", "你好")] * 10)
    assert score.lines() == [
        "CER 12.50 % [ 10 S, 0 D, 0 I / 80 ]",
        f"95 % interval {100 * score.interval.low:.2f} to {100 * score.interval.high:.2f} % (bootstrap over 20 utterances)",
        "SER 50.00 % [ 10 / 20 ]",
    ]
    assert str(score) == "\n".join(score.lines())
    assert scored(("你好", "您好")).lines() == ["CER 50.00 % [ 1 S, 0 D, 0 I / 2 ]", "SER 100.00 % [ 1 / 1 ]"]
    assert scored(("HELLO 你", "HALLO 你"), unit="mixed").lines()[0] == "MER 50.00 % [ 1 S, 0 D, 0 I / 2 ]"


def test_ids_that_do_not_match_are_said(tmp_path):
    reference = write(tmp_path / "ref", *(f"u{n:02} 你好" for n in range(14)))
    hypothesis = write(tmp_path / "hyp", "x 再见", "u00 你好", "u13 你")
    said = []
    score = score_files(reference, hypothesis, say=said.append)
    assert score.errors == CharErrors(0, 25, 0, 28)
    assert score.missing == tuple(f"u{n:02}" for n in range(1, 13)) and score.extra == ("x",)
    assert said[3:] == [
        f"{hypothesis}: 12 of 14 ids are missing and count as deleted: "
        "u01, u02, u03, u04, u05, u06, u07, u08, u09, u10 …",
        f"{hypothesis}: 1 ids have no reference and are left out: x",
    ]


def test_files_without_a_common_id(tmp_path):
    reference, hypothesis = write(tmp_path / "ref", "a 你好"), write(tmp_path / "hyp", "c.wav 你好", "b.wav 再见")
    with pytest.raises(ManifestError, match=r"/hyp: has no id of .*/ref; its first id is 'c\.wav', there it is 'a'$"):
        score_files(reference, hypothesis)
    with pytest.raises(ManifestError, match="no reference to score against"):
        score_lines({}, {"a": Line("你好")})


def test_rules_say_how_much_they_changed():
    score = scored(("ＡＢ 你 好。", "ab你好"), rules=("spaces", "width", "case", "punctuation"))
    assert score.rules == ("width", "case", "punctuation", "spaces")
    assert score.changed == {"width": (2, 0), "case": (0, 2), "punctuation": (1, 0), "spaces": (3, 0)}
    assert score.notes() == [
        "normalised by width, case, punctuation, spaces; characters changed in references + hypotheses:"
        " width 2 + 0, case 0 + 2, punctuation 1 + 0, spaces 3 + 0"
    ]
    assert scored(("你", "你"), rules=()).notes() == ["normalised by no rule"]


def test_what_is_dropped_that_is_no_punctuation_is_said():
    score = scored(("好😀吧\u200b，", "好吧😀😀"), ("A▁B=C−5", "AB"))
    assert score.dropped == {"😀": (1, 2), "=": (1, 0), "▁": (1, 0), "\u200b": (1, 0)}
    assert score.notes()[1] == "dropped, though it is no punctuation: 😀 1 + 2, = 1 + 0, U+200B 1 + 0, ▁ 1 + 0"
    assert scored(("好，。…", "好")).dropped == {}


def test_rules_that_might_be_meant_are_named():
    score = scored(("30%", "百分之三十"), ("好", "<unk>[NOISE]好"), ("好", "<unk>5"))
    assert score.hints == (
        "2 texts (1 references, 1 hypotheses) hold digits:"
        " --rules +numbers compares numbers as they are read, 30% as 百分之三十",
        "3 tags (<unk>, [NOISE]) count like the words they are written with: --rules +tags leaves them out",
    )
    assert score.notes()[-2:] == list(score.hints)
    assert scored(("30%", "<unk>"), rules="+numbers,+tags").hints == ()
    assert scored(("今天", "今天")).hints == ()


def test_mixed_units_have_a_rate_for_each_language():
    score = scored(("我用WI-FI花了30%的A4纸", "你用WI-FI花了3%的A4纸吗OK"), unit="mixed")
    assert score.languages == {
        "Mandarin": CharErrors(1, 0, 1, 6),
        "English": CharErrors(0, 0, 1, 1),
        "numbers": CharErrors(1, 0, 0, 1),
        "other": CharErrors(0, 0, 0, 1),
    }
    assert sum(score.languages.values(), CharErrors()) == score.errors
    assert score.lines()[:3] == [
        "MER 44.44 % [ 2 S, 0 D, 2 I / 9 ]",
        "Mandarin 33.33 % [ 1 S, 0 D, 1 I / 6 ]",
        "English 100.00 % [ 0 S, 0 D, 1 I / 1 ]",
    ]
    assert scored(("我用WI-FI", "我")).languages == {}


def test_oracle(tmp_path):
    reference = write(tmp_path / "ref", "a 今天天气", "b 你好", "c 好")
    nbest = [{"id": "a", "nbest": [{"text": "今天天汽"}, {"text": "今天天气"}]}, {"id": "b", "nbest": ["您好", "您号"]}]
    hypothesis = write(tmp_path / "nbest", *(json.dumps(line) for line in nbest))
    score = score_files(reference, hypothesis)
    assert score.errors == CharErrors(2, 1, 0, 7) and score.oracle == CharErrors(1, 1, 0, 7)
    assert score.lines()[-1] == "oracle of 2 best: CER 28.57 % [ 1 S, 1 D, 0 I / 7 ]"
    assert scored(("你", "您")).oracle == CharErrors(1, 0, 0, 1)


def test_by_speaker_and_by_length():
    score = scored(("你好", "你"), ("今天天气很好啊", "今天天气很好啊"), ("", "嗯"), ("再见", "再见"), speakers="BAAB")
    assert breakdown.by_field(score, "speaker") == [
        Group("A", 2, 1, CharErrors(0, 0, 1, 7)),
        Group("B", 2, 1, CharErrors(0, 1, 0, 4)),
    ]
    assert breakdown.by_length(score) == [
        Group("0", 1, 1, CharErrors(0, 0, 1, 0)),
        Group("1–5", 2, 1, CharErrors(0, 1, 0, 4)),
        Group("6–10", 1, 0, CharErrors(0, 0, 0, 7)),
    ]
    assert breakdown.by_field(score, "dialect") == []
    assert breakdown.by_length(scored(("好" * 51, "好"), ("好" * 50, "好")))[0].name == "31–50"


def test_ten_speakers_are_what_is_drawn():
    score = scored(*[("今天", "今田"), ("你好", "你好")] * 10, speakers="ABCDEFGHIJABCDEFGHIJ")
    assert (score.interval.over, score.interval.n) == ("speakers", 10)


def test_histogram():
    score = scored(("你好", "你好"), ("好" * 20, "好" * 19), ("你好", "您好"), ("你", "您号"), ("", "啊"))
    counts = dict(breakdown.histogram(score))
    assert counts == {
        "0 %": 1,
        "≤ 5 %": 1,
        "≤ 10 %": 0,
        "≤ 20 %": 0,
        "≤ 30 %": 0,
        "≤ 50 %": 1,
        "≤ 100 %": 0,
        "> 100 %": 2,
    }


def test_confusions_and_how_they_sound():
    score = scored(
        ("他在家", "她在家"), ("他们", "它们"), ("他在", "她再见"), ("买东西", "卖东西"), ("很好", "好"), ("好", "哭")
    )
    pypinyin = breakdown.confusions(score)
    assert pypinyin[0] == Confusion("他", "她", 2, {"homophone": 2, "other tone": 0, "other": 0})
    found = {(c.reference, c.hypothesis): (c.count, [kind for kind, n in c.kinds.items() if n]) for c in pypinyin}
    assert found == {
        ("他", "她"): (2, ["homophone"]),
        ("他", "它"): (1, ["homophone"]),
        ("在", "再"): (1, ["homophone"]),
        ("买", "卖"): (1, ["other tone"]),
        ("好", "哭"): (1, ["other"]),
        ("很", ""): (1, []),
        ("", "见"): (1, []),
    }


def test_a_polyphone_sounds_as_its_word_has_it():
    """行 is háng in 银行 and xíng in 行走: against 航 it is a homophone only in the bank."""
    bank, walk = scored(("去银行", "去银航")), scored(("行走", "航走"))
    assert breakdown.confusions(bank)[0].kinds["homophone"] == 1
    assert breakdown.confusions(walk)[0].kinds["other"] == 1
    assert breakdown.confusions(scored(("航", "行")))[0].kinds["homophone"] == 1  # it may be read so


def test_words_in_mixed_units_have_no_sound():
    score = scored(("HELLO你 4", "HALLO他 5"), unit="mixed")
    assert [list(c.kinds.values()) for c in breakdown.confusions(score)] == [[0, 0, 1]] * 3
    assert breakdown.syllables(["HELLO", "你", "好"]) == ["HELLO", "ni3", "hao3"]


def test_syllable_errors():
    score = scored(("他在家", "她再家"), ("买", "卖"), ("好", "好"))
    assert score.errors == CharErrors(3, 0, 0, 5)
    assert breakdown.syllable_errors(score) == CharErrors(1, 0, 0, 5)


@pytest.mark.parametrize(
    ("reference", "hypothesis", "wrong"),
    [("不要", "不药", 0), ("好的", "好地", 0), ("去银行", "去很行", 1), ("一个人", "一人", 1)],
)
def test_what_is_right_stays_right_beside_an_error(reference, hypothesis, wrong):
    """Tones of 不 and 一 and readings of 行 and 地 depend on their neighbours; only the wrong place is compared."""
    assert breakdown.syllable_errors(scored((reference, hypothesis))).total == wrong


def test_where_deletions_are():
    score = scored(("今天天气", ""), ("甲乙丙丁戊己", "丙己"), ("甲乙丙", "甲"), ("甲乙丙", "甲啊丙丁"), ("", "好"))
    assert breakdown.deletions(score) == Deletions(whole=4, start=2, middle=2, end=2)


def test_two_systems(tmp_path):
    reference = write(tmp_path / "ref", *(f"u{n:02} 今天天气很好" for n in range(40)))
    a = write(tmp_path / "a", *(f"u{n:02} 今天天气{'恨' if n % 2 else '很'}好" for n in range(40)))
    b = write(tmp_path / "b", *(f"u{n:02} 今天天气{'恨' if n % 8 == 1 else '很'}好" for n in range(39)))
    comparison = compare_files(reference, a, b)
    assert comparison.a.errors.total == 20 and comparison.b.errors.total == 11
    lines = comparison.lines()
    assert lines[0] == f"A {a}" and lines[4] == f"B {b}"
    assert lines[8].startswith("B − A -3.75 points of CER, 95 % interval -") and ", p = 0.1" in lines[8]
    assert lines[9] == "B is better on 14 utterances, worse on 1"
    assert lines[10] == "  +5 errors u39"  # its hypothesis is missing
    assert len(comparison.changes()) == 15 and lines[11] == "  -1 errors u03" and len(lines) == 20
    swapped = Comparison(comparison.b, comparison.a)
    assert swapped.difference.cer == -comparison.difference.cer
    assert swapped.difference.p_value == pytest.approx(comparison.difference.p_value)


def test_two_systems_without_a_test():
    few = Comparison(scored(("你好", "您好")), scored(("你好", "你好")))
    assert few.lines()[-3:-1] == [
        "B − A -50.00 points of CER (fewer than ten utterances: no test)",
        "B is better on 1 utterances, worse on 0",
    ]
    same = scored(*[("你好", "您好")] * 10)
    assert "B − A +0.00 points of CER, p = 1.000 (matched-pairs bootstrap over 10 utterances)" in str(
        Comparison(same, same)
    )
