"""Transcripts in whatever form: recognised by content, matched, refused with file and line."""

import json
import os
import re
import threading
from pathlib import Path

import pytest

from asr.errors import ManifestError
from asr.scoring.transcripts import Line, Transcripts, read_together


def read(path: Path) -> Transcripts:
    return read_together([path])[0]


def texts(path: Path) -> dict[str, str]:
    return {id: line.text for id, line in read(path).lines.items()}


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def kaldi(path: Path, texts: dict[str, str]) -> Path:
    return write(path, "".join(f"{id} {text}\n" for id, text in texts.items()))


def jsonl(path: Path, texts: dict[str, str | None]) -> Path:
    lines = (json.dumps({"id": id, "text": text}, ensure_ascii=False) for id, text in texts.items())
    return write(path, "".join(line + "\n" for line in lines))


@pytest.mark.parametrize(
    ("content", "form", "expected"),
    [
        ("u1 今天 天气\nu2 你好\nu3\n", "kaldi", {"u1": "今天 天气", "u2": "你好", "u3": ""}),
        ("u1\t今天 天气\nu2\t你好\n", "kaldi", {"u1": "今天 天气", "u2": "你好"}),
        ('{"id": "u1", "text": "今天", "speaker": "S1"}\n', "jsonl", {"u1": "今天"}),
        ('{"id": 17, "text": "hello"}\n', "jsonl", {"17": "hello"}),
        ('{"id": "a", "nbest": [{"text": "今天", "score": -1}, {"text": "明天"}]}\n', "jsonl", {"a": "今天"}),
        ("id\ttext\tspeaker\nu1\t今天\tS1\nu2\t\tS1\n", "table", {"u1": "今天", "u2": ""}),
        ("path\tsentence\nclips/u1.mp3\t今天\n", "table", {"u1": "今天"}),
        ("今天天气\n\n你好\n", "plain", {"1": "今天天气", "2": "", "3": "你好"}),
        ("今天 天气\nOK 你好\n", "plain", {"1": "今天 天气", "2": "OK 你好"}),
        ("\ufeffu1 你好\r\n\r\nu2\t再 见 \r\n", "kaldi", {"u1": "你好", "u2": "再 见"}),
        ('\ufeff\r\n{"id": "a", "text": "你好"}\r\n', "jsonl", {"a": "你好"}),
        ("\ufeffid\ttext\r\nu1\t你好\r\n", "table", {"u1": "你好"}),
        ("\ufeff你好\r\n再见\r\n", "plain", {"1": "你好", "2": "再见"}),
        ("ID\tText\nu1\t你好\n", "table", {"u1": "你好"}),
        ("id\thyp\nu1\t你好\n", "table", {"u1": "你好"}),
        ('{"id": "a", "nbest": []}\n', "jsonl", {"a": ""}),
        ('{"key": "a", "wav": "a.wav", "txt": "今天"}\n', "jsonl", {"a": "今天"}),
        ('{"key": "a", "source": "a.wav", "target": "今天"}\n', "jsonl", {"a": "今天"}),
    ],
)
def test_forms_are_told_apart(tmp_path, content, form, expected):
    path = write(tmp_path / "t", content)
    assert read(path).form == form
    assert texts(path) == expected


def test_fields_and_hypotheses_come_along(tmp_path):
    manifest = write(tmp_path / "m", '{"id": "a", "text": "你", "audio": "a.wav", "duration": 2.5, "speaker": "S1"}\n')
    assert read(manifest).lines["a"] == Line("你", fields={"audio": "a.wav", "duration": 2.5, "speaker": "S1"})
    nbest = write(tmp_path / "n", '{"id": "a", "nbest": ["你", {"text": "您", "score": -2}]}\n')
    assert read(nbest).lines["a"] == Line("你", ("你", "您"))
    table = write(tmp_path / "t", "id\ttext\tclient_id\tage\nu1\t今天\tx7\t30\n")
    assert read(table).lines["u1"].fields == {"speaker": "x7", "age": "30"}


def test_plain_lines_take_the_ids_of_the_reference(tmp_path):
    reference = kaldi(tmp_path / "ref", {"b": "你好", "a": "再见"})
    plain = write(tmp_path / "hyp", "你 好\n再 见\n")
    said = []
    _, hypotheses = read_together([reference, plain], say=said.append)
    assert {id: line.text for id, line in hypotheses.lines.items()} == {"b": "你 好", "a": "再 见"}
    assert said == [f"{reference}: Kaldi text (`id text`), 2 utterances", f"{plain}: plain lines, 2 utterances"]


def test_a_table_of_references_and_hypotheses_is_read_for_what_it_is_given_as(tmp_path):
    both = write(tmp_path / "both.tsv", "id\tref\thyp\nu1\t今天\t明天\n")
    references, hypotheses = read_together([both, both])
    assert (references.lines["u1"].text, hypotheses.lines["u1"].text) == ("今天", "明天")


@pytest.mark.parametrize(
    "line",
    ['{"id": "a", "target": "今天", "nbest": ["明天"]}', '{"key": "a", "text": "今天", "pred_text": "明天"}'],
)
def test_a_reference_beside_a_hypothesis_is_not_taken_for_it(tmp_path, line):
    reference, hypothesis = write(tmp_path / "ref", "a 今天\n"), write(tmp_path / "hyp", line + "\n")
    assert [file.lines["a"].text for file in read_together([reference, hypothesis])] == ["今天", "明天"]


@pytest.mark.parametrize("header", ['"id","text"', "id, text", "ID,Text"])
def test_headers_of_csv_files(tmp_path, header):
    path = write(tmp_path / "t.csv", f'{header}\n"u1","今天,天气"\nu2,你好\n')
    assert texts(path) == {"u1": "今天,天气", "u2": "你好"}


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.txt"])
@pytest.mark.parametrize("mark", ["\t", ",", ";"])
def test_the_header_tells_what_parts_columns(tmp_path, name, mark):
    """Counted as lines, a header would be an utterance, and ids would be text."""
    lines = [["id", "text", "speaker"], ["u1", "今天", "S1"], ["u2", "你好", "S2"]]
    path = write(tmp_path / name, "".join(mark.join(line) + "\n" for line in lines))
    assert texts(path) == {"u1": "今天", "u2": "你好"}


def test_a_csv_without_a_header(tmp_path):
    path = write(tmp_path / "t.csv", "u1,今天\nu2,你好\n")
    with pytest.raises(ManifestError, match=r"t\.csv:1: no column for text \(hypothesis, .*the header has u1, 今天$"):
        read_together([path])
    assert texts(write(tmp_path / "t.txt", "你好,今天\n再见,明天\n")) == {"1": "你好,今天", "2": "再见,明天"}
    assert texts(write(tmp_path / "u.csv", "你好\n再见\n")) == {"1": "你好", "2": "再见"}


def test_what_git_lfs_has_not_fetched_is_named(tmp_path):
    path = write(tmp_path / "t", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(
        ManifestError, match=r"/t: is what Git LFS leaves in the place of the file, which was not fetched; "
    ):
        read_together([path])


def test_utf_16_is_named(tmp_path):
    (tmp_path / "t").write_bytes("今天\n".encode("utf-16"))
    with pytest.raises(ManifestError, match=r"/t: is text in UTF-16; `iconv -f UTF-16 -t UTF-8` converts it$"):
        read_together([tmp_path / "t"])


def test_ids_in_chinese(tmp_path):
    reference = jsonl(tmp_path / "ref", {"会议一": "你好", "会议二": "再见"})
    hypothesis = write(tmp_path / "hyp", "会议二 再见\n会议一 你好\n")
    assert read_together([reference, hypothesis])[1].lines == {"会议二": Line("再见"), "会议一": Line("你好")}
    assert read_together([hypothesis, hypothesis], ids=True)[1].form == "kaldi"
    with pytest.raises(
        ManifestError, match="/hyp: nothing tells whether its lines begin with an id; say --ids or --no-ids$"
    ):
        read_together([hypothesis, hypothesis])


def forms(tmp_path, *contents: str) -> list[str]:
    paths = [write(tmp_path / str(n), content) for n, content in enumerate(contents)]
    return [file.form for file in read_together(paths)]


def test_files_decide_together_whether_lines_begin_with_ids(tmp_path):
    assert forms(tmp_path, "a1 你好吗\na2 今天\n李四 再见\n", "李四 再建\na1 你好\na2 今天\n") == ["kaldi", "kaldi"]
    assert forms(tmp_path, "一二三\n四五六\n", "1 2 3\n4 5 6\n") == ["plain", "plain"]
    assert forms(tmp_path, "u1 hello there\nu2 world\n", "u2 word\nu1 hello their\n") == ["kaldi", "kaldi"]
    assert forms(tmp_path, "u1 你好\nu2 再见\n", "u1\nu2\n") == ["kaldi", "kaldi"]
    assert forms(tmp_path, "今天 天气\n明天 下雨\n今天 好\n", "今天 天汽\n明天 下雨\n今天 好\n") == ["plain", "plain"]
    assert forms(tmp_path, "今天\n明天\n", "\n\n") == ["plain", "plain"]
    with pytest.raises(ManifestError, match="say --ids or --no-ids"):
        forms(tmp_path, "the cat\na dog\n", "the cat\na dock\n")


def test_a_file_that_can_be_read_only_once(tmp_path):
    """As the shell's <(command) gives them."""
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_text("u1 你好\n", encoding="utf-8"))
    writer.start()
    assert read_together([tmp_path / "pipe"])[0].lines == {"u1": Line("你好")}
    writer.join()


def test_lines_that_only_look_like_ids(tmp_path):
    path = write(tmp_path / "t", "the cat sat\nthe dog\n")
    message = r"/t:2: id must be unique, 'the' occurs twice; if lines have no id, say --no-ids$"
    with pytest.raises(ManifestError, match=message):
        read_together([path, path], ids=True)
    assert read_together([path, path], ids=False)[0].lines["1"].text == "the cat sat"


def test_plain_lines_must_be_as_many(tmp_path):
    reference = kaldi(tmp_path / "ref", {"b": "你好", "a": "再见", "c": "好"})
    plain = write(tmp_path / "hyp", "你好\n再见\n")
    message = (
        r"/hyp:2: plain lines with 2 utterances, but .*/ref has 3; "
        "without ids there must be a line for each, in the same order$"
    )
    with pytest.raises(ManifestError, match=message):
        read_together([reference, plain])
    with pytest.raises(ManifestError, match=r"/ref:3: Kaldi text \(`id text`\) with 3 utterances, but .*/hyp has 2;"):
        read_together([plain, reference])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "t: is empty"),
        (b" \r\n", "t: is empty"),
        ("a 你好\n\na 再见\n".encode(), "t:3: id must be unique, 'a' occurs twice"),
        (b'{"id": "a", "text": "x"}\n{"id": "a", "text": "x"}\n', "t:2: id must be unique, 'a' occurs twice"),
        (b"id\ttext\na\tx\na\ty\n", "t:3: id must be unique, 'a' occurs twice"),
        (
            "a hello\na 你好\n".encode("gb18030"),
            "t:2: not UTF-8 (invalid continuation byte at byte 10); if it is GBK, `iconv -f GB18030 -t UTF-8` converts",
        ),
        (b'{"id": "a", "text": "x"}\n{"id": "b"}\n', "t:2: must be a JSON object with id and text (or nbest), is"),
        (b'{"id": "a", "text": "x"}\n["b"]\n', "t:2: must be a JSON object with id and text (or nbest), is '[\"b\"]'"),
        (b'{"id": "a", "text": "x"}\nb x\n', "t:2: must be a JSON object with id and text (or nbest), is 'b x'"),
        (b'{"id": "a", "text": "x"}\n{"id": "b", "nbest": 3}\n', "t:2: nbest must be a list of texts"),
        (b'{"id": "a", "text": ' + 100_000 * b"[", "t:1: must be a JSON object with id and text (or nbest), is"),
        (b'{"id": "a", "text": null}\n', "t:1: text must be a text, is None"),
        (b'{"id": "a", "text": "\\ud800"}\n', "t:1: holds half a character (a lone surrogate)"),
        (b'{"id": "a\\tb", "text": "x"}\n', "t:1: id must be a text without tab or line break, or a whole number"),
        (
            b'{"id": null, "text": "x"}\n',
            "t:1: id must be a text without tab or line break, or a whole number, is None",
        ),
        (b'{"id": "a", "nbest": "xy"}\n', "t:1: nbest must be a list of texts, or of objects with a text, is 'xy'"),
        (b'{"text": "x"}\n', "t:1: must be a JSON object with id and text (or nbest), is"),
        (b"id\ttext\na\tx\ty\n", "t:2: a row must have 2 columns as the header has, has 3"),
        (
            b"number\ttext\n1\tx\n",
            "t:2: id must not be empty; is there a column for it (id, utterance, utt, utt_id, key)?",
        ),
    ],
)
def test_wrong_transcripts_are_refused(tmp_path, content, message):
    with pytest.raises(ManifestError, match="/" + re.escape(message)):
        read(write(tmp_path / "t", content))


def test_transcripts_that_are_not_there(tmp_path):
    with pytest.raises(ManifestError, match="/t: no such file$"):
        read(tmp_path / "t")
    with pytest.raises(ManifestError, match=": holds no transcript$"):
        read(tmp_path)


@pytest.mark.parametrize("form", [kaldi, jsonl])
@pytest.mark.parametrize("separator", ["\u2028", "\u0085"])
def test_line_separators_inside_a_text(tmp_path, form, separator):
    """read_manifest takes such a line: a manifest that can be trained on should be a reference too."""
    expected = {"a": f"你{separator}好", "b": "再见"}
    assert texts(form(tmp_path / "t", expected)) == expected
