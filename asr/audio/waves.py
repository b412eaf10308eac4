"""WAV files whose headers do not tell where their samples end.

Recorders write the size of the samples last, and some never do; programs that write into a pipe put a placeholder there;
sizes beyond 4 GB begin at 0 again; and `cat` puts several files end to end. What is behind the samples that the header
knows is looked at: other chunks, tags and zeros are no sound, the rest is.
"""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from asr.audio.conform import Conform

MOST_CHUNKS = 10_000
PLAIN, EXTENDED = b"\1\0", b"\xfe\xff"
"""Formats in a header: whole numbers, and what is said in 24 more bytes."""
PLAIN_SIZES = (PLAIN, b"\3\0", b"\x92\0", b"\x64\1")
"""Those that have the sizes of whole numbers: these, floats, and what goes through a digital output (S/PDIF)."""
WHOLE_NUMBERS = (16, 24, 32)
"""Bits."""
FORMS = (b"RIFF", b"RF64", b"BW64")
TAGS = (b"ID3", b"TAG", b"APETAGEX", b"LYRICS", b"<?xpacket", b"<?xml")
"""How tags begin that are put behind a file."""
CHUNKS = (
    b"LIST",
    b"id3 ",
    b"ID3 ",
    b"bext",
    b"iXML",
    b"cue ",
    b"smpl",
    b"JUNK",
    b"junk",
    b"PAD ",
    b"fact",
    b"FLLR",
    b"_PMX",
)
"""Names of what else a WAV has."""
LEAST = 64
"""Bytes behind the samples that may be some more."""
LOOKED_AT = 2**16
"""Bytes of what is behind them by which it is judged."""
EVEN = 7.9
"""Bits of information in a byte above which it is packed or encrypted data."""
LONGEST = 2**31 - 2**16
"""Bytes of samples that are read as one file, for the libraries' sake."""


@dataclass(frozen=True)
class Wave:
    """Samples in a file that have a header, their own or one that they share with others."""

    header: bytes
    """All that is before samples, with sizes that are right."""
    first: int
    """Byte of the file at which the samples begin."""
    end: int
    """Byte behind them."""


def find_waves(path: Path) -> tuple[Wave, ...]:
    """The waves of a file whose header does not tell how many samples there are; none for all other files."""
    status = os.stat(path)
    return _find_waves(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=10_000)
def _find_waves(path: Path, size: int, changed: int) -> tuple[Wave, ...]:
    """Remembered, because training reads many pieces of one file."""
    waves: list[Wave] = []
    begin, right = 0, True
    with open(path, "rb") as file:
        while begin is not None and len(waves) < MOST_CHUNKS:
            found = _wave(file, begin, size)
            if found is None:
                break
            header, first, end, told, begin = found
            mended = _mended(header)
            right = right and end == told and begin is None and mended is header
            waves += _pieces(mended, first, end)
    return () if right else tuple(waves)


def _wave(file: BinaryIO, begin: int, size: int) -> tuple[bytes, int, int, int, int | None] | None:
    """(header, first byte of the samples, their end, their end by the header, where the next begins) of the wave that begins
    there; None for anything else."""
    file.seek(begin)
    head = file.read(12)
    if head[:4] not in FORMS or head[8:] != b"WAVE":
        return None
    place, long = begin + 12, 0xFFFFFFFF
    for _ in range(MOST_CHUNKS):
        file.seek(place)
        head = file.read(8)
        if len(head) < 8:
            return None
        length = int.from_bytes(head[4:], "little")
        if head[:4] == b"ds64":  # the sizes that have no place in 32 bits
            long = int.from_bytes(file.read(16)[8:], "little")
        if head[:4] == b"data":
            length = long if length == 0xFFFFFFFF else length
            break
        place += 8 + length + length % 2
    else:
        return None
    first = place + 8
    if first - begin > 2**24:
        return None
    file.seek(begin)
    header = file.read(first - begin)
    told = min(first + length, size)
    rest = _behind(file, told, size) if first + length <= size else None
    # where more than the rest is said to be samples, there may be other waves among them
    end = told if rest is not None else _next_wave(file, told if told < size else first, size)
    following = end if rest is None else rest
    return header, first, end, told, following if following < size else None


def _behind(file: BinaryIO, end: int, size: int) -> int | None:
    """Where another wave begins behind samples that end where the header says, `size` for nowhere; None if they go on."""
    for place in (end, end + 1):  # chunks begin at even places, but not all programs know
        if size - place < LEAST:
            return size
        behind = place
        for _ in range(MOST_CHUNKS):
            file.seek(behind)
            head = file.read(12)
            if head[:4] in FORMS and head[8:] == b"WAVE":
                return behind
            if size - behind < LEAST or head.startswith(TAGS):
                return size
            length = int.from_bytes(head[4:8], "little")
            if head[:4] in CHUNKS and behind + 8 + length > size:  # cut off
                return size
            if not _is_name(head[:4]) or behind + 8 + length > size + 1:
                break
            behind += 8 + length + length % 2
        if behind > place:  # at least one whole chunk
            return size
    file.seek(end)
    return None if _may_be_samples(file, end) else size


def _is_name(name: bytes) -> bool:
    return len(name) == 4 and all(byte == 32 or chr(byte).isalnum() or byte == 95 for byte in name) and name[:1] != b" "


def _may_be_samples(file: BinaryIO, place: int) -> bool:
    """Whether bytes are neither all zero, nor text, nor as evenly spread as what is packed or encrypted."""
    file.seek(place)
    some = np.frombuffer(file.read(LOOKED_AT), np.uint8)
    if not some.any():
        while block := file.read(2**20):
            if block.strip(b"\0"):
                return True
        return False
    counts = np.bincount(some, minlength=256)
    if counts[9:14].sum() + counts[32:127].sum() > 0.99 * len(some):
        return False
    # twelfths: in one of them are upper bytes, of samples of any size
    return min(_evenness(some[place::12]) for place in range(12)) < EVEN


def _evenness(some: np.ndarray) -> float:
    """Bits of information in a byte, about 8 for random ones."""
    shares = np.bincount(some, minlength=256) / max(1, len(some))
    shares = shares[shares > 0]
    return float(-(shares * np.log2(shares)).sum()) + 255 / (2 * max(1, len(some)) * np.log(2))


def _next_wave(file: BinaryIO, place: int, size: int) -> int:
    """Where the header of another wave stands; `size` for nowhere."""
    file.seek(place)
    kept, at = b"", place
    while block := file.read(2**20):
        kept += block
        found = kept.find(b"RIFF")
        while found >= 0:
            if kept[found + 8 : found + 12] == b"WAVE":
                return at + found
            found = kept.find(b"RIFF", found + 1)
        at += max(0, len(kept) - 11)
        kept = kept[-11:]
    return size


def _mended(header: bytes) -> bytes:
    """With the plain format where the header names another one that cannot be: an extension of it that is not there, or a codec
    where sizes are those of whole numbers of 16 bits and more, which no codec has."""
    place = header.find(b"fmt ")
    if place < 0 or len(header) < place + 24:
        return header
    length, code, channels, rate, speed, align, bits = struct.unpack("<I2sHIIHH", header[place + 4 : place + 24])
    plain = bits in WHOLE_NUMBERS and align == channels * bits // 8 and speed == rate * align
    right = length >= 40 if code == EXTENDED else code in PLAIN_SIZES or not plain
    return header if right else header[: place + 8] + PLAIN + header[place + 10 :]


def _pieces(header: bytes, first: int, end: int) -> Iterator[Wave]:
    """Samples under headers of at most LONGEST bytes each."""
    place = header.find(b"fmt ")
    align = max(1, int.from_bytes(header[place + 20 : place + 22], "little")) if place >= 0 else 1
    step = LONGEST // align * align
    for begin in range(first, max(end, first + 1), step):
        n = min(step, end - begin)
        sized = (len(header) + n - 8).to_bytes(4, "little")
        yield Wave(b"RIFF" + sized + header[8:-4] + n.to_bytes(4, "little"), begin, begin + n)


class Window:
    """A wave as a file by itself, in the way that soundfile reads file objects."""

    def __init__(self, file: BinaryIO, wave: Wave):
        self.file, self.wave = file, wave
        self.size = len(wave.header) + wave.end - wave.first
        self.place = 0

    def seek(self, offset: int, whence: int = 0) -> int:
        self.place = max(0, offset + (0, self.place, self.size)[whence])
        return self.place

    def tell(self) -> int:
        return self.place

    def read(self, n: int = -1) -> bytes:
        n = min(n if n >= 0 else self.size, max(0, self.size - self.place))
        head = self.wave.header[self.place : self.place + n]
        self.file.seek(self.wave.first + max(0, self.place - len(self.wave.header)))
        data = head + self.file.read(n - len(head))
        self.place += len(data)
        return data

    def write(self, data: bytes) -> int:
        raise OSError("is read only")


class WaveFile:
    """The waves of a file one behind the other, at the rate and with the channels of the first."""

    def __init__(self, path: Path, file: BinaryIO, waves: tuple[Wave, ...]):
        self.path, self.file, self.waves = path, file, waves
        self.cut_off = self.goes_on = self.whole = self.more_is_sound = False
        heads = [self._opened(wave) for wave in waves]
        self.rate, self.channels = heads[0].samplerate, heads[0].channels
        self.seconds: float | None = sum(head.frames / head.samplerate for head in heads)

    def _opened(self, wave: Wave) -> soundfile.SoundFile:
        return soundfile.SoundFile(Window(self.file, wave))

    def blocks(self, start: float, duration: float | None, frames: int) -> Iterator[np.ndarray]:
        """Arrays (S, channels) float32 of at most about so many frames."""
        skip, left = round(start * self.rate), None if duration is None else round(duration * self.rate)
        for samples in self._samples(frames):
            part = samples[skip:] if left is None else samples[skip : skip + left]
            skip = max(0, skip - len(samples))
            left = None if left is None else left - len(part)
            if len(part):
                yield part
            if left is not None and left <= 0:
                return

    def _samples(self, frames: int) -> Iterator[np.ndarray]:
        conform = Conform(self.rate, self.channels)
        for wave in self.waves:
            with self._opened(wave) as opened:
                while len(block := opened.read(frames, dtype="float32", always_2d=True)):
                    yield from conform.add(block, opened.samplerate)
        yield from conform.finish()

    def close(self) -> None:
        self.file.close()
