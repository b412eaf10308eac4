"""Films whose sound begins after their pictures: times of what is said are those of the film."""

import av
import numpy as np
import pytest

from asr.audio.reading import Recording
from tests.sounds import silence, sine

RATE = 16000
LATE = 2.5
KINDS = [
    ("a.mkv", "libx264", "aac"),
    ("b.mkv", "libx264", "pcm_s16le"),
    ("a.mp4", "libx264", "aac"),
    ("a.mov", "mjpeg", "pcm_s16le"),
    ("a.ts", "mpeg2video", "aac"),
    ("a.wmv", "wmv2", "wmav2"),
    ("a.webm", "libvpx", "libopus"),
    ("a.nut", "libx264", "pcm_s16le"),
]


def film(path, picture: str, sound: str, samples: np.ndarray, *, late: float, seconds: float):
    """A film of so many seconds, whose sound (S,) begins late."""
    codec_rate = 48000 if sound == "libopus" else RATE
    with av.open(str(path), "w") as container:
        pictures = container.add_stream(picture, rate=5)
        pictures.width = pictures.height = 64
        pictures.pix_fmt = "yuvj420p" if picture == "mjpeg" else "yuv420p"
        if picture == "libx264":
            pictures.codec_context.max_b_frames = 2
        sounds = container.add_stream(sound, rate=codec_rate, layout="mono")
        if sound == "wmav2":
            sounds.bit_rate = 48000
        sounds.codec_context.open(strict=False)
        packets = []
        for number in range(round(5 * seconds)):
            frame = av.VideoFrame(64, 64, pictures.pix_fmt)
            frame.pts = number
            packets += pictures.encode(frame)
        packets += pictures.encode(None)
        heard = av.AudioFrame.from_ndarray(samples[None].astype(np.float32), format="flt", layout="mono")
        heard.sample_rate, heard.pts = RATE, 0
        size = sounds.codec_context.frame_size or 1024
        resampler = av.AudioResampler(sounds.format.name, "mono", codec_rate, frame_size=size)
        for part in [*resampler.resample(heard), *resampler.resample(None)]:
            part.pts += round(late * codec_rate)
            packets += sounds.encode(part)
        packets += sounds.encode(None)
        for packet in sorted(packets, key=lambda one: one.dts * one.time_base):
            container.mux(packet)
    return path


def tone() -> np.ndarray:
    """Half a second without sound, two with it, then silence."""
    return np.concatenate([silence(0.5), sine(2, hz=500), silence(2)])


def begins(samples: np.ndarray) -> float:
    """Second at which a `tone` begins in what was read."""
    return int(np.flatnonzero(np.abs(samples) > 0.2)[0]) / RATE - 0.5


def read(path, **where) -> tuple[np.ndarray, list[str]]:
    recording = Recording(path)
    samples = np.concatenate([block[:, 0] for block in recording.blocks(**where)])
    assert recording.damage is None
    return samples, recording.problems


@pytest.mark.parametrize(("name", "picture", "sound"), KINDS)
def test_what_is_heard_has_the_time_of_the_film(tmp_path, name, picture, sound):
    samples, problems = read(film(tmp_path / name, picture, sound, tone(), late=LATE, seconds=8))
    assert begins(samples) == pytest.approx(LATE, abs=0.01) and problems == []


@pytest.mark.parametrize(("name", "picture", "sound"), [KINDS[0], KINDS[2], KINDS[4]])
def test_sound_may_begin_later_than_a_look_at_the_beginning_shows(tmp_path, name, picture, sound):
    path = film(tmp_path / name, picture, sound, tone(), late=25, seconds=40)
    samples, problems = read(path)
    assert begins(samples) == pytest.approx(25, abs=0.01) and problems == []
    part, problems = read(path, start=24.0, duration=3.0)
    assert begins(part) == pytest.approx(1, abs=0.01) and problems == []
    assert not read(path, start=12.0, duration=2.0)[0].any()


def test_a_picture_that_is_longer_than_the_sound_is_no_reason_to_miss_some(tmp_path):
    _, problems = read(film(tmp_path / "a.wmv", "wmv2", "wmav2", tone(), late=0, seconds=20))
    assert problems == []


@pytest.mark.parametrize(("name", "picture", "sound"), KINDS)
def test_sound_that_begins_with_the_picture_stays_there(tmp_path, name, picture, sound):
    samples, _ = read(film(tmp_path / name, picture, sound, tone(), late=0, seconds=4))
    assert begins(samples) == pytest.approx(0, abs=0.01)


def test_pictures_before_the_beginning_of_a_film_that_was_cut_are_not_its_beginning(tmp_path):
    """An mp4 keeps them, from the last whole picture on, and says in a list of edits that they are not shown."""
    film(tmp_path / "whole.mp4", "libx264", "aac", np.concatenate([silence(5), tone()]), late=0, seconds=9)
    with av.open(str(tmp_path / "whole.mp4")) as source, av.open(str(tmp_path / "cut.mp4"), "w") as target:
        streams = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is None or (packet.stream.type == "audio" and packet.pts * packet.time_base < 3):
                continue
            ticks = round(3 / packet.time_base)
            packet.pts, packet.dts = packet.pts - ticks, packet.dts - ticks
            packet.stream = streams[packet.stream.index]
            target.mux(packet)
    with av.open(str(tmp_path / "cut.mp4")) as container:
        assert next(container.demux(container.streams.video)).is_discard
    samples, _ = read(tmp_path / "cut.mp4")
    assert begins(samples) == pytest.approx(2, abs=0.1)
