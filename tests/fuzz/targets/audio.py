"""Recordings in many containers and codecs: damaged, cut, put end to end, and with other sizes, rates and channels."""

import io
import struct
from functools import cache
from pathlib import Path
from random import Random

import av
import numpy as np
import soundfile

from asr.audio.reading import MIX, SAMPLE_RATE, Recording, audio_duration
from asr.transcription.recordings import louder_tracks
from tests.fuzz.mutate import INTERESTING, MOST_BYTES, Files, mutate_bytes
from tests.fuzz.target import Target
from tests.sounds import speech

NAME = "audio"
SECONDS = 0.25
SOUNDFILE = [
    ("WAV", "PCM_16", 1),
    ("WAV", "PCM_24", 2),
    ("WAV", "FLOAT", 1),
    ("WAV", "ULAW", 1),
    ("WAV", "IMA_ADPCM", 1),
    ("WAV", "MS_ADPCM", 2),
    ("WAV", "GSM610", 1),
    ("WAVEX", "PCM_16", 2),
    ("RF64", "PCM_16", 1),
    ("AIFF", "PCM_16", 2),
    ("AU", "ALAW", 1),
    ("CAF", "PCM_16", 1),
    ("CAF", "ALAC_16", 1),
    ("W64", "PCM_16", 1),
    ("FLAC", "PCM_16", 2),
    ("FLAC", "PCM_24", 1),
    ("OGG", "VORBIS", 2),
    ("OGG", "OPUS", 1),
    ("MP3", "MPEG_LAYER_III", 1),
    ("NIST", "PCM_16", 1),
    ("VOC", "PCM_16", 1),
    ("IRCAM", "PCM_16", 1),
    ("AVR", "PCM_16", 1),
    ("SVX", "PCM_16", 1),
    ("MAT5", "PCM_16", 1),
    ("HTK", "PCM_16", 1),
    ("PVF", "PCM_16", 1),
    ("XI", "DPCM_16", 1),
    ("SDS", "PCM_16", 1),
]
"""Format, coding and channels."""
FFMPEG = [
    ("ipod", "aac", 16000, "stereo"),
    ("mp4", "aac", 44100, "7.1"),
    ("mov", "pcm_s16le", 16000, "mono"),
    ("ipod", "alac", 16000, "stereo"),
    ("matroska", "flac", 16000, "7.1"),
    ("matroska", "pcm_s16le", 48000, "hexadecagonal"),
    ("webm", "libopus", 48000, "stereo"),
    ("adts", "aac", 16000, "mono"),
    ("mpegts", "aac", 16000, "stereo"),
    ("mpegts", "mp2", 16000, "mono"),
    ("avi", "libmp3lame", 16000, "mono"),
    ("asf", "wmav2", 16000, "mono"),
    ("asf", "wmav1", 16000, "stereo"),
    ("amr", "libopencore_amrnb", 8000, "mono"),
    ("3gp", "libopencore_amrnb", 8000, "mono"),
    ("mp3", "libmp3lame", 16000, "mono"),
    ("ac3", "ac3", 32000, "stereo"),
    ("eac3", "eac3", 32000, "5.1"),
    ("wv", "wavpack", 16000, "stereo"),
    ("tta", "tta", 16000, "stereo"),
    ("flv", "adpcm_swf", 44100, "mono"),
    ("wav", "adpcm_ms", 16000, "stereo"),
    ("w64", "pcm_s16le", 16000, "mono"),
    ("nut", "pcm_s16le", 16000, "mono"),
    ("mpeg", "mp2", 16000, "mono"),
    ("dts", "dca", 48000, "5.1(side)"),
    ("rm", "ac3", 44100, "stereo"),
    ("truehd", "truehd", 48000, "stereo"),
    ("g722", "g722", 16000, "mono"),
    ("sbc", "sbc", 16000, "mono"),
]
"""Format, codec, rate and layout."""
LISTS = [
    b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n/etc/hostname\n",
    b"ffconcat version 1.0\nfile other.mp3\n",
    b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 5004 RTP/AVP 0\r\n",
    b'<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period><BaseURL>a</BaseURL></Period></MPD>',
    b"[playlist]\nFile1=http://127.0.0.1:1/a.mp3\nNumberOfEntries=1\n",
    b"\x02#!SILK_V3\x0c\0" + b"\x55" * 50,
    b"<!DOCTYPE html><html><body>404</body></html>",
]


def sound(rate: int, channels: int) -> np.ndarray:
    """(S, channels): somebody talks, in each channel a little later."""
    samples = speech(SECONDS, rate=rate)
    return np.stack([np.roll(samples, 37 * channel) for channel in range(channels)], axis=1)


def by_soundfile(format: str, coding: str, channels: int) -> bytes:
    """A file of libsndfile's; of no bytes where this build lacks the coding."""
    out = io.BytesIO()
    try:
        soundfile.write(out, sound(16000, channels), 16000, subtype=coding, format=format)
    except (soundfile.LibsndfileError, ValueError):
        return b""
    return out.getvalue()


def by_ffmpeg(format: str, codec: str, rate: int, layout: str, tracks: int = 1) -> bytes:
    """A file of FFmpeg's, with the same track so many times; of no bytes where this build lacks the encoder."""
    out = io.BytesIO()
    channels = av.AudioLayout(layout).nb_channels
    samples = np.ascontiguousarray(sound(rate, channels).reshape(1, -1))
    try:
        with av.open(out, "w", format=format) as container:
            streams = [container.add_stream(codec, rate=rate, layout=layout) for _ in range(tracks)]
            for stream in streams:
                frame = av.AudioFrame.from_ndarray(samples, format="flt", layout=layout)  # packed: planes are not safe
                frame.sample_rate, frame.pts = rate, 0
                stream.codec_context.open(strict=False)
                size = stream.codec_context.frame_size or 1024
                resampler = av.AudioResampler(stream.format.name, layout, rate, frame_size=size)
                for part in [*resampler.resample(frame), *resampler.resample(None)]:
                    container.mux(stream.encode(part))
                container.mux(stream.encode(None))
    except (av.FFmpegError, ValueError, OSError):
        return b""
    return out.getvalue()


@cache
def soundfile_seeds() -> list[Files]:
    return _named([by_soundfile(*one) for one in SOUNDFILE])


@cache
def ffmpeg_seeds() -> list[Files]:
    made = [by_ffmpeg(*one) for one in FFMPEG] + [by_ffmpeg("matroska", "aac", 16000, "mono", tracks=3)]
    return _named(made + LISTS)


def wave_seeds() -> list[Files]:
    return soundfile_seeds()[:9]


def _named(contents: list[bytes]) -> list[Files]:
    return [{NAME: content} for content in contents if content]


def mutate_audio(random: Random, seeds: list[Files]) -> Files:
    """A recording with some bytes changed, several put end to end, or another size behind the name of a chunk."""
    data = random.choice(seeds)[NAME]
    others = [seed[NAME] for seed in seeds]
    change = random.randrange(8)
    if change == 0:
        data = b"".join(random.choices(others, k=random.choice([1, 2, 5]))) + data * random.choice([1, 2, 3])
    elif change == 1:
        data = data[: random.randrange(len(data) + 1)] + random.choice(others)
    elif change in (2, 3):
        data = _other_claim(random, data)
    if change or random.random() < 0.5:
        data = mutate_bytes(random, data, others)
    return {NAME: data[:MOST_BYTES]}


def _other_claim(random: Random, data: bytes) -> bytes:
    """A number near the name of a chunk, box or element, or anywhere among the first, is another."""
    names = [b"RIFF", b"data", b"fmt ", b"FORM", b"SSND", b"COMM", b"mdhd", b"stsz", b"stsd", b"stts", b"mvhd", b"trak"]
    names += [b"elst", b"OggS", b"Xing", b"Info", b"fLaC", b"desc", b"wvpk", b"TTA1", b"strf", b"strh"]
    found = [place for name in names if (place := data.find(name)) >= 0]
    place = max(0, (random.choice(found) if found else 0) + random.randrange(-4, 40))
    order = random.choice("<>")
    width = random.choice("BHIQ")
    number = random.choice([*INTERESTING, 3, 5, 8, 16, 48, 1000, 8000, 192000, 10**6, 2 * 10**9])
    packed = struct.pack(order + width, number % 256 ** struct.calcsize(width))
    return data[:place] + packed + data[place + len(packed) :]


def read_whole(folder: Path) -> None:
    """Reads a recording whole, and in one more way, which its size decides: for each input the same."""
    path = folder / NAME
    if not path.is_file():
        return
    n = _check(path, MIX)
    way = path.stat().st_size % 4
    if n > 100 * SAMPLE_RATE:
        return  # the other ways would only take as long again
    if way == 0:
        _check(path, None)
    elif way == 1:
        assert sum(map(len, Recording(path).blocks(0.1, 0.1))) <= 1601
    elif way == 2:
        assert audio_duration(path) >= 0
    else:
        list(louder_tracks(Recording(path)))


def _check(path: Path, channel: int | None) -> int:
    """Reads a recording and returns how many samples it has."""
    recording = Recording(path)
    n = 0
    for block in recording.blocks(channel=channel):
        n += len(block)
        assert block.dtype == np.float32 and block.shape[1] == (recording.channels if channel is None else 1)
        assert np.isfinite(block).all() and np.abs(block).max(initial=0) < 5  # the resampling filter overshoots
    return n


TARGETS = {
    "audio_waves": Target(read_whole, wave_seeds, mutate_audio, in_tests=60),
    "audio_soundfiles": Target(read_whole, soundfile_seeds, mutate_audio, in_tests=60),
    "audio_containers": Target(read_whole, ffmpeg_seeds, mutate_audio, in_tests=80),
}
