"""Any recording as blocks of 16 kHz float32: libsndfile where it can, FFmpeg's libraries for every other container.

A recording is a stream: nothing here holds more than one block, however long the file is.
"""

import re
from collections.abc import Iterable, Iterator
from numbers import Real
from pathlib import Path
from shlex import quote

import numpy as np
import soxr

from asr.audio.ffmpeg import INSTALL, NoFfmpeg, open_container_file
from asr.audio.foreign import MOST_VALUES, decoding
from asr.audio.mixing import Mixer
from asr.audio.soundfiles import SoundFile, UnknownFormat, open_sound
from asr.audio.waves import WaveFile
from asr.errors import AudioError
from asr.foreign_bytes import quoted

SAMPLE_RATE = 16000
BLOCK_SECONDS = 10.0
RATES = (1_000, 1_000_000)
"""Samples a second that can be meant."""
MOST_CHANNELS = 64
"""An array with more columns was given as (channels, samples)."""
MISSING = 0.25
"""Seconds by which a recording may be shorter than its header says without a word."""
NOT_SCALED = "its samples are far above 1, which is full scale: divide them by 32768, or write whole numbers of 16 bits"
AUDIO_SUFFIXES = frozenset(
    (
        ".wav .wave .w64 .rf64 .bwf .aif .aiff .aifc .caf .au .snd .sph .voc .flac .wv .ape .tta .tak .alac"
        " .mp3 .mp2 .mpa .m4a .m4b .m4r .aac .ac3 .eac3 .dts .ogg .oga .opus .spx .wma .mpc .ra"
        " .amr .awb .gsm .silk .slk .3gp .3gpp .3g2 .mp4 .m4v .mov .mkv .mka .webm .weba .avi .wmv .asf .flv .f4v .mpg .mpeg"
        " .ts .mts .m2ts .vob .ogv .ogm .rm .rmvb .mxf"
    ).split()
)
"""What of a folder is taken for a recording. What a single file is called does not matter: its content tells."""
SHARED_SUFFIXES = frozenset((".ts", ".mts"))
"""Those of them that programs' sources have, too."""
MIX = -1
"""In place of a channel: the average of all."""


def looks_like_a_recording(path: str | Path) -> bool:
    """Whether a file in a folder is meant to be one, by its name; where that may be a text's, by its content, too."""
    suffix = Path(path).suffix.lower()
    if suffix not in SHARED_SUFFIXES:
        return suffix in AUDIO_SUFFIXES
    try:
        with open(path, "rb") as file:
            head = file.read(1000)
    except OSError:
        return True  # reading it will say why
    return not head or not all(byte >= 32 or byte in b"\t\n\r\f" for byte in head)


class Recording:
    """A file that is being read. Raises AudioError for one that is missing, empty, or not audio.

    `track`: of several tracks of sound the one to read, counted from 0; by default the first in Chinese, or the film's default.
    """

    def __init__(self, path: str | Path, track: int | None = None):
        self.path = Path(path)
        _check_file(self.path)
        if track is not None and (not isinstance(track, int) or isinstance(track, bool) or track < 0):
            raise AudioError(f"{path}: track must be a whole number from 0, is {quoted(track)}")
        self.problems: list[str] = []
        with decoding(self.path):
            self.file = self._opened(track)
        self.rate: int = self.file.rate
        """Samples per second in the file."""
        if not RATES[0] <= self.rate <= RATES[1]:
            self.file.close()
            raise AudioError(f"{path}: its header says {self.rate:,} samples a second; it is damaged, or no recording")
        self.channels: int = self.file.channels
        """How many there are."""
        self.seconds: float | None = self.file.seconds
        """Length by the header, where it says one."""
        self.damage: AudioError | None = None
        """Why reading ended early, where it did."""

    def _opened(self, track: int | None):
        try:
            file = open_sound(self.path)
        except UnknownFormat:
            file = open_container_file(self.path, track)
            self.problems = file.problems
            return file
        if track:
            file.close()
            raise AudioError(f"{self.path}: has 1 track of sound, counted from 0; there is no track {track}")
        return file

    @property
    def tracks(self) -> int:
        """How many tracks of sound there are."""
        return getattr(self.file, "tracks", 1)

    @property
    def block(self) -> int:
        """Samples of each channel that are read together."""
        return max(1, min(int(BLOCK_SECONDS * self.rate), MOST_VALUES // self.channels))

    def blocks(
        self, start: float = 0.0, duration: float | None = None, channel: int | None = MIX
    ) -> Iterator[np.ndarray]:
        """The recording, or `duration` seconds of it from `start`: arrays (S, C) in [-1, 1] at 16 kHz.

        C is 1 for a channel, counted from 0, or for MIX, and all channels for None. Can be called once. A file that is
        damaged is read as far as it goes: then `damage` is set, or `problems` say what is missing. Raises AudioError for
        samples that are not numbers.
        """
        self.require_channel(channel)
        # to resample a part as in the whole, the filter must see what surrounds it
        base, margin = (start, 0.0) if self.rate == SAMPLE_RATE else (max(0.0, int(start) - 1.0), 1.0)
        length = None if duration is None else start - base + duration + margin
        mixer = Mixer(self.rate)
        raw = (_choose(block, channel, mixer) for block in self._until_damage(base, length))
        resampled = _resampled(_checked(raw, self.path, self.rate, base), self.rate)
        yield from resampled if base == start and not margin else _cut(resampled, start - base, duration)
        self.problems += mixer.problems()

    def _until_damage(self, start: float, duration: float | None) -> Iterator[np.ndarray]:
        n = 0
        try:
            for block in self._whole(start, duration):
                n += len(block)
                if NOT_SCALED not in self.problems and _not_scaled(block):
                    self.problems.append(NOT_SCALED)
                yield block
        except AudioError as error:
            self.damage = error
            for block in self._behind_damage(
                start + n / self.rate, None if duration is None else duration - n / self.rate
            ):
                n += len(block)
                yield block
        if duration is not None or self.damage:
            return
        read, told = start + n / self.rate, self.seconds
        if told is not None and told - read > MISSING and not self.file.whole:
            self.problems.append(
                f"ends after {read:.1f} s, but its header says {told:.1f} s: it is cut off or damaged, the rest is missing"
            )
        elif self.file.cut_off:
            self.problems.append(f"is cut off: it ends in the middle of its data after {read:.1f} s")

    def _whole(self, start: float, duration: float | None) -> Iterator[np.ndarray]:
        """What the header tells of, and what is behind that."""
        n = 0
        with decoding(self.path):
            for block in self.file.blocks(start, duration, self.block):
                n += len(block)
                yield block
        if self.file.goes_on:
            behind, more, said = start + n / self.rate, 0, len(self.problems)
            for block in self._by_ffmpeg(behind, None):
                more += len(block)
                yield block
            if not more and self.file.more_is_sound and len(self.problems) == said:
                self.problems.append(
                    f"holds more behind {behind:.1f} s, which cannot be read with it: split it into its parts"
                )

    def require_channel(self, channel: int | None) -> None:
        """Raises AudioError for a channel that the file does not have."""
        if channel is not None and channel >= self.channels:
            self.file.close()
            raise AudioError(
                f"{self.path}: has {self.channels} channels, counted from 0; there is no channel {channel}"
            )

    def _behind_damage(self, start: float, duration: float | None) -> Iterator[np.ndarray]:
        """What FFmpeg, which looks for the next whole frame, can read of a file that libsndfile cannot go on with."""
        if not isinstance(self.file, SoundFile):
            return
        n = 0
        for block in self._by_ffmpeg(start, duration):
            n += len(block)
            yield block
        if n and self.seconds is not None and self.seconds - (start + n / self.rate) <= MISSING:
            self.damage = AudioError(f"{self.path}: damaged at {start:.1f} s; something may be missing there")

    def _by_ffmpeg(self, start: float, duration: float | None) -> Iterator[np.ndarray]:
        """The file as FFmpeg reads it, as far as that goes."""
        try:
            other = open_container_file(self.path)
            if (other.rate, other.channels) == (self.rate, self.channels):
                yield from other.blocks(start, duration, self.block)
                self.problems += other.problems
            else:
                other.close()
        except NoFfmpeg:
            self.problems.append(f"what may follow {start:.1f} s, FFmpeg's libraries could read: {INSTALL}")
        except AudioError:
            return


def read_blocks(
    path: str | Path, start: float = 0.0, duration: float | None = None, channel: int | None = None
) -> Iterator[np.ndarray]:
    """The recording, or `duration` seconds of it from `start`, as arrays (S,) float32 in [-1, 1] at 16 kHz.

    One channel, counted from 0, or the average of all. Raises AudioError for a file that is missing, empty, not audio,
    damaged, or that holds samples which are not numbers.
    """
    recording = Recording(path)
    for block in recording.blocks(start, duration, MIX if channel is None else channel):
        yield block[:, 0]
    if recording.damage:
        raise recording.damage


def read_samples(
    path: str | Path, start: float = 0.0, duration: float | None = None, channel: int | None = None
) -> np.ndarray:
    """What `read_blocks` gives as one array (S,), for recordings that are known to be short."""
    blocks = list(read_blocks(path, start, duration, channel))
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def audio_duration(path: str | Path, channel: int | None = None) -> float:
    """Seconds of audio in a file, by its header where that counts the samples, else all of it is read.

    Raises AudioError where it lacks the channel.
    """
    seconds = counted_duration(path, channel)
    return sum(len(block) for block in read_blocks(path)) / SAMPLE_RATE if seconds is None else seconds


def counted_duration(path: str | Path, channel: int | None = None) -> float | None:
    """Seconds of audio in a file whose header counts the samples; None where it does not, or may be wrong.

    Raises AudioError for what is no audio, and where it lacks the channel.
    """
    recording = Recording(path)
    recording.require_channel(channel)
    recording.file.close()
    return recording.seconds if isinstance(recording.file, SoundFile | WaveFile) else None


def resample(
    samples: np.ndarray, rate: int, channel: int | None = MIX, problems: list[str] | None = None
) -> np.ndarray:
    """An array (S,) or (S, channels) at any rate as (S, C) at 16 kHz; signed whole numbers are scaled to [-1, 1].

    C is 1 for a channel or for MIX, and all channels for None. Adds to `problems` what is strange about the channels. Raises
    AudioError for anything else: samples that are not numbers, other shapes, unsigned numbers, no rate.
    """
    if samples.ndim not in (1, 2) or (samples.ndim == 2 and not 0 < samples.shape[1] <= MOST_CHANNELS):
        turned = samples.ndim == 2 and 0 < samples.shape[0] <= MOST_CHANNELS < samples.shape[1]
        hint = "; channels stand last: samples.T; several recordings are given one by one" if turned else ""
        raise AudioError(f"array: must be (samples,) or (samples, channels), is {samples.shape}{hint}")
    if not np.issubdtype(samples.dtype, np.floating) and samples.dtype not in (np.int8, np.int16, np.int32):
        raise AudioError(f"array: must hold floats, or integers of 8, 16 or 32 bits with a sign, holds {samples.dtype}")
    if not isinstance(rate, Real) or isinstance(rate, bool) or not RATES[0] <= rate <= RATES[1]:
        raise AudioError(f"array: the sample rate must be from {RATES[0]:,} to {RATES[1]:,}, is {rate!r}")
    scale = -1.0 / np.iinfo(samples.dtype).min if np.issubdtype(samples.dtype, np.signedinteger) else 1.0
    columns = samples[:, None] if samples.ndim == 1 else samples
    mixer = Mixer(round(rate))
    chosen = _choose(columns.astype(np.float32) * np.float32(scale), channel, mixer)
    if problems is not None:
        problems += mixer.problems()
    if not np.isfinite(chosen).all():
        raise AudioError("array: holds samples that are not numbers")
    if _not_scaled(chosen):
        raise AudioError(f"array: {NOT_SCALED}")
    blocks = list(_resampled([chosen.clip(-1, 1)], rate))
    return np.concatenate(blocks) if blocks else np.zeros((0, chosen.shape[1]), np.float32)


def _not_scaled(samples: np.ndarray) -> bool:
    return bool(samples.size and max(samples.max(), -samples.min()) > 2 and np.median(np.abs(samples)) > 1)


def _not_there(path: Path) -> str:
    if not (address := re.match("(https?|ftp):/+(.+)", str(path), re.IGNORECASE)):  # a Path has one of two slashes
        return f"{path}: no such file"
    url = f"{address[1]}://{address[2]}"
    return f"{url}: is an address, not a file; fetch it with curl -L {quote(url)} | asr transcribe -"


def _check_file(path: Path) -> None:
    try:
        with open(path, "rb") as file:
            if not file.read(1):
                raise AudioError(f"{path}: the file is empty (0 bytes)")
    except FileNotFoundError:
        raise AudioError(_not_there(path)) from None
    except IsADirectoryError:
        raise AudioError(f"{path}: is a folder, not an audio file") from None
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL
        raise AudioError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error


def _choose(block: np.ndarray, channel: int | None, mixer: Mixer) -> np.ndarray:
    """(S, channels) → (S, 1) for a channel or MIX, and all of them for None."""
    if channel is None or block.shape[1] == 1:
        return block
    return mixer.mix(block) if channel == MIX else block[:, channel : channel + 1]


def _resampled(blocks: Iterable[np.ndarray], rate: int) -> Iterator[np.ndarray]:
    """(S, C) at a rate → (S, C) at 16 kHz."""
    if rate == SAMPLE_RATE:
        yield from blocks
        return
    stream, channels = None, 1
    for block in blocks:
        if stream is None:
            channels = block.shape[1]
            stream = soxr.ResampleStream(rate, SAMPLE_RATE, channels, dtype="float32", quality="HQ")
        resampled = stream.resample_chunk(np.ascontiguousarray(block)).reshape(-1, channels)
        if len(resampled):
            yield resampled
    if stream is not None:
        tail = stream.resample_chunk(np.zeros((0, channels), np.float32), last=True).reshape(-1, channels)
        if len(tail):
            yield tail


def _checked(blocks: Iterable[np.ndarray], path: Path, rate: int, start: float = 0.0) -> Iterator[np.ndarray]:
    position = 0
    for block in blocks:
        if not np.isfinite(block).all():
            bad, channel = np.argwhere(~np.isfinite(block))[0]
            raise AudioError(
                f"{path}: the sample at {start + (position + bad) / rate:.3f} s is {block[bad, channel]}, not a number;"
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
