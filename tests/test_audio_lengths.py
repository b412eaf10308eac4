"""Headers that are wrong about how much there is: all is read, and something is said only where something is missing."""

import io
import struct

import av
import numpy as np
import pytest
import soundfile

from asr.audio.ogg_pages import is_one_whole_stream
from asr.audio.reading import Recording, audio_duration, read_samples
from tests.sounds import encode, noise, sine, speech, write_wav
from tests.test_containers import beeps, delay, write

PCM = (np.round(speech(4) * 32000)).astype("<i2")
FMT = struct.pack("<HHIIHH", 1, 1, 16000, 32000, 2, 16)


def chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def wav(riff: int, data: int, samples: np.ndarray = PCM, before: bytes = b"", behind: bytes = b"") -> bytes:
    """A WAV with these sizes in its header."""
    head = b"RIFF" + struct.pack("<I", riff) + b"WAVE" + chunk(b"fmt ", FMT) + before
    return head + b"data" + struct.pack("<I", data) + samples.tobytes() + behind


N = PCM.nbytes
CLAIMS = {
    "never finished": wav(0, 0),
    "never finished, 36": wav(36, 0),
    "data too small": wav(36 + N, 32000),
    "both too small": wav(36 + 32000, 32000),
    "wrapped at 16 bits": wav((36 + N) % 2**16, N % 2**16),
    "placeholder": wav(2000000036, 2000000000),
    "placeholder of 1e9": wav(1000000036, 1000000000),
    "largest": wav(0xFFFFFFFF, 0xFFFFFFFF),
    "largest with a sign": wav(0x7FFFFFFF, 0x7FFFFFFF - 36),
    "sox into a pipe": wav(0x7FFFF024, 0x7FFFF000),
    "right": wav(36 + N, N),
    "a tag behind": wav(36 + N + 2018, N, behind=chunk(b"id3 ", b"ID3\3\0\0\0\0\x0f\x76" + b"x" * 2000)),
    "a bare tag behind": wav(36 + N, N, behind=b"ID3\3\0\0\0\0\x0f\x76" + b"x" * 2000),
    "zeros behind": wav(36 + N, N, behind=bytes(5000)),
    "text behind": wav(36 + N, N, behind=b"<info>recorded today</info>\n" * 100),
    "packed data behind": wav(36 + N, N, behind=np.random.default_rng(0).bytes(50_000)),
    "much before": wav(36 + N + 393172, N, before=chunk(b"LIST", bytes(393164))),
}


@pytest.mark.parametrize("kind", CLAIMS)
def test_a_wav_is_read_whole_whatever_its_sizes_say(tmp_path, kind):
    (tmp_path / "a.wav").write_bytes(CLAIMS[kind])
    recording = Recording(tmp_path / "a.wav")
    samples = np.concatenate(list(recording.blocks()))[:, 0]
    assert np.array_equal(samples, PCM / np.float32(32768))
    assert recording.problems == [] and recording.damage is None
    assert audio_duration(tmp_path / "a.wav") == 4
    assert np.array_equal(read_samples(tmp_path / "a.wav", 1.5, 2), samples[24000:56000])


def test_a_wav_that_lacks_its_end_is_said_to(tmp_path):
    (tmp_path / "a.wav").write_bytes(wav(36 + N, N)[: N // 2])
    recording = Recording(tmp_path / "a.wav")
    assert sum(map(len, recording.blocks())) == (N // 2 - 44) // 2
    assert recording.problems == ["is cut off: it ends in the middle of its data after 2.0 s"]


@pytest.mark.parametrize("sizes", [(36 + N, N), (0, 0), (36, 0), (0xFFFFFFFF, 0xFFFFFFFF)])
def test_waves_end_to_end_are_read_to_the_end(tmp_path, sizes):
    (tmp_path / "a.wav").write_bytes(wav(*sizes) + wav(36 + N, N) + wav(*sizes))
    samples = read_samples(tmp_path / "a.wav")
    assert np.array_equal(samples, np.tile(PCM / np.float32(32768), 3))
    assert audio_duration(tmp_path / "a.wav") == 12
    assert np.array_equal(read_samples(tmp_path / "a.wav", 3, 6), samples[48000:144000])


def test_waves_end_to_end_take_the_rate_and_channels_of_the_first(tmp_path):
    one = write_wav(tmp_path / "1.wav", sine(2, 16000, 500)).read_bytes()
    two = write_wav(tmp_path / "2.wav", np.tile(sine(2, 48000, 500)[:, None], (1, 2)), 48000, "PCM_24").read_bytes()
    (tmp_path / "a.wav").write_bytes(one + two)
    samples = read_samples(tmp_path / "a.wav")
    assert len(samples) == pytest.approx(64000, abs=2)
    assert samples[34000:62000].std() == pytest.approx(0.5 / np.sqrt(2), rel=0.01)


@pytest.mark.parametrize("subtype", ["PCM_24", "FLOAT", "ULAW", "IMA_ADPCM", "PCM_U8"])
def test_other_codings_of_a_wav_that_was_never_finished(tmp_path, subtype):
    path = write_wav(tmp_path / "a.wav", speech(3), subtype=subtype)
    whole = read_samples(path)
    content = bytearray(path.read_bytes())
    place = content.index(b"data")
    content[place + 4 : place + 8] = bytes(4)
    path.write_bytes(content)
    samples = read_samples(path)
    assert len(samples) == pytest.approx(len(whole), abs=100)  # a chunk behind is a few samples
    assert np.array_equal(samples[: len(whole)], whole)


def test_an_extended_header_without_its_extension_is_a_plain_one(tmp_path):
    content = wav(36 + N, N)
    (tmp_path / "a.wav").write_bytes(content[:20] + b"\xfe\xff" + content[22:])
    assert np.array_equal(read_samples(tmp_path / "a.wav"), PCM / np.float32(32768))


@pytest.mark.parametrize("code", [0x0042, 0x0055, 0x0011, 0x1234])
def test_a_codec_that_cannot_be_is_a_wrong_number(tmp_path, code):
    """Whole numbers of 16 bits by all that the header says besides: no codec packs anything into so many bytes."""
    content = wav(36 + N, N)
    (tmp_path / "a.wav").write_bytes(content[:20] + struct.pack("<H", code) + content[22:])
    assert np.array_equal(read_samples(tmp_path / "a.wav"), PCM / np.float32(32768))


@pytest.mark.parametrize(
    "subtype", ["IMA_ADPCM", "MS_ADPCM", "GSM610", "ULAW", "ALAW", "FLOAT", "PCM_24", "PCM_32", "PCM_U8"]
)
def test_codecs_that_can_be_stay_what_they_are(tmp_path, subtype):
    samples = PCM[:8000] / np.float32(32768)
    soundfile.write(tmp_path / "a.wav", samples, 16000, subtype=subtype)
    expected = soundfile.read(tmp_path / "a.wav", dtype="float32")[0]
    assert np.array_equal(read_samples(tmp_path / "a.wav"), expected.clip(-1, 1))


def variable_mp3(path, samples: np.ndarray, rate: int = 44100):
    """Without the frame that says how many there are; what is said in the first seconds foretells nothing of the rest."""
    with av.open(str(path), "w", options={"write_xing": "0", "id3v2_version": "0"}) as container:
        stream = container.add_stream("libmp3lame", rate=rate, layout="mono", options={"compression_level": "9"})
        stream.codec_context.qscale = True
        stream.codec_context.global_quality = 2 * 118
        resampler = av.AudioResampler("fltp", "mono", rate, frame_size=1152)
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = rate, 0
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("loud_first", [True, False])
def test_an_mp3_that_does_not_count_its_frames_is_read_to_its_end(tmp_path, loud_first):
    loud, faint = noise(4, 44100, 0.3), 1e-4 * sine(12, 44100, 100)
    samples = np.concatenate([loud, faint, faint] if loud_first else [faint, loud, loud])
    path = variable_mp3(tmp_path / "a.mp3", samples)
    recording = Recording(path)
    read = sum(map(len, recording.blocks()))
    assert read / 16000 == pytest.approx(len(samples) / 44100, abs=0.1)
    assert recording.problems == [] and recording.damage is None
    assert audio_duration(path) == pytest.approx(len(samples) / 44100, abs=0.1)


def test_an_mp3_that_counts_fewer_frames_than_it_has(tmp_path):
    soundfile.write(tmp_path / "a.mp3", noise(12), 16000)
    content = bytearray((tmp_path / "a.mp3").read_bytes())
    place = max(content.find(b"Xing"), content.find(b"Info"))
    content[place + 8 : place + 12] = (100).to_bytes(4, "big")
    (tmp_path / "a.mp3").write_bytes(content)
    assert len(read_samples(tmp_path / "a.mp3")) / 16000 == pytest.approx(12, abs=0.15)


def test_an_mp3_that_counts_more_frames_than_it_has(tmp_path):
    """By its bytes it is whole, so nothing is missing; one that is cut is said to be."""
    soundfile.write(tmp_path / "a.mp3", speech(8), 16000)
    data = bytearray((tmp_path / "a.mp3").read_bytes())
    place = max(data.find(b"Xing"), data.find(b"Info"))
    data[place + 8 : place + 12] = (2 * int.from_bytes(data[place + 8 : place + 12], "big")).to_bytes(4, "big")
    (tmp_path / "more.mp3").write_bytes(data)
    recording = Recording(tmp_path / "more.mp3")
    assert sum(map(len, recording.blocks())) == pytest.approx(8 * 16000, abs=1600) and recording.problems == []
    (tmp_path / "cut.mp3").write_bytes(data[: len(data) // 2])
    recording = Recording(tmp_path / "cut.mp3")
    list(recording.blocks())
    assert "the rest is missing" in " ".join(recording.problems)


@pytest.mark.parametrize("size", [0, 64000, 2**40])
def test_a_long_wav_that_was_never_finished(tmp_path, size):
    soundfile.write(tmp_path / "a.wav", noise(4), 16000, format="RF64")
    content = bytearray((tmp_path / "a.wav").read_bytes())
    place = content.index(b"ds64")
    content[place + 16 : place + 24] = size.to_bytes(8, "little")
    (tmp_path / "b.wav").write_bytes(content)
    assert np.array_equal(read_samples(tmp_path / "b.wav"), read_samples(tmp_path / "a.wav"))


def test_a_flac_that_counts_fewer_samples_than_it_has(tmp_path):
    soundfile.write(tmp_path / "a.flac", noise(8), 16000)
    whole = read_samples(tmp_path / "a.flac")
    content = bytearray((tmp_path / "a.flac").read_bytes())
    content[22:26] = (16384).to_bytes(4, "big")
    (tmp_path / "a.flac").write_bytes(content)
    assert np.array_equal(read_samples(tmp_path / "a.flac"), whole)


@pytest.mark.parametrize(("name", "codec"), [("a.m4a", "aac"), ("a.mkv", "aac"), ("a.mov", "pcm_s16le")])
def test_a_container_that_says_less_than_it_has(tmp_path, name, codec):
    """The length in the header of the track, and of the whole, is a quarter."""
    path = write(tmp_path / name, sine(4), codec, 16000)
    whole = read_samples(path)
    content = bytearray(path.read_bytes())
    for box, place in ((b"mdhd", 16), (b"mvhd", 16), (b"tkhd", 20)):
        if (at := content.find(box)) >= 0:
            content[at + 4 + place : at + 8 + place] = (
                int.from_bytes(content[at + 4 + place : at + 8 + place], "big") // 4
            ).to_bytes(4, "big")
    path.write_bytes(content)
    assert len(read_samples(path)) >= len(whole)


def test_a_gap_is_read_in_blocks_and_not_for_ever(tmp_path):
    """Three frames, with two hours between the second and the third: they are not waited for."""
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=16000, layout="mono")
        for place in (0, 600 * 16000, 8000 * 16000):
            frame = av.AudioFrame.from_ndarray(np.full((1, 16000), 1000, np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.pts = 16000, place
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    recording = Recording(tmp_path / "a.mkv")
    lengths = [len(block) for block in recording.blocks()]
    assert max(lengths) <= 11 * 16000 and sum(lengths) / 16000 == pytest.approx(602, abs=0.1)
    assert recording.problems[0] == "has gaps: 599.0 s in all, read as silence"
    assert recording.problems[1] == "has times that jump by 7399.0 s more, which are left out"


def test_an_avi_has_no_gaps_whatever_times_are_made_up_for_it(tmp_path):
    """FFmpeg counts the frames of some codecs in bytes: loud ones would come an hour later than quiet ones."""
    samples = np.round(3000 * np.repeat(noise(1.0)[:, None], 6, axis=1)).astype(np.int16)
    with av.open(str(tmp_path / "a.avi"), "w") as container:
        stream = container.add_stream("flac", rate=16000, layout="5.1")
        for first in range(0, 16000, 1000):
            frame = av.AudioFrame.from_ndarray(samples[first : first + 1000].reshape(1, -1), format="s16", layout="5.1")
            frame.sample_rate, frame.pts = 16000, first
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    recording = Recording(tmp_path / "a.avi")
    assert sum(len(block) for block in recording.blocks()) == 16000 and not recording.problems


def test_blocks_of_many_channels_are_short(tmp_path):
    """192 kHz times 64 channels in blocks of ten seconds would be half a gigabyte each."""
    path = write_wav(tmp_path / "a.wav", np.zeros((192000 * 2, 64), np.int16), 192000, "PCM_16")
    recording = Recording(path)
    assert [block.shape for block in recording.file.blocks(0, None, recording.block)] == [(262144, 64), (121856, 64)]


def test_end_to_end_in_a_codec(tmp_path):
    one = encode(tmp_path / "1.aac", sine(2, 44100), 44100, "aac").read_bytes()
    (tmp_path / "a.aac").write_bytes(2 * one)
    assert len(read_samples(tmp_path / "a.aac")) / 16000 == pytest.approx(4, abs=0.1)


def cut_in_a_page(content):
    """An Ogg that ends in its last page: in its head, in the lengths behind that, or in what is in it."""
    last = content.rindex(b"OggS")
    return [io.BytesIO(content[: last + end]) for end in (20, 27, 28, len(content) - last - 1)]


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
@pytest.mark.parametrize("kind", ["zeros", "missing"])
def test_a_hole_in_an_ogg_is_silence(tmp_path, subtype, kind):
    """libsndfile would say nothing, and what follows would come seconds too early."""
    path = tmp_path / "a.ogg"
    soundfile.write(path, beeps(10), 16000, subtype, format="OGG")
    with open(path, "rb") as file:
        assert is_one_whole_stream(file)
    assert all(map(is_one_whole_stream, cut_in_a_page(path.read_bytes())))
    content, hole = path.read_bytes(), path.stat().st_size // 10
    middle = len(content) // 2
    path.write_bytes(content[:middle] + bytes(hole if kind == "zeros" else 0) + content[middle + hole :])
    recording = Recording(path)
    samples = np.concatenate([block[:, 0] for block in recording.blocks()])
    assert len(samples) == pytest.approx(160000, abs=800)
    assert abs(delay(samples[8 * 16000 :], beeps(10)[8 * 16000 :])) <= 0.005
    assert "has gaps" in recording.problems[0] or "damaged" in recording.problems[0]


def test_an_m4a_behind_another_is_said(tmp_path):
    path = encode(tmp_path / "a.m4a", speech(2.0), 16000, "aac")
    path.write_bytes(path.read_bytes() * 2)
    assert "is several recordings put end to end, of which the first is read" in Recording(path).problems[0]


def test_flac_end_to_end_of_other_kinds_is_said(tmp_path):
    """Nothing that we have reads the second part: it is not lost without a word."""
    soundfile.write(tmp_path / "a.flac", speech(3), 16000)
    soundfile.write(tmp_path / "b.flac", speech(3), 16000, subtype="PCM_24")
    (tmp_path / "c.flac").write_bytes((tmp_path / "a.flac").read_bytes() + (tmp_path / "b.flac").read_bytes())
    recording = Recording(tmp_path / "c.flac")
    list(recording.blocks())
    assert recording.problems, "nothing is said"


def test_an_au_behind_another_is_said(tmp_path):
    soundfile.write(tmp_path / "a.au", speech(3), 16000)
    recording = Recording(tmp_path / "a.au")
    list(recording.blocks())
    assert recording.problems == []
    (tmp_path / "b.au").write_bytes(2 * (tmp_path / "a.au").read_bytes())
    recording = Recording(tmp_path / "b.au")
    read = sum(map(len, recording.blocks()))
    assert read >= 6 * 16000 or "holds more behind 3.0 s" in " ".join(recording.problems)


def test_an_aiff_that_says_half_of_what_it_has(tmp_path):
    soundfile.write(tmp_path / "a.aiff", speech(4), 16000)
    data = (tmp_path / "a.aiff").read_bytes()
    common = data.find(b"COMM") + 10  # how many samples
    sound = data.find(b"SSND") + 4
    half = bytearray(data)
    half[4:8] = struct.pack(">I", len(data) // 2)
    half[common : common + 4] = struct.pack(">I", 32000)
    half[sound : sound + 4] = struct.pack(">I", 64008)
    (tmp_path / "b.aiff").write_bytes(half)
    recording = Recording(tmp_path / "b.aiff")
    read = sum(map(len, recording.blocks()))
    assert read >= 4 * 16000 - 100 or "holds more behind 2.0 s" in " ".join(recording.problems)


def test_an_au_whose_size_is_none_is_read(tmp_path):
    soundfile.write(tmp_path / "a.au", speech(3), 16000)
    data = bytearray((tmp_path / "a.au").read_bytes())
    data[8:12] = struct.pack(">I", 0x7FFFFFFF)
    (tmp_path / "a.au").write_bytes(data)
    assert len(read_samples(tmp_path / "a.au")) == pytest.approx(3 * 16000, abs=100)
