"""Files in which there is a form and no text: comments, a header, no cue."""

import pytest

REFERENCES = {
    "r.stm": "rec 1 a 0.0 1.0 今天\nrec 1 a 1.0 2.0 天气\n",
    "r.ctm": "rec 1 0.0 0.5 今天\nrec 1 0.6 0.5 天气\n",
    "r.text": "rec 今天天气\n",
    "rec.srt": "1\n00:00:00,000 --> 00:00:01,000\n今天天气\n",
    "r.txt": "今天天气\n",
}
OF_A = "SPEAKER a 1 0.0 1.0 <NA> <NA> x <NA> <NA>\n"
COMMENTS = ";; written by a system\n;; on a day\n"


@pytest.fixture
def written(tmp_path):
    def write(name: str, content: str):
        (tmp_path / name).write_text(content, encoding="utf-8")
        return tmp_path / name

    return write


@pytest.mark.parametrize("reference", REFERENCES)
@pytest.mark.parametrize("name", ["h.ctm", "h.stm"])
def test_comments_alone_say_that_nothing_was_recognised(run, written, reference, name):
    hypothesis = written(name, COMMENTS)
    status, out, err = run("score", written(reference, REFERENCES[reference]), hypothesis)
    assert status == 0 and out.startswith("CER 100.00 % [ 0 S, 4 D, 0 I / 4 ]")
    assert f"{hypothesis}: holds no words: nothing counts as recognised\n" in err


@pytest.mark.parametrize("reference", ["r.stm", "r.ctm"])
def test_beside_an_stm_or_a_ctm_they_are_its_comments_whatever_the_file_is_called(run, written, reference):
    status, out, _ = run("score", written(reference, REFERENCES[reference]), written("h.txt", COMMENTS))
    assert status == 0 and out.startswith("CER 100.00 % [ 0 S, 4 D, 0 I / 4 ]")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("h.vtt", "WEBVTT\n\nNOTE nobody speaks\n"),
        ("h.lrc", "[ti:nothing]\n[ar:nobody]\n"),
        ("h.ass", "[Script Info]\nTitle: nothing\n\n[Events]\nFormat: Layer, Start, End, Text\n"),
        ("h.json", '{"text": "", "segments": []}\n'),
    ],
)
@pytest.mark.parametrize("reference", ["rec.srt", "r.txt"])
def test_a_recording_without_a_cue_is_one_without_text(run, written, reference, name, content):
    status, out, _ = run("score", written(reference, REFERENCES[reference]), written(name, content))
    assert status == 0 and out.startswith("CER 100.00 % [ 0 S, 4 D, 0 I / 4 ]")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("h.trn", COMMENTS, "holds no transcript"),
        ("h.csv", "id,text\n", "holds no transcript"),
        ("h.tsv", "id\ttext\n", "holds no transcript"),
        ("h.json", "[]\n", "holds no transcript"),
        ("h.txt", COMMENTS, "holds nothing but comments (;;)"),
    ],
)
@pytest.mark.parametrize("as_reference", [True, False])
def test_where_each_text_has_a_line_of_its_own_none_is_a_mistake(run, written, name, content, told, as_reference):
    files = [written("r.text", "a 今天\nb 天气\n"), written(name, content)]
    status, out, err = run("score", *(reversed(files) if as_reference else files))
    assert (status, out) == (1, "") and err == f"asr: {files[1]}: {told}\n"


@pytest.mark.parametrize("name", ["c.stm", "c.ctm"])
def test_references_say_something(run, written, name):
    reference = written(name, COMMENTS)
    status, _, err = run("score", reference, written("h.ctm", COMMENTS))
    assert status == 1 and err == f"asr: {reference}: holds no transcript\n"


@pytest.mark.parametrize("name", ["h.rttm", "h.ctm", "h.stm", "h.txt"])
def test_comments_alone_name_nobody_who_speaks(run, written, name, tmp_path):
    reference = written("r.rttm", "SPEAKER rec 1 0.0 1.0 <NA> <NA> a <NA> <NA>\n")
    hypothesis = written(name, COMMENTS)
    status, _, err = run("score", "--speakers", reference, hypothesis)
    assert status == 1 and err == f"asr: {hypothesis}: holds nobody who speaks\n"
    (tmp_path / "many").mkdir()  # in a folder with a file for each recording it may be so
    written("many/a.rttm", OF_A)
    written(f"many/{name}", COMMENTS)
    assert run("score", "--speakers", written("a.rttm", OF_A), tmp_path / "many")[0] == 0


def test_folders_of_test_sets_without_a_file(run, tmp_path):
    (tmp_path / "refs").mkdir()
    status, _, err = run("score", tmp_path / "refs", tmp_path / "refs")
    assert status == 1 and err == f"asr: {tmp_path / 'refs'}: holds no transcript\n"
