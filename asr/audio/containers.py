"""m4a, aac, wma, amr, mp4, mkv, webm and whatever else FFmpeg's libraries read.

Their decoders give samples; where these belong in time is said by the container, or not at all. Here the first sample of
what was recorded is the first that comes out, to within 5 ms, and what is missing in between is silence.
"""

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from asr.audio.headers import is_mp3_without_audio
from asr.errors import AudioError

INDEXED = {"mov", "mp4", "matroska", "webm", "asf"}
"""Formats in which a place is found by its time."""
WARM_UP = 5.0
"""Seconds decoded before the place that was asked for: the decoder then is as if it came from the start."""
GAP = 0.1
"""Seconds missing between two frames that are filled; times in matroska are rounded, and shorter ones may be no gaps."""
LONGEST_GAP = 3600.0
"""Seconds; a jump beyond it is an error in the times."""
OTHER_DECODERS = {"amrnb": "libopencore_amrnb", "amrwb": "libopencore_amrwb"}
"""FFmpeg's own decoders of these stop at frames of comfort noise."""


class ContainerFile:
    """A file that FFmpeg's libraries can open. Raises AudioError for others."""

    def __init__(self, path: Path):
        self.path = path
        self.cut_off = False
        self.problems: list[str] = []
        self.rate, self.channels, self.seconds = 16000, 1, 0.0
        # an open file, not a name: FFmpeg takes names like concat:x or http:x for something else
        self.file = open(path, "rb")  # noqa: SIM115
        self.container = self.stream = None
        try:
            self.container = av.open(self.file, metadata_errors="ignore")
        except (av.error.FFmpegError, ValueError) as error:
            self.file.close()
            if isinstance(error, av.error.EOFError) or is_mp3_without_audio(path):
                return  # a header and nothing behind it: 0 seconds
            raise AudioError(f"{path}: not recognised as audio, or damaged ({_reason(error)})") from error
        if not self.container.streams:
            return  # an mp4 without a track, which encoders write for no samples at all
        if not self.container.streams.audio:
            self.close()
            raise AudioError(f"{path}: holds no audio")
        self.stream = self.container.streams.audio[0]
        if (tracks := len(self.container.streams.audio)) > 1:
            self.problems.append(f"has {tracks} tracks of sound, of which the first is read")
        if not self.stream.rate:
            self.close()
            raise AudioError(f"{path}: not recognised as audio")
        self.formats = set(self.container.format.name.split(","))
        self.rate, self.channels = self.stream.rate, max(1, self.stream.codec_context.channels)
        self.seconds = self._declared()

    def close(self) -> None:
        if self.container:
            self.container.close()
        self.file.close()

    def _declared(self) -> float | None:
        """Seconds of audio that the header promises; None where it says nothing or only guesses."""
        if not self.formats & INDEXED:
            return None
        if self.stream.duration:
            return float(self.stream.duration * self.stream.time_base)
        alone = len(self.container.streams) == 1  # else it may be the picture that lasts so long
        return self.container.duration / av.time_base if self.container.duration and alone else None

    def blocks(self, start: float, duration: float | None, seconds: float) -> Iterator[np.ndarray]:
        """Arrays (S, channels) float32 of about `seconds`."""
        if self.stream is None:
            return
        gathered: list[np.ndarray] = []
        skip, left = round(start * self.rate), None if duration is None else round(duration * self.rate)
        try:
            position, frames = self._frames(start)
            for frame in frames:
                part = frame[max(0, skip - position) : None if left is None else max(0, skip + left - position)]
                position += len(frame)
                gathered.append(part)
                if sum(map(len, gathered)) >= seconds * self.rate:
                    yield np.concatenate(gathered)
                    gathered = []
                if left is not None and position >= skip + left:
                    break
        except (av.error.FFmpegError, ValueError) as error:
            if gathered:
                yield np.concatenate(gathered)
            raise AudioError(f"{self.path}: not recognised as audio, or damaged ({_reason(error)})") from error
        finally:
            self.close()
        if any(map(len, gathered)):
            yield np.concatenate(gathered)

    def _frames(self, start: float) -> tuple[int, Iterator[np.ndarray]]:
        """Place of the first sample, and arrays (S, channels) from there on; the place is a whole second, or 0."""
        second = int(start - WARM_UP)
        if second <= WARM_UP or not self.formats & INDEXED:
            return 0, Timeline(self).samples()
        beginning = Timeline(self)
        for _ in beginning.samples():
            if beginning.first is not None:
                break
        else:
            return 0, iter(())
        self.container.seek(round((second + beginning.first) / self.stream.time_base), stream=self.stream)
        return second * self.rate, Timeline(self, second, beginning.first).samples()


class Timeline:
    """The samples of a stream in their places."""

    def __init__(self, opened: ContainerFile, second: int = 0, first: float | None = None):
        """From the start, or from a second that was sought; `first` is then known from an earlier look at the start."""
        self.opened, self.stream, self.rate = opened, opened.stream, opened.rate
        base, began = self.stream.time_base, opened.container.start_time
        started = float(self.stream.start_time * base) if self.stream.start_time is not None else 0.0
        late = started - (began / av.time_base if began is not None else started)
        self.silence = round(late * self.rate) if GAP < late < LONGEST_GAP else 0
        """Samples by which the sound begins after the picture."""
        self.sought = second > 0
        self.position = second * self.rate - self.silence if self.sought else 0
        """Samples since the stream's first."""
        self.first = first
        """Time in the container of the stream's first sample."""
        self.bad = 0
        """Packets that could not be decoded."""
        self.missing = 0
        """Samples that were filled in."""

    def samples(self) -> Iterator[np.ndarray]:
        """Arrays (S, channels)."""
        if self.silence and not self.sought:
            yield np.zeros((self.silence, self.opened.channels), np.float32)
        for frame, time in self._decoded():
            known = time is not None and self.first is not None
            behind = round((time - self.first) * self.rate) - self.position if known else None
            if self.sought and behind is not None and behind < 0:  # before the place that was asked for
                frame = frame[-behind:]
                if not len(frame):
                    continue
            elif behind is not None and GAP * self.rate < behind < LONGEST_GAP * self.rate:
                self.missing += behind
                self.position += behind
                yield np.zeros((behind, frame.shape[1]), np.float32)
            self.sought = False
            frame = self._without_fill(frame)
            self.position += len(frame)
            yield frame
        self._report()

    def _decoded(self) -> Iterator[tuple[np.ndarray, float | None]]:
        """Decoded frames (S, channels) with their times in the container; what cannot be decoded is left out."""
        base = self.stream.time_base
        name = OTHER_DECODERS.get(self.stream.codec_context.name)
        decoder = av.CodecContext.create(name, "r") if name else self.stream.codec_context
        resampler, shape = None, None
        primed, decoded = None, 0
        for packet in self.opened.container.demux(self.stream):
            if primed is None:
                primed = _names_priming(packet)
            try:
                frames = decoder.decode(packet if packet.size else None)
            except av.error.EOFError:
                break
            except av.error.FFmpegError:
                self.bad += 1
                continue
            for frame in frames:
                time = None if frame.pts is None else float(frame.pts * base)
                decoded += 1
                if decoded == 1 and not self.sought:
                    if decoder.name == "aac" and not primed:
                        continue  # the first half of an overlap, which no encoder puts sound into
                    if decoder.name in ("wmav1", "wmav2"):  # FFmpeg drops two blocks where the transform delays by one
                        yield np.zeros((frame.samples, frame.layout.nb_channels), np.float32), None
                if self.first is None and time is not None:
                    self.first = time - self.position / self.rate
                if (frame.format.name, frame.layout.name, frame.rate) != shape:
                    shape = (frame.format.name, frame.layout.name, frame.rate)
                    resampler = av.AudioResampler(format="fltp", layout=frame.layout, rate=self.rate)
                for converted in resampler.resample(frame):
                    yield converted.to_ndarray().T, time
        if resampler:
            for converted in resampler.resample(None):
                yield converted.to_ndarray().T, None

    def _without_fill(self, frame: np.ndarray) -> np.ndarray:
        """Without what fills the last frame of a codec beyond the length that its container gives."""
        if self.opened.seconds is None or self.stream.duration is None:
            return frame
        over = self.position + len(frame) - round(self.opened.seconds * self.rate)
        return frame[: max(0, len(frame) - over)] if 0 < over <= 2 * len(frame) else frame

    def _report(self) -> None:
        if self.bad:
            self.opened.problems.append(f"is damaged: {self.bad} packets could not be decoded and are left out")
        if self.missing > self.rate / 4:
            self.opened.problems.append(f"has gaps: {self.missing / self.rate:.1f} s in all, read as silence")


def _names_priming(packet: av.Packet) -> bool:
    """Whether the container says which of the first samples are not sound."""
    return packet.has_sidedata("skip_samples") or (packet.pts is not None and packet.pts < 0)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
