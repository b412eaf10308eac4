"""A manifest with an index is the manifest, however it is cut, and no other one is taken for it."""

import json
import os
import pickle
from functools import partial

import numpy as np
import pytest

from asr.corpus import indexed, indexing
from asr.corpus.indexed import Utterances
from asr.corpus.indexing import open_manifest
from asr.corpus.manifest import read_manifest
from asr.errors import ManifestError
from asr.training.start import fingerprint


def line(i: int, **fields) -> str:
    return json.dumps({"id": f"u{i}", "audio": f"{i}.wav", "duration": 1 + i / 8, "text": "今天" * i} | fields)


LINES = [
    line(0),
    line(1, start=3, channel=1, speaker="S1", topic="天气"),
    line(2, audio="a.tar", offset=512, bytes=77),
    line(3, start=0.25),
    line(4, audio="b.tar", offset=1024, bytes=9),
    line(5, audio="a.tar", offset=4096, bytes=8),
]


def written(tmp_path, content: bytes | str):
    path = tmp_path / "m.jsonl"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.fixture(params=[(1 << 20, 1), (150, 1), (150, 2)], ids=["whole", "in parts", "in processes"])
def opened(request, monkeypatch):
    """`open_manifest`, which looks at manifests of this size in one go, in so many processes."""
    monkeypatch.setattr(indexing, "CHUNK", request.param[0])
    monkeypatch.setattr(indexing, "HELD", request.param[0])
    return partial(open_manifest, jobs=request.param[1])


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\n\n \n", "\r\n\r\n"])
def test_it_holds_what_the_manifest_holds(opened, tmp_path, end):
    path = written(tmp_path, "\ufeff" + end.join(LINES) + (end if "\n" in end else ""))
    manifest, expected = opened(path), read_manifest(path)
    assert list(manifest) == expected and [manifest[i] for i in range(6)] == expected
    assert [u.where for u in manifest] == [u.where for u in expected]
    assert manifest.durations.tolist() == [u.duration for u in expected]
    assert manifest.shards.tolist() == [-1, -1, 0, -1, 1, 0] and manifest.n_shards == 2
    assert manifest.fingerprint == fingerprint(expected)
    assert manifest[1:4] == expected[1:4] and list(pickle.loads(pickle.dumps(manifest))) == expected


BAD = [
    "",
    "\n \n",
    "\n".join([*LINES[:4], "{", *LINES[4:]]),
    "\n".join([*LINES[:5], "", '{"id": "u9"}']),
    "\n".join([*LINES, "", line(7, duration=-1)]),
    "\n".join([*LINES, line(2)]),
    "\n".join(["", *LINES[:3], "", *LINES]),
    "\n".join([*LINES, line(8, offset=5)]),
    "\n".join([*LINES, '{"id": "\\ud800", "audio": "a", "duration": 1, "text": "a"}']),
    LINES[0].encode() + b"\n" + '{"id": "今"}'.encode("gb18030"),
    "\n".join(LINES).encode("utf-16"),
]


@pytest.mark.parametrize("content", BAD)
def test_it_refuses_what_the_manifest_does_in_the_same_words(opened, tmp_path, content):
    path = written(tmp_path, content)
    with pytest.raises(ManifestError) as theirs:
        read_manifest(path)
    with pytest.raises(ManifestError) as ours:
        opened(path)
    told, same = str(ours.value), str(theirs.value)
    assert told.partition(" at byte")[0] == same.partition(" at byte")[0]


def test_no_file_a_folder_a_pipe(tmp_path):
    for path, why in ((tmp_path / "none", "no such file"), (tmp_path, "cannot be read .Is a directory")):
        with pytest.raises(ManifestError, match=why):
            open_manifest(path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(ManifestError, match="is a pipe; this manifest is read more than once, and must be"):
            open_manifest(tmp_path / "pipe")


@pytest.fixture
def counted(monkeypatch):
    """How often a part of a manifest has been looked at; indexes are kept of any manifest."""
    looks, scan = [], indexing._scan

    def look(*given):
        looks.append(given)
        return scan(*given)

    monkeypatch.setattr(indexing, "_scan", look)
    monkeypatch.setattr(indexing, "KEPT", 1)
    return looks


def test_the_index_is_kept_and_made_again_where_it_does_not_fit(counted, tmp_path):
    path = written(tmp_path, "\n".join(LINES))
    first, kept = open_manifest(path), tmp_path / "m.jsonl.index"
    second = open_manifest(path)
    assert len(counted) == 1 and list(first) == list(second) and first.fingerprint == second.fingerprint
    assert all(np.array_equal(getattr(first, name), getattr(second, name)) for name in indexing.ARRAYS)
    path.write_text("\n".join(LINES[::-1]))
    assert [u.id for u in open_manifest(path)] == [f"u{i}" for i in range(5, -1, -1)] and len(counted) == 2
    for damaged in (b"", b"PK\x03\x04", kept.read_bytes()[:-40]):
        kept.write_bytes(damaged)
        assert len(open_manifest(path)) == 6
    assert len(counted) == 5
    open_manifest(path)
    assert len(counted) == 5


def test_a_short_manifest_keeps_none(tmp_path):
    path = written(tmp_path, "\n".join(LINES))
    open_manifest(path)
    assert [p.name for p in tmp_path.iterdir()] == ["m.jsonl"]


def test_what_is_held_may_change_meanwhile(tmp_path):
    path = written(tmp_path, "\n".join(LINES))
    manifest = open_manifest(path)
    path.write_text("")
    assert [u.id for u in pickle.loads(pickle.dumps(manifest))] == [f"u{i}" for i in range(6)]


def test_a_line_that_has_changed_since_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(indexing, "HELD", 0)
    path = written(tmp_path, "\n".join(LINES))
    manifest = pickle.loads(pickle.dumps(open_manifest(path)))
    path.write_text("\n".join([*LINES[:2], LINES[2].replace("u2", "u7"), *LINES[3:]]))
    assert manifest[1].id == "u1"
    with pytest.raises(ManifestError, match="m.jsonl:3: has changed since the run was started; put it back as it was"):
        manifest[2]


def test_one_that_is_replaced_meanwhile_is_still_read(tmp_path, monkeypatch):
    monkeypatch.setattr(indexing, "HELD", 0)
    path = written(tmp_path, "\n".join(LINES))
    manifest = open_manifest(path)
    assert manifest[0].id == "u0"
    (tmp_path / "new").write_text("something else")
    os.replace(tmp_path / "new", path)
    assert manifest[5].id == "u5"


def ids_of(part) -> list[str]:
    return [u.id for u in part]


@pytest.mark.parametrize("jobs", [1, 2])
def test_several_manifests_one_of_them_twice(tmp_path, monkeypatch, jobs):
    (tmp_path / "a").mkdir()
    one, two = open_manifest(written(tmp_path, "\n".join(LINES))), open_manifest(written(tmp_path / "a", LINES[2]))
    together = Utterances([one, two, one])
    expected = [*one, *two, *one]
    assert list(together) == expected and [together[i] for i in range(-13, 13)] == expected * 2
    assert together[::5] == expected[::5] and together.sample(5) == expected[::3]
    assert together.shards.tolist() == [-1, -1, 0, -1, 1, 0, 2, -1, -1, 3, -1, 4, 3]
    assert together.numbered(["u2", "u0"]).tolist() == [0, 2, 6, 7, 9]
    long = together.only(together.durations > 1.4)
    assert [u.id for u in long[:3]] == ["u4", "u5", "u4"] and long[1] == one[5] and long.seconds == 2 * (1.5 + 1.625)
    with pytest.raises(IndexError):
        together[13]
    monkeypatch.setattr(indexed, "PART", 2)
    parts = list(together.each_part(ids_of, jobs))
    assert [len(part) for part in parts] == [2, 2, 2, 1, 2, 2, 2] and sum(parts, []) == ids_of(expected)
