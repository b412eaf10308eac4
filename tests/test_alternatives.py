"""References that leave open what was said, as sclite writes them."""

import random
from itertools import product

import pytest

from asr.errors import ManifestError
from asr.scoring.alternatives import nearest_text, open_parts
from asr.scoring.cer import CharErrors, unit_errors
from asr.scoring.compare import Comparison
from asr.scoring.score import score_files
from asr.scoring.transcripts import read_together
from tests.miniatures import write


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("今天好", ()),
        ("他 { 的 / 得 } 好", (("他 ",), ("的", "得"), (" 好",))),
        ("{ 啊 / @ } 好", (("",), ("啊", ""), (" 好",))),
        ("好 (啊) { 三 点 / 三点钟 / 3点 }", (("好 ",), ("啊", ""), (" ",), ("三 点", "三点钟", "3点"), ("",))),
        ("{ TCP/IP / 网络 }{的/得}", (("",), ("TCP/IP", "网络"), ("",), ("的", "得"), ("",))),
        ("{ (嗯) / 啊 }", (("",), ("嗯", "啊", ""), ("",))),
        ("f(x) 好 (a b)", ()),  # no word that stands alone in brackets
    ],
)
def test_parts_of_a_text(text, parts):
    assert open_parts(text, "t:1") == parts


@pytest.mark.parametrize("text", ["{ a / { b / c } }", "{ a / b", "a } b", "<ALT_BEGIN> a"])
def test_braces_that_do_not_close_are_refused(text):
    with pytest.raises(ManifestError, match=r"t:1: alternatives must be \{ a / b \}, with none inside them, is '"):
        open_parts(text, "t:1")


def test_the_nearest_text_is_that_of_all_texts():
    """Against every combination, of random parts."""
    source = random.Random(0)

    def some(longest: int) -> str:
        return "".join(source.choices("今天好啊的", k=source.randint(0, longest)))

    for _ in range(300):
        parts = [tuple(some(3) for _ in range(source.choice([1, 1, 2, 3]))) for _ in range(source.randint(1, 5))]
        heard = some(8)
        texts = ["".join(texts) for texts in product(*parts)]
        found = nearest_text(parts, heard, list).replace(" ", "")
        assert found in texts
        assert unit_errors(found, heard).total == min(unit_errors(text, heard).total for text in texts), (parts, heard)


@pytest.mark.parametrize(
    ("reference", "hypothesis", "errors"),
    [
        ("他 走 { 的 / 得 } 快", "他走得快", CharErrors(reference=4)),
        ("他 走 { 的 / 得 } 快", "他走地快", CharErrors(substitutions=1, reference=4)),
        ("好 (啊) 再见", "好再见", CharErrors(reference=3)),
        ("好 (啊) 再见", "好啊再见", CharErrors(reference=4)),
        ("{ 嗯 / 呃 / @ } 好", "好", CharErrors(reference=1)),
        ("{ 三点 / 三点钟 }", "三点中", CharErrors(insertions=1, reference=2)),  # of equals the first
        ("{ 三点钟 / 三点 }", "", CharErrors(deletions=2, reference=2)),
    ],
)
def test_what_comes_nearest_counts(tmp_path, reference, hypothesis, errors):
    trn = write(tmp_path / "r.trn", f"{reference} (u1)", "好 (u2)")
    said: list[str] = []
    score = score_files(trn, write(tmp_path / "h", f"u1 {hypothesis}", "u2 好"), say=said.append)
    assert score.utterances[0].errors == errors
    assert f"{trn}: 1 places leave open what was said; what comes nearest counts" in said


def test_alternatives_of_segments(tmp_path):
    stm = write(tmp_path / "r.stm", "r 1 s 0.0 2.0 他 { 的 / 得 } 好", "r 1 s 2.0 4.0 (嗯) 今天")
    assert score_files(stm, write(tmp_path / "h.ctm", "r 1 0.5 0.5 他得好", "r 1 2.5 0.5 今天")).errors.reference == 5
    whole = score_files(stm, write(tmp_path / "r.txt", "他得好今天"))
    assert whole.errors == CharErrors(reference=5)


def test_alternatives_in_hypotheses_are_refused(tmp_path):
    reference, hypothesis = write(tmp_path / "r.trn", "他 (u1)"), write(tmp_path / "h.trn", "他 { 的 / 得 } (u1)")
    with pytest.raises(
        ManifestError, match=r"h\.trn:1: alternatives \(\{ a / b \}\) are understood in references without"
    ):
        read_together([reference, hypothesis])


def test_systems_are_compared_by_their_own_rates(tmp_path):
    reference = write(tmp_path / "r.trn", *(f"好 {{ 今天 / @ }} (u{n})" for n in range(12)))
    a = write(tmp_path / "a", *(f"u{n} {'号' if n < 6 else '好'}" for n in range(12)))
    b = write(tmp_path / "b", *(f"u{n} {'号' if n < 6 else '好'}今天" for n in range(12)))
    scores = [score_files(reference, path) for path in (a, b)]
    assert [score.cer for score in scores] == [6 / 12, 6 / 36]
    assert Comparison(*scores).difference.cer == pytest.approx(6 / 36 - 6 / 12)
