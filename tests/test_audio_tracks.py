"""Which of the sounds in a recording is read: tracks, channels, and what changes on the way."""

import os
import struct
import subprocess
import sys

import av
import numpy as np
import pytest
import soundfile

from asr.audio.mixing import CANCELLING, TWO_TALKERS, Mixer
from asr.audio.reading import Recording, read_samples, resample
from asr.audio.voice_activity import load_voice_activity
from asr.errors import AudioError
from asr.model.folder import save_model
from asr.transcription.recordings import SILENCE, RecordingInProgress
from asr.transcription.segmenting import SegmentConfig
from tests.conftest import ROOT, random_model
from tests.sounds import encode, frequency, music, noise, silence, sine, speech, write_wav

OTHER = "has 2 tracks of sound, of which the first is read; --track 1 reads the other"


def film(
    path, tracks: list[np.ndarray], codec: str = "pcm_s16le", layout: str = "mono", *, rate: int = 16000, languages=()
):
    """A container with these tracks, (S,) or (S, channels) each."""
    with av.open(str(path), "w") as container:
        streams = [container.add_stream(codec, rate=rate, layout=layout) for _ in tracks]
        for stream, language in zip(streams, languages, strict=False):
            stream.metadata["language"] = language
        for stream, samples in zip(streams, tracks, strict=True):
            stream.codec_context.open(strict=False)
            packed = np.ascontiguousarray(samples.reshape(1, -1).astype(np.float32))
            frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=layout)
            frame.sample_rate, frame.pts = rate, 0
            size = stream.codec_context.frame_size or 1024
            resampler = av.AudioResampler(stream.format.name, layout, rate, frame_size=size)
            for part in [*resampler.resample(frame), *resampler.resample(None)]:
                container.mux(stream.encode(part))
            container.mux(stream.encode(None))
    return path


def in_progress(audio, **options) -> RecordingInProgress:
    recording = RecordingInProgress(audio, load_voice_activity(), SegmentConfig(), **options)
    list(recording.pieces())
    return recording


@pytest.mark.parametrize(
    ("layout", "channels"), [("5.1", 6), ("7.1", 8), ("hexadecagonal", 16), ("22.2", 24), ("64 channels", 64)]
)
def test_every_channel_of_a_film_can_be_read(tmp_path, layout, channels):
    """In a process of its own: a list of eight planes and more once ran past its end."""
    tones = np.stack([sine(0.5, hz=500 + 60 * c, level=0.3) for c in range(channels)], axis=1)
    film(tmp_path / "a.mkv", [tones], "flac" if channels <= 8 else "pcm_s16le", layout)
    code = (
        "import sys, numpy as np; from asr.audio.reading import Recording\n"
        "blocks = np.concatenate(list(Recording(sys.argv[1]).blocks(channel=None)))\n"
        "np.save(sys.argv[2], blocks)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    arguments = [sys.executable, "-c", code, str(tmp_path / "a.mkv"), str(tmp_path / "a.npy")]
    subprocess.run(arguments, env=environment, check=True)
    samples = np.load(tmp_path / "a.npy")
    assert samples.shape == (8000, channels)
    assert [round(frequency(samples[:, c]) / 60) for c in range(channels)] == [
        round((500 + 60 * c) / 60) for c in range(channels)
    ]
    mixed = read_samples(tmp_path / "a.mkv")
    assert np.abs(mixed - tones.mean(axis=1)).max() < 1e-3


def test_planar_frames_of_eight_channels(tmp_path):
    tones = np.stack([sine(1, 48000, 300 + 200 * c, 0.3) for c in range(8)], axis=1)
    film(tmp_path / "a.m4a", [tones], "aac", "7.1", rate=48000)
    samples = np.concatenate(list(Recording(tmp_path / "a.m4a").blocks(channel=None)))
    heard = sorted(round(frequency(samples[2000:14000, c]) / 100) for c in (0, 1, 2, 4, 5, 6, 7))
    assert samples.shape[1] == 8 and set(heard) <= set(range(3, 19, 2)) and len(set(heard)) == 7


@pytest.mark.parametrize("kind", ["aac", "mp3", "ac3"])
@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_channels_that_change_on_the_way_become_those_of_the_beginning(tmp_path, kind, order):
    codec, rate = {"aac": "aac", "mp3": "libmp3lame", "ac3": "ac3"}[kind], 48000
    content = b""
    for channels, hz in zip(order, (500, 900), strict=True):
        tone = np.tile(sine(2, rate, hz, 0.3)[:, None], (1, channels))
        path = film(tmp_path / f"{channels}.{kind}", [tone], codec, "mono" if channels == 1 else "stereo", rate=rate)
        content += path.read_bytes()
    (tmp_path / f"a.{kind}").write_bytes(content)
    recording = Recording(tmp_path / f"a.{kind}")
    samples = np.concatenate(list(recording.blocks(channel=None)))
    assert samples.shape[1] == order[0] and len(samples) / 16000 == pytest.approx(4, abs=0.2)
    for c in range(order[0]):
        assert frequency(samples[8000:24000, c]) == pytest.approx(500, abs=2)
        assert frequency(samples[40000:56000, c]) == pytest.approx(900, abs=2)
    assert recording.problems == [] and recording.damage is None


def test_a_rate_that_changes_on_the_way_becomes_that_of_the_beginning(tmp_path):
    one = encode(tmp_path / "1.aac", sine(2, 44100, 500), 44100, "aac").read_bytes()
    two = encode(tmp_path / "2.aac", sine(2, 22050, 900), 22050, "aac").read_bytes()
    (tmp_path / "a.aac").write_bytes(one + two)
    samples = read_samples(tmp_path / "a.aac")
    assert len(samples) / 16000 == pytest.approx(4, abs=0.2)
    assert frequency(samples[8000:24000]) == pytest.approx(500, abs=2)
    assert frequency(samples[40000:56000]) == pytest.approx(900, abs=2)


def test_a_track_can_be_chosen(tmp_path):
    path = film(tmp_path / "a.mkv", [sine(1, hz=500), sine(1, hz=900)])
    for track, hz in ((None, 500), (0, 500), (1, 900)):
        recording = Recording(path, track)
        samples = np.concatenate(list(recording.blocks()))[:, 0]
        assert frequency(samples) == pytest.approx(hz, abs=1)
        assert recording.problems == ([OTHER] if track is None else [])
    with pytest.raises(AudioError, match=r"a\.mkv: has 2 tracks of sound, counted from 0; there is no track 2"):
        Recording(path, 2)
    with pytest.raises(AudioError, match=r"b\.wav: has 1 track of sound, counted from 0; there is no track 1"):
        Recording(write_wav(tmp_path / "b.wav", sine(1)), 1)
    assert len(list(Recording(tmp_path / "b.wav", 0).blocks())) == 1


@pytest.mark.parametrize(
    ("languages", "read", "named"),
    [
        (("eng", "chi", "zho"), 1, "eng, chi, zho"),
        (("und", "jpn", "zho"), 2, "?, jpn, zho"),
        (("eng", "yue", "cmn"), 2, "eng, yue, cmn"),
        (("eng", "fre", "ger"), 0, "eng, fre, ger"),
        (("und", "zh-Hans", "eng"), 1, "?, zh, eng"),
        (("zh-yue", "zh-nan", "zh-cmn-Hans"), 2, "yue, nan, cmn"),
    ],
)
def test_a_chinese_track_is_read_before_others(tmp_path, languages, read, named):
    path = film(tmp_path / "a.mkv", [sine(1, hz=500 + 200 * n) for n in range(3)], languages=languages)
    recording = Recording(path)
    assert frequency(np.concatenate(list(recording.blocks()))[:, 0]) == pytest.approx(500 + 200 * read, abs=1)
    place, other = ("first", "second", "third")[read], 0 if read else 1
    assert recording.problems == [
        f"has 3 tracks of sound ({named}), of which the {place} is read; --track {other} reads another"
    ]


def test_the_track_that_a_film_calls_its_default_is_read_before_others(tmp_path):
    path = film(tmp_path / "a.mkv", [sine(1, hz=500), sine(1, hz=900)])
    content, no_default = path.read_bytes(), bytes.fromhex("888100")  # FlagDefault of Matroska
    first, second = content.split(no_default)[0], content.rsplit(no_default, 1)
    assert len(first) < len(second[0])
    path.write_bytes(bytes.fromhex("888101").join(second))
    assert frequency(np.concatenate(list(Recording(path).blocks()))[:, 0]) == pytest.approx(900, abs=1)


def test_a_silent_first_track_is_said_to_have_another_beside_it(tmp_path):
    path = film(tmp_path / "a.mkv", [silence(2), silence(2), speech(2)])
    warnings = in_progress(path).warnings()
    assert warnings[-1] == f"{SILENCE}; its track 2, counted from 0, is not: --track 2 reads it"
    recording = in_progress(path, track=2)
    assert recording.heard and recording.warnings() == ()
    assert in_progress(film(tmp_path / "b.mkv", 2 * [silence(2)])).warnings()[-1] == SILENCE


def test_the_command_reads_the_track_that_is_asked_for(run, tokenizer, tmp_path):
    save_model(tmp_path / "model", random_model(), tokenizer.table)
    path = film(tmp_path / "a.mkv", [silence(2), speech(2)])
    status, out, err = run("transcribe", "--model", tmp_path / "model", path)
    assert (status, out) == (0, "\n") and "its track 1, counted from 0, is not: --track 1 reads it" in err
    status, out, err = run("transcribe", "--model", tmp_path / "model", path, "--track", "1")
    assert status == 0 and len(out) > 2 and "is silent" not in err
    status, out, err = run("transcribe", "--model", tmp_path / "model", path, "--track", "2")
    assert (status, out) == (1, "\n") and "a.mkv: has 2 tracks of sound, counted from 0; there is no track 2" in err


def test_the_first_track_that_can_be_decoded_is_read(tmp_path):
    path = film(tmp_path / "a.mkv", [sine(1, hz=500), sine(1, hz=900)], "aac")
    content = path.read_bytes()
    assert content.count(b"A_AAC") == 2
    path.write_bytes(content.replace(b"A_AAC", b"A_XYZ", 1))
    recording = Recording(path)
    assert frequency(np.concatenate(list(recording.blocks()))[:, 0]) == pytest.approx(900, abs=1)
    assert recording.problems == ["has 2 tracks of sound, of which the second is read; --track 0 reads the other"]
    with pytest.raises(AudioError, match=r"a\.mkv: its sound is in a codec that nothing here decodes"):
        Recording(path, 0)


def test_bytes_that_only_look_like_a_codec_are_no_audio(tmp_path):
    (tmp_path / "a.mp3").write_bytes(b"\xff" * 100000)
    with pytest.raises(
        AudioError, match=r"a\.mp3: not recognised as audio, or damaged \(nothing can be decoded of what"
    ):
        Recording(tmp_path / "a.mp3")


def test_a_codec_that_nobody_decodes_is_named(tmp_path):
    path = write_wav(tmp_path / "a.wav", sine(1), subtype="PCM_16")
    content = path.read_bytes()
    packed = struct.pack("<IHH", 1000, 10, 0)  # bytes a second, bytes together, bits of a sample
    path.write_bytes(content[:20] + b"\x6c\0" + content[22:28] + packed + content[36:])
    message = r"a\.wav: its sound is in a codec that nothing here decodes \(number 0x006c of WAV\): convert it to wav"
    with pytest.raises(AudioError, match=message):
        Recording(path)


def test_channels_that_cancel_each_other_are_not_silence(tmp_path):
    said = speech(12)
    path = write_wav(tmp_path / "a.wav", np.stack([said, -said], axis=1))
    recording = Recording(path)
    assert np.array_equal(np.concatenate(list(recording.blocks()))[:, 0], said)
    assert recording.problems == [CANCELLING]
    louder = write_wav(tmp_path / "b.wav", np.stack([-0.9 * said, said], axis=1))
    assert np.array_equal(read_samples(louder), said)
    problems: list[str] = []
    assert np.array_equal(resample(np.stack([said, -said], axis=1), 16000, problems=problems)[:, 0], said)
    assert problems == [CANCELLING]
    in_part = np.stack([said, np.concatenate([said[:80000], -said[80000:]])], axis=1)
    assert np.array_equal(read_samples(write_wav(tmp_path / "c.wav", in_part)), said)
    for each in Recording(path).blocks(channel=None):
        assert each.shape[1] == 2 and np.array_equal(each[:, 0], -each[:, 1])


@pytest.mark.parametrize("channels", [2, 3, 6, 8])
@pytest.mark.parametrize("kind", ["the same", "one alone", "nothing in common", "much in common", "some opposite"])
def test_channels_that_do_not_cancel_are_averaged_to_the_bit(channels, kind):
    talk, others = speech(3)[:, None], np.stack([noise(3, seed=c) for c in range(channels)], axis=1)
    block = {
        "the same": np.tile(talk, (1, channels)),
        "one alone": np.pad(talk, ((0, 0), (1, channels - 2))),
        "nothing in common": others,
        "much in common": talk + others,
        "some opposite": others - 0.5 * others[:, ::-1],
    }[kind].astype(np.float32)
    mixer = Mixer(16000)
    for first in (0, 16000 * 2 + 5):
        part = block[first:]
        assert np.array_equal(mixer.mix(part), part.mean(axis=1, keepdims=True))
    assert mixer.problems() == []


def test_two_talkers_in_two_channels_are_hinted_at():
    left, right = speech(20, seed=1), speech(20, seed=2)
    turn = (np.arange(len(left)) // 64000 % 2).astype(np.float32)  # four seconds each
    call = np.stack([left * turn, right * (1 - turn)], axis=1)
    assert in_progress((call, 16000)).warnings()[0] == TWO_TALKERS
    assert TWO_TALKERS not in in_progress((call, 16000), split=True).warnings()
    assert TWO_TALKERS not in in_progress((np.stack([left, 0.8 * left], axis=1), 16000)).warnings()
    assert TWO_TALKERS not in in_progress((np.stack([left, 0 * left], axis=1), 16000)).warnings()


def told_of_two(left: np.ndarray, right: np.ndarray) -> bool:
    mixer = Mixer(16000)
    for first in range(0, len(left), 50000):
        mixer.mix(np.stack([left, right], axis=1)[first : first + 50000].astype(np.float32))
    return TWO_TALKERS in mixer.problems()


def test_talkers_are_told_from_one_that_two_microphones_hear():
    one, other, hiss = speech(20, seed=1), speech(20, seed=2), noise(20, level=0.001, seed=3)
    turn = np.arange(len(one)) // 32000 % 2
    a, b = one * turn, other * (1 - turn)
    assert told_of_two(one, other)  # both at once
    assert told_of_two(a + 0.1 * b + hiss, b + 0.1 * a)  # each hears a little of the other
    assert told_of_two(0.5 * a + hiss + 0.2, 0.5 * b - 0.1)  # an offset is no sound
    assert not told_of_two(one + hiss, 0.3 * np.roll(one, 50))  # a microphone that is further away
    assert not told_of_two(a + 0.6 * b, b + 0.6 * a)  # two people at one table
    assert not told_of_two(one, noise(20, seed=4)) and not told_of_two(noise(20, seed=5), noise(20, seed=6))
    assert not told_of_two(music(20), 0.5 * music(20))


def test_whatever_a_decoder_raises_is_the_recordings_error(tmp_path, monkeypatch):
    path = encode(tmp_path / "a.mkv", sine(1), 16000, "pcm_s16le")
    wave = write_wav(tmp_path / "b.wav", sine(1))
    for error in (
        IndexError("strange"),
        MemoryError(),
        OSError(5, "Input/output error"),
        UnicodeDecodeError("a", b"", 0, 1, "b"),
    ):

        def fail(*_, error=error, **__):
            raise error

        with monkeypatch.context() as patch:
            patch.setattr("asr.audio.timeline.frame_samples", fail)
            with pytest.raises(AudioError, match=r"a\.mkv: not recognised as audio, or damaged"):
                read_samples(path)
            patch.setattr(soundfile.SoundFile, "read", fail)
            with pytest.raises(AudioError, match=r"b\.wav: damaged or truncated"):
                read_samples(wave)
            patch.setattr("asr.audio.containers.open_container", fail)
            with pytest.raises(AudioError, match=r"a\.mkv: not recognised as audio, or damaged"):
                Recording(path)


CAUSES = {
    b"\x02#!SILK_V3\x0c\0" + b"\x55" * 500: "is a WeChat or QQ voice message (SILK)",
    b"#!SILK_V3\x0c\0" + b"\x55" * 500: "is a WeChat or QQ voice message (SILK)",
    b"data:audio/webm;base64,GkXfo59ChoEBQveBAULygQRC84EIQoKEd2Vib": "holds base64 text, not the audio itself",
    b"UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAABBQUFBQUFBQUFB\n" * 9: "holds base64 text",
    b"\r\n<!DOCTYPE html>\n<html lang=zh><body>404</body></html>": "is a web page, not audio",
    b"\xef\xbb\xbf<html>": "is a web page, not audio",
    b"PK\x03\x04" + bytes(200): "is a zip archive: unpack it first",
    b'{"error": "not logged in"}': "is JSON, not audio",
    b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n": "is what Git LFS leaves in the place of the file",
}


@pytest.mark.parametrize("content", CAUSES)
def test_what_is_no_recording_is_named(tmp_path, content):
    (tmp_path / "a.mp3").write_bytes(content)
    with pytest.raises(AudioError) as error:
        Recording(tmp_path / "a.mp3")
    assert str(error.value).startswith(f"{tmp_path}/a.mp3: {CAUSES[content]}") and "\n" not in str(error.value)


@pytest.mark.parametrize("track", [-1, "a", True])
def test_a_track_is_a_number_from_0(tmp_path, track):
    soundfile.write(tmp_path / "a.wav", speech(1), 16000)
    with pytest.raises(AudioError, match="a.wav: track must be a whole number from 0, is"):
        Recording(tmp_path / "a.wav", track)
