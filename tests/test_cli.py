"""The command line: what is printed where, and the exit status."""

import json
import os
import subprocess
import sys

import av
import numpy as np
import pytest
import soundfile

from asr.corpus.manifest import Utterance, write_manifest
from asr.corpus.toy import prepare_toy
from asr.model.folder import save_model
from tests import forked
from tests.conftest import ROOT, random_model
from tests.sounds import encode, sine, speech


@pytest.fixture
def model(tmp_path, tokenizer):
    save_model(tmp_path / "model", random_model(), tokenizer.table)
    return tmp_path / "model"


def test_one_line_a_file_in_the_order_given(run, model, wav):
    files = [wav(f"{i}.wav", 1 + i / 3, seed=i) for i in range(3)]
    out = run("transcribe", "--model", model, *files)[1]
    assert run("transcribe", "--model", model, *reversed(files))[1].splitlines() == out.splitlines()[::-1]
    lines = run("transcribe", "--model", model, "--format", "json", *files)[1].splitlines()
    assert [json.loads(line)["audio"] for line in lines] == list(map(str, files))


def test_bad_files_are_reported_and_the_others_transcribed(run, model, wav, tmp_path):
    good = wav("good.wav")
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("这不是录音\n" * 50)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes.txt").write_text("x")
    flac = tmp_path / "cut.flac"
    soundfile.write(flac, speech(10), 16000)
    flac.write_bytes(flac.read_bytes()[:-40000])
    nan = np.full(16000, 0.1, np.float32)
    nan[8000] = np.nan
    soundfile.write(tmp_path / "nan.wav", nan, 16000, subtype="FLOAT")
    bad = [tmp_path / n for n in ("missing.wav", "empty.wav", "text.wav", "folder", "cut.flac", "nan.wav")]
    status, out, err = run("transcribe", "--model", model, *bad, good)
    assert status == 1
    lines = out.splitlines()  # one a file; the folder is none
    assert lines[:3] == [""] * 3 and lines[4] == "" and lines[3]  # of the damaged one, what could be read
    assert lines[5:] == run("transcribe", "--model", model, good)[1].splitlines() != [""]
    for line in (
        "missing.wav: no such file",
        "empty.wav: the file is empty (0 bytes)",
        "text.wav: not recognised as audio",
        "folder: a folder without audio files",
        "cut.flac: warning: damaged or truncated; could not be read past",
        "nan.wav: the sample at 0.500 s is nan, not a number",
    ):
        assert line in err
    assert "Traceback" not in err


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (96000, 1), (16000, 8), (44100, 2)])
def test_any_rate_and_channel_count(run, model, wav, rate, channels):
    status, out, err = run("transcribe", "--model", model, wav("a.wav", 1.5, rate, channels))
    assert status == 0 and out.strip() and "damaged" not in err


@pytest.mark.parametrize(("n", "warning"), [(0, "holds no audio: 0 seconds"), (32000, "is silent")])
def test_nothing_gives_an_empty_line_and_a_warning(run, model, tmp_path, n, warning):
    soundfile.write(tmp_path / "zero.wav", np.zeros(n), 16000)
    status, out, err = run("transcribe", "--model", model, tmp_path / "zero.wav")
    assert (status, out) == (0, "\n") and f"zero.wav: warning: {warning}" in err


def test_stdin_and_channels(run, model, tmp_path, monkeypatch):
    stereo = np.stack([np.append(speech(2), np.zeros(48000)), np.append(np.zeros(48000), speech(2, seed=1))], axis=1)
    soundfile.write(tmp_path / "two.flac", stereo, 16000)
    with open(tmp_path / "two.flac", "rb") as file:
        monkeypatch.setattr("sys.stdin", type("Stdin", (), {"buffer": file}))
        status, out, _ = run("transcribe", "--model", model, "-", "--channels", "split")
    assert status == 0
    assert out == run("transcribe", "--model", model, tmp_path / "two.flac", "--channels", "split")[1]
    left, right = out.splitlines()
    assert left.startswith("0: ") and right.startswith("1: ") and len(left) > 5 < len(right)


def test_an_empty_opus_file_gives_an_empty_line_and_a_warning(run, model, tmp_path):
    with av.open(str(tmp_path / "zero.opus"), "w") as container:
        container.add_stream("libopus", rate=48000, layout="mono")
        container.start_encoding()  # the header alone
    status, out, err = run("transcribe", "--model", model, tmp_path / "zero.opus")
    assert (status, out) == (0, "\n") and "zero.opus: warning: holds no audio: 0 seconds" in err


def test_a_closed_stdout_is_one_line(model, wav):
    command = f"{sys.executable} -m asr transcribe --model {model} {wav('a.wav')} >&-"
    done = subprocess.run(command, shell=True, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and done.stderr == "asr: stdout is closed, so there is nowhere to print to\n"


def test_folders_are_searched_and_written_to_a_folder(run, model, wav, tmp_path):
    wav("calls/b/2.wav"), wav("calls/1.WAV")
    out = tmp_path / "texts"
    status, printed, _ = run("transcribe", "--model", model, tmp_path / "calls", "--out", out, "--format", "json")
    assert (status, printed) == (0, "")
    assert sorted(str(p.relative_to(out)) for p in out.rglob("[!.]*.*")) == ["1.json", "b/2.json"]
    data = json.loads((out / "1.json").read_text())
    assert data["text"] == "".join(s["text"] for s in data["segments"]) and data["duration"] == 1.0


def test_what_is_there_is_not_overwritten_without_force(run, model, wav, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.txt").write_text("mine")
    arguments = ("transcribe", "--model", model, wav("a.wav"), "--out", tmp_path / "out")
    status, _, err = run(*arguments)
    assert status == 0 and "a.txt: is there already and stays as it is; --force overwrites it" in err
    assert (tmp_path / "out" / "a.txt").read_text() == "mine"
    run(*arguments, "--force")
    assert (tmp_path / "out" / "a.txt").read_text() != "mine"


def test_a_list_of_recordings_gives_ids(run, model, wav, tmp_path):
    first, second = wav("x/a.wav"), wav("y/a.wav")
    (tmp_path / "wav.scp").write_text(f"u1 {first}\nu.2 {tmp_path / 'none.wav'}\nu3 {second}\n")
    listed = ("transcribe", "--model", model, "--list", tmp_path / "wav.scp")
    status, out, err = run(*listed)
    text = run("transcribe", "--model", model, first)[1]
    assert status == 1 and out == f"u1 {text}u.2\nu3 {text}" and "none.wav: no such file" in err
    lines = [json.loads(line) for line in run(*listed, "--format", "json")[1].splitlines()]
    assert [(line["id"], line["audio"]) for line in lines[::2]] == [("u1", str(first)), ("u3", str(second))]
    assert lines[1] == {
        "id": "u.2",
        "text": "",
        "audio": f"{tmp_path / 'none.wav'}",
        "error": f"{tmp_path / 'none.wav'}: no such file",
    }
    assert run(*listed, "--out", tmp_path / "out")[0] == 1
    assert {path.name: path.read_text() for path in (tmp_path / "out").glob("[!.]*")} == {
        "u1.txt": text,
        "u3.txt": text,
    }


def test_several_formats_at_once(run, model, wav, tmp_path):
    command = (
        "transcribe",
        "--model",
        model,
        wav("a.wav"),
        "--format",
        "txt,vtt,json",
        "--words",
        "--out",
        tmp_path / "out",
    )
    assert run(*command)[0] == 0
    written = {path.name: path.read_text() for path in (tmp_path / "out").glob("[!.]*")}
    assert set(written) == {"a.txt", "a.vtt", "a.json"}
    assert written["a.txt"].strip() == json.loads(written["a.json"])["text"] and "<00:00:" in written["a.vtt"]
    (tmp_path / "out/a.vtt").unlink()  # a run that was interrupted between them
    assert run(*command)[0] == 0 and (tmp_path / "out/a.vtt").read_text() == written["a.vtt"]


def test_a_format_that_is_there_stays_when_another_is_added(run, model, wav, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a.txt").write_text("mine")
    command = ("transcribe", "--model", model, wav("a.wav"), "--format", "txt,json", "--out", tmp_path / "out")
    assert run(*command)[0] == 0 and (tmp_path / "out/a.txt").read_text() == "mine"
    assert json.loads((tmp_path / "out/a.json").read_text())["text"] not in ("", "mine")
    assert run(*command, "--force")[0] == 0 and (tmp_path / "out/a.txt").read_text() != "mine"


def test_two_recordings_with_one_name_are_refused(run, model, wav, tmp_path):
    status, _, err = run("transcribe", "--model", model, wav("x/a.wav"), wav("y/a.wav"), "--out", tmp_path / "out")
    assert status == 1 and "would both be written to" in err and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("transcribe",), "Missing argument"),
        (("transcribe", "a.wav", "--format", "pdf"), "format must be one of txt, json, srt"),
        (("transcribe", "a.wav", "--bogus"), "No such option: --bogus"),
        (("transcribe", "a.wav", "--channels", "left"), "'left' is not one of mix, split"),
        (("serve", "--host", ""), "is empty; 0.0.0.0 is every address of this machine"),
        (("transcribe", "a.wav", "--list", "wav.scp"), "takes no AUDIO or --channels split beside it"),
        (("transcribe", "a.wav", "--format", "txt,srt"), "several formats need a folder: --out"),
        (("transcribe", "a.wav", "--out", "x", "--format", "txt,pdf"), "format must be one of txt, json, srt"),
        (
            ("transcribe", "a.wav", "--out", "x", "--format", "txt,srt", "--words"),
            "characters have times of their own in vtt, lrc, ass, tsv",
        ),
        (("live", "a.wav"), "'a.wav' is neither - nor nothing; files are for asr transcribe"),
        (("live", "--format", "srt"), "'srt' is not one of txt, json"),
        (("transcribe", "-", "--format", "manifest"), "a manifest names files that can be read again; stdin cannot"),
        (("transcribe", "a.wav", "--beam", "0"), "Invalid value for '--beam'"),
        (("transcribe", "data/sample/weather.flac", "--decode", "foo=1"), "decode.foo: there is no such setting"),
        (("transcribe", "data/sample/weather.flac", "--device", "foo"), "device must be auto, cpu or cuda, is 'foo'"),
        (("transcribe", "data/sample/weather.flac", "--quantize", "int4"), "quantize must be one of none, int8"),
        (("train", "recipes/toy/base.toml", "--set", "foo", "--out", "x"), "must have the form section.key=value"),
        (("train", "recipes/toy/base.toml", "--set", "train.foo=1", "--out", "x"), "train.foo: there is no such"),
        (("train-lm", "data/README.md", "--set", "width=3", "--out", "x"), "is for --kind transformer"),
        (("train-lm", "data/README.md", "--size", "9", "--kind", "transformer", "--out", "x"), "is for --kind ngram"),
        (
            ("train-lm", "LICENSE", "--kind", "transformer", "--set", "foo=3", "--out", "x"),
            "foo: there is no such setting",
        ),
        (("model", "import", "foo", "data", "--out", "x"), "toolkit must be one of wenet"),
        (("nonsense",), "No such command"),
        (("corpus", "prepare", "nothing", "--out", "x"), "'nothing' is not one of toy"),
        (("corpus", "import", "x.tsv", "--out", "y.jsonl", "--where", "kind"), "must have the form COLUMN=VALUE"),
    ],
)
def test_wrong_usage_is_status_2(run, arguments, message):
    status, out, err = run(*arguments)
    assert status == 2 and message in " ".join(err.split()) and out == ""


@pytest.mark.parametrize(("format", "lines"), [("txt", 2), ("json", 2), ("manifest", 0)])
def test_only_where_a_line_belongs_to_a_file_a_failure_has_one(run, model, wav, tmp_path, format, lines):
    silent = tmp_path / "silent.wav"
    soundfile.write(silent, np.zeros(16000), 16000)
    status, out, _ = run("transcribe", "--model", model, tmp_path / "none.wav", silent, "--format", format)
    assert status == 1 and len([line for line in out.splitlines() if line or format == "txt"]) == lines
    assert out.startswith("\n") == (format == "txt")


def test_an_error_on_stdin_is_not_that_of_a_file(model):
    command = [sys.executable, "-m", "asr", "transcribe", "--model", str(model), "-", "--format", "json"]
    done = forked.run(command, input=b"", capture_output=True)
    assert done.returncode == 1 and "asr: stdin: the file is empty" in done.stderr.decode()
    assert json.loads(done.stdout) == {"audio": "stdin", "error": "stdin: the file is empty (0 bytes)"}


def test_from_a_table_to_a_score(run, model, tmp_path):
    """Import, token table, statistics, evaluation and scoring, by their commands."""
    manifest = prepare_toy(tmp_path / "toy", 6, 2, 3)["train"]
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    table = tmp_path / "toy" / "t.tsv"
    lines = ["audio\ttext\tspeaker", *(f"{r['audio']}\t{r['text']}\t{i % 2}" for i, r in enumerate(rows))]
    table.write_text("\n".join(lines) + "\n")
    imported = tmp_path / "m" / "train.jsonl"
    status, out, err = run("corpus", "import", table, "--out", imported)
    assert (status, out) == (0, "") and "6 utterances; left out: 0 without text, 0 by --where" in err
    status, _, err = run("corpus", "import", table, "--out", imported)
    assert status == 1 and "is there already" in err
    status, _, err = run("corpus", "import", table, "--out", tmp_path / "none.jsonl", "--where", "speaker=7")
    assert status == 1 and "t.tsv: no row is left to import; left out: 0 without text, 6 by --where" in err
    assert not (tmp_path / "none.jsonl").exists()
    assert run("corpus", "tokens", imported, "--out", tmp_path / "tokens.txt")[0] == 0
    assert run("corpus", "cmvn", imported, "--out", tmp_path / "cmvn.json")[0] == 0
    status, out, err = run("evaluate", model, imported, "--by", "speaker")
    assert status == 0
    assert [line.partition("CER")[0].partition("SER")[0] for line in out.splitlines()] == [
        "",
        "",
        "speaker 0: ",
        "speaker 1: ",
    ]
    hypotheses = model / "eval" / "train" / "hyp.txt"
    assert run("score", imported, hypotheses)[1].splitlines() == out.splitlines()[:2]
    assert (hypotheses.parent / "report.html").is_file()
    status, _, err = run("evaluate", model, imported)
    assert status == 1 and "holds results already" in err


def test_errors_are_one_line_and_status_1(run, tmp_path, model):
    (tmp_path / "bad.jsonl").write_text('{"id": "a", "audio": "a.wav", "text": "你", "duration": -1}\n')
    status, _, err = run("evaluate", model, tmp_path / "bad.jsonl")
    assert status == 1 and err.startswith("asr: ") and "bad.jsonl:1: duration must be above 0 seconds, is -1" in err
    assert len(err.splitlines()) == 1
    status, _, err = run("train", tmp_path / "none.toml", "--out", tmp_path / "x")
    assert status == 1 and "none.toml: no such file" in err


def test_model_info_and_export(run, model, tmp_path):
    status, out, _ = run("model", "info", model)
    assert status == 0 and "tokens      24" in out
    (tmp_path / "card.md").write_text("# card\n")
    assert run("model", "export", model, "--out", tmp_path / "half", "--card", tmp_path / "card.md")[0] == 0
    assert (tmp_path / "half" / "README.md").read_text() == "# card\n"


def test_version_and_help(run):
    assert run("--version")[1].startswith("asr 0.")
    for command in ("transcribe", "train", "train-lm", "evaluate", "score", "tune", "benchmark", "corpus", "model"):
        status, out, _ = run(command, "--help")
        assert status == 0 and "Usage:" in out


def test_files_of_any_name_are_opened_as_files(run, model, wav, tmp_path, monkeypatch):
    """FFmpeg would take `concat:` for a protocol, and a name may be no UTF-8."""
    monkeypatch.chdir(tmp_path)
    encode(tmp_path / "a.m4a", sine(1.0), 16000, "aac")
    os.rename("a.m4a", "concat:a.m4a")
    os.rename(wav("b.wav"), b"\xff\xfe.wav")
    status, out, err = run("transcribe", "--model", model, "concat:a.m4a", os.fsdecode(b"\xff\xfe.wav"), "d" * 300)
    assert status == 1 and len(out.splitlines()) == 3 and out.splitlines()[2] == ""
    assert f"{'d' * 300}: cannot be read (File name too long)" in err


def test_two_recordings_with_one_stem_keep_their_suffix(run, model, wav, tmp_path):
    wav("in/a.wav"), wav("in/a.flac"), wav("in/b.wav")
    assert run("transcribe", "--model", model, tmp_path / "in", "--out", tmp_path / "out")[0] == 0
    assert sorted(p.name for p in (tmp_path / "out").glob("[!.]*")) == ["a.flac.txt", "a.wav.txt", "b.txt"]


def test_failures_of_the_system_are_one_line(run, model, wav, tmp_path):
    (tmp_path / "file").touch()
    status, _, err = run("transcribe", "--model", model, wav("a.wav"), "--out", tmp_path / "file" / "texts")
    assert (
        status == 1
        and err.splitlines()[-1].endswith(": Not a directory; choose another name")
        and "Traceback" not in err
    )
    assert str(tmp_path / "file") in err.splitlines()[-1]
    write_manifest(tmp_path / "one.jsonl", [Utterance("a", wav("a.wav"), 1.0, "你好")])
    status, _, err = run("evaluate", model, tmp_path / "one.jsonl", "--out", tmp_path / "file" / "results")
    assert status == 1 and err.startswith(f"asr: {tmp_path / 'file'}") and "decoded" not in err
    status, _, err = run("transcribe", "--model", model, wav("a.wav"), "--out", tmp_path / "file")
    assert status == 2 and "is a file, not a folder" in " ".join(err.split())
    assert run("transcribe", "")[0] == 2


def test_a_field_that_nobody_has_is_refused(run, model, tmp_path):
    manifest = prepare_toy(tmp_path / "toy", 2, 1, 1)["train"]
    status, _, err = run("evaluate", model, manifest, "--by", "speker")
    assert status == 1 and "no utterance has the field 'speker'; there is source" in err


def test_results_of_somebody_else_are_not_overwritten(run, model, tmp_path):
    manifest = prepare_toy(tmp_path / "toy", 2, 1, 1)["train"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "hyp.txt").write_text("precious")
    status, _, err = run("evaluate", model, manifest, "--out", tmp_path / "mine")
    assert status == 1 and "holds results already" in err
    assert (tmp_path / "mine" / "hyp.txt").read_text() == "precious"


def test_a_name_that_is_taken_by_something_else(run, model, tmp_path):
    manifest = prepare_toy(tmp_path / "toy", 2, 1, 1)["train"]
    (tmp_path / "file").write_text("precious")
    for arguments in (("evaluate", model, manifest), ("model", "export", model, "--force")):
        status, _, err = run(*arguments, "--out", tmp_path / "file")
        assert status == 1 and err.rstrip().lower().endswith("choose another name"), err
    assert (tmp_path / "file").read_text() == "precious"
