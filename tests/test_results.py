"""Where transcripts go, and when one that is there already is the one that is asked for."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import soundfile

from asr.catalogue.opening import Decoding
from asr.errors import UsageError
from asr.model.folder import load_model, save_model
from asr.outputs.style import Style
from asr.outputs.writers import WRITERS
from asr.transcription.made_with import made_with
from asr.transcription.results import MADE_WITH, MadeWith, differences
from asr.transcription.segmenting import SegmentConfig
from tests.conftest import random_model
from tests.sounds import noise


@pytest.fixture
def wav(tmp_path):
    """Writes a recording in which nobody speaks: what counts here is not the text."""

    def write(name: str, seconds: float = 1.0, seed: int = 1) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, noise(seconds, seed=seed), 16000)
        return path

    return write


@pytest.fixture
def transcribe(run, model, wav, tmp_path):
    """Runs `asr transcribe a.wav` into the folder out: (exit status, stderr)."""
    audio = wav("a.wav")

    def transcribe(*more) -> tuple[int, str]:
        status, out, err = run("transcribe", "--model", model, audio, "-o", tmp_path / "out", *more)
        assert out == ""
        return status, err

    return transcribe


def changed(content: bytes, place: int) -> bytes:
    """The same with another byte somewhere."""
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


CHANGES = [
    (("--beam", "1"), "decode.beam 4, now 1"),
    (("--decode", "length_bonus=2"), "decode.length_bonus 0.0, now 2.0"),
    (("--vad", "threshold=0.3"), "vad.threshold 0.5, now 0.3; vad.silence 0.35, now 0.15"),
    (("--numbers", "digits"), "numbers none, now digits"),
    (("--punctuate",), "punctuate none, now model"),
    (("--style", "clean"), "style verbatim, now clean"),
    (("--quantize", "int8"), "quantize none, now int8"),
    (("--channels", "split"), "channels mix, now split"),
]


@pytest.mark.parametrize(("options", "told"), CHANGES)
@pytest.mark.parametrize("format", ["txt", "srt"])
def test_a_transcript_made_with_other_options_is_not_taken_for_the_one_asked_for(
    transcribe, tmp_path, options, told, format
):
    assert transcribe("--format", format)[0] == 0
    target = tmp_path / f"out/a.{format}"
    before = target.read_text(), target.stat().st_mtime_ns
    status, err = transcribe("--format", format, *options)
    assert status == 1
    assert err == (
        f"asr: {target}: is there already, made with other settings ({told}); --force makes it anew,"
        " another --out keeps both\n"
    )
    listed = (tmp_path / "out" / MADE_WITH).read_text()
    assert (target.read_text(), target.stat().st_mtime_ns) == before
    status, err = transcribe("--format", format)
    assert status == 0 and f"{target}: is there already and stays as it is" in err
    assert transcribe("--format", format, *options, "--force")[0] == 0
    (tmp_path / "out" / MADE_WITH).write_text((tmp_path / "out" / MADE_WITH).read_text().removeprefix(listed))
    status, err = transcribe("--format", format, *options)
    assert status == 0 and f"{target}: is there already and stays as it is" in err


def test_another_model_of_the_same_name_is_told(run, model, wav, tmp_path):
    copied, other = tmp_path / "copied/tiny", tmp_path / "other/tiny"
    shutil.copytree(model, copied)
    save_model(other, random_model(seed=5), load_model(model).tokenizer.table)
    command = ("transcribe", wav("a.wav"), "-o", tmp_path / "out", "--model")
    assert run(*command, model)[0] == 0
    status, _, err = run(*command, copied)
    assert status == 0 and "is there already and stays as it is" in err
    status, _, err = run(*command, other)
    assert status == 1 and "made with other settings (model tiny " in err and ", now tiny " in err


@pytest.mark.parametrize("name", ["no_speech.safetensors", "pieces.model", "adapter.safetensors"])
def test_every_file_of_a_model_that_texts_depend_on_counts(model, tmp_path, name):
    folder = shutil.copytree(model, tmp_path / "copied")
    before = made_with(Decoding(folder), {})
    (folder / "README.md").write_text("another card")
    assert made_with(Decoding(folder), {}) == before
    (folder / name).write_bytes(b"1")
    first = made_with(Decoding(folder), {})
    (folder / name).write_bytes(b"2")
    assert len({made["model"] for made in (before, first, made_with(Decoding(folder), {}))}) == 3


@pytest.mark.parametrize("name", ["config.json", "tokens.txt", "model.safetensors"])
@pytest.mark.parametrize("own", [True, False])
def test_every_file_of_a_language_model_counts(model, tmp_path, own, name):
    """One that is given, and one that lies in the model's folder."""
    folder = shutil.copytree(model, tmp_path / "copied")
    lm = folder / "lm" if own else tmp_path / "lm"
    lm.mkdir()
    for each in ("config.json", "tokens.txt", "model.safetensors"):
        (lm / each).write_text("{}")
    decoding = Decoding(folder, {"lm_weight": 0.3}, lm=None if own else lm)
    before = made_with(decoding, {})
    (lm / name).write_text("{ }")
    after = made_with(decoding, {})
    assert [key for key in before if before[key] != after[key]] == ["lm"]


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "vocab.txt", "model.safetensors"])
def test_every_file_of_a_large_language_model_counts(model, tmp_path, name):
    lm = tmp_path / "large"
    lm.mkdir()
    for each in ("tokenizer.json", "vocab.txt", "model.safetensors", "README.md"):
        (lm / each).write_bytes(bytes(700_000))
    (lm / "config.json").write_text('{"model_type": "x", "a": 1}')
    before = made_with(Decoding(model, lm=lm), {})
    (lm / "README.md").write_text("another")
    assert made_with(Decoding(model, lm=lm), {}) == before
    content = (lm / name).read_bytes()
    (lm / name).write_bytes(content.replace(b"1}", b"2}") if name == "config.json" else changed(content, 350_000))
    after = made_with(Decoding(model, lm=lm), {})
    assert [key for key in before if before[key] != after[key]] == ["large_lm"]


def test_another_recording_of_the_same_name_is_told(run, model, wav, tmp_path):
    command = ("transcribe", "--model", model, "--out", tmp_path / "out")
    assert run(*command, wav("x/a.wav", seed=1))[0] == 0
    status, _, err = run(*command, wav("y/a.wav", seed=2))
    assert status == 1 and "a.txt: is there already, made with other settings (another recording)" in err
    shutil.copy(tmp_path / "x/a.wav", tmp_path / "y/a.wav")
    assert run(*command, tmp_path / "y/a.wav")[0] == 0


def test_style_counts_for_the_formats_that_have_it(transcribe):
    assert transcribe("--format", "txt")[0] == 0
    assert transcribe("--format", "txt,srt", "--lines", "1")[0] == 0
    status, err = transcribe("--format", "txt,srt")
    assert status == 1 and "a.srt: is there already, made with other settings (lines 1, now 2)" in err


def test_every_choice_of_style_belongs_to_a_format():
    fields = {field.name for field in dataclasses.fields(Style)}
    assert fields == {name for writer in WRITERS.values() for name in writer.style}


def test_several_are_counted(run, model, wav, tmp_path):
    folder = wav("in/a.wav").parent
    wav("in/b.wav", seed=2)
    command = ("transcribe", "--model", model, folder, "--out", tmp_path / "out")
    assert run(*command)[0] == 0
    wav("in/c.wav", seed=3)
    status, _, err = run(*command, "--script", "simplified")
    assert status == 1 and not (tmp_path / "out/c.txt").exists()
    assert err == (
        f"asr: {tmp_path / 'out'}: 2 of the transcripts that are there already were made with other settings, such as a.txt"
        " (script none, now simplified); --force makes them anew, another --out keeps both\n"
    )


def test_what_somebody_has_corrected_stays_and_is_told(transcribe, tmp_path):
    assert transcribe()[0] == 0
    (tmp_path / "out/a.txt").write_text("corrected\n")
    status, err = transcribe("--beam", "1")
    assert status == 0 and (tmp_path / "out/a.txt").read_text() == "corrected\n"
    assert "a.txt: what it was made with is not known, it was written by something else or changed since\n" in err


def test_a_list_that_is_damaged_makes_its_files_unknown(transcribe, tmp_path):
    assert transcribe()[0] == 0
    text = (tmp_path / "out" / MADE_WITH).read_text()
    (tmp_path / "out" / MADE_WITH).write_text(text[:-20] + "\n[1]\n{}\n" + "[" * 100_000 + "\n")
    status, err = transcribe()
    assert status == 0 and "is not known" in err


def test_a_file_is_on_the_list_before_it_is_there(tmp_path):
    """Killed between the two, it is written again; killed before, it is not there."""
    made = MadeWith(tmp_path)
    made.write(tmp_path / "a.txt", "你好\n", {"recording": "r", "beam": 4})
    (tmp_path / "a.txt").unlink()
    assert len((tmp_path / MADE_WITH).read_text().splitlines()) == 2
    made.write(tmp_path / "a.txt", "你好\n", {"recording": "r", "beam": 4})
    again = MadeWith(tmp_path)
    assert differences(again.of(tmp_path / "a.txt", {"recording": "r", "beam": 4}), {"recording": "r", "beam": 4}) == ""
    assert differences(again.of(tmp_path / "a.txt", {"recording": "r", "new": 1}), {"recording": "r", "new": 1}) == ""
    assert again.of(tmp_path / "a.txt", {"recording": "r", "beam": 5}) == {"recording": "r", "beam": 4}


@pytest.mark.parametrize("name", ["talk.srt", "talk.SRT", "talk.json", "talk.TextGrid"])
def test_one_recording_goes_to_a_file_whose_name_tells_the_format(run, model, wav, tmp_path, name):
    audio, target = wav("a.wav"), tmp_path / name
    printed = run("transcribe", "--model", model, audio, "--format", target.suffix[1:].upper())[1]
    assert run("transcribe", "--model", model, audio, "-o", target)[:2] == (0, "")
    assert target.read_text() == printed
    status, _, err = run("transcribe", "--model", model, audio, "-o", target)
    assert status == 1 and f"{name}: is there already; choose another name, or --force to overwrite it" in err
    assert run("transcribe", "--model", model, audio, "-o", target, "--force")[0] == 0
    assert sorted(path.name for path in tmp_path.glob(".asr*")) == []


def test_a_format_that_is_named_comes_before_that_of_the_name(run, model, wav, tmp_path):
    assert run("transcribe", "--model", model, wav("a.wav"), "-o", tmp_path / "a.txt", "--format", "Json")[0] == 0
    assert json.loads((tmp_path / "a.txt").read_text())["audio"].endswith("a.wav")


def test_devices_and_stdout_are_written_to(run, model, wav):
    audio = wav("a.wav")
    printed = run("transcribe", "--model", model, audio)
    assert run("transcribe", "--model", model, audio, "-o", "-") == printed and printed[:2] == (0, "\n")
    assert run("transcribe", "--model", model, audio, "-o", "/dev/null", "--format", "srt")[:2] == (0, "")


def test_other_names_are_folders(run, model, wav, tmp_path):
    (tmp_path / "there.srt").mkdir()
    for name in ("texts", "texts.v2", "there.srt"):
        assert run("transcribe", "--model", model, wav("a.wav"), "-o", tmp_path / name)[0] == 0
        assert (tmp_path / name / "a.txt").is_file()


def test_the_case_of_a_choice_does_not_matter(run, model, wav):
    audio = wav("a.wav")
    plain = run("transcribe", "--model", model, audio, "--format", "srt", "--device", "cpu", "--channels", "split")
    shout = run("transcribe", "--model", model, audio, "--format", "SRT", "--device", "CPU", "--channels", "SPLIT")
    assert plain == shout and plain[0] == 0


def test_an_address_is_told_how_to_be_fetched(run, model):
    url = "https://example.com/talks/1.mp3?part=2"
    status, out, err = run("transcribe", "--model", model, url)
    assert (status, out) == (1, "\n")
    assert f"asr: {url}: is an address, not a file; fetch it with curl -L '{url}' | asr transcribe -\n" in err


@pytest.mark.parametrize(
    ("window", "changes", "expected"),
    [
        (0, {}, SegmentConfig()),
        (0, {"threshold": 0.3}, SegmentConfig(threshold=0.3, silence=0.15)),
        (0, {"threshold": 0}, SegmentConfig(threshold=0.0, silence=0.0)),
        (0, {"threshold": 0.3, "silence": 0.1}, SegmentConfig(threshold=0.3, silence=0.1)),
        (0, {"longest": 4}, SegmentConfig(longest=4.0, shortest=2.0)),
        (0, {"pause": 0.2}, SegmentConfig(pause=0.2, padding=0.2)),
        (30.0, {"longest": 10}, SegmentConfig(longest=10.0, shortest=5.0, pause=2.0)),
    ],
)
def test_settings_that_would_not_fit_a_changed_one_follow_it(window, changes, expected):
    assert SegmentConfig.changed(window, changes) == expected


@pytest.mark.parametrize(
    ("window", "changes", "message"),
    [
        (
            0,
            {"treshold": 0.3},
            "vad.treshold: there is no such setting; did you mean threshold\\? valid are longest, sho",
        ),
        (0, {"threshold": "low"}, "vad.threshold must be a number, is 'low'"),
        (0, {"threshold": float("nan")}, "vad.threshold must be a finite number, is nan"),
        (0, {"threshold": 0.3, "silence": 0.35}, "must be 0 <= silence 0.35 <= threshold 0.3 < 1"),
        (0, {"longest": 1000}, "vad: must be 0 < shortest 5 s < longest 1000 s <= 120 s"),
        (0, {"padding": -1}, "must be 0 <= padding -1 s <= pause 0.6 s"),
        (0, {"least_speech": -1}, "vad.least_speech must be from 0 to 120 s, is -1"),
        (
            30.0,
            {"longest": 30},
            "vad.longest 30 s and twice vad.padding 0.5 s are more than the 30 s that the model hears",
        ),
    ],
)
def test_cutting_that_cannot_be_is_wrong_usage(window, changes, message):
    with pytest.raises(UsageError, match=message):
        SegmentConfig.changed(window, changes)


def test_vad_changes_where_speech_is_cut(run, model, wav):
    command = ("transcribe", "--model", model, wav("a.wav"), "--format", "json")
    data = json.loads(run(*command, "--vad", "longest=2", "--vad", "threshold=0.6")[1])
    cut = data["settings"]["segments"]
    assert (cut["longest"], cut["shortest"], cut["threshold"], cut["silence"]) == (2.0, 1.0, 0.6, 0.45)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("a.wav", "b.wav", "-o", "a.srt"),
            "asr: a.srt is the name of one file, and there are 2 recordings; give them a folder",
        ),
        (("a.wav", "b.wav", "-o", "a.txt"), "give them a folder, or `> a.txt` for a line of each"),
        (("a.wav", "-o", "a.srt", "--format", "txt,srt"), "several formats need a folder: --out"),
        (
            ("data/sample/weather.flac", "--vad", "foo=1"),
            "vad.foo: there is no such setting; valid are longest, shortest",
        ),
        (("data/sample/weather.flac", "--vad", "pause"), "--vad pause: must have the form key=value"),
    ],
)
def test_wrong_usage_is_status_2(run, arguments, message):
    status, out, err = run("transcribe", *arguments)
    assert (status, out) == (2, "") and message in " ".join(err.split())


def test_a_name_that_ends_as_no_known_file_makes_no_folder(run, model, wav, tmp_path):
    for name in ("talk.xyz", "talk.doc"):
        status, _, err = run("transcribe", "--model", model, wav("a.wav"), "--out", tmp_path / name)
        assert status == 2 and "of a folder of that name, make it first" in " ".join(err.replace("│", "").split())
        assert not (tmp_path / name).exists()
    (tmp_path / "talk.xyz").mkdir()
    for name in ("talk.xyz", "results.v2", "results.2026", "plain"):
        assert run("transcribe", "--model", model, wav("a.wav"), "--out", tmp_path / name)[0] == 0
        assert (tmp_path / name / "a.txt").is_file()
