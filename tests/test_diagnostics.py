"""What is said about recordings that will not be recognised well, and that nothing is said about others."""

import numpy as np
import pytest
import soundfile
import soxr

from asr.audio.diagnostics import InputCheck
from asr.audio.voice_activity import load_voice_activity
from asr.transcription.recordings import RecordingInProgress
from asr.transcription.segmenting import SegmentConfig
from tests.sounds import noise, silence, speech


@pytest.fixture(scope="module")
def network():
    return load_voice_activity()


def talk() -> np.ndarray:
    """A wide-band voice of 140 Hz: the toy language has nothing above 4 kHz, so breath is added."""
    samples = speech(6, seed=4)
    return (samples + noise(6, level=0.002)).astype(np.float32)


def said(network, samples: np.ndarray, rate: int = 16000, split: bool = False) -> tuple[str, ...]:
    recording = RecordingInProgress((samples, rate), network, SegmentConfig(), split)
    list(recording.pieces())
    return recording.warnings()


def test_a_good_recording_gives_no_remark(network):
    assert said(network, talk()) == ()


@pytest.mark.parametrize("offset", [0.05, -0.4])
def test_an_offset_of_all_samples_changes_no_remark(network, offset):
    assert said(network, 0.5 * talk() + np.float32(offset)) == ()
    (remark,) = said(network, talk() * np.float32(0.01) + np.float32(offset))
    assert remark.startswith("is very faint: speech is at -")


def test_telephone(network):
    remark = "has nothing above 4 kHz, as telephones do; expect more errors than in wide-band recordings"
    narrow = soxr.resample(talk(), 16000, 8000)
    assert said(network, narrow, 8000) == (remark,)
    assert said(network, soxr.resample(narrow, 8000, 16000)) == (remark,)


def test_clipping(network):
    (remark,) = said(network, (talk() * 20).clip(-1, 1))
    assert remark.startswith("is clipped: ") and remark.endswith("% of it is at full scale; record at a lower level")


def test_a_faint_recording(network):
    (remark,) = said(network, talk() * np.float32(0.01))
    assert remark.startswith("is very faint: speech is at -") and "record closer or louder" in remark


def test_speech_however_faint_is_noticed(network):
    """It is made louder before it is looked for."""
    (remark,) = said(network, (talk() * np.float32(3e-4 / np.abs(talk()).max())))
    assert remark == "is very faint: speech is at -91 dB of full scale; record closer or louder"


def test_what_may_be_too_faint(network):
    (remark,) = said(network, noise(6) * np.float32(3e-4 / np.abs(noise(6)).max()))
    assert remark == (
        "no speech was found in it; its loudest sample is at -70 dB of full scale, if somebody speaks record louder"
    )


def test_little_speech(network):
    sound = np.concatenate([silence(60), talk(), noise(30, level=0.001)])
    (remark,) = said(network, sound)
    assert remark.startswith("is mostly silence, noise or music: speech is in 6.9 % of it")


@pytest.mark.parametrize("speed", [0.5, 2.8])
def test_a_wrong_sample_rate(speed):
    """Checked without voice activity, which itself finds little speech in what plays at a wrong speed."""
    check = InputCheck()
    samples = soxr.resample(talk(), 16000 * speed, 16000)
    check.add(samples)
    check.add_speech(samples)
    (remark,) = (r for r in check.remarks(8000) if "sample rate" in r)
    assert remark.startswith("seems to play too slowly or too fast: voices are at ")
    assert remark.endswith(" Hz; was it written with a wrong sample rate (8000 Hz)?")


def test_channels_are_judged_apart(network):
    stereo = np.stack([talk(), (talk() * 20).clip(-1, 1)], axis=1)
    (remark,) = said(network, stereo, split=True)
    assert remark.startswith("channel 1 is clipped")


def test_a_file_says_its_own_rate(network, tmp_path):
    soundfile.write(tmp_path / "a.wav", soxr.resample(talk(), 16000, 8000), 8000)
    recording = RecordingInProgress(tmp_path / "a.wav", network, SegmentConfig())
    list(recording.pieces())
    assert "has nothing above 4 kHz" in recording.warnings()[0]
