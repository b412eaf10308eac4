"""Any recording as blocks of 16 kHz mono float32: soundfile where it can, PyAV for every other container.

A recording is a stream: nothing here holds more than one block, however long the file is.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import soundfile
import soxr

from asr.errors import AudioError

SAMPLE_RATE = 16000
BLOCK_SECONDS = 10.0
MOST_CHANNELS = 64
"""An array with more columns was given as (channels, samples)."""
UNKNOWN_FRAMES = 2**62
"""libsndfile gives the largest integer for a length that the header leaves open."""
AUDIO_SUFFIXES = frozenset(
    ".wav .flac .mp3 .ogg .opus .oga .m4a .aac .wma .amr .mp4 .mkv .webm .mov .aif .aiff .au .caf .w64".split()
)


def read_blocks(
    path: str | Path, start: float = 0.0, duration: float | None = None, channel: int | None = None
) -> Iterator[np.ndarray]:
    """The recording, or `duration` seconds of it from `start`, as arrays (S,) float32 in [-1, 1] at 16 kHz.

    One channel, counted from 0, or the average of all. Raises AudioError for a file that is missing, empty, not audio,
    damaged, or that holds samples which are not numbers.
    """
    path = Path(path)
    _check_file(path)
    file = _open_with_soundfile(path)
    if file is None:
        yield from _cut(_read_with_av(path, channel), start, duration)
        return
    with file:
        rate = file.samplerate
        blocks = _soundfile_blocks(file, path, start, duration, channel)
        yield from _resampled(_checked(blocks, path, rate, start), rate)


def read_samples(
    path: str | Path, start: float = 0.0, duration: float | None = None, channel: int | None = None
) -> np.ndarray:
    """The same in one array (S,), for recordings that are known to be short."""
    blocks = list(read_blocks(path, start, duration, channel))
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def audio_duration(path: str | Path) -> float:
    """Seconds of audio in a file, from its header where the header says it."""
    path = Path(path)
    _check_file(path)
    file = _open_with_soundfile(path)
    if file is None:
        return sum(len(block) for block in read_blocks(path)) / SAMPLE_RATE
    with file:
        return file.frames / file.samplerate


def resample(samples: np.ndarray, rate: int) -> np.ndarray:
    """An array (S,) or (S, channels) at any rate as 16 kHz mono; signed whole numbers are scaled to [-1, 1].

    Raises AudioError for anything else: samples that are not numbers, other shapes, unsigned numbers, no rate.
    """
    if samples.ndim not in (1, 2) or (samples.ndim == 2 and samples.shape[1] > MOST_CHANNELS):
        raise AudioError(f"array: must be (samples,) or (samples, channels), is {samples.shape}")
    if not (np.issubdtype(samples.dtype, np.floating) or np.issubdtype(samples.dtype, np.signedinteger)):
        raise AudioError(f"array: must hold floats or signed integers, holds {samples.dtype}")
    if not rate > 0:
        raise AudioError(f"array: the sample rate must be above 0, is {rate}")
    scale = -1.0 / np.iinfo(samples.dtype).min if np.issubdtype(samples.dtype, np.signedinteger) else 1.0
    mono = _mono(samples.astype(np.float32) * np.float32(scale), None, "array")
    if not np.isfinite(mono).all():
        raise AudioError("array: holds samples that are not numbers")
    blocks = list(_resampled([mono.clip(-1, 1)], rate))
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def _check_file(path: Path) -> None:
    try:
        with open(path, "rb") as file:
            if not file.read(1):
                raise AudioError(f"{path}: the file is empty (0 bytes)")
    except FileNotFoundError:
        raise AudioError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise AudioError(f"{path}: is a folder, not an audio file") from None
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL
        raise AudioError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error


def _open_with_soundfile(path: Path) -> soundfile.SoundFile | None:
    """The open file, or None where FFmpeg must try: not soundfile's format, or a FLAC stream that does not say its length."""
    try:
        file = soundfile.SoundFile(os.fsencode(path))  # bytes: a name need not be UTF-8
    except (soundfile.LibsndfileError, TypeError):  # TypeError: a suffix like .raw, which soundfile cannot guess
        return None
    if file.frames < UNKNOWN_FRAMES:
        return file
    file.close()
    return None


def _mono(block: np.ndarray, channel: int | None, name: Path | str) -> np.ndarray:
    """One channel, or the average, of (S, channels); (S,) as it is."""
    if block.ndim == 1:
        return block
    if channel is None:
        return block.mean(axis=1)
    if channel >= block.shape[1]:
        raise AudioError(f"{name}: has {block.shape[1]} channels, counted from 0; there is no channel {channel}")
    return block[:, channel]


def _soundfile_blocks(
    file: soundfile.SoundFile, path: Path, start: float, duration: float | None, channel: int | None
) -> Iterator[np.ndarray]:
    rate = file.samplerate
    left = file.frames if duration is None else round(duration * rate)
    position = round(start * rate)
    try:
        if position:
            file.seek(min(position, file.frames))
        while left > 0:
            block = file.read(min(left, int(BLOCK_SECONDS * rate)), dtype="float32", always_2d=True)
            if not len(block):
                return
            left -= len(block)
            position += len(block)
            yield _mono(block, channel, path)
    except soundfile.LibsndfileError as error:
        raise AudioError(
            f"{path}: damaged or truncated; could not be read past {position / rate:.1f} s ({error})"
        ) from error


def _resampled(blocks: Iterable[np.ndarray], rate: int) -> Iterator[np.ndarray]:
    if rate == SAMPLE_RATE:
        yield from blocks
        return
    stream = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32", quality="HQ")
    for block in blocks:
        resampled = stream.resample_chunk(block)
        if len(resampled):
            yield resampled
    tail = stream.resample_chunk(np.zeros(0, np.float32), last=True)
    if len(tail):
        yield tail


def _read_with_av(path: Path, channel: int | None) -> Iterator[np.ndarray]:
    import av  # half a tenth of a second that wav, flac, mp3, ogg and opus need not pay

    try:
        # an open file, not a name: FFmpeg takes names like concat:x or http:x for something else
        with open(path, "rb") as file, av.open(file, metadata_errors="ignore") as container:
            if not container.streams.audio:
                raise AudioError(f"{path}: holds no audio")
            stream = container.streams.audio[0]
            if not stream.rate:
                raise AudioError(f"{path}: not recognised as audio")
            rate = stream.rate
            yield from _resampled(_checked(_av_blocks(container, stream, path, channel), path, rate), rate)
    except av.error.EOFError:
        return  # a header and nothing behind it: 0 seconds
    except av.error.FFmpegError as error:
        raise AudioError(f"{path}: not recognised as audio, or damaged ({error.strerror})") from error
    except ValueError as error:
        raise AudioError(f"{path}: not recognised as audio ({error})") from error


def _av_blocks(container, stream, path: Path, channel: int | None) -> Iterator[np.ndarray]:
    """Decoded frames gathered into blocks: a frame is some 20 ms, too little to hand around singly."""
    import av

    to_float = av.AudioResampler(format="fltp", rate=stream.rate)
    gathered: list[np.ndarray] = []
    wanted = int(BLOCK_SECONDS * stream.rate)
    for frame in container.decode(stream):
        gathered += [_mono(f.to_ndarray().T, channel, path) for f in to_float.resample(frame)]
        if sum(map(len, gathered)) >= wanted:
            yield np.concatenate(gathered)
            gathered = []
    gathered += [_mono(f.to_ndarray().T, channel, path) for f in to_float.resample(None)]
    if gathered:
        yield np.concatenate(gathered)


def _checked(blocks: Iterable[np.ndarray], path: Path, rate: int, start: float = 0.0) -> Iterator[np.ndarray]:
    position = 0
    for block in blocks:
        if not np.isfinite(block).all():
            bad = int(np.argmin(np.isfinite(block)))
            raise AudioError(
                f"{path}: the sample at {start + (position + bad) / rate:.3f} s is {block[bad]}, not a number;"
                " write the file again from its source"
            )
        position += len(block)
        yield block.clip(-1, 1)  # a single absurd sample would drown everything in the features


def _cut(blocks: Iterable[np.ndarray], start: float, duration: float | None) -> Iterator[np.ndarray]:
    first = round(start * SAMPLE_RATE)
    end = None if duration is None else first + round(duration * SAMPLE_RATE)
    position = 0
    for block in blocks:
        part = block[max(0, first - position) : None if end is None else max(0, end - position)]
        position += len(block)
        if len(part):
            yield part
        if end is not None and position >= end:
            return
