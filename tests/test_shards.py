"""A corpus in tar files: read as from its own files, by others too, and never as something else."""

import io
import json
import random
import tarfile
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from asr.corpus.checking import check_manifest
from asr.corpus.indexed import first_repeated
from asr.corpus.manifest import Utterance, read_manifest, write_manifest
from asr.corpus.overlap import Recorded
from asr.corpus.shards import Sharding, plan_shards, write_shards
from asr.errors import AsrError, AudioError, ManifestError, UsageError
from tests.sounds import speech


@pytest.fixture
def manifest(tmp_path):
    """Six utterances: files of their own, one of 8 kHz, and two parts of a recording of two channels."""
    utterances = []
    for n in range(4):
        path = tmp_path / f"{n}.wav"
        rate = 8000 if n == 3 else 16000
        soundfile.write(path, speech(0.5 + n / 10, rate=rate), rate)
        utterances.append(
            Utterance(f"u.{n}/a", path, 0.5 + n / 10, "今天" + "一二三四"[n], speaker=f"S{n}", extra={"topic": "天气"})
        )
    soundfile.write(tmp_path / "long.flac", np.stack([speech(2.0), speech(2.0)[::-1]], 1), 16000)
    utterances += [
        Utterance(f"part{n}", tmp_path / "long.flac", 0.75, "北京", start=n / 2, channel=n) for n in range(2)
    ]
    write_manifest(tmp_path / "all.jsonl", utterances)
    return tmp_path / "all.jsonl"


@pytest.mark.parametrize("jobs", [1, 2])
def test_the_same_utterances_in_the_same_order_with_the_same_samples(manifest, tmp_path, jobs):
    done = write_shards([manifest], tmp_path / "out", Sharding(hours=1.2 / 3600), jobs=jobs)
    assert (done.shards, done.utterances, done.broken) == (3, 6, ())
    before, after = read_manifest(manifest), read_manifest(done.manifest)
    for a, b in zip(before, after, strict=True):
        assert (a.id, a.text, a.duration, a.speaker, a.extra) == (b.id, b.text, b.duration, b.speaker, b.extra)
        assert np.abs(a.read() - b.read()).max() <= 1 / 32768
        if a.audio.suffix == ".wav" and "3" not in a.id:
            assert np.array_equal(a.read(), b.read())  # 16 bits at 16 kHz stay what they are
    assert {u.audio.name for u in after} == {f"all-00000{n}.tar" for n in range(3)}
    assert check_manifest(after) == [] == check_manifest(after, decode=True)


@pytest.mark.parametrize("codec", ["opus", "wav"])
def test_other_codecs(manifest, tmp_path, codec):
    done = write_shards([manifest], tmp_path / "out", Sharding(codec=codec))
    for a, b in zip(read_manifest(manifest), read_manifest(done.manifest), strict=True):
        assert abs(len(a.read()) - len(b.read())) <= 160


def test_the_tar_files_are_what_others_read(manifest, tmp_path):
    write_shards([manifest], tmp_path / "out", Sharding(seed=None), name="train")
    with tarfile.open(tmp_path / "out" / "train-000000.tar") as tar:
        members = {member.name: tar.extractfile(member).read() for member in tar}
    names = list(members)
    assert names[:3] == ["000000-u_0_a.flac", "000000-u_0_a.txt", "000000-u_0_a.json"] and len(names) == 18
    assert members["000000-u_0_a.txt"].decode() == "今天一"
    said = json.loads(members["000000-u_0_a.json"])
    assert said == {"id": "u.0/a", "text": "今天一", "duration": 0.5, "speaker": "S0", "source": "", "topic": "天气"}
    assert soundfile.read(io.BytesIO(members[names[0]]))[1] == 16000


def test_the_order_inside_follows_the_seed_alone(manifest, tmp_path):
    lines = {}
    for name, seed in (("a", 1), ("b", 1), ("c", 2), ("d", None)):
        write_shards([manifest], tmp_path / name, Sharding(seed=seed))
        lines[name] = [u.id for u in read_manifest(tmp_path / name / "all-000000.jsonl")]
    assert lines["a"] == lines["b"] != lines["c"] and lines["d"] == [u.id for u in read_manifest(manifest)]


def test_the_same_call_goes_on(manifest, tmp_path):
    sharding, out = Sharding(hours=1.2 / 3600), tmp_path / "out"
    write_shards([manifest], out, sharding)
    whole = {path.name: path.read_bytes() for path in out.iterdir()}
    (out / "all.jsonl").unlink()
    (out / "all-000001.jsonl").unlink()
    (out / "all-000001.tar").write_bytes(b"half")
    untouched = (out / "all-000000.tar").stat().st_mtime_ns
    write_shards([manifest], out, sharding)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == whole
    assert (out / "all-000000.tar").stat().st_mtime_ns == untouched


@pytest.mark.parametrize("other", [Sharding(hours=2 / 3600), Sharding(1.2 / 3600, seed=2), Sharding(1.2 / 3600, "wav")])
def test_what_lies_there_is_not_mixed_with_something_else(manifest, tmp_path, other):
    write_shards([manifest], tmp_path / "out", Sharding(hours=1.2 / 3600))
    with pytest.raises(
        AsrError, match="all-00000.*: is of a shard of other utterances, or cut otherwise; choose another"
    ):
        write_shards([manifest], tmp_path / "out", other)


def test_broken_recordings_are_listed_or_left_out(manifest, tmp_path, run):
    (tmp_path / "1.wav").write_bytes(b"RIFF")
    (tmp_path / "2.wav").unlink()
    status, _, err = run("corpus", "shard", manifest, "--out", tmp_path / "out")
    assert status == 1 and "2 recordings cannot be read, all.jsonl was not written" in err
    assert "1.wav" in err and "2.wav: no such file" in err
    assert not list((tmp_path / "out").iterdir())
    status, _, err = run("corpus", "shard", manifest, "--out", tmp_path / "out", "--skip-broken")
    assert status == 0 and "all.jsonl: 4 utterances in 1 shards; 2 left out as broken" in err
    assert [u.id for u in read_manifest(tmp_path / "out" / "all.jsonl")] == ["u.0/a", "u.3/a", "part0", "part1"]


@pytest.mark.parametrize("change", ["cut", "other", "no tar"])
def test_a_shard_that_is_another_is_told(manifest, tmp_path, change):
    done = write_shards([manifest], tmp_path / "out", Sharding(seed=None))
    shard = tmp_path / "out" / "all-000000.tar"
    if change == "cut":
        shard.write_bytes(shard.read_bytes()[:60_000])
    elif change == "other":
        write_shards([manifest], tmp_path / "other", Sharding(seed=5))
        shard.write_bytes((tmp_path / "other" / "all-000000.tar").read_bytes())
    else:
        shard.write_bytes(b"x" * 10**6)
    last = read_manifest(done.manifest)[-1]
    with pytest.raises(
        AudioError, match="all-000000.tar: no recording of .* bytes is at byte .*: the file is cut off, or"
    ):
        last.read()


@pytest.mark.parametrize(
    "place", [{"offset": 512}, {"bytes": 9}, {"offset": 0, "bytes": 9}, {"offset": 512, "bytes": 1.5}]
)
def test_half_a_place_is_refused(tmp_path, place):
    line = {"id": "u", "audio": "a.tar", "duration": 1, "text": "今"} | place
    (tmp_path / "m.jsonl").write_text(json.dumps(line))
    with pytest.raises(
        ManifestError, match="m.jsonl:1: offset and bytes must be whole numbers that say where in a tar file"
    ):
        read_manifest(tmp_path / "m.jsonl")


def test_members_of_a_shard_share_no_audio(manifest, tmp_path):
    utterances = read_manifest(write_shards([manifest], tmp_path / "out").manifest)
    recorded = Recorded(utterances[1:])
    assert recorded.sharing(utterances[0]) is None
    assert recorded.sharing(replace(utterances[1], id="again")) == utterances[1]


def test_what_cannot_be(manifest, tmp_path):
    with pytest.raises(UsageError, match="codec must be one of flac, opus, wav, is 'mp3'"):
        Sharding(codec="mp3")
    with pytest.raises(ManifestError, match="id must be unique, 'u.0/a' is already in .*all.jsonl:1"):
        write_shards([manifest, manifest], tmp_path / "out")


@pytest.mark.parametrize("seed", [1, 7, None])
@pytest.mark.parametrize("hours", [0.5 / 3600, 1.6 / 3600, 1.0])
def test_shards_are_drawn_as_random_sample_draws(manifest, seed, hours):
    """Another way to the same: utterances sampled as a list, and cut where half of the next would lie behind the end."""
    utterances, expected, total = read_manifest(manifest), [], np.inf
    for u in utterances if seed is None else random.Random(seed).sample(utterances, len(utterances)):
        if total + u.duration / 2 > 3600 * hours:
            expected, total = [*expected, []], 0.0
        expected[-1].append(u.id)
        total += u.duration
    all_of_them, lots = plan_shards([manifest], Sharding(hours=hours, seed=seed))
    assert [[all_of_them[i].id for i in lot] for lot in lots] == expected


@pytest.mark.parametrize("lines", [1, 2, 4, 100])
@pytest.mark.parametrize("jobs", [1, 2])
def test_the_whole_manifest_is_put_together_some_lines_at_a_time(manifest, tmp_path, monkeypatch, lines, jobs):
    monkeypatch.setattr("asr.corpus.shards.LINES", lines)
    (tmp_path / "1.wav").write_bytes(b"RIFF")
    other = replace(read_manifest(manifest)[0], id="other")
    write_manifest(tmp_path / "more.jsonl", [other])
    both = [manifest, tmp_path / "more.jsonl"]
    done = write_shards(both, tmp_path / "out", Sharding(hours=1.2 / 3600, skip_broken=True), jobs=jobs)
    assert done.utterances == 6 and len(done.broken) == 1
    after = read_manifest(done.manifest)
    assert [u.id for u in after] == ["u.0/a", "u.2/a", "u.3/a", "part0", "part1", "other"]
    inside = {u.id: u for path in sorted((tmp_path / "out").glob("all-*.jsonl")) for u in read_manifest(path)}
    assert after == [inside[u.id] for u in after]


def test_ids_are_compared_where_their_hashes_are_equal(manifest):
    """Three with a hash: two of them have an id, the one between them another."""
    a, b, c = read_manifest(manifest)[:3]
    again = replace(a, where="again")
    assert first_repeated([a, b, c], np.array([5, 5, 5], np.uint64)) is None
    assert first_repeated([c, a, b, again], np.array([1, 5, 5, 5], np.uint64)) == (3, 1)
    assert first_repeated([], np.array([], np.uint64)) is None


def test_the_first_id_that_comes_again_is_named(manifest, tmp_path):
    lines = manifest.read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "b.jsonl").write_text(lines[3].replace("u.3/a", "b") + lines[4] + lines[1], encoding="utf-8")
    with pytest.raises(ManifestError, match="b.jsonl:2: id must be unique, 'part0' is already in .*all.jsonl:5"):
        write_shards([manifest, tmp_path / "b.jsonl"], tmp_path / "out")
