"""wav, flac, mp3, ogg, opus and what else libsndfile reads."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from asr.audio.headers import goes_on, is_cut_off
from asr.errors import AudioError

UNKNOWN_FRAMES = 2**62
"""libsndfile gives the largest integer for a length that the header leaves open."""


class SoundFile:
    """A file that libsndfile can open, and read to its end. Raises UnknownFormat for others."""

    def __init__(self, path: Path):
        self.path = path
        if goes_on(path):
            raise UnknownFormat
        try:
            self.file = soundfile.SoundFile(os.fsencode(path))  # bytes: a name need not be UTF-8
        except (soundfile.LibsndfileError, TypeError) as error:  # TypeError: a suffix like .raw, which it cannot guess
            raise UnknownFormat from error
        if self.file.frames >= UNKNOWN_FRAMES:
            self.file.close()
            raise UnknownFormat
        self.rate, self.channels = self.file.samplerate, self.file.channels
        self.seconds: float | None = self.file.frames / self.rate
        self.cut_off = is_cut_off(path)

    def blocks(self, start: float, duration: float | None, seconds: float) -> Iterator[np.ndarray]:
        """Arrays (S, channels) float32 of at most `seconds`. Raises AudioError where the file is damaged."""
        left = self.file.frames if duration is None else round(duration * self.rate)
        position = min(round(start * self.rate), self.file.frames)
        size = int(seconds * self.rate)
        with self.file as file:
            try:
                if position:
                    file.seek(position)
                while left > 0:
                    block = file.read(min(left, size), dtype="float32", always_2d=True)
                    if not len(block):
                        return
                    left -= len(block)
                    position += len(block)
                    yield block
            except soundfile.LibsndfileError as error:
                for block in self._rest(position, min(left, size)):
                    position += len(block)
                    yield block
                raise AudioError(
                    f"{self.path}: damaged or truncated; could not be read past {position / self.rate:.1f} s ({error})"
                ) from error

    def _rest(self, position: int, n: int) -> Iterator[np.ndarray]:
        """What can still be read of n samples that cannot be read together."""
        step = max(1, self.rate // 10)
        with soundfile.SoundFile(os.fsencode(self.path)) as file:
            try:
                file.seek(position)
                for first in range(0, n, step):
                    yield file.read(min(step, n - first), dtype="float32", always_2d=True)
            except soundfile.LibsndfileError:
                return

    def close(self) -> None:
        self.file.close()


class UnknownFormat(Exception):
    """FFmpeg must try: not libsndfile's format, or a FLAC stream that does not say its length."""
