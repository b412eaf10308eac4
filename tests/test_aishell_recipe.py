"""The commands of recipes/README.md for AISHELL, as they stand there, on 200 utterances in AISHELL's layout."""

import hashlib
import io
import re
import shlex
import tarfile

import numpy as np
import pytest
import soundfile

from asr.audio.reading import SAMPLE_RATE
from asr.corpus.corpora import CORPORA
from asr.corpus.manifest import read_manifest
from asr.corpus.toy import CHARACTERS, speak
from tests.conftest import ROOT
from tests.downloads import served

pytest.importorskip("lhotse")

SPEAKERS = {"train": range(2, 18), "dev": range(724, 726), "test": range(764, 766)}
"""AISHELL's numbers of speakers; ten utterances each."""
SMALLER = """
    model.subsampling.channels=8 model.encoder.layers=1 model.encoder.width=32 model.encoder.feed_forward=64
    model.decoder.layers=1 model.decoder.feed_forward=64 data.batch_seconds=40 data.workers=0 train.max_steps=12
    train.warmup_steps=4 train.evaluate_every=6 train.checkpoint_every=6 train.average=2 train.precision=float32 train.log_every=4
"""
"""What is set besides: a model and a run that take seconds."""


def add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def speaker_archive(split: str, speaker: str, random: np.random.Generator, transcript: list[str]) -> bytes:
    """One of the archives within the archive: the recordings of a speaker. Adds to the transcript, words apart."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for i in range(10):
            id = f"BAC009{speaker}W{121 + i:04d}"
            text = "".join(random.choice(list(CHARACTERS), 4))
            wav = io.BytesIO()
            soundfile.write(wav, speak(text, random), SAMPLE_RATE, format="WAV", subtype="PCM_16")
            add(tar, f"{split}/{speaker}/{id}.wav", wav.getvalue())
            transcript.append(f"{id} {text[:2]} {text[2:]}")
    return buffer.getvalue()


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A server of this machine with data_aishell.tgz and resource_aishell.tgz, built as the published ones are."""
    random, transcript = np.random.default_rng(1), []
    folder = tmp_path / "www/33"
    folder.mkdir(parents=True)
    with tarfile.open(folder / "data_aishell.tgz", "w:gz") as tar:
        for split, numbers in SPEAKERS.items():
            for number in numbers:
                archive = speaker_archive(split, f"S{number:04d}", random, transcript)
                add(tar, f"data_aishell/wav/S{number:04d}.tar.gz", archive)
        text = "".join(line + "\n" for line in transcript)
        add(tar, "data_aishell/transcript/aishell_transcript_v0.8.txt", text.encode())
    with tarfile.open(folder / "resource_aishell.tgz", "w:gz") as tar:
        add(tar, "resource_aishell/speaker.info", b"0002 F\n")
    for archive in folder.iterdir():
        monkeypatch.setitem(CORPORA["aishell"].md5, archive.name, hashlib.md5(archive.read_bytes()).hexdigest())

    with served(tmp_path / "www") as address:
        yield address


@pytest.mark.slow
def test_the_commands_of_the_readme(run, tmp_path, monkeypatch, mirror):
    readme = (ROOT / "recipes/README.md").read_text(encoding="utf-8")
    commands = re.search(r"```sh\n(asr corpus download .*?)```", readme, re.S).group(1).strip().splitlines()
    assert [c.split()[1:3] for c in commands[:3]] == [["corpus", w] for w in ("download", "prepare", "check")]
    more = {
        "download": ["--mirror", mirror],
        "recipes/aishell/base.toml": [f"--set={setting}" for setting in SMALLER.split()],
    }
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    outputs = []
    for command in commands:
        words = shlex.split(command)[1:]
        for word in list(words):
            words += more.get(word, [])
        status, out, err = run(*words)
        assert status == 0, f"{command}\n{out}\n{err}"
        outputs.append(out)
    splits = {name: read_manifest(tmp_path / f"data/aishell/{name}.jsonl") for name in SPEAKERS}
    assert {name: len(utterances) for name, utterances in splits.items()} == {"train": 160, "dev": 20, "test": 20}
    assert len({u.speaker for u in splits["train"]}) == 16
    assert outputs[2].count("nothing wrong") == 3 and outputs[2].count("every character is known") == 2
    assert re.search(r"CER \d+\.\d\d % \[.* / 80 \]", outputs[-1])
    assert (tmp_path / "exp/aishell/model.safetensors").is_file()
