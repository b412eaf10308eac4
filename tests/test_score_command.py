"""`asr score` as it is typed: what is printed, what is written, and the exit status."""

import csv
import json
import os

import pytest

REFERENCE = """\
{"id": "u1", "text": "今天天气很好", "speaker": "S1", "audio": "wav/1.flac", "duration": 2.5}
{"id": "u2", "text": "他在銀行 <b>OK</b>", "speaker": "S2"}
{"id": "u3", "text": ""}
"""
HYPOTHESIS = "u1 今天天汽好啊\nu2 她在银行BOKB\nx 多余\n"


@pytest.fixture
def files(tmp_path):
    (tmp_path / "ref.jsonl").write_text(REFERENCE, encoding="utf-8")
    (tmp_path / "hyp.txt").write_text(HYPOTHESIS, encoding="utf-8")
    return tmp_path / "ref.jsonl", tmp_path / "hyp.txt"


def test_what_is_printed(run, files):
    reference, hypothesis = files
    status, out, err = run("score", *files)
    assert status == 0
    assert out == "CER 35.71 % [ 5 S, 0 D, 0 I / 14 ]\nSER 66.67 % [ 2 / 3 ]\n"
    assert err.splitlines() == [
        f"{reference}: JSON lines, 3 utterances",
        f"{hypothesis}: Kaldi text (`id text`), 3 utterances",
        "normalised by forms, width, case, punctuation, word_signs, spaces; characters changed in references + hypotheses:"
        " case 2 + 0, punctuation 5 + 0, spaces 4 + 0",
        "dropped, though it is no punctuation: < 2 + 0, > 2 + 0",
        "2 tags (</b>, <b>) count like the words they are written with: --rules +tags leaves them out",
        f"{hypothesis}: 1 of 3 ids are missing and count as deleted: u3",
        f"{hypothesis}: 1 ids have no reference and are left out: x",
    ]


@pytest.mark.parametrize("kind", ["speakers", "texts"])
def test_a_pipe_is_read_once(run, tmp_path, kind):
    """As `<(…)` of a shell is one."""
    text = "SPEAKER r 1 0.0 2.0 <NA> <NA> A <NA> <NA>\n" if kind == "speakers" else "u1 今天\n"
    plain = tmp_path / "plain"
    plain.write_text(text, encoding="utf-8")
    end, start = os.pipe()
    os.write(start, text.encode())
    os.close(start)
    status, out, err = run("score", plain, f"/dev/fd/{end}")
    os.close(end)
    assert status == 0 and out.startswith("DER 0.00 %" if kind == "speakers" else "CER 0.00 %"), err


def test_a_line_is_stdin(run, files, monkeypatch):
    monkeypatch.setattr("asr.cli.score.STDIN", files[1])
    assert run("score", files[0], "-") == run("score", *files)
    for given, stdin, message in (
        (("-", "-"), files[1], "stdin can be read once only"),
        ((files[0], "-"), files[1].with_name("none"), "stdin is closed, or has no name on this system: give a file"),
    ):
        monkeypatch.setattr("asr.cli.score.STDIN", stdin)
        status, out, err = run("score", *given)
        assert (status, out) == (2, "") and message in err


def test_a_reference_of_ids_alone_is_refused(run, files, tmp_path):
    (tmp_path / "ids.txt").write_text("u1\nu2\n", encoding="utf-8")
    status, out, err = run("score", tmp_path / "ids.txt", files[1], "--ids")
    assert (status, out) == (1, "") and "ids.txt: holds no text to compare with: are these ids alone" in err


def test_units_rules_and_groups(run, files):
    status, out, _ = run("score", *files, "--rules", "+script", "--unit", "mixed", "--by", "speaker")
    assert status == 0
    assert out.splitlines() == [
        "MER 53.85 % [ 5 S, 2 D, 0 I / 13 ]",
        "Mandarin 40.00 % [ 4 S, 0 D, 0 I / 10 ]",
        "English 100.00 % [ 1 S, 2 D, 0 I / 3 ]",
        "SER 66.67 % [ 2 / 3 ]",
        "speaker (none): MER 0.00 % [ 0 S, 0 D, 0 I / 0 ]",
        "speaker S1: MER 50.00 % [ 3 S, 0 D, 0 I / 6 ]",
        "speaker S2: MER 57.14 % [ 2 S, 2 D, 0 I / 7 ]",
    ]


def test_files_for_machines(run, files, tmp_path):
    status, out, _ = run("score", *files, "--json", tmp_path / "o.json", "--details", tmp_path / "o.tsv")
    assert status == 0
    data = json.loads((tmp_path / "o.json").read_text(encoding="utf-8"))
    system, rules = data["systems"][0], ["forms", "width", "case", "punctuation", "word_signs", "spaces"]
    assert (data["unit"], data["rate"], data["rules"]) == ("char", "CER", rules)
    assert (system["substitutions"], system["deletions"], system["insertions"], system["reference"]) == (5, 0, 0, 14)
    assert system["cer"] == 0.357143 and system["interval"] is None and system["missing"] == ["u3"]
    assert [group["name"] for group in system["by_speaker"]] == ["", "S1", "S2"]
    assert system["syllables"]["substitutions"] == 2 and system["extra"] == ["x"]
    with open(tmp_path / "o.tsv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    assert rows[0] == {
        "system": str(files[1]),
        "id": "u1",
        "speaker": "S1",
        **{"n": "6", "s": "3", "d": "0", "i": "0", "cer": "0.5000"},
        **{"reference": "今天天气很好", "hypothesis": "今天天汽好啊", "alignment": "4:气>汽 5:很>好 6:好>啊"},
    }
    assert rows[2]["id"] == "u3" and rows[2]["hypothesis"] == ""


def test_two_systems(run, files, tmp_path):
    (tmp_path / "b.txt").write_text(HYPOTHESIS.replace("汽", "气"), encoding="utf-8")
    outputs = ("--json", tmp_path / "o.json", "--details", tmp_path / "o.tsv", "--html", tmp_path / "o.html")
    status, out, _ = run("score", *files, tmp_path / "b.txt", *outputs)
    assert status == 0 and "B − A -7.14 points of CER (fewer than ten utterances: no test)\n" in out
    comparison = json.loads((tmp_path / "o.json").read_text())["comparison"]
    assert comparison["changes"] == [{"id": "u1", "errors": -1}] and comparison["p_value"] is None
    assert len((tmp_path / "o.tsv").read_text().splitlines()) == 1 + 2 * 3


def test_a_high_rate_is_no_failure_unless_it_is_said_to_be(run, files):
    assert run("score", *files, "--fail-above", 36)[0] == 0
    status, out, err = run("score", *files, "--fail-above", 35.7)
    assert status == 1 and out.startswith("CER 35.71 %") and err.endswith("CER 35.71 % is above 35.7 %\n")


def test_nothing_is_overwritten_or_half_written(run, files, tmp_path):
    (tmp_path / "o.html").write_text("precious")
    for output in ("--html", "--json", "--details"):
        status, out, err = run("score", *files, output, tmp_path / "o.html")
        assert (status, out) == (1, "") and "is there already; choose another name, or --force" in err
    assert (tmp_path / "o.html").read_text() == "precious"
    assert run("score", *files, "--html", tmp_path / "o.html", "--force")[0] == 0
    assert (tmp_path / "o.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    status, _, err = run("score", *files, "--json", files[1], "--force")
    assert status == 1 and "hyp.txt: is an input; choose another name" in err
    (tmp_path / "bad").write_bytes("u1 你好\n".encode("gb18030"))
    status, out, err = run("score", files[0], tmp_path / "bad", "--json", tmp_path / "new.json")
    assert (status, out) == (1, "") and "bad:1: not UTF-8" in err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad", "hyp.txt", "o.html", "ref.jsonl"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--unit", "word"), "'word' is not one of char, mixed"),
        (("--rules", "+simplify"), "there is no rule 'simplify'"),
        (("--fail-above", "-1"), "greater than or equal to 0"),
        (("--fail-above", "nan"), "greater than or equal to 0"),
    ],
)
def test_wrong_usage(run, files, arguments, message):
    status, _, err = run("score", *files, *arguments)
    assert status == 2 and message in err


def test_a_field_that_is_not_there(run, files):
    status, _, err = run("score", *files, "--by", "dialect")
    assert status == 1 and "no utterance has the field 'dialect'; there is audio, duration, speaker" in err


def test_plain_lines_that_begin_like_ids(run, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_text("a cat\nthe dog\n")
    status, _, err = run("score", tmp_path / "a", tmp_path / "b")
    assert status == 1 and "nothing tells whether its lines begin with an id; say --ids or --no-ids" in err
    assert run("score", tmp_path / "a", tmp_path / "b", "--no-ids")[1].startswith("CER 0.00 % [ 0 S, 0 D, 0 I / 10 ]")
    assert run("score", tmp_path / "a", tmp_path / "b", "--ids")[1].startswith("CER 0.00 % [ 0 S, 0 D, 0 I / 6 ]")


def test_what_cannot_stand_in_a_table_is_a_space(run, tmp_path):
    line = {"id": "a", "text": "今\t天\n好", "speaker": "S\t1", "start": "00:01", "duration": [3], "audio": "a.wav"}
    (tmp_path / "ref").write_text(json.dumps(line) + "\n")
    outputs = ("--details", tmp_path / "o.tsv", "--html", tmp_path / "o.html")
    assert run("score", tmp_path / "ref", tmp_path / "ref", "--rules", "none", *outputs)[0] == 0
    assert [len(row.split("\t")) for row in (tmp_path / "o.tsv").read_text().splitlines()] == [11, 11]


def test_groups_of_two_systems_are_told_apart(run, files):
    out = run("score", *files, files[1], "--by", "speaker")[1].splitlines()
    assert [line.partition(":")[0] for line in out if "speaker" in line] == [
        f"{letter} speaker {name}" for letter in "AB" for name in ("(none)", "S1", "S2")
    ]


def test_outputs_that_cannot_be_written(run, files, tmp_path):
    status, out, err = run("score", *files, "--json", files[1] / "o.json")
    assert (status, out) == (1, "") and err == f"asr: {files[1]}/o.json: Not a directory; choose another name\n"
    status, _, err = run("score", *files, "--json", tmp_path, "--force")
    assert status == 1 and "is a folder; give the name of a file" in err
