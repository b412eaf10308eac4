"""A shard that is spoiled stops a run, which goes on as if nothing had been once it is put back; a recording is left out."""

import io
import json
import tarfile

import pytest
import torch

from asr.corpus.manifest import read_manifest
from asr.corpus.shards import Sharding, write_shards
from asr.errors import AsrError
from asr.training.checkpoint import load_state
from asr.training.loop import train
from tests.runs import QUIET, Quiet, changed, lines_of, small_run, with_data

SETTINGS = (
    "data.dev=[]",
    "data.batch_seconds=6",
    "data.curriculum_epochs=0",
    "train.accumulate=2",
    "train.max_steps=6",
)
SETTINGS += ("train.checkpoint_every=1", "train.log_every=1", "train.health_every=0", "train.precision=float32")
SETTINGS += (
    "model.encoder.layers=1",
    "model.encoder.width=32",
    "model.decoder.layers=1",
    "augment.tempo=0",
    "data.cache_audio=false",
)


@pytest.fixture
def shards(corpus, tmp_path):
    return write_shards([corpus["train"]], tmp_path / "shards", Sharding(hours=0.01))


@pytest.fixture
def recipe(corpus, shards):
    return small_run(corpus | {"train": shards.manifest}, *SETTINGS)


class Spoils(Quiet):
    """A display that does something at the second step."""

    def __init__(self, spoil):
        self.spoil = spoil

    def step(self, step, text):
        if step == 2:
            self.spoil()


def cut(shard):
    shard.write_bytes(shard.read_bytes()[:20_000])


def of_others(shard):
    """As `asr corpus shard` might have written it another time, from other recordings."""
    with tarfile.open(shard, "w") as tar:
        for n in range(30):
            header = tarfile.TarInfo(f"{n:06d}-other.flac")
            header.size = 3000 + n
            tar.addfile(header, io.BytesIO(bytes(header.size)))


@pytest.mark.parametrize("spoil", [lambda shard: shard.unlink(), cut, of_others], ids=["gone", "cut", "others"])
def test_a_shard_that_is_spoiled_stops_the_run_until_it_is_put_back(recipe, shards, tmp_path, spoil):
    whole = train(recipe, tmp_path / "whole", display=QUIET)
    files = {path: path.read_bytes() for path in shards.manifest.parent.glob("*.tar")}
    assert len(files) > 1
    with pytest.raises(AsrError, match=r"shards/train.jsonl:\d+: .*/train-00000\d.tar: .*; (put it back|write both)"):
        train(recipe, tmp_path / "run", display=Spoils(lambda: [spoil(path) for path in files]))
    assert (
        load_state(tmp_path / "run")["progress"]["quarantine"] == {}
        and load_state(tmp_path / "run")["progress"]["step"] == 2
    )
    for path, content in files.items():
        path.write_bytes(content)
    train(recipe, tmp_path / "run", display=QUIET)
    assert lines_of(tmp_path / "run") == lines_of(whole)
    a, b = (load_state(run)["model"] for run in (whole, tmp_path / "run"))
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_processes_that_read_ahead_stop_the_run_in_the_same_words(recipe, shards, tmp_path):
    def spoil():
        for path in shards.manifest.parent.glob("*.tar"):
            path.write_bytes(b"")

    with pytest.raises(
        AsrError, match=r"train.jsonl:\d+: .*: no recording of [\d,]+ bytes is at byte [\d,]+: .*shard \(.*\)$"
    ):
        train(with_data(recipe, workers=1), tmp_path / "run", display=Spoils(spoil))


@pytest.mark.parametrize("processes", [1, 2])
def test_a_recording_that_is_damaged_is_left_out_whoever_reads_it(recipe, shards, tmp_path, processes):
    """One byte of each of three recordings is another: their checksums tell. The same are left out on any number of processes."""
    damaged = read_manifest(shards.manifest)[:3]
    for u in damaged:
        with open(u.audio, "r+b") as shard:
            shard.seek(u.member.offset + u.member.size // 2)
            byte = shard.read(1)
            shard.seek(-1, io.SEEK_CUR)
            shard.write(bytes([byte[0] ^ 1]))
    steps = changed(recipe, max_steps=12, processes=processes)
    run = train(steps, tmp_path / "run", display=QUIET)
    quarantined = [json.loads(line) for line in (run / "quarantine.jsonl").read_text().splitlines()]
    assert sorted(line["id"] for line in quarantined) == sorted(u.id for u in damaged)
    assert all("is damaged, or another than the manifest's" in line["reason"] for line in quarantined)
    expected = {u.id: 0 for u in damaged}
    assert load_state(run)["progress"]["quarantine"] == expected and load_state(run)["progress"]["epoch"] >= 1
