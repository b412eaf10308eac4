"""Many systems on many test sets: which files belong together, the table, and which differences count."""

import json
import random
import re

import pytest

from asr.scoring.cer import CharErrors
from asr.scoring.compare import Comparison
from asr.scoring.rendering import rendered
from asr.scoring.score import Score, score_lines
from asr.scoring.sets import file_sets, short_names
from asr.scoring.systems import Table, letter
from asr.scoring.transcripts import Line


def scored(wrong: int, n: int = 60, seed: int = 0, speakers: int = 0) -> Score:
    """Of n utterances of five characters, as many have one wrong."""
    places = set(random.Random(seed).sample(range(n), wrong))
    fields = [{"speaker": f"S{i % speakers}"} if speakers else {} for i in range(n)]
    references = {f"u{i}": Line("今天天气好", fields=fields[i]) for i in range(n)}
    return score_lines(references, {f"u{i}": Line("今天天汽好" if i in places else "今天天气好") for i in range(n)})


@pytest.fixture(scope="module")
def table() -> Table:
    """A is best and C worst on both; A and B differ by one utterance."""
    sets = {"dev": [scored(4), scored(5), scored(40)], "test": [scored(6, 80), scored(7, 80), scored(60, 80)]}
    return Table(("a_1", "b|2", "c"), sets)


def test_which_systems_are_better_than_which(table):
    assert [table.beaten("dev", n) for n in range(3)] == [[2], [2], []]
    assert [table.is_best("dev", n) for n in range(3)] == [True, False, False]
    assert [(p.a, p.b, p.significant) for p in table.pairs if p.set == "test"] == [
        *[(0, 1, False), (0, 2, True), (1, 2, True)]
    ]  # fmt: skip


def test_p_values_are_corrected_for_all_pairs_of_a_set(table):
    pairs = [pair for pair in table.pairs if pair.set == "dev"]
    raw = [Comparison(table.sets["dev"][p.a], table.sets["dev"][p.b]).difference.p_value for p in pairs]
    first, second, third = sorted(range(3), key=lambda n: raw[n])
    by_hand = {first: 3 * raw[first]}
    by_hand[second] = max(by_hand[first], 2 * raw[second])
    by_hand[third] = max(by_hand[second], raw[third])
    assert [pair.corrected for pair in pairs] == pytest.approx([min(1.0, by_hand[n]) for n in range(3)])


def test_all_sets_as_one_are_summed(table):
    assert list(table.columns) == ["dev", "test", "all sets"]
    assert table.columns["all sets"][0].errors == CharErrors(10, 0, 0, 700)
    alone = Table(("a",), {"": [scored(1)]})
    assert list(alone.columns) == [""] and alone.pairs == []


def test_speakers_of_two_sets_are_different_ones():
    table = Table(("a",), {name: [scored(4, speakers=10, seed=n)] for n, name in enumerate(("dev", "test"))})
    assert (table.columns["all sets"][0].interval.over, table.columns["all sets"][0].interval.n) == ("speakers", 20)


def test_few_utterances_are_not_tested():
    table = Table(("a", "b"), {"": [scored(1, 9), scored(5, 9)]})
    assert table.pairs[0].corrected is None and not table.pairs[0].significant
    assert rendered(table, "text")[-1] == "B − A +8.89 (fewer than ten utterances: no test)"


def test_as_text(table):
    lines = rendered(table, "text")
    assert lines[0] == (
        "CER in %, in brackets its 95 % interval; letters: systems that are significantly worse"
        " (p < 0.05, matched-pairs bootstrap, Holm's correction for all pairs of a column)"
    )
    assert re.fullmatch(r"A  a_1  1\.33 \[0\.33, \d\.\d\d\] C +1\.50 \[.*\] C +1\.43 \[.*\] C", lines[2])
    assert lines[1].split() == ["dev", "test", "all", "sets"] and lines[4].startswith("C  c ")
    assert lines[6].startswith("dev: C − A +12.00, 95 % interval +") and lines[6].endswith(": significant")
    assert len(lines) == 5 + 9 and len({line.index("[") for line in lines[2:4]}) == 1


def test_as_markdown_and_latex(table):
    lines = rendered(table, "markdown")
    assert lines[:2] == ["|  | system | dev | test | all sets |", "|---|---|---|---|---|"]
    assert lines[2].startswith(r"| A | a\_1 | **1.33**<sup>C</sup> [0.") and lines[3].startswith(
        r"| B | b\|2 | 1.67<sup>C</sup> ["
    )
    lines = rendered(Table(("a_1 50%", "b"), {"d&v": [scored(4), scored(30)]}), "latex")
    assert lines[1:5] == [r"\begin{tabular}{lll}", r"\toprule", r" & system & d\&v \\", r"\midrule"]
    assert lines[5].startswith(r"A & a\_1 50\% & \textbf{1.33}\textsuperscript{B} {\small [0.")
    assert lines[6].startswith(r"B & b & 10.00 {\small [") and lines[7:] == [r"\bottomrule", r"\end{tabular}"]


def test_letters_and_names():
    assert [letter(n) for n in (0, 25, 26, 52)] == ["A", "Z", "A1", "A2"]
    paths = {
        ("exp/a/hyp.txt", "exp/b/hyp.txt"): ["a", "b"],
        ("a.txt", "b.txt"): ["a.txt", "b.txt"],
        ("x/a.txt",): ["a.txt"],
    }
    paths |= {("e/a/1/h", "e/b/2/h"): ["a/1", "b/2"], ("a", "a/b"): ["a", "a/b"], ("a", "a"): ["a", "a"]}
    for given, names in paths.items():
        assert short_names(given) == names


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def folders(tmp_path):
    """References of two sets; a system with a file a set, one with a folder a set, as recipes write them."""
    for name, words in (("dev", "今天"), ("test", "你好")):
        reference = "".join(f"{name}{n} {words}\n" for n in range(12))
        write(tmp_path / "refs" / f"{name}.txt", reference)
        write(tmp_path / "A" / f"{name}.tsv", reference)
        write(tmp_path / "B" / name / "text", reference.replace(words, "再见"))
        write(tmp_path / "C" / name / "hyp.txt", reference.replace(f"0 {words}", "0 今日"))
    return tmp_path


def test_a_folder_is_a_file_for_each_test_set(folders):
    found = file_sets(folders / "refs", [folders / letter for letter in "ABC"])
    assert [(s.name, s.reference.name, [str(p.relative_to(folders)) for p in s.hypotheses]) for s in found] == [
        ("dev", "dev.txt", ["A/dev.tsv", "B/dev/text", "C/dev/hyp.txt"]),
        ("test", "test.txt", ["A/test.tsv", "B/test/text", "C/test/hyp.txt"]),
    ]


def test_the_command_prints_the_table(run, folders):
    status, out, err = run("score", folders / "refs", *(folders / letter for letter in "ABC"))
    assert status == 0 and [line.split()[:3] for line in out.splitlines()[2:5]] == [
        *[["A", "A", "0.00"], ["B", "B", "100.00"], ["C", "C", "8.33"]]
    ]  # fmt: skip
    assert "dev: B − A +100.00" in out and err.count("normalised by") == 1
    status, out, _ = run("score", folders / "refs", folders / "A", "--table", "latex", "--by", "speaker")
    assert status == 1 and "no utterance has the field 'speaker'" in _
    status, out, _ = run("score", folders / "refs", folders / "A", folders / "C", "--json", folders / "o.json")
    data = json.loads((folders / "o.json").read_text(encoding="utf-8"))
    assert data["systems"] == ["A", "C"] and [one["name"] for one in data["sets"]] == ["dev", "test"]
    assert data["all_sets"]["systems"][1] == {
        **{"name": "C", "cer": 0.125, "substitutions": 6, "deletions": 0, "insertions": 0, "reference": 48}
    }
    assert data["sets"][0]["comparisons"][0]["a"] == "A" and data["sets"][0]["comparisons"][0]["significant"] is False


def test_three_systems_on_one_set(run, folders):
    systems = [folders / "A/dev.tsv", folders / "B/dev/text", folders / "C/dev/hyp.txt"]
    status, out, _ = run("score", folders / "refs/dev.txt", *systems, "--json", folders / "o.json")
    assert status == 0 and out.splitlines()[1].split() == ["CER"] and "B − A +100.00" in out
    assert len(json.loads((folders / "o.json").read_text(encoding="utf-8"))["sets"][0]["comparisons"]) == 3
    status, _, err = run("score", folders / "refs/dev.txt", *systems, "--html", folders / "o.html")
    assert status == 1 and "--html shows one system or two, there are 3" in err
    assert run("score", folders / "refs/dev.txt", *systems[:2], "--table", "markdown")[1].startswith(
        "|  | system | CER |"
    )
    status, _, err = run("score", folders / "refs/dev.txt", *systems, "--fail-above", 4)
    assert status == 1 and err.endswith("CER 8.33 % is above 4 %\n")
    status, _, err = run("score", folders / "refs/dev.txt", *systems, "--table", "word")
    assert status == 2 and "'word' is not one of text, markdown, latex" in err


def test_sets_that_are_missing_are_all_named(run, folders):
    (folders / "A/test.tsv").unlink()
    status, _, err = run("score", folders / "refs", folders / "A", folders / "refs/dev.txt")
    assert (
        status == 1 and "dev.txt: is no folder; if the references are a file for each test set, a system is, too" in err
    )
    status, _, err = run("score", folders / "refs", folders / "A", folders / "B", "--html", folders / "x.html")
    assert status == 1 and "A: has no file for the test set test; it has dev" in err
    write(folders / "A/dev.json", "[]")
    status, _, err = run("score", folders / "refs", folders / "A")
    assert status == 1 and "A/dev.tsv: dev.json is another file of the test set dev" in err


def test_a_folder_of_recordings_is_one_set(run, tmp_path):
    """As `asr transcribe --out` and Whisper write them: one text a file."""
    write(tmp_path / "refs/talk.txt", "今天天气\n很好\n")
    write(tmp_path / "refs/call.txt", "你好\n")
    write(
        tmp_path / "hyps/talk.json",
        json.dumps({"segments": [{"text": "今天天汽"}, {"text": "很好"}], "language": "zh"}),
    )
    write(tmp_path / "hyps/call.txt", "你好\n")
    assert run("score", tmp_path / "refs", tmp_path / "hyps")[1].startswith("CER 12.50 % [ 1 S, 0 D, 0 I / 8 ]")
    write(tmp_path / "text", "call 你好\ntalk 今天天气很好\n")
    assert run("score", tmp_path / "text", tmp_path / "hyps")[1].startswith("CER 12.50 %")
    write(tmp_path / "hyps/more.txt", "u1 你好\nu2 再见\n")
    status, _, err = run("score", tmp_path / "text", tmp_path / "hyps")
    assert status == 1 and "more.txt: holds more than the text of one recording, unlike a file of" in err


def test_a_kaldi_directory_brings_its_speakers(run, tmp_path):
    write(tmp_path / "data/text", "".join(f"u{n} 你好\n" for n in range(10)))
    write(tmp_path / "data/utt2spk", "".join(f"u{n} S{n}\n" for n in range(10)))
    write(tmp_path / "exp/text", "".join(f"u{n} 你{'号' if n else '好'}\n" for n in range(10)))
    out = run("score", tmp_path / "data", tmp_path / "exp")[1]
    assert out.startswith("CER 45.00 %") and "(bootstrap over 10 speakers)" in out
    out = run(
        "score",
        tmp_path / "data/text",
        tmp_path / "exp/text",
        "--utt2spk",
        tmp_path / "data/utt2spk",
        "--by",
        "speaker",
    )[1]
    assert "(bootstrap over 10 speakers)" in out and "speaker S0: CER 0.00 % [ 0 S, 0 D, 0 I / 2 ]" in out
