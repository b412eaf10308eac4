"""Manifests and lhotse's cuts hold the same audio and texts, read by lhotse's own code."""

import gzip
import json

import numpy as np
import pytest
import soundfile

from asr.corpus.lhotse_cuts import is_cuts, read_cuts, write_cuts
from asr.corpus.manifest import Utterance, read_manifest, write_manifest
from asr.corpus.shards import write_shards
from asr.errors import AudioError, ManifestError
from tests.sounds import speech

lhotse = pytest.importorskip("lhotse")
from lhotse.audio.backend import audio_backend  # noqa: E402


@pytest.fixture
def utterances(tmp_path) -> list[Utterance]:
    """A recording, two parts of another, a channel of one with two, and both of it together."""
    soundfile.write(tmp_path / "a.wav", speech(1.0), 16000)
    soundfile.write(tmp_path / "b.flac", speech(2.0, seed=1), 16000)
    soundfile.write(tmp_path / "c.wav", np.stack([speech(1.0, seed=2), speech(1.0, seed=3)], 1), 16000)
    return [
        Utterance("u1", tmp_path / "a.wav", 1.0, "今天", speaker="S1", source="mine", extra={"topic": "天气"}),
        Utterance("u2", tmp_path / "b.flac", 0.75, "北京", start=0.25, extra={"gender": "female"}),
        Utterance("u3", tmp_path / "b.flac", 0.5, "ok 吗", start=1.25),
        Utterance("u4", tmp_path / "c.wav", 1.0, "一", channel=1),
        Utterance("u5", tmp_path / "c.wav", 0.5, "二", start=0.25),
    ]


def same_audio(a, b) -> bool:
    return len(a) == len(b) and np.abs(a - b).max() < 2e-4


@pytest.mark.parametrize("name", ["cuts.jsonl", "train.jsonl.gz"])
def test_what_is_written_lhotse_reads(utterances, tmp_path, name):
    assert write_cuts(tmp_path / name, utterances) == 5
    cuts = list(lhotse.CutSet.from_file(tmp_path / name))
    lhotse.qa.validate(lhotse.CutSet.from_cuts(cuts))
    for u, cut in zip(utterances, cuts, strict=True):
        said = cut.supervisions[0]
        assert (cut.id, said.text, said.speaker or "") == (u.id, u.text, u.speaker)
        assert same_audio(cut.load_audio().mean(0), u.read())
    assert (
        cuts[0].supervisions[0].custom == {"topic": "天气", "source": "mine"}
        and cuts[1].supervisions[0].gender == "female"
    )


def test_what_lhotse_reads_comes_back(utterances, tmp_path, run):
    write_manifest(tmp_path / "m.jsonl", utterances)
    status, _, err = run("corpus", "cuts", tmp_path / "m.jsonl", "--out", tmp_path / "cuts.jsonl.gz")
    assert (status, err.splitlines()[-1]) == (0, f"{tmp_path / 'cuts.jsonl.gz'}: 5 cuts")
    status, _, err = run("corpus", "import", tmp_path / "cuts.jsonl.gz", "--out", tmp_path / "back.jsonl")
    assert status == 0 and "5 utterances; left out: 0 without text, 0 by --where" in err
    for u, back in zip(utterances, read_manifest(tmp_path / "back.jsonl"), strict=True):
        assert (u.id, u.text, u.duration, u.start, u.speaker, u.audio) == (
            back.id,
            back.text,
            back.duration,
            back.start,
            back.speaker,
            back.audio,
        )
        assert back.extra.items() >= u.extra.items()
    assert [u.channel for u in read_manifest(tmp_path / "back.jsonl")] == [None, None, None, 1, 0]


def test_shar_is_read_where_it_lies(utterances, tmp_path, run):
    """Audio is read from lhotse's tar files, which are nowhere copied; what lhotse reads there is the same."""
    write_cuts(tmp_path / "cuts.jsonl", utterances[:4])
    cuts = lhotse.CutSet.from_file(tmp_path / "cuts.jsonl")
    (tmp_path / "shar").mkdir()
    cuts.to_shar(tmp_path / "shar", fields={"recording": "flac"}, shard_size=3)
    status, _, err = run("corpus", "import", tmp_path / "shar", "--out", tmp_path / "m.jsonl", "--where", "speaker=")
    assert status == 0 and "3 utterances; left out: 0 without text, 1 by --where" in err
    run("corpus", "import", tmp_path / "shar", "--out", tmp_path / "m.jsonl", "--force")
    found = read_manifest(tmp_path / "m.jsonl")
    assert [u.audio.name for u in found] == ["recording.000000.tar"] * 3 + ["recording.000001.tar"]
    for u, cut, original in zip(found, lhotse.CutSet.from_shar(in_dir=tmp_path / "shar"), utterances, strict=False):
        assert (u.id, u.text, u.start) == (cut.id, cut.supervisions[0].text, 0.0)
        with audio_backend("LibsndfileBackend"):  # of bytes in memory it would ask torchaudio, which need not be there
            assert same_audio(u.read(), cut.load_audio()[0])
        assert same_audio(u.read(), original.read())


def test_a_supervision_each(utterances, tmp_path):
    """Of a long recording, two that speak; and a cut in which nobody does."""
    recording = lhotse.Recording.from_file(utterances[1].audio, recording_id="r")
    said = [
        lhotse.SupervisionSegment("s 1", "r", 0.25, 0.5, text="一", speaker="A"),
        lhotse.SupervisionSegment("s2", "r", 1.0, 0.75, text="二"),
    ]
    whole = lhotse.MonoCut("whole", 0.125, 1.8, 0, said, recording=recording)
    silent = lhotse.MonoCut("silent", 0.0, 0.5, 0, [], recording=recording)
    lhotse.CutSet.from_cuts([whole, silent]).to_file(tmp_path / "x.jsonl")
    found = list(read_cuts(tmp_path / "x.jsonl"))
    assert [(u.id, u.start, u.duration, u.text, u.speaker) for u in found] == [
        ("s_1", 0.375, 0.5, "一", "A"),
        ("s2", 1.125, 0.75, "二", ""),
        ("silent", 0.0, 0.5, "", ""),
    ]


def test_what_is_no_part_of_a_recording_is_refused(utterances, tmp_path):
    write_cuts(tmp_path / "cuts.jsonl", utterances[:2])
    one, two = lhotse.CutSet.from_file(tmp_path / "cuts.jsonl")
    elsewhere = one.to_dict()
    elsewhere["recording"]["sources"][0]["type"] = "url"
    cases = {
        "is no part of one recording": one.append(two).to_dict(),
        "lhotse changes the audio of cut 'u1_sp0.9' as it reads it; write it first": one.perturb_speed(0.9).to_dict(),
        "lies in no file but in 'url'": elsewhere,
    }
    for why, cut in cases.items():
        (tmp_path / "bad.jsonl").write_text(json.dumps(cut))
        with pytest.raises(ManifestError, match=why):
            list(read_cuts(tmp_path / "bad.jsonl"))


def test_what_cannot_be_written(utterances, tmp_path):
    write_manifest(tmp_path / "m.jsonl", utterances)
    sharded = read_manifest(write_shards([tmp_path / "m.jsonl"], tmp_path / "out").manifest)
    with pytest.raises(
        ManifestError, match="m-000000.tar is a shard, of which lhotse reads no part; take the manifest it"
    ):
        write_cuts(tmp_path / "cuts.jsonl", sharded)
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    with pytest.raises(AudioError, match=r"a.wav: lhotse cannot read it \(.*\) \(u1\)"):
        write_cuts(tmp_path / "cuts.jsonl", utterances)
    assert not (tmp_path / "cuts.jsonl").exists()


def test_cuts_are_told_from_other_lists(tmp_path):
    for name, content, expected in (
        ("a.jsonl", b'{"type": "MonoCut", "id": "x"}\n', True),
        ("b.jsonl.gz", gzip.compress(b'{"type": "MultiCut"}\n'), True),
        ("c.jsonl", b'{"id": "u", "audio": "a.wav", "duration": 1, "text": "a"}\n', False),
        ("d.jsonl.gz", b"no gzip", False),
        ("e.tsv", b"audio\ttext\n", False),
    ):
        (tmp_path / name).write_bytes(content)
        assert is_cuts(tmp_path / name) == expected, name
    assert not is_cuts(tmp_path) and not is_cuts(tmp_path / "none")
