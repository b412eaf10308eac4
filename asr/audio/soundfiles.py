"""wav, flac, mp3, ogg, opus and what else libsndfile reads."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from asr.audio.delays import OF_SUBTYPES
from asr.audio.foreign import decoding
from asr.audio.headers import bytes_behind_form, counts_mp3, goes_on, is_cut_off, is_whole_mp3
from asr.audio.waves import WaveFile, find_waves
from asr.errors import AudioError

UNKNOWN_FRAMES = 2**62
"""libsndfile gives the largest integer for a length that the header leaves open."""
SAMPLE_DUMP = b"\xf0\x7e"
"""How MIDI sample dumps begin, about whose damage libsndfile writes to stdout."""
MISREAD = ("VOC", "W64")
"""Formats that libsndfile reads wrongly at times, without a word: a VOC of several blocks of 16 bits, floats in a W64."""
UNREAD = 2**12
"""Bytes behind what has been read that may hold more; the decoder itself reads ahead less."""


def open_sound(path: Path) -> "SoundFile | WaveFile":
    """A file that libsndfile can open and read to its end. Raises UnknownFormat for others."""
    # without a buffer, for libsndfile reads from where the descriptor stands
    file = open(path, "rb", buffering=0)  # noqa: SIM115
    try:
        if file.read(2) == SAMPLE_DUMP or goes_on(path):
            raise UnknownFormat
        if waves := find_waves(path):
            return WaveFile(path, file, waves)
        return SoundFile(path, file)
    except (soundfile.LibsndfileError, TypeError) as error:
        file.close()
        raise UnknownFormat from error
    except BaseException:
        file.close()
        raise


class SoundFile:
    """A file that libsndfile opens. Raises what soundfile raises for others, and UnknownFormat where it would be wrong."""

    def __init__(self, path: Path, raw: BinaryIO):
        self.path, self.raw = path, raw
        raw.seek(0)
        # a descriptor, not a name: there are formats that libsndfile finds by their suffix, or reads from a file beside it
        self.file = soundfile.SoundFile(raw.fileno(), closefd=False)
        self.size = os.fstat(raw.fileno()).st_size
        guessed = self.file.format == "MP3" and not counts_mp3(path)
        nothing = not self.file.frames and self.size > UNREAD  # a size that is none, of an AU for instance
        if self.file.frames >= UNKNOWN_FRAMES or guessed or nothing or self.file.format in MISREAD:
            self.file.close()
            raise UnknownFormat
        self.file_format: str = self.file.format
        self.rate, self.channels = self.file.samplerate, self.file.channels
        self.ahead = OF_SUBTYPES.get(self.file.subtype, 0) if self.file.format != "MP3" else 0
        """Samples before the first that was recorded; of an MP3 libsndfile leaves them out."""
        self.seconds: float | None = max(0, self.file.frames - self.ahead) / self.rate
        self.cut_off = is_cut_off(path)
        self.whole = self.file.format == "MP3" and is_whole_mp3(path)
        """Whether nothing can be missing at its end, even if it turns out to be shorter than its header says."""
        self.goes_on = False
        """Whether there may be more behind the end that the header gives; known once that has been read."""

    def blocks(self, start: float, duration: float | None, frames: int) -> Iterator[np.ndarray]:
        """Arrays (S, channels) float32 of at most so many frames. Raises AudioError where the file is damaged."""
        left = self.file.frames - self.ahead if duration is None else round(duration * self.rate)
        position = min(self.ahead + round(start * self.rate), self.file.frames)
        try:
            with decoding(self.path):
                if position:
                    self.file.seek(position)
                while left > 0:
                    block = self.file.read(min(left, frames), dtype="float32", always_2d=True)
                    if not len(block):
                        break
                    left -= len(block)
                    position += len(block)
                    yield block
                self.goes_on = duration is None and self._has_more()
        except AudioError as error:
            for block in self._rest(position, min(left, frames)):
                position += len(block)
                yield block
            raise AudioError(
                f"{self.path}: damaged or truncated; could not be read past {position / self.rate:.1f} s"
                f" ({error.__cause__ or error})"
            ) from error
        finally:
            self.close()

    @property
    def more_is_sound(self) -> bool:
        """Whether what is behind the end can be nothing but sound: an MP3 can end in tags with pictures."""
        return self.file_format != "MP3"

    def _has_more(self) -> bool:
        unread = self.size - os.lseek(self.raw.fileno(), 0, os.SEEK_CUR)
        if self.file_format == "AIFF":  # chunks of other kinds may follow, within the size of the whole
            return bytes_behind_form(self.path) > UNREAD
        return self.file_format in ("FLAC", "MP3", "AU") and unread > max(
            UNREAD, self.size // 10 * (self.file_format == "MP3")
        )

    def _rest(self, position: int, n: int) -> Iterator[np.ndarray]:
        """What can still be read of n samples that cannot be read together."""
        step = max(1, self.rate // 10)
        self.raw.seek(0)
        try:
            with soundfile.SoundFile(self.raw.fileno(), closefd=False) as file:
                file.seek(position)
                for first in range(0, n, step):
                    yield file.read(min(step, n - first), dtype="float32", always_2d=True)
        except Exception:  # why, is known from the first time
            return

    def close(self) -> None:
        self.file.close()
        self.raw.close()


class UnknownFormat(Exception):
    """FFmpeg must try: not libsndfile's format, one that it misreads, or one whose header does not say its length."""
