import json
import math
import random
import re
from pathlib import Path

import pytest
from rapidfuzz.distance import Levenshtein

from asr.errors import ManifestError
from asr.scoring.cer import CharErrors, char_errors, corpus_errors, errors_by
from asr.scoring.files import read_transcripts, score_files


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


def reference_distance(a: str, b: str) -> int:
    """Least edits from a to b, by the textbook."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        above, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (x != y))
    return row[-1]


def test_random_pairs_against_two_other_implementations():
    source = random.Random(0)
    for _ in range(300):
        a, b = ("".join(source.choices("你好再见A1", k=source.randrange(15))) for _ in range(2))
        errors = char_errors(a, b)
        assert errors.total == reference_distance(a, b) == Levenshtein.distance(a, b)
        assert errors.reference == len(a)
        assert errors.deletions - errors.insertions == len(a) - len(b)


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


def test_a_missing_hypothesis_is_all_deletions():
    assert corpus_errors({"a": "你好", "b": "再见了"}, {"a": "你坏", "c": "多余"}) == CharErrors(1, 3, 0, 5)
    with pytest.raises(ManifestError, match="no reference to score against"):
        corpus_errors({}, {"a": "你好"})


def test_errors_by_group():
    errors = [CharErrors(1, 0, 0, 5), CharErrors(0, 2, 0, 6), CharErrors(0, 0, 3, 7)]
    groups = errors_by(["S2", "S1", "S2"], errors)
    assert list(groups.items()) == [("S1", CharErrors(0, 2, 0, 6)), ("S2", CharErrors(1, 0, 3, 12))]
    with pytest.raises(ValueError):
        errors_by(["S1"], errors)


def kaldi(path: Path, texts: dict[str, str]) -> Path:
    path.write_text("".join(f"{id} {text}\n" for id, text in texts.items()), encoding="utf-8")
    return path


def jsonl(path: Path, texts: dict[str, str | None]) -> Path:
    lines = (json.dumps({"id": id, "text": text, "score": -1}, ensure_ascii=False) for id, text in texts.items())
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def test_kaldi_and_jsonl_files_score_against_each_other(tmp_path):
    reference, hypothesis = {"a": "今天 天气", "b": "你好"}, {"b": "您好。", "a": "今天天汽好"}
    expected = CharErrors(2, 0, 1, 6)
    for write_reference in (kaldi, jsonl):
        for write_hypothesis in (kaldi, jsonl):
            lines = []
            files = write_reference(tmp_path / "ref", reference), write_hypothesis(tmp_path / "hyp", hypothesis)
            assert score_files(*files, say=lines.append) == expected
            assert lines == []


def test_missing_and_extra_ids_are_said(tmp_path):
    reference = kaldi(tmp_path / "ref", {f"u{n:02}": "你好" for n in range(14)})
    hypothesis = kaldi(tmp_path / "hyp", {"x": "再见", "u00": "你好", "u13": "你"})
    lines = []
    assert score_files(reference, hypothesis, lines.append) == CharErrors(0, 25, 0, 28)
    assert lines == [
        f"{hypothesis}: 12 of 14 ids are missing and count as deleted: "
        "u01, u02, u03, u04, u05, u06, u07, u08, u09, u10 …",
        f"{hypothesis}: 1 ids are not in {reference} and are left out: x",
    ]


def test_files_without_a_common_id(tmp_path):
    files = kaldi(tmp_path / "ref", {"a": "你好"}), kaldi(tmp_path / "hyp", {"a.wav": "你好", "b.wav": "再见"})
    with pytest.raises(ManifestError, match=r"/hyp: has no id of .*/ref; its first id is 'a\.wav'$"):
        score_files(*files)


def test_bom_crlf_empty_lines_and_tabs(tmp_path):
    (tmp_path / "t").write_bytes("\ufeffa 你好\r\n\r\nb\t再 见 \r\nc\r\n".encode())
    assert read_transcripts(tmp_path / "t") == {"a": "你好", "b": "再 见", "c": ""}
    (tmp_path / "j").write_bytes('\ufeff\r\n{"id": "a", "text": "你好"}\r\n'.encode())
    assert read_transcripts(tmp_path / "j") == {"a": "你好"}


def test_ids_may_be_numbers(tmp_path):
    (tmp_path / "j").write_text('{"id": 17, "text": "hello"}\n')
    assert read_transcripts(tmp_path / "j") == {"17": "hello"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "t: is empty"),
        (b" \n\r\n", "t: is empty"),
        ("a 你好\n\na 再见\n".encode(), "t:3: id must be unique, 'a' occurs twice"),
        ("a 你好\n".encode("gb18030"), "t: not UTF-8 (invalid continuation byte at byte 2)"),
        (b'{"id": "a", "text": "x"}\n{"id": "b"}\n', 't:2: must be a JSON object with id and text, is \'{"id": "b"}\''),
        (b'{"id": "a", "text": "x"}\n["b"]\n', "t:2: must be a JSON object with id and text, is '[\"b\"]'"),
        (b'{"id": "a", "text": "x"}\nb x\n', "t:2: must be a JSON object with id and text, is 'b x'"),
    ],
)
def test_wrong_transcripts_are_refused(tmp_path, content, message):
    (tmp_path / "t").write_bytes(content)
    with pytest.raises(ManifestError, match="/" + re.escape(message)):
        read_transcripts(tmp_path / "t")


def test_transcripts_that_are_not_there(tmp_path):
    with pytest.raises(ManifestError, match="/t: no such file$"):
        read_transcripts(tmp_path / "t")
    with pytest.raises(ManifestError, match="cannot be read"):
        read_transcripts(tmp_path)


def test_a_text_of_null_is_refused(tmp_path):
    with pytest.raises(ManifestError, match="t:1: "):
        read_transcripts(jsonl(tmp_path / "t", {"a": None}))


@pytest.mark.parametrize("write", [kaldi, jsonl])
@pytest.mark.parametrize("separator", ["\u2028", "\u0085"])
def test_line_separators_inside_a_text(tmp_path, write, separator):
    """read_manifest takes such a line: a manifest that can be trained on should be a reference too."""
    texts = {"a": f"你{separator}好", "b": "再见"}
    assert read_transcripts(write(tmp_path / "t", texts)) == texts
