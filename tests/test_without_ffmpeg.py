"""Where PyAV is not installed: what libsndfile reads is read, and what it does not read is refused with what would help."""

import sys

import pytest
import soundfile

from asr.audio.reading import Recording, read_samples
from asr.errors import AudioError
from tests.sounds import encode, speech

INSTALL = r"pip install 'av>=14,<19'"


@pytest.fixture
def without_ffmpeg(monkeypatch):
    for module in ("containers", "demuxers", "timeline"):
        monkeypatch.delitem(sys.modules, f"asr.audio.{module}", raising=False)
    monkeypatch.setitem(sys.modules, "av", None)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3", "a.ogg"])
def test_libsndfiles_formats_are_read(without_ffmpeg, tmp_path, name):
    soundfile.write(tmp_path / name, speech(1.0), 16000)
    assert abs(len(read_samples(tmp_path / name)) - 16000) < 2000


def test_other_formats_are_refused_with_what_would_help(tmp_path, request):
    encode(tmp_path / "a.m4a", speech(1.0), 16000, "aac")
    request.getfixturevalue("without_ffmpeg")
    with pytest.raises(
        AudioError,
        match=f"a.m4a: only FFmpeg's libraries may be able to read it, and they are not installed: {INSTALL}$",
    ):
        Recording(tmp_path / "a.m4a")


def test_what_no_library_would_read_is_told_as_ever(without_ffmpeg, tmp_path):
    (tmp_path / "a.wav").write_text("<html><body>not found</body></html>")
    with pytest.raises(AudioError, match="a.wav: is a web page, not audio"):
        Recording(tmp_path / "a.wav")


def test_behind_damage_may_be_more(without_ffmpeg, tmp_path):
    path = tmp_path / "a.flac"
    soundfile.write(path, speech(4.0), 16000)
    held = bytearray(path.read_bytes())
    held[len(held) // 2 : len(held) // 2 + 400] = bytes(400)
    path.write_bytes(held)
    recording = Recording(path)
    n = sum(map(len, recording.blocks()))
    assert 16000 < n < 48000 and "damaged or truncated" in str(recording.damage)
    assert recording.problems == [f"what may follow {n / 16000:.1f} s, FFmpeg's libraries could read: {INSTALL}"]


def test_a_file_that_goes_on_behind_its_header_is_read_as_far_as_that(without_ffmpeg, tmp_path):
    path = tmp_path / "a.flac"
    soundfile.write(path, speech(2.0), 16000)
    path.write_bytes(path.read_bytes() * 2)
    recording = Recording(path)
    assert sum(map(len, recording.blocks())) == 32000 and recording.damage is None
    [problem] = recording.problems
    assert problem == f"what may follow 2.0 s, FFmpeg's libraries could read: {INSTALL}"
