import json
import re
import shutil
from pathlib import Path

import pytest

from asr.corpus.manifest import Utterance, check_audio, read_manifest, write_manifest
from asr.corpus.texts import texts_of
from asr.errors import AudioError, ManifestError

GOOD = {"id": "a", "audio": "wav/a.wav", "duration": 1.5, "text": "你好"}


def write_lines(path: Path, *lines: dict | str) -> Path:
    texts = [line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in lines]
    path.write_text("".join(text + "\n" for text in texts), encoding="utf-8")
    return path


def test_utterances_survive_writing_and_reading(tmp_path):
    utterances = [
        Utterance("a", tmp_path / "wav/a.wav", 1.5, "你好，World。"),
        Utterance(
            "b", tmp_path / "b.wav", 0.25, "", 2.125, "S1", 1, "toy", {"age": 30, "tags": ["远场"], "none": None}
        ),
    ]
    assert write_manifest(tmp_path / "m.jsonl", utterances) == 2
    assert read_manifest(tmp_path / "m.jsonl") == utterances
    assert [u.where for u in read_manifest(tmp_path / "m.jsonl")] == [f"{tmp_path}/m.jsonl:{n}" for n in (1, 2)]


def test_a_written_line_is_readable_and_has_only_what_is_known(tmp_path):
    write_manifest(tmp_path / "m.jsonl", [Utterance("a", tmp_path / "wav/a.wav", 1.23456, "你好")])
    assert (tmp_path / "m.jsonl").read_text(encoding="utf-8") == (
        '{"id": "a", "audio": "wav/a.wav", "duration": 1.2346, "text": "你好"}\n'
    )


def test_unknown_fields_are_written_again(tmp_path):
    path = write_lines(tmp_path / "m.jsonl", GOOD | {"snr": 12.5, "room": {"size": "大"}})
    write_manifest(tmp_path / "n.jsonl", read_manifest(path))
    assert json.loads((tmp_path / "n.jsonl").read_text(encoding="utf-8")) == GOOD | {
        "snr": 12.5,
        "room": {"size": "大"},
    }


def test_a_manifest_moves_with_its_audio(tmp_path):
    (tmp_path / "old").mkdir()
    write_lines(tmp_path / "old/m.jsonl", GOOD)
    shutil.move(tmp_path / "old", tmp_path / "new")
    assert read_manifest(tmp_path / "new/m.jsonl")[0].audio == tmp_path / "new/wav/a.wav"


def test_a_manifest_may_be_written_anywhere(tmp_path):
    utterances = read_manifest(write_lines(tmp_path / "m.jsonl", GOOD))
    write_manifest(tmp_path / "other/place/m.jsonl", utterances)
    assert '"audio": "../../wav/a.wav"' in (tmp_path / "other/place/m.jsonl").read_text()
    assert read_manifest(tmp_path / "other/place/m.jsonl")[0].audio == tmp_path / "wav/a.wav"


def test_absolute_paths_stay_where_they_point(tmp_path):
    path = write_lines(tmp_path / "m.jsonl", GOOD | {"audio": str(tmp_path / "far/a.wav")})
    assert read_manifest(path)[0].audio == tmp_path / "far/a.wav"


def test_links_to_one_recording_are_one_path(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a.wav").write_bytes(b"")
    (tmp_path / "train").symlink_to(tmp_path / "data")
    (tmp_path / "link.wav").symlink_to("data/a.wav")
    lines = [
        GOOD | {"id": str(i), "audio": name} for i, name in enumerate(("train/a.wav", "link.wav", "data/../link.wav"))
    ]
    assert {u.audio for u in read_manifest(write_lines(tmp_path / "m.jsonl", *lines))} == {tmp_path / "data/a.wav"}


def test_values_to_group_by(tmp_path):
    line = GOOD | {"speaker": "S1", "channel": 2, "age": 30}
    utterance = read_manifest(write_lines(tmp_path / "m.jsonl", line))[0]
    assert [utterance.value(name) for name in ("speaker", "channel", "source", "age", "room")] == [
        "S1", "2", "", "30", ""
    ]  # fmt: skip


def test_empty_lines_bom_and_crlf_are_accepted(tmp_path):
    first, second = (json.dumps(GOOD | {"id": id}, ensure_ascii=False) for id in "ab")
    (tmp_path / "m.jsonl").write_bytes(f"\ufeff{first}\r\n\r\n{second}\r\n".encode())
    assert [(u.id, u.text, u.where[-2:]) for u in read_manifest(tmp_path / "m.jsonl")] == [
        ("a", "你好", ":1"),
        ("b", "你好", ":3"),
    ]


def test_optional_fields_may_be_null(tmp_path):
    nothing = {"start": None, "speaker": None, "channel": None, "source": None}
    utterance = read_manifest(write_lines(tmp_path / "m.jsonl", GOOD | nothing))[0]
    assert (utterance.start, utterance.speaker, utterance.channel, utterance.source) == (0.0, "", None, "")


SECONDS = "m.jsonl:2: duration must be above 0 seconds, is {}; correct the line or drop it"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": None}, "m.jsonl:2: id must be a text that is not empty, is None"),
        ({"id": 7}, "m.jsonl:2: id must be a text that is not empty, is 7"),
        ({"id": " "}, "m.jsonl:2: id must be a text that is not empty, is ' '"),
        ({"audio": ""}, "m.jsonl:2: audio must be a text that is not empty, is ''"),
        ({"text": ["你"]}, "m.jsonl:2: text must be a text, is ['你']"),
        ({"id": "a"}, "m.jsonl:2: id must be unique, 'a' is already on line 1"),
        ({"duration": 0}, SECONDS.format("0")),
        ({"duration": -1.5}, SECONDS.format("-1.5")),
        ({"duration": "1.5"}, SECONDS.format("'1.5'")),
        ({"duration": float("nan")}, SECONDS.format("nan")),
        ({"duration": float("inf")}, SECONDS.format("inf")),
        ({"duration": None}, SECONDS.format("None")),
        ({"duration": True}, SECONDS.format("True")),
        ({"start": -0.5}, "m.jsonl:2: start must be 0 or more seconds, is -0.5; correct the line or drop it"),
        ({"start": float("nan")}, "m.jsonl:2: start must be 0 or more seconds, is nan; correct the line or drop it"),
        ({"start": "1"}, "m.jsonl:2: start must be a number, is '1'"),
        ({"channel": "left"}, "m.jsonl:2: channel must be a whole number, is 'left'"),
        ({"channel": True}, "m.jsonl:2: channel must be a whole number, is True"),
        ({"speaker": 3}, "m.jsonl:2: speaker must be a text, is 3"),
    ],
)
def test_a_wrong_value_is_named_with_file_line_and_rule(tmp_path, change, message):
    path = write_lines(tmp_path / "m.jsonl", GOOD, GOOD | {"id": "b"} | change)
    with pytest.raises(ManifestError, match=f"/{re.escape(message)}$"):
        read_manifest(path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": "b"', "m.jsonl:2: each line must be a JSON object, is '{\"id\": \"b\"' (Expecting ',' delimiter)"),
        ("b 你好", "m.jsonl:2: each line must be a JSON object, is 'b 你好' (Expecting value)"),
        ('["b"]', "m.jsonl:2: each line must be a JSON object, is '[\"b\"]'"),
        ("[" * 100_000, f"m.jsonl:2: each line must be a JSON object, is {'[' * 60!r} (nested too deeply)"),
        ("{}", "m.jsonl:2: field 'id' is missing; the line has no field"),
        ('{"key": "b", "wav": "b.wav"}', "the line has key, wav; `asr corpus import` makes a manifest of such a list"),
        ('{"id": "b", "wav": "b.wav"}', "m.jsonl:2: field 'audio' is missing; the line has id, wav"),
        ('{"id": "b", "audio": "b.wav", "text": ""}', "field 'duration' is missing; the line has id, audio, text"),
        ('{"id": "b", "audio": "b.wav", "duration": 1}', "field 'text' is missing; the line has id, audio, duration"),
    ],
)
def test_a_line_that_is_no_utterance(tmp_path, line, message):
    with pytest.raises(ManifestError, match=f"{re.escape(message)}$"):
        read_manifest(write_lines(tmp_path / "m.jsonl", GOOD, line))


def test_manifests_that_cannot_be_read(tmp_path):
    path = tmp_path / "m.jsonl"
    with pytest.raises(ManifestError, match=r"m\.jsonl: no such file$"):
        read_manifest(path)
    with pytest.raises(ManifestError, match="cannot be read"):
        read_manifest(tmp_path)
    path.write_text("\n \n")
    with pytest.raises(ManifestError, match=r"m\.jsonl: holds no utterance$"):
        read_manifest(path)
    path.write_bytes(json.dumps(GOOD, ensure_ascii=False).encode("gb18030"))
    with pytest.raises(ManifestError, match=r"m\.jsonl:1: not UTF-8 \(invalid .*byte"):
        read_manifest(path)


def test_texts_of_a_manifest_or_a_plain_file(tmp_path):
    assert list(texts_of(write_lines(tmp_path / "m.jsonl", GOOD, GOOD | {"id": "b", "text": "再见"}))) == [
        "你好",
        "再见",
    ]
    (tmp_path / "t.txt").write_bytes("\ufeff你好\r\n再见\r\n".encode())
    assert list(texts_of(tmp_path / "t.txt")) == ["你好", "再见"]
    with pytest.raises(ManifestError, match=r"none\.txt: no such file$"):
        list(texts_of(tmp_path / "none.txt"))
    (tmp_path / "t.txt").write_bytes("你好".encode("gb18030"))
    with pytest.raises(ManifestError, match=r"t\.txt:1: not UTF-8 \(.* at byte 0\); if it is GBK, `iconv"):
        list(texts_of(tmp_path / "t.txt"))


def test_all_files_that_are_not_there_are_named(tmp_path):
    utterances = [Utterance(f"u{i}", tmp_path / f"{i}.wav", 1.0, "今", where=f"m:{i}") for i in range(30)]
    with pytest.raises(AudioError) as error:
        check_audio(utterances)
    first, *others = str(error.value).splitlines()
    assert first == (
        f"m:0: {tmp_path / '0.wav'}: no such file (u0); in all 30 files are not there; put the audio back, or leave them out with"
        " asr corpus import MANIFEST --skip-broken --out NEW"
    )
    assert len(others) == 21 and others[0] == f"  m:1: {tmp_path / '1.wav'}: no such file (u1)" and others[-1] == "  …"


def test_what_happens_while_a_file_is_read_is_said_of_its_utterance(tmp_path, monkeypatch):
    def fails(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("asr.corpus.manifest.read_samples", fails)
    with pytest.raises(AudioError, match=r"m:1: .*a.wav: cannot be read \(.*Input/output error\) \(u\)"):
        Utterance("u", tmp_path / "a.wav", 1.0, "今", where="m:1").read()
