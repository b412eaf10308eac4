"""What training does to recordings before they become batches, on known signals."""

import dataclasses
import json
from random import Random

import numpy as np
import pytest
import torch

from asr.audio.reading import SAMPLE_RATE
from asr.corpus.batching import BatchReader
from asr.corpus.manifest import Utterance
from asr.corpus.toy import prepare_toy
from asr.errors import CheckpointError, ConfigError
from asr.features.augment import AugmentConfig
from asr.features.waveforms import Waveforms, add_recording, change_speed, noises_fingerprint, recordings
from asr.training.config import load_config
from asr.training.loop import train
from asr.training.start import check_unchanged
from tests.conftest import ROOT
from tests.sounds import frequency, noise, peak_level, silence, sine, write_wav


def decibels(x: np.ndarray) -> float:
    return 10 * float(np.log10((x.astype(np.float64) ** 2).mean()))


@pytest.mark.parametrize(("speed", "hz", "seconds"), [(0.9, 396, 2 / 0.9), (1.0, 440, 2), (1.1, 484, 2 / 1.1)])
def test_a_tone_played_faster_is_shorter_and_higher_by_as_much(speed, hz, seconds):
    tone = sine(2, hz=440, level=0.5)
    played = change_speed(tone, speed)
    assert len(played) == pytest.approx(seconds * SAMPLE_RATE, abs=1)
    assert frequency(played) == pytest.approx(hz, abs=0.6) and peak_level(played) == pytest.approx(0.5, abs=0.01)
    assert played.dtype == np.float32 and (speed != 1 or np.array_equal(played, tone))


def test_each_speed_is_drawn_as_often():
    changed = Waveforms(AugmentConfig(speeds=(0.9, 1.0, 1.1)))
    random = Random(1)
    lengths = [len(changed(np.zeros(990, np.float32), random)) for _ in range(600)]
    assert sorted(set(lengths)) == [900, 990, 1100]
    assert all(150 < lengths.count(n) < 250 for n in (900, 990, 1100))


def test_noise_is_so_many_decibels_below_the_loudest_frame():
    speech = np.concatenate([silence(0.5), sine(0.5, level=0.5), silence(0.5)])
    for below in (5.0, 20.0):
        added = add_recording(speech, noise(1.5), below) - speech
        assert decibels(added) == pytest.approx(decibels(sine(0.5, level=0.5)) - below, abs=0.05)
    assert np.array_equal(add_recording(speech, silence(1.5), 5.0), speech)
    assert np.array_equal(add_recording(silence(1), noise(1), 5.0), silence(1))  # beside nothing it has no level
    assert len(add_recording(np.zeros(0, np.float32), np.zeros(0, np.float32), 5.0)) == 0


@pytest.fixture
def folder(tmp_path):
    """Two recordings of noise: a long tone of 3,000 Hz, and further down a short one of 5,000 Hz; and a file that is none."""
    write_wav(tmp_path / "noises/long.wav", sine(4, hz=3000))
    write_wav(tmp_path / "noises/street/short.WAV", sine(0.25, hz=5000))
    (tmp_path / "noises/licence.txt").write_text("CC0")
    return tmp_path / "noises"


def test_pieces_of_the_recordings_in_a_folder_are_added(folder):
    assert list(recordings(folder).values()) == [4.0, 0.25]
    speech = sine(1, hz=440, level=0.5)
    changed = Waveforms(AugmentConfig(noise=0.5, noise_folder=str(folder)))
    random = Random(1)
    added = [changed(speech, random) - speech for _ in range(400)]
    noises = [x for x in added if x.any()]
    assert 160 < len(noises) < 240  # half of them
    heard = [round(frequency(x)) for x in noises]
    assert set(heard) == {3000, 5000} and all(80 < heard.count(hz) < 120 for hz in (3000, 5000))
    levels = [decibels(speech) - decibels(x) for x in noises]
    assert 4.9 < min(levels) < 7 and 33 < max(levels) < 35.1
    assert all(
        len(x) == len(speech) and abs(x[-4000:]).max() > 0.7 * abs(x).max() for x in noises
    )  # the short one, again and again


def test_with_a_folder_no_noise_is_made_up(folder):
    from asr.features.augment import augment

    features, lengths = torch.randn(2, 30, 80), torch.tensor([30, 30])
    still = AugmentConfig(frequency_masks=0, time_masks=0, noise=1.0)
    assert not torch.equal(augment(features, lengths, still)[0], features)
    own = dataclasses.replace(still, noise_folder=str(folder))
    assert torch.equal(augment(features, lengths, own)[0], features)


def test_a_folder_that_cannot_be_used_is_refused(folder, tmp_path):
    def opened(path):
        return Waveforms(AugmentConfig(noise=0.5, noise_folder=str(path)))

    with pytest.raises(ConfigError, match=r"augment.noise_folder .*nowhere: no such folder"):
        opened(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"augment.noise_folder .*empty: holds no recording"):
        opened(tmp_path / "empty")
    (folder / "bad.wav").write_text("no audio")
    with pytest.raises(ConfigError, match=r"augment.noise_folder: .*bad.wav: .*; take it out of the folder"):
        opened(folder)
    with pytest.raises(ConfigError, match="augment.noise_folder needs a share of the utterances: set augment.noise"):
        AugmentConfig(noise_folder="x")
    with pytest.raises(ConfigError, match="augment.speeds must be from 0.5 to 2, is 0.1"):
        AugmentConfig(speeds=(1.0, 0.1))


def test_a_run_does_not_go_on_with_other_noises(folder, tmp_path):
    before = {"tokens": "", "data": "", "dev": "", "noise": noises_fingerprint(str(folder))}
    state = {"started_with": before}
    check_unchanged(state, before, tmp_path)
    write_wav(folder / "new.wav", sine(1))
    now = before | {"noise": noises_fingerprint(str(folder))}
    with pytest.raises(CheckpointError, match=r"the recordings in augment.noise_folder have changed since the run"):
        check_unchanged(state, now, tmp_path)
    (folder / "new.wav").unlink()
    assert noises_fingerprint(str(folder)) == before["noise"] != noises_fingerprint("")


def test_what_happens_to_a_batch_depends_on_seed_and_members_alone(folder, tmp_path, tokenizer):
    path = write_wav(tmp_path / "a.wav", sine(1), subtype="PCM_16")
    utterances = [Utterance(str(i), path, 0.5, "阿衣") for i in range(8)]
    config = AugmentConfig(speeds=(0.9, 1.0, 1.1), noise=0.5, noise_folder=str(folder))
    plan = [[0, 1], [2, 3, 4], [5], [6, 7]]

    def read(first=0, workers=0, seed="1 0"):
        reader = BatchReader(utterances, tokenizer, change=Waveforms(config))
        return [batch.samples for batch in reader.iterate(plan, first, workers, seed)]

    whole = read()
    same = read(workers=1), [*whole[:2], *read(first=2)]
    assert all(torch.equal(a, b) for other in same for a, b in zip(whole, other, strict=True))
    assert not all(a.shape == b.shape and torch.equal(a, b) for a, b in zip(whole, read(seed="1 1"), strict=True))


EVERYTHING = """
    augment.speeds=[0.9,1.0,1.1] augment.tempo=0.2 augment.frequency_warp=0.1 augment.volume=0.3 augment.pitch=0.5
    augment.equalizer=0.3 augment.noise=0.9 augment.reverberation=0.9 augment.telephone=0.9 augment.time_masks=3 data.join=0.9
"""


def test_none_of_it_is_done_in_evaluation(folder, tmp_path):
    """A model that does not move has the same dev CER and health whatever is done to what it is trained on."""
    manifests = prepare_toy(tmp_path / "toy", n_train=12, n_dev=4, n_test=1)
    still = [f'data.train=["{manifests["train"]}"]', f'data.dev=["{manifests["dev"]}"]', "data.batch_seconds=8"]
    still += ["train.learning_rate=1e-12", "train.weight_decay=0", "train.max_steps=2", "train.log_every=1"]
    still += ["train.evaluate_every=1", "train.health_every=1", "model.encoder.layers=1", "model.encoder.width=32"]
    found = {}
    for name, more in {
        "none": ["augment.frequency_masks=0"],
        "all": [*EVERYTHING.split(), f'augment.noise_folder="{folder}"'],
    }.items():
        run = train(load_config(ROOT / "recipes/toy/base.toml", [*still, *more]), tmp_path / name)
        lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
        found[name] = [line["loss"] for line in lines if "loss" in line], [x for x in lines if "loss" not in x]
    assert found["none"][1] == found["all"][1] and len(found["all"][1]) == 4
    assert found["none"][0] != found["all"][0]
