import re
import struct

import av
import numpy as np
import pytest
import soundfile
import soxr

from asr.audio.headers import goes_on
from asr.audio.reading import audio_duration, read_blocks, read_samples, resample
from asr.errors import AudioError
from tests.sounds import encode, frequency, noise, peak_level, silence, sine, write_wav

AV_FORMATS = [("a.m4a", "aac", 44100), ("a.webm", "libopus", 48000), ("a.mkv", "pcm_s16le", 22050)]


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000, 96000])
@pytest.mark.parametrize("channels", [1, 2, 8])
def test_any_rate_and_channels_become_16_khz_mono(tmp_path, rate, channels):
    tone = sine(1.5, rate, hz=1000, level=0.4)
    path = write_wav(tmp_path / "a.wav", np.tile(tone[:, None], (1, channels)), rate)
    samples = read_samples(path)
    assert samples.shape == (24000,) and samples.dtype == np.float32
    assert frequency(samples) == pytest.approx(1000, abs=1)
    assert peak_level(samples) == pytest.approx(0.4, rel=0.01)


def test_16_khz_is_left_as_it_is_but_for_averaging_channels(tmp_path):
    left, right = noise(0.5, seed=1), noise(0.5, seed=2)
    assert np.array_equal(read_samples(write_wav(tmp_path / "a.wav", left)), left)
    stereo = write_wav(tmp_path / "b.wav", np.stack([left, right], axis=1))
    assert np.allclose(read_samples(stereo), (left + right) / 2)


@pytest.mark.parametrize("rate", [8000, 44100])
def test_blocks_equal_resampling_the_whole(tmp_path, rate):
    samples = noise(25, rate)
    blocks = list(read_blocks(write_wav(tmp_path / "a.wav", samples, rate)))
    assert np.allclose(np.concatenate(blocks), soxr.resample(samples, rate, 16000), atol=1e-6)


def test_a_long_recording_comes_in_many_blocks(tmp_path):
    path = write_wav(tmp_path / "a.wav", np.zeros(61 * 16000, np.int16), subtype="PCM_16")
    assert [len(block) / 16000 for block in read_blocks(path)] == [10, 10, 10, 10, 10, 10, 1]
    path = encode(tmp_path / "a.mkv", silence(61), 16000, "pcm_s16le")
    lengths = [len(block) / 16000 for block in read_blocks(path)]
    assert len(lengths) == 7 and max(lengths) < 10.5 and sum(lengths) == 61


@pytest.mark.parametrize(
    ("name", "subtype"),
    [("a.wav", "PCM_24"), ("a.flac", "PCM_16"), ("a.ogg", "VORBIS"), ("a.opus", "OPUS"), ("a.mp3", "MPEG_LAYER_III")],
)
def test_formats_of_soundfile(tmp_path, name, subtype):
    path = tmp_path / name
    soundfile.write(path, sine(2, 48000, hz=700), 48000, subtype, format="OGG" if subtype == "OPUS" else None)
    samples = read_samples(path)
    assert len(samples) == 32000 and audio_duration(path) == 2
    assert frequency(samples) == pytest.approx(700, abs=1)
    assert peak_level(samples) == pytest.approx(0.5, rel=0.05)


@pytest.mark.parametrize(
    ("name", "subtype"), [("a.ogg", "VORBIS"), ("a.opus", "OPUS"), ("a.flac", "PCM_16"), ("a.mp3", "MPEG_LAYER_III")]
)
def test_files_put_end_to_end_are_read_to_the_end(tmp_path, name, subtype):
    """As `cat` makes them, and some radios."""
    path = tmp_path / name
    soundfile.write(path, sine(2, 48000, hz=700), 48000, subtype, format="OGG" if subtype == "OPUS" else None)
    once = len(read_samples(path))
    path.write_bytes(2 * path.read_bytes())
    assert len(read_samples(path)) == pytest.approx(2 * once, abs=2000)
    assert name == "a.flac" or audio_duration(path) == pytest.approx(4, abs=0.13)


def test_what_an_mp3_has_at_its_end_is_no_second_one(tmp_path):
    path = encode(tmp_path / "a.mp3", sine(2, 44100), 44100, "libmp3lame")
    path.write_bytes(path.read_bytes() + b"TAG" + bytes(125))
    assert not goes_on(path)
    path.write_bytes(path.read_bytes()[:-128] * 2)
    assert goes_on(path)


@pytest.mark.parametrize(("name", "codec", "rate"), AV_FORMATS)
def test_formats_of_ffmpeg(tmp_path, name, codec, rate):
    path = encode(tmp_path / name, sine(2, rate, hz=700), rate, codec)
    samples = read_samples(path)
    assert 32000 <= len(samples) <= 32000 + 1024 * 16000 / rate  # AAC fills its last frame of 1024 samples
    assert audio_duration(path) == len(samples) / 16000
    assert frequency(samples) == pytest.approx(700, abs=1)
    assert peak_level(samples) == pytest.approx(0.5, rel=0.05)


def test_a_voc_of_several_blocks(tmp_path):
    """libsndfile would read their headers, of an odd number of bytes, as samples."""
    samples = np.round(sine(1.0) * 32767).astype(np.int16)
    with av.open(str(tmp_path / "a.voc"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=16000, layout="mono")
        for first in range(0, 16000, 1000):
            frame = av.AudioFrame.from_ndarray(samples[None, first : first + 1000], format="s16", layout="mono")
            frame.sample_rate, frame.pts = 16000, first
            container.mux(stream.encode(frame))
    assert np.abs(read_samples(tmp_path / "a.voc") - sine(1.0)).max() < 1e-4


def test_a_w64_whose_extended_header_says_floats(tmp_path):
    """libsndfile would take them for whole numbers."""
    samples, rest = sine(1.0).astype("<f4").tobytes(), bytes.fromhex("f3acd3118cd100c04f8edb8a")
    form = struct.pack("<HHIIHHHHI", 0xFFFE, 1, 16000, 64000, 4, 32, 22, 32, 4)
    form += bytes.fromhex("0300000000001000800000aa00389b71")
    chunks = b"".join(n + rest + struct.pack("<Q", 24 + len(b)) + b for n, b in ((b"fmt ", form), (b"data", samples)))
    riff = b"riff" + bytes.fromhex("2e91cf11a5d628db04c10000") + struct.pack("<Q", 40 + len(chunks)) + b"wave" + rest
    (tmp_path / "a.w64").write_bytes(riff + chunks)
    assert np.abs(read_samples(tmp_path / "a.w64") - sine(1.0)).max() < 1e-6


def test_the_suffix_does_not_matter(tmp_path):
    assert len(read_samples(write_wav(tmp_path / "recording", sine(1)))) == 16000
    encode(tmp_path / "a.m4a", sine(1), 16000, "aac").rename(tmp_path / "b.wav")
    assert frequency(read_samples(tmp_path / "b.wav")) == pytest.approx(440, abs=1)


@pytest.mark.parametrize(
    ("start", "duration", "first", "end"),
    [
        (0, None, 0, 400000),
        (3.25, 1.5, 52000, 76000),
        (9.5, 12, 152000, 344000),
        (24, 9, 384000, 400000),
        (30, 1, 0, 0),
    ],
)
def test_start_and_duration_cut_exactly(tmp_path, start, duration, first, end):
    samples = noise(25)
    path = write_wav(tmp_path / "a.wav", samples)
    assert np.array_equal(read_samples(path, start, duration), samples[first:end])
    path = encode(tmp_path / "a.mkv", samples, 16000, "pcm_f32le")
    assert np.array_equal(read_samples(path, start, duration), samples[first:end])


@pytest.mark.parametrize(("name", "codec", "rate"), AV_FORMATS)
def test_a_cut_of_a_compressed_file_is_a_part_of_the_whole(tmp_path, name, codec, rate):
    path = encode(tmp_path / name, noise(3, rate), rate, codec)
    assert np.array_equal(read_samples(path, 1.2, 0.7), read_samples(path)[19200:30400])


def test_a_cut_at_another_rate_has_the_right_length_and_place(tmp_path):
    samples = np.concatenate([silence(1, 44100), sine(1, 44100), silence(1, 44100)])
    part = read_samples(write_wav(tmp_path / "a.wav", samples, 44100), 0.75, 1.5)
    assert len(part) == 24000
    loud = np.flatnonzero(np.abs(part) > 0.1)
    assert loud[0] == pytest.approx(4000, abs=20) and loud[-1] == pytest.approx(20000, abs=20)


def test_a_file_without_samples_gives_no_blocks(tmp_path):
    for rate in (16000, 44100):
        path = write_wav(tmp_path / f"{rate}.wav", silence(0), rate)
        assert list(read_blocks(path)) == [] and len(read_samples(path)) == 0 and audio_duration(path) == 0


def test_resample():
    assert np.array_equal(resample(np.array([0.5, -0.5]), 16000), np.array([[0.5], [-0.5]], np.float32))
    stereo = np.stack([sine(1, 48000), 3 * sine(1, 48000)], axis=1)
    mono = resample(stereo / 4, 48000)
    assert mono.shape == (16000, 1) and mono.dtype == np.float32
    assert resample(stereo, 48000, None).shape == (16000, 2)
    assert frequency(mono[:, 0]) == pytest.approx(440, abs=1) and peak_level(mono) == pytest.approx(0.25, rel=0.01)
    assert resample(np.zeros((0, 2)), 8000).shape == (0, 1)


def test_files_that_are_not_there_or_empty(tmp_path):
    with pytest.raises(AudioError, match=r"a\.wav: no such file"):
        read_samples(tmp_path / "a.wav")
    with pytest.raises(AudioError, match="is a folder, not an audio file"):
        read_samples(tmp_path)
    (tmp_path / "a.wav").touch()
    for read in (read_samples, audio_duration):
        with pytest.raises(AudioError, match=r"a\.wav: the file is empty \(0 bytes\)"):
            read(tmp_path / "a.wav")


@pytest.mark.parametrize("name", ["a.wav", "a.mp3", "a.m4a", "a.txt"])
def test_text_is_not_audio(tmp_path, name):
    (tmp_path / name).write_text("这不是录音。\n" * 100, encoding="utf-8")
    for read in (read_samples, audio_duration):
        with pytest.raises(AudioError, match=re.escape(name) + ": not recognised as audio"):
            read(tmp_path / name)


def test_a_film_without_sound_holds_no_audio(tmp_path):
    import av

    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("rawvideo", rate=5, width=16, height=16, pix_fmt="yuv420p")
        picture = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")
        container.mux(stream.encode(picture))
    with pytest.raises(AudioError, match=r"a\.mkv: holds no audio"):
        read_samples(tmp_path / "a.mkv")


def test_a_truncated_flac_is_damaged(tmp_path):
    samples = noise(30)
    soundfile.write(tmp_path / "a.flac", samples, 16000)
    content = (tmp_path / "a.flac").read_bytes()
    (tmp_path / "a.flac").write_bytes(content[: len(content) * 2 // 3])
    read = []
    with pytest.raises(AudioError, match=r"a\.flac: damaged or truncated; could not be read past (19|20)\.\d s"):
        read.extend(read_blocks(tmp_path / "a.flac"))
    read = np.concatenate(read)  # what could be read came before
    assert len(read) > 19 * 16000 and np.abs(read - samples[: len(read)]).max() < 2**-15


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_sample_that_is_not_a_number_is_named_with_its_time(tmp_path, value):
    samples = sine(15)
    samples[200000] = value
    message = rf"a\.wav: the sample at 12\.500 s is {value}, not a number"
    with pytest.raises(AudioError, match=message):
        read_samples(write_wav(tmp_path / "a.wav", samples))
    with pytest.raises(AudioError, match=message.replace("wav", "mkv")):
        read_samples(encode(tmp_path / "a.mkv", samples, 16000, "pcm_f32le"))


def test_the_time_of_a_bad_sample_counts_from_the_start_of_the_file(tmp_path):
    samples = np.append(sine(12.5), np.float32(np.nan))
    with pytest.raises(AudioError, match=r"sample at 12\.500 s is nan"):
        read_samples(write_wav(tmp_path / "a.wav", samples), start=12)


def test_a_bad_sample_at_another_rate_is_named_as_it_stands_in_the_file(tmp_path):
    """Resampling smears one infinity over some hundred samples, and makes it a NaN."""
    samples = sine(15, 44100)
    samples[round(12.5 * 44100)] = np.inf
    with pytest.raises(AudioError, match=r"sample at 12\.500 s is inf"):
        read_samples(write_wav(tmp_path / "a.wav", samples, 44100))


def test_a_flac_that_does_not_say_how_long_it_is(tmp_path):
    """What an encoder writes into a pipe: it cannot go back to the header, and 0 there means unknown."""
    soundfile.write(tmp_path / "a.flac", sine(3), 16000)
    content = bytearray((tmp_path / "a.flac").read_bytes())
    content[21] &= 0xF0  # the upper 4 of the 36 bits that count the samples
    content[22:26] = bytes(4)
    (tmp_path / "a.flac").write_bytes(content)
    assert len(read_samples(tmp_path / "a.flac")) == 48000
    assert audio_duration(tmp_path / "a.flac") == 3


def test_one_channel_can_be_asked_for(tmp_path):
    left, right = sine(1.0, hz=300), sine(1.0, hz=900)
    soundfile.write(tmp_path / "two.wav", np.stack([left, right], axis=1), 16000, subtype="FLOAT")
    assert np.array_equal(read_samples(tmp_path / "two.wav", channel=1), right)
    assert np.array_equal(read_samples(tmp_path / "two.wav"), (left + right) / 2)
    with pytest.raises(AudioError, match="two.wav: has 2 channels, counted from 0; there is no channel 2"):
        read_samples(tmp_path / "two.wav", channel=2)
