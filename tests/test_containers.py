"""Recordings in the containers and codecs that people have, written by FFmpeg's libraries."""

from types import SimpleNamespace

import av
import numpy as np
import pytest
import soundfile

from asr.audio.delays import samples_ahead
from asr.audio.reading import Recording, audio_duration, read_samples
from asr.audio.timeline import _names_priming
from asr.errors import AudioError
from tests.sounds import sine

LOSSLESS = [
    ("a.wav", "pcm_s16le", 16000),
    ("a.flac", "flac", 16000),
    ("a.aiff", "pcm_s16be", 16000),
    ("a.mkv", "flac", 16000),
    ("a.mov", "pcm_s16le", 16000),
    ("a.m4a", "alac", 16000),
]
LOSSY = [
    ("a.mp3", "libmp3lame", 44100),
    ("a.mp3", "libmp3lame", 16000),
    ("a.ogg", "vorbis", 44100),
    ("a.opus", "libopus", 48000),
    ("a.webm", "libopus", 48000),
    ("a.webm", "libopus", 16000),
    ("a.m4a", "aac", 44100),
    ("a.mp4", "aac", 48000),
    ("a.aac", "aac", 44100),
    ("a.mkv", "aac", 48000),
    ("a.wma", "wmav2", 44100),
    ("a.amr", "libopencore_amrnb", 8000),
    ("a.3gp", "libopencore_amrnb", 8000),
]
IDS = [f"{name[2:]}-{codec}-{rate}" for name, codec, rate in LOSSY]


def beeps(seconds: float = 5.0, rate: int = 16000) -> np.ndarray:
    """Short tones of many pitches over a little noise: where they are shows a delay of a millisecond."""
    random = np.random.default_rng(0)
    samples = random.normal(0, 0.003, round(seconds * rate))
    for k, start in enumerate(np.arange(0.2, seconds - 0.3, 0.4)):
        tone = sine(0.2, rate, 300 + 100 * k, 0.4) * np.hanning(round(0.2 * rate))
        samples[round(start * rate) :][: len(tone)] += tone
    return (np.round(samples * 32767) / 32767).astype(np.float32)


def write(path, samples: np.ndarray, codec: str, rate: int, **options):
    """`options`: of the container and of the codec."""
    if codec == "vorbis":  # PyAV comes without its encoder
        soundfile.write(path, samples, rate, "VORBIS")
        return path
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=rate, layout="mono", options=options)
        stream.bit_rate = 12200 if "amr" in codec else 64000
        if "pcm" in codec or codec in ("flac", "alac"):
            stream.format = "s16p" if codec == "alac" else "s16"
        fifo, resampler = av.AudioFifo(), None
        whole = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        whole.sample_rate, whole.pts = rate, 0
        stream.codec_context.open()
        resampler = av.AudioResampler(stream.format.name, "mono", rate)
        for frame in resampler.resample(whole):
            fifo.write(frame)
        size = stream.codec_context.frame_size or 1024
        while frame := fifo.read(size) or fifo.read():
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def delay(samples: np.ndarray, reference: np.ndarray) -> float:
    """Seconds by which `samples` come later than `reference`, where they agree best."""
    n = len(samples) + len(reference)
    correlation = np.fft.irfft(np.fft.rfft(samples, n) * np.conj(np.fft.rfft(reference, n)), n)
    place = int(correlation.argmax())
    return (place if place < n // 2 else place - n) / 16000


@pytest.mark.parametrize(("name", "codec", "rate"), LOSSLESS)
def test_lossless_ones_give_the_samples(tmp_path, name, codec, rate):
    path = write(tmp_path / name, beeps(), codec, rate)
    samples = read_samples(path)
    assert len(samples) == 80000 and audio_duration(path) == 5
    assert np.abs(samples - beeps()).max() <= 1.01 / 32768


@pytest.mark.parametrize(("name", "codec", "rate"), LOSSY, ids=IDS)
def test_lossy_ones_have_their_length_and_no_delay(tmp_path, name, codec, rate):
    samples = read_samples(write(tmp_path / name, beeps(rate=rate), codec, rate))
    assert len(samples) / 16000 == pytest.approx(5, abs=0.05)
    assert abs(delay(samples, beeps())) <= 0.005


LATE = [
    ("a.avi", "mp2", 16000, 0),
    ("a.avi", "libmp3lame", 8000, 0),
    ("a.ts", "mp2", 32000, 0),
    ("a.ts", "mp2", 48000, 0),
    ("a.ts", "libmp3lame", 16000, 0),
    ("a.mkv", "libmp3lame", 8000, 0),
    ("a.ts", "libmp3lame", 8000, 0),
    ("a.mp3", "libmp3lame", 8000, {"write_xing": "0"}),
    ("a.flv", "aac", 8000, 0),
    ("a.mkv", "aac", 8000, 0),
    ("a.ts", "aac", 8000, 0),
    ("a.mpg", "mp2", 44100, 0),
    ("a.mkv", "libmp3lame", 24000, 0),
    ("a.flv", "libmp3lame", 44100, 0),
    ("a.wav", "mp2", 32000, 0),
    ("a.wav", "libmp3lame", 16000, 0),
    ("a.mp2", "mp2", 24000, 0),
    ("a.mp3", "libmp3lame", 16000, {"write_xing": "0"}),
    ("a.ts", "ac3", 32000, 0),
    ("a.mkv", "eac3", 44100, 0),
    ("a.ts", "libopus", 48000, 0),
    ("a.nut", "libopus", 48000, 0),
    ("a.mp4", "mp2", 48000, 0),
    ("a.mp4", "ac3", 48000, 0),
]
"""Codecs with a delay of their own, in containers that say nothing of it, or all of it."""


@pytest.mark.parametrize(("name", "codec", "rate", "options"), LATE, ids=[f"{n[2:]}-{c}-{r}" for n, c, r, _ in LATE])
def test_nothing_begins_late_where_the_container_does_not_say_what_the_codec_puts_before(
    tmp_path, name, codec, rate, options
):
    path = write(tmp_path / name, beeps(rate=rate), codec, rate, **(options or {}))
    assert abs(delay(read_samples(path), beeps())) <= 0.001
    assert abs(delay(read_samples(path, 1.3, 2.0), beeps()[20800:52800])) <= 0.001


def test_what_lies_before_the_sound_in_speex(tmp_path):
    """By the rates; an Ogg's negative times are the encoder's share alone."""
    context = SimpleNamespace(name="speex", sample_rate=16000)
    assert samples_ahead(context, 320, b"") == 223
    assert not _names_priming(SimpleNamespace(pts=-143, has_sidedata=lambda kind: False), "speex")
    assert _names_priming(SimpleNamespace(pts=-1024, has_sidedata=lambda kind: False), "aac")
    assert samples_ahead(SimpleNamespace(name="speex", sample_rate=11025), 320, b"") == 0


def test_which_layer_it_is_the_frame_tells():
    """Decoders of MPEG audio take all three, and a transport stream names one for two of them."""
    for second, samples in ((0xFD, 481), (0xFF, 481), (0xFB, 1105), (0xF3, 1105)):
        assert samples_ahead(SimpleNamespace(name="mp3float"), 1152, bytes((0xFF, second, 0, 0))) == samples
    assert samples_ahead(SimpleNamespace(name="mp3float"), 1152, b"ID3") == 0
    assert samples_ahead(SimpleNamespace(name="pcm_s16le"), 1024, b"") == 0
    assert samples_ahead(SimpleNamespace(name="dca"), 512, b"") == 512  # PyAV comes without its encoder
    assert samples_ahead(SimpleNamespace(name="opus", extradata=b"OpusHead\1\1\x38\1"), 960, b"") == 0
    assert samples_ahead(SimpleNamespace(name="opus", extradata=None), 960, b"") == 312


@pytest.mark.parametrize(("name", "codec", "rate"), LOSSLESS + LOSSY)
def test_what_is_cut_off_is_read_as_far_as_it_goes_and_said(tmp_path, name, codec, rate):
    options = {"movflags": "+faststart"} if name.endswith(("m4a", "mp4", "mov", "3gp")) else {}
    path = write(tmp_path / name, beeps(30, rate), codec, rate, **options)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.6)])
    recording = Recording(path)
    samples = np.concatenate([block[:, 0] for block in recording.blocks()])
    assert 15 < len(samples) / 16000 < 19
    assert abs(delay(samples, beeps(30))) <= 0.005
    if name.endswith((".aac", ".amr")):
        return  # frames without any header: nothing says that there were more
    said = str(recording.damage or recording.problems)
    assert any(word in said for word in ("cut off", "damaged or truncated")), said


def test_an_m4a_without_its_index_is_an_error(tmp_path):
    path = write(tmp_path / "a.m4a", beeps(), "aac", 44100)
    path.write_bytes(path.read_bytes()[:10000])
    with pytest.raises(AudioError, match=r"a\.m4a: was never finished: what is written last, the index \(moov\)"):
        read_samples(path)


@pytest.mark.parametrize(("name", "codec", "rate"), LOSSLESS[1:2] + LOSSLESS[3:] + LOSSY)
def test_damage_in_the_middle_is_said_and_what_follows_stays_in_its_place(tmp_path, name, codec, rate):
    path = write(tmp_path / name, beeps(20, rate), codec, rate)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 3000] = np.random.default_rng(1).integers(0, 256, 3000, np.uint8).tobytes()
    path.write_bytes(content)
    recording = Recording(path)
    samples = np.concatenate([block[:, 0] for block in recording.blocks()])
    if name == "a.amr":  # frames without header or checksum: any byte may be the length of one
        return
    assert len(samples) / 16000 == pytest.approx(20, abs=0.5)
    if name not in ("a.ogg", "a.aac", "a.mp3"):  # these say nothing of time, what is missing moves the rest
        assert delay(samples[16 * 16000 :], beeps(20)[16 * 16000 :]) == pytest.approx(0, abs=0.1)
    if name not in ("a.mov", "a.opus", "a.aac", "a.3gp"):  # any bytes are samples, or sound like some
        said = f"{recording.problems} {recording.damage}"
        assert "damaged" in said or "gaps" in said


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3", "a.m4a", "a.mp4", "a.mkv", "a.webm"])
def test_a_file_without_samples_is_no_error(tmp_path, name):
    codec = {"a.flac": "flac", "a.mp3": "libmp3lame", "a.webm": "libopus"}.get(name, "aac")
    if name in ("a.wav", "a.ogg"):
        soundfile.write(tmp_path / name, np.zeros(0), 16000)
    else:
        with av.open(str(tmp_path / name), "w") as container:
            container.add_stream(codec, rate=48000, layout="mono")
            container.start_encoding()
    assert len(read_samples(tmp_path / name)) == 0 == audio_duration(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "codec"), [("a.m4a", "aac"), ("a.webm", "libopus"), ("a.mkv", "pcm_s16le"), ("a.wma", "wmav2")]
)
def test_a_part_far_inside_is_found_without_decoding_what_is_before(tmp_path, name, codec, monkeypatch):
    from asr.audio.containers import ContainerFile
    from asr.audio.timeline import Timeline

    path = write(tmp_path / name, beeps(120, 48000), codec, 48000)
    whole = read_samples(path)
    decoded = 0
    samples_of = Timeline.samples

    def counted(self):
        nonlocal decoded
        for part in samples_of(self):
            decoded += len(part)
            yield part

    monkeypatch.setattr(Timeline, "samples", counted)
    part = read_samples(path, 100.3, 4.0)
    assert len(part) == 64000 and decoded < 20 * 48000
    assert abs(delay(part, whole[1604800:][:64000])) <= 0.005
    assert ContainerFile(path).seconds is None or audio_duration(path) == pytest.approx(120, abs=0.05)


def test_a_part_is_in_its_place_where_a_decoder_gives_nothing_of_what_comes_first_behind_a_seek(tmp_path):
    path = write(tmp_path / "a.wma", beeps(20, 8000), "wmav2", 8000)
    part = read_samples(path, 16.3, 3.0)
    assert part == pytest.approx(read_samples(path)[260800:308800], abs=1e-4)


def test_sound_that_begins_after_the_picture_keeps_its_time(tmp_path):
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        video = container.add_stream("mpeg4", rate=10, width=16, height=16, pix_fmt="yuv420p")
        audio = container.add_stream("pcm_s16le", rate=16000, layout="mono")
        for i in range(30):
            picture = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")
            picture.pts = i
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
        samples = (beeps(2) * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts = 16000, 16000  # a second late
        container.mux(audio.encode(frame))
        container.mux(audio.encode(None))
    samples = read_samples(tmp_path / "a.mkv")
    assert not samples[:15900].any()
    assert delay(samples, beeps(2)) == pytest.approx(1, abs=0.005)
