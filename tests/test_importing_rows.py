"""Rows of every kind: what is wrong with each is listed, parts and channels are found, ids are made, numbers spelled out."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from asr.corpus.importing import Skipped, import_corpus
from asr.corpus.manifest import read_manifest, write_manifest
from asr.errors import ManifestError
from tests.miniatures import write
from tests.sounds import silence, sine, write_wav
from tests.test_importing import kaldi


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder with the recordings a.wav (1 s) and b.wav (2 s)."""
    write_wav(tmp_path / "wav/a.wav", silence(1))
    write_wav(tmp_path / "wav/b.wav", silence(2))
    return tmp_path


def test_every_fault_is_listed_whatever_it_is(run, folder, tmp_path):
    """Each row has another one; those that have none are written."""
    (folder / "wav/empty.wav").touch()
    (folder / "wav/noise.flac").write_bytes(b"fLaC" + bytes(range(200)))
    (folder / "wav/folder.wav").mkdir()
    rows = [
        "a\twav/a.wav\t0\t1\t好",
        "b\twav/none.wav\t0\t1\t好",
        "c\twav/empty.wav\t0\t1\t好",
        "d\twav/noise.flac\t0\t1\t好",
        "e\twav/folder.wav\t0\t1\t好",
        "f\t\t0\t1\t好",
        "g\twav/a.wav\t0\t3\t好",
        "h\twav/a.wav\t0.8\t0.2\t好",
        "i\twav/a.wav\tx\t1\t好",
        "j\twav/a.wav\t0",
        "a\twav/b.wav\t0\t1\t好",
        "k l\twav/b.wav\t0\t1\t好",
        "m\twav/b.wav\t0\t1\t好",
    ]
    path, out = write(folder / "t.tsv", "id\taudio\tstart\tend\ttext", *rows), tmp_path / "out.jsonl"
    status, _, err = run("corpus", "import", path, "--out", out)
    assert status == 1 and not out.exists()
    assert [line.split(":")[2] for line in err.splitlines()[:-1]] == [
        str(n) for n in (3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13)
    ]
    assert "11 of 13 rows cannot be used, nothing was written" in err
    status, _, err = run("corpus", "import", path, "--out", out, "--skip-broken")
    assert status == 1 and [u.id for u in read_manifest(out)] == ["a", "m"]
    assert err.splitlines()[-1] == f"{out}: 2 utterances; left out: 0 without text, 0 by --where, 11 broken"
    assert f"must end within its recording, ends at 3.00 s; {folder / 'wav/a.wav'} has 1.00 s" in err


def test_every_fault_of_json_lines_and_of_a_kaldi_directory_is_listed(run, folder, tmp_path):
    lines = ['{"wav": "wav/none.wav", "txt": "好"}', "{", '{"txt": "好"}', '{"wav": "wav/a.wav", "txt": "好"}']
    path, out = write(folder / "data.list", *lines), tmp_path / "out.jsonl"
    status, _, err = run("corpus", "import", path, "--out", out, "--skip-broken")
    assert status == 1 and [u.id for u in read_manifest(out)] == ["a"]
    assert [line.split(":")[2] for line in err.splitlines()[:-1]] == ["1", "2", "3"]
    data = kaldi(
        folder,
        wav_scp=f"a {folder}/wav/a.wav\nb {folder}/wav/none.wav\nc sph2pipe c.sph |\n",
        segments="1 a 0 1\n2 b 0 1\n3 c 0 1\n4 a 0\n5 a 0.9 0.1\n7 x 0 1\n",
        text="".join(f"{n} 好\n" for n in (1, 2, 3, 4, 5, 6, 7, 1)),
    )
    status, _, err = run("corpus", "import", data, "--out", out, "--skip-broken", "--force")
    assert status == 1 and [u.id for u in read_manifest(out)] == ["1"] and "7 broken" in err


def test_a_table_of_parts_without_ids(folder):
    rows = (
        "wav/b.wav,0,0.5,一",
        "wav/b.wav,0.5,1.25,二",
        "wav/b.wav,0.5,2,三",
        "other/b.wav,0.5,1,四",
        "wav/a.wav,0.0,1,五",
    )
    shutil.copytree(folder / "wav", folder / "other")
    utterances = list(import_corpus(write(folder / "t.csv", "audio,start,end,text", *rows)))
    assert [(u.id, u.start, u.duration) for u in utterances] == [
        ("b", 0.0, 0.5),
        ("b-0.5", 0.5, 0.75),
        ("wav-b-0.5", 0.5, 1.5),
        ("other-b-0.5", 0.5, 0.5),
        ("a", 0.0, 1.0),
    ]
    write_manifest(folder / "m.jsonl", utterances)
    assert [u.id for u in read_manifest(folder / "m.jsonl")] == [u.id for u in utterances]


def test_ids_are_made_of_names_with_spaces_and_of_equal_names(folder):
    shutil.copy(folder / "wav/a.wav", folder / "my talk.wav")
    rows = "my talk.wav\t好", "my talk.wav\t天", "wav/a.wav\t好", "wav/a.wav\t好", "wav/a.wav\t好"
    utterances = import_corpus(write(folder / "t.tsv", "audio\ttext", *rows))
    assert [u.id for u in utterances] == ["my_talk", "my_talk-2", "a", "wav-a", "a-2"]


def test_parts_by_other_names(folder):
    rows = "wav/b.wav,0.5,1.5,好", "wav/b.wav,1.5,-1,好"
    for header in ("audio,begin,end,text", "File,Start_Time,End_Time,Sentence"):
        found = import_corpus(write(folder / "t.csv", header, *rows))
        assert [(u.id, u.start, u.duration) for u in found] == [("b-0.5", 0.5, 1.0), ("b-1.5", 1.5, 0.5)]


@pytest.mark.parametrize("end", ["-1", "-1.0", ""])
def test_an_end_of_minus_one_is_the_recordings(folder, end):
    rows = f"a\twav/b.wav\t0.5\t{end}\t好", f"b\twav/b.wav\t\t{end}\t好"
    first, second = import_corpus(write(folder / "t.tsv", "id\taudio\tstart\tend\ttext", *rows))
    assert (first.start, first.duration, second.start, second.duration) == (0.5, 1.5, 0.0, 2.0)


def test_kaldi_segments_to_the_end_and_of_a_channel(folder):
    write_wav(folder / "wav/call.wav", np.stack([silence(3)] * 2, 1))
    data = kaldi(
        folder,
        wav_scp=f"call {folder}/wav/call.wav\nb {folder}/wav/b.wav\n",
        segments="call-A call 0.00 1.25 0\ncall-B call 1.5 -1 1\nb-1 b 0.5 -1\nb-2 b 0.5 2 1\nb-3 b 2.5 -1\n",
        text="call-A 你好\ncall-B 再见\nb-1 好\nb-2 好\nb-3 好\n",
    )
    skipped = Skipped()
    found = [(u.id, u.start, u.duration, u.channel) for u in import_corpus(data, skipped=skipped)]
    assert found == [("call-A", 0.0, 1.25, 0), ("call-B", 1.5, 1.5, 1), ("b-1", 0.5, 1.5, None)]
    assert "has 1 channels, counted from 0; there is no channel 1" in skipped.broken[0]
    assert skipped.broken[1].endswith("duration must be above 0 seconds, is -0.500")


def test_a_duration_of_minus_one_in_json_lines(folder):
    lines = (f'{{"audio_filepath": "wav/b.wav", "offset": 0.5, "duration": {d}, "text": "好"}}' for d in ("-1", "null"))
    assert [u.duration for u in import_corpus(write(folder / "nemo.json", *lines))] == [1.5, 1.5]


@pytest.mark.parametrize("text, channel", [("1", 1), ("0", 0), ("1.0", 1), ("", None)])
def test_channels_as_tables_write_them(folder, text, channel):
    write_wav(folder / "wav/two.wav", np.stack([silence(1)] * 2, 1))
    (utterance,) = import_corpus(write(folder / "t.tsv", "audio\ttext\tchannel", f"wav/two.wav\t好\t{text}"))
    assert utterance.channel == channel


@pytest.mark.parametrize("channel", ["A", "-1", "0.5", "70000", "nan"])
def test_what_is_no_channel(folder, channel):
    path = write(folder / "t.tsv", "audio\ttext\tchannel", f"wav/a.wav\t好\t{channel}")
    with pytest.raises(
        ManifestError, match=f"2: channel must be a whole number up to 65535, counted from 0, is '{channel}'"
    ):
        list(import_corpus(path))


def test_numbers_in_digits_are_told_and_spelled_out(run, folder):
    rows = "wav/a.wav\t涨了25%", "wav/b.wav\t２个苹果，共３元", "wav/b.wav\t今天"
    path = write(folder / "t.tsv", "audio\ttext", *rows)
    plain, spelled = folder / "plain.jsonl", folder / "spelled.jsonl"
    assert run("corpus", "import", path, "--out", plain)[0] == 0
    status, out, _ = run("corpus", "check", plain)
    assert status == 0 and "warning: 2 whose text holds numbers in digits, which are said as words: " in out
    assert "(a): 涨了25% is learned as 涨了25" in out
    assert "asr corpus import MANIFEST --spell-numbers --out NEW writes them as they are said" in out
    status, _, err = run("corpus", "import", plain, "--spell-numbers", "--out", spelled)
    assert status == 0 and "numbers are spelled out in 2 texts" in err
    assert [u.text for u in read_manifest(spelled)] == ["涨了百分之二十五", "两个苹果，共三元", "今天"]
    assert run("corpus", "check", spelled)[1].endswith("; nothing wrong\n")


@pytest.mark.parametrize(
    ("there", "named"),
    [("deep/a.wav", "deep\\a.wav"), ("cafe\u0301.wav", "caf\u00e9.wav"), ("caf\u00e9.wav", "cafe\u0301.wav")],
)
def test_a_file_is_found_whose_name_another_system_wrote(tmp_path, there, named):
    """A backslash is a separator where there is no file of that name; accents may be composed or not."""
    (tmp_path / "deep").mkdir()
    write_wav(tmp_path / there, sine(0.5))
    (tmp_path / "t.tsv").write_text(f"audio\ttext\n{named}\t今天\n", encoding="utf-8")
    (found,) = import_corpus(tmp_path / "t.tsv")
    assert found.audio == (tmp_path / there).resolve()


def test_a_backslash_that_is_part_of_a_name_stays_one(tmp_path):
    write_wav(tmp_path / "deep\\a.wav", sine(0.5))
    (tmp_path / "t.tsv").write_text("audio\ttext\ndeep\\a.wav\t今天\n", encoding="utf-8")
    assert next(import_corpus(tmp_path / "t.tsv")).audio.name == "deep\\a.wav"
