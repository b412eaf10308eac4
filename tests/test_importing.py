import os
import re
from pathlib import Path

import numpy as np
import pytest

from asr.corpus.importing import Skipped, import_corpus
from asr.corpus.lists import recordings
from asr.corpus.manifest import Utterance, read_manifest, write_manifest
from asr.errors import ManifestError
from tests.miniatures import write
from tests.sounds import silence, write_wav


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder with the recordings a.wav (1 s) and b.wav (2 s)."""
    write_wav(tmp_path / "wav/a.wav", silence(1))
    write_wav(tmp_path / "wav/b.wav", silence(2))
    return tmp_path


def short(utterances) -> list[tuple]:
    return [(u.id, u.audio.name, u.duration, u.text) for u in utterances]


BOTH = [("a", "a.wav", 1.0, "你好"), ("b", "b.wav", 2.0, "再见")]


def test_a_tsv_table(folder):
    path = write(
        folder / "t.tsv",
        "id\taudio\ttext\tduration\tstart\tspeaker\tsource\tage",
        'a\twav/a.wav\t"你好"，\t0.5\t0.25\tS1\ttoy\t30',
        "",
        "b\twav/b.wav\t再见\t\t0.5\t\t\t",
    )
    assert list(import_corpus(path)) == [
        Utterance("a", folder / "wav/a.wav", 0.5, '"你好"，', 0.25, "S1", source="toy", extra={"age": "30"}),
        Utterance("b", folder / "wav/b.wav", 1.5, "再见", 0.5),
    ]


def test_a_csv_table_with_quotes_bom_and_crlf(folder):
    (folder / "t.csv").write_bytes('\ufeffid,file,text\r\na,wav/a.wav,"你好, ""World"""\r\n'.encode())
    utterances = list(import_corpus(folder / "t.csv"))
    assert short(utterances) == [("a", "a.wav", 1.0, '你好, "World"')]
    assert utterances[0].where == f"{folder}/t.csv:2"


def test_columns_of_common_voice(folder):
    header = "client_id\tpath\tsentence\tup_votes\taccents"
    path = write(folder / "t.tsv", header, "c1\ta.wav\t你好\t2\t", "c2\tb.wav\t再见\t3\t")
    utterances = list(import_corpus(path, audio_root=folder / "wav"))
    assert short(utterances) == BOTH
    assert [u.speaker for u in utterances] == ["c1", "c2"]
    assert [u.extra for u in utterances] == [{"up_votes": "2"}, {"up_votes": "3"}]


def test_rows_without_text_or_ruled_out_are_counted(folder):
    rows = "a\twav/a.wav\t你好\tcn", "b\tnone.wav\t\tcn", "c\tnone.wav\t  \tcn", "d\tnone.wav\t再见\ttw"
    path = write(folder / "t.tsv", "id\taudio\ttext\tlocale", *rows)
    skipped = Skipped()
    assert short(import_corpus(path, where={"locale": "cn"}, skipped=skipped)) == BOTH[:1]
    assert (skipped.without_text, skipped.filtered) == (2, 1)


def test_where_takes_the_names_that_stand_in_the_header(folder):
    path = write(folder / "t.tsv", "client_id\tpath\tsentence", "c1\twav/a.wav\t你好", "c2\twav/b.wav\t再见")
    assert short(import_corpus(path, where={"client_id": "c2"})) == BOTH[1:]


def test_where_with_a_column_that_is_not_there(folder):
    path = write(folder / "t.tsv", "id\taudio\ttext\tlocale", "a\twav/a.wav\t你好\tcn")
    with pytest.raises(ManifestError, match="lokale"):
        list(import_corpus(path, where={"lokale": "cn"}))


def test_a_manifest_of_an_import_can_be_read(folder):
    write_wav(folder / "wav/two.wav", np.stack([silence(1)] * 2, 1))
    path = write(folder / "t.tsv", "id\taudio\ttext\tchannel", "a\twav/two.wav\t你好\t1")
    write_manifest(folder / "m.jsonl", import_corpus(path))
    assert read_manifest(folder / "m.jsonl")[0].channel == 1


def kaldi(folder: Path, **files: str) -> Path:
    files = {"wav_scp": f"a {folder}/wav/a.wav\nb {folder}/wav/b.wav\n", "text": "a 你好\nb 再见\n"} | files
    (folder / "kaldi").mkdir()
    for name, content in files.items():
        (folder / "kaldi" / name.replace("_", ".")).write_text(content, encoding="utf-8")
    return folder / "kaldi"


def test_a_kaldi_directory(folder):
    assert short(import_corpus(kaldi(folder))) == BOTH


def test_a_kaldi_directory_with_segments_and_speakers(folder):
    data = kaldi(
        folder,
        segments="b-1 b 0.00 0.75\nb-2 b 0.75 2.00\na-1 a 0.5 1\n",
        utt2spk="b-1 S1\nb-2 S2\n",
        text="b-1 你 好\nb-2 再见\na-1\n",
    )
    skipped = Skipped()
    assert list(import_corpus(data, skipped=skipped)) == [
        Utterance("b-1", folder / "wav/b.wav", 0.75, "你 好", 0.0, "S1"),
        Utterance("b-2", folder / "wav/b.wav", 1.25, "再见", 0.75, "S2"),
    ]
    assert skipped.without_text == 1


def test_relative_paths_in_wav_scp(folder, monkeypatch):
    data = kaldi(folder, wav_scp="a wav/a.wav\nb wav/b.wav\n")
    assert short(import_corpus(data, audio_root=folder)) == BOTH
    monkeypatch.chdir(folder)
    assert short(import_corpus(data)) == BOTH


def test_kaldi_files_may_have_tabs(folder):
    data = kaldi(folder, wav_scp=f"a\t{folder}/wav/a.wav\nb\t{folder}/wav/b.wav\n", text="a\t你好\nb\t再见\n")
    assert short(import_corpus(data)) == BOTH


def test_a_kaldi_text_with_a_line_separator(folder):
    assert [u.text for u in import_corpus(kaldi(folder, text="a 你\u2028好\n"))] == ["你\u2028好"]


HEADER = "id\taudio\ttext\tduration"
NO_AUDIO = "t.tsv:1: no column for audio (audio, path, wav, file, filename); the header has "


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["id\ttext", "a\t你好"], NO_AUDIO + "id, text"),
        ([], NO_AUDIO + "none"),
        ([HEADER, "a\twav/a.wav\t你好"], "t.tsv:2: a row must have 4 columns as the header has, has 3"),
        ([HEADER, "a\twav/c.wav\t你好\t"], "wav/c.wav is not there; does --audio-root point to the right folder?"),
        ([HEADER, *["a\twav/a.wav\t你好\t1"] * 2], "t.tsv:3: id must be unique, 'a' is already at {folder}/t.tsv:2"),
        ([HEADER, "a\twav/a.wav\t你好\t1s"], "t.tsv:2: duration must be a number of seconds, is '1s'"),
        ([HEADER, "a\twav/a.wav\t你好\tnan"], "t.tsv:2: duration must be a number of seconds, is 'nan'"),
        ([HEADER, "a\twav/a.wav\t你好\t0"], "t.tsv:2: duration must be above 0 seconds, is 0.000"),
        (["path\ttext\tstart", "wav/a.wav\t你好\t1.5"], "t.tsv:2: duration must be above 0 seconds, is -0.500"),
        ([HEADER, "a\tt.tsv\t你好\t"], "t.tsv:2: {folder}/t.tsv: not recognised as audio"),
        (["audio\ttext\tdialect\tdialect", "wav/a.wav\t你好\tx\ty"], "t.tsv:1: the header has 'dialect' twice"),
    ],
)
def test_a_wrong_table_is_refused_with_its_line(folder, lines, message):
    with pytest.raises(ManifestError, match=re.escape(message.format(folder=folder))):
        list(import_corpus(write(folder / "t.tsv", *lines)))


def test_a_quotation_mark_that_is_not_closed_swallows_no_rows(folder):
    path = write(folder / "t.csv", "audio,text", 'wav/a.wav,"今天', "wav/b.wav,你好")
    with pytest.raises(ManifestError, match="t.csv:3: .*is a quotation mark not closed"):
        list(import_corpus(path))
    with pytest.raises(ManifestError, match="t.csv:2: .*is a quotation mark not closed"):
        list(import_corpus(write(folder / "t.csv", '"audio,text', "wav/a.wav,今天")))


def test_a_spreadsheet_leaves_empty_columns(folder):
    path = write(folder / "t.csv", "audio,text,,", "wav/a.wav,今天,,")
    assert [u.text for u in import_corpus(path)] == ["今天"]


def test_an_empty_id_is_refused(folder):
    with pytest.raises(ManifestError, match=r"t\.tsv:2: id"):
        list(import_corpus(write(folder / "t.tsv", HEADER, "\twav/a.wav\t你好\t1")))


def test_a_quote_that_never_ends_is_refused(folder):
    path = write(folder / "t.csv", "id,audio,text", 'a,wav/a.wav,"你好', *["b,wav/b.wav,再见"] * 10000)
    with pytest.raises(ManifestError, match=r"t\.csv"):
        list(import_corpus(path))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"wav_scp": "a sph2pipe -f wav a.sph |\n"}, "kaldi/wav.scp: 'a' is a command, not a file; run it and list"),
        ({"text": "c 你好\n"}, "kaldi/text:1: 'c' is not in {folder}/kaldi/wav.scp"),
        ({"segments": "b a 0 1\n"}, "kaldi/text:1: 'a' is not in {folder}/kaldi/segments"),
        ({"segments": "a a 0.7 0.5\n"}, "kaldi/segments:1: end must be after start, 0.5 is not after 0.7"),
        ({"segments": "a a 0\n"}, "kaldi/segments:1: a segment must be 'id recording start end', has 3 fields"),
        ({"segments": "a a x 1\n"}, "kaldi/segments:1: start must be a number of seconds, is 'x'"),
        ({"text": "a 你\na 好\n"}, "kaldi/text:2: id must be unique, 'a' occurs twice"),
        ({"wav_scp": "a none.wav\n"}, "kaldi/text:1: audio must be a file"),
    ],
)
def test_a_wrong_kaldi_directory_is_refused_with_its_line(folder, files, message):
    with pytest.raises(ManifestError, match=re.escape(message.format(folder=folder))):
        list(import_corpus(kaldi(folder, **files)))


def test_what_is_no_corpus(folder):
    with pytest.raises(ManifestError, match="none: no such table or Kaldi directory"):
        list(import_corpus(folder / "none"))
    with pytest.raises(ManifestError, match=r"wav: not a Kaldi directory, wav\.scp is missing"):
        list(import_corpus(folder / "wav"))
    (folder / "t.tsv").write_bytes("audio\ttext\na.wav\t你好\n".encode("gb18030"))
    with pytest.raises(ManifestError, match=r"t\.tsv:2: not UTF-8 \("):
        list(import_corpus(folder / "t.tsv"))
    (kaldi(folder) / "text").write_bytes("a 你好\n".encode("gb18030"))
    with pytest.raises(ManifestError, match=r"kaldi/text:1: not UTF-8 \("):
        list(import_corpus(folder / "kaldi"))


@pytest.mark.parametrize(
    "first",
    [
        '{"key": "a", "wav": "wav/a.wav", "txt": "你好"}',
        '{"key": "a", "source": "wav/a.wav", "source_len": 99, "target": "你好", "target_len": 2}',
        '{"audio_filepath": "wav/a.wav", "duration": 1.0, "text": "你好"}',
    ],
    ids=["wenet", "funasr", "nemo"],
)
def test_json_lines_of_other_toolkits(folder, first):
    path = write(folder / "data.list", first, "", '{"id": "b", "audio": "wav/b.wav", "text": "再见"}')
    assert short(import_corpus(path)) == BOTH


def test_parts_of_a_file_in_json_lines_of_nemo(folder):
    line = '{{"audio_filepath": "wav/b.wav", "offset": {}, "duration": 0.5, "text": "你好", "snr": 12.5}}'
    first, second = import_corpus(write(folder / "nemo.json", line.format(0.0), line.format(1.25)))
    assert (first.id, first.start, second.id, second.start) == ("b", 0.0, "b-1.25", 1.25)
    assert second.duration == 0.5 and second.extra == {"snr": 12.5}


def test_json_lines_that_name_parts(folder):
    path = write(folder / "data.list", '{"key": "a", "wav": "wav/b.wav", "txt": "你好", "start": 0.5, "end": 1.25}')
    (utterance,) = import_corpus(path)
    assert (utterance.start, utterance.duration) == (0.5, 0.75)


@pytest.mark.parametrize(
    "line, message",
    [
        (
            '{"key": "a", "txt": "你好"}',
            "no field for audio (audio, wav, audio_filepath, path, source); the line has key, txt",
        ),
        ('{"key": "a", "wav": ["a.wav"], "txt": "你"}', "must be a JSON object of texts and numbers, is "),
        ('{"key": "a",', "each line must be a JSON object, is "),
        ('{"key": "a", "wav": "wav/a.wav", "txt": "你", "start": "x"}', "start must be a number of seconds, is 'x'"),
    ],
)
def test_wrong_json_lines(folder, line, message):
    path = write(folder / "data.list", line)
    with pytest.raises(ManifestError, match=re.escape(f"{path}:1: {message}")):
        list(import_corpus(path))


def test_a_list_of_recordings(folder, monkeypatch):
    monkeypatch.chdir(folder)
    scp = write(folder / "wav.scp", "a wav/a.wav", "b  wav/b c.wav")
    assert list(recordings(scp)) == [("a", Path("wav/a.wav")), ("b", Path("wav/b c.wav"))]
    listed = write(folder / "lists.jsonl", '{"key": "x/a", "wav": "wav/a.wav"}', '{"audio": "/b.wav"}')
    assert list(recordings(listed)) == [("x/a", folder / "wav/a.wav"), ("b", Path("/b.wav"))]


@pytest.mark.parametrize(
    "lines, message",
    [
        (["../a a.wav"], "1: id must be a word without spaces that can name a file, is '../a'"),
        (["a a.wav", "b sph2pipe b.sph |"], "2: 'b' names a command, 'sph2pipe b.sph |', which is not run: write"),
        (["a"], "1: each line must be `id path`, 'a' has ''"),
        (['{"key": "a", "wav": "a.wav"}'] * 2, "2: id must be unique, 'a' is already at {path}:1"),
        (["a//b a.wav"], "1: id must be a word without spaces that can name a file, is 'a//b'"),
        (
            ['{"key": "a\\u0000", "wav": "a.wav"}'],
            "1: holds '\\\\u0000', which is no character; correct the line or drop it",
        ),
        (['{"key": "' + 300 * "a" + '", "wav": "a.wav"}'], "1: id must have at most 200 bytes, is 'aaaa"),
        (['{"key": "a", "wav": "a.wav", "channel": 1}'], "1: names a part of a file"),
        (['{"key": "a", "wav": "a.wav", "start": 1}'], "1: names a part of a file; `asr evaluate` decodes manifests"),
    ],
)
def test_a_wrong_list_of_recordings(folder, lines, message):
    path = write(folder / "wav.scp", *lines)
    with pytest.raises(ManifestError, match=re.escape(f"{path}:{message.format(path=path)}")):
        list(recordings(path))


def test_a_list_that_can_be_read_only_once_and_one_that_is_empty(folder):
    reading, writing = os.pipe()
    os.write(writing, b"a a.wav\nb b.wav\n")
    os.close(writing)
    assert [id for id, _ in recordings(Path(f"/dev/fd/{reading}"))] == ["a", "b"]
    with pytest.raises(ManifestError, match="empty.scp: names no recording"):
        list(recordings(write(folder / "empty.scp")))


def test_an_end_in_the_place_of_a_duration(folder):
    path = write(folder / "list.tsv", "id\taudio\ttext\tstart\tend", "a\twav/a.wav\t今天\t0.25\t0.75")
    (utterance,) = import_corpus(path)
    assert (utterance.start, utterance.duration, utterance.extra) == (0.25, 0.5, {})


def test_half_a_character_is_refused(folder):
    path = write(folder / "list.jsonl", '{"key": "a", "wav": "wav/a.wav", "txt": "你\\ud83d好"}')
    with pytest.raises(ManifestError, match=r"list.jsonl:1: holds '\\ud83d', which is no character"):
        list(import_corpus(path))


def test_all_rows_that_cannot_be_used_are_listed_and_left_out_if_asked(run, folder, tmp_path):
    (folder / "wav/damaged.wav").write_bytes(b"RIFF but no audio")
    rows = ["wav/a.wav\t今天", "wav/none.wav\t北京", "wav/damaged.wav\t天气", "wav/b.wav\t很好"]
    path, out = write(folder / "t.tsv", "audio\ttext", *rows), tmp_path / "out.jsonl"
    status, _, err = run("corpus", "import", path, "--out", out)
    first, second, last = err.splitlines()
    assert status == 1 and not out.exists() and list(tmp_path.glob(".asr-*")) == []
    assert first.startswith(f"asr: {path}:3: audio must be a file, ") and "none.wav" in first
    assert second.startswith(f"asr: {path}:4: ") and "damaged.wav" in second
    assert last == (
        f"asr: {path}: 2 of 4 rows cannot be used, nothing was written; correct them, or leave them out with --skip-broken"
    )
    status, _, err = run("corpus", "import", path, "--out", out, "--skip-broken")
    assert status == 1 and [u.text for u in read_manifest(out)] == ["今天", "很好"]
    assert err.splitlines()[2] == f"{out}: 2 utterances; left out: 0 without text, 0 by --where, 2 broken"
