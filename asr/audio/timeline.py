"""The samples of a track in their places: gaps between the times of frames become silence."""

from collections.abc import Iterator

import av
import numpy as np
from av.audio.plane import AudioPlane

from asr.audio.conform import Conform
from asr.audio.delays import samples_ahead
from asr.audio.foreign import MOST_VALUES
from asr.errors import AudioError

GAP = 0.1
"""Seconds missing between two frames that are filled; times in matroska are rounded, and shorter ones may be no gaps."""
LONGEST_GAP = 3600.0
"""Seconds, of all gaps together; a jump beyond it is an error in the times, or meant to do harm."""
MOST_SILENCE = 2**29
"""Samples, of all channels together, of all gaps: reading them takes time, too."""
UNTIMED = frozenset(("avi",))
"""Formats without times: what FFmpeg says of frames is a guess by their number or their bytes, and may be hours off."""
MOST_BAD = 10_000
"""Packets in a row that cannot be decoded, behind which the rest is given up."""
TAGS = (b"ID3", b"TAG")
"""How packets begin that are no sound, where MP3 files are put end to end."""
OTHER_DECODERS = {"amrnb": "libopencore_amrnb", "amrwb": "libopencore_amrwb"}
"""FFmpeg's own decoders of these stop at frames of comfort noise."""
DTYPES = {"u8": "u1", "s16": "i2", "s32": "i4", "s64": "i8", "flt": "f4", "dbl": "f8"}
"""FFmpeg's sample formats; a p behind the name says that each channel has a plane of its own."""


class Timeline:
    """The samples of a stream in their places."""

    def __init__(self, opened, second: int = 0, begun: "Timeline | None" = None):
        """A timeline of a ContainerFile, from the start, or from a second that was sought.

        `begun`: that of the start, as far as it was read, to seek by.
        """
        self.opened, self.stream, self.rate = opened, opened.stream, opened.rate
        self.longest = min(round(LONGEST_GAP * self.rate), MOST_SILENCE // opened.channels)
        """Samples of silence in all."""
        began = opened.container.start_time
        self.began: float | None = None if began is None else began / av.time_base
        """Time in the container of the first of all, sound or picture."""
        self.silence: int = begun.silence if begun else 0
        """Samples by which the sound begins after the picture; known once the first frame is."""
        self.sought = begun is not None
        self.position = second * self.rate - self.silence
        """Samples since the stream's first; below 0 before it."""
        self.timed = not opened.formats & UNTIMED
        """Whether the times of frames tell where they belong."""
        self.first: float | None = begun.first if begun else None
        """Time in the container of the stream's first sample."""
        self.bad = 0
        """Packets that could not be decoded."""
        self.missing = 0
        """Samples that were filled in."""
        self.jumped = 0
        """Samples that would have been, beyond LONGEST_GAP."""
        self.fill: list[np.ndarray] = []
        """What came behind the length that the container gives, and may be more than what fills the last frame."""

    def samples(self) -> Iterator[np.ndarray]:
        """Arrays (S, channels)."""
        for frame, time in self._decoded():
            if self.position < 0:
                yield from self._silence(-self.position)
                self.position = 0
            known = time is not None and self.first is not None
            behind = round((time - self.first) * self.rate) - self.position if known else None
            tolerated = 0 if self.sought else GAP * self.rate  # behind a seek some decoders drop what comes first
            if self.sought and behind is not None and behind < 0:  # before the place that was asked for
                frame = frame[-behind:]
                if not len(frame):
                    continue
            elif behind is not None and behind > tolerated:
                yield from self._gap(behind)
            self.sought = False
            for part in self._without_fill(frame, time):
                self.position += len(part)
                yield part
        self._report()

    def _gap(self, n: int) -> Iterator[np.ndarray]:
        """So many samples of silence, as long as there are not too many in all."""
        if self.missing + self.silence + n > self.longest:
            self.jumped += n
            self.first += n / self.rate
            return
        self.missing += n
        self.position += n
        yield from self._silence(n)

    def _silence(self, n: int) -> Iterator[np.ndarray]:
        step = max(1, min(self.rate, MOST_VALUES // self.opened.channels))
        zeros = np.zeros((min(n, step), self.opened.channels), np.float32)
        for first in range(0, n, step):
            yield zeros[: n - first]

    def _decoded(self) -> Iterator[tuple[np.ndarray, float | None]]:
        """Decoded frames (S, channels) with their times in the container; what cannot be decoded is left out."""
        decoder = self._decoder()
        conform = Conform(self.rate, self.opened.channels)
        primed, beginning, decoded, in_a_row, ahead, delay = None, not self.sought, 0, 0, 0, 0.0
        for packet in self._packets():
            if primed is None:
                primed = _names_priming(packet, decoder.name)
            try:
                frames = decoder.decode(packet if packet.size else None)
            except av.error.EOFError:
                break
            except av.error.FFmpegError:
                self.bad += bytes(packet)[:3] not in TAGS
                in_a_row += 1
                if in_a_row >= MOST_BAD:
                    raise
                continue
            for frame in frames:
                time = self._time(frame.pts)
                decoded, in_a_row = decoded + 1, 0
                samples, rate = frame_samples(frame), frame.rate or self.rate
                if beginning and decoded == 1 and not primed:
                    ahead = samples_ahead(decoder, len(samples), bytes(packet)[:4])
                    delay = ahead / rate
                if ahead:
                    cut = min(ahead, len(samples))
                    samples, ahead = samples[cut:], ahead - cut
                    time = None if time is None else time + cut / rate
                    if not len(samples):
                        continue
                if beginning:
                    beginning, started = False, time if time is not None else self._time(self.stream.start_time) or 0.0
                    if decoder.name in ("wmav1", "wmav2"):  # FFmpeg drops two blocks where the transform delays by one
                        started -= frame.samples / rate
                        samples, time = np.concatenate([np.zeros_like(samples), samples]), None
                    self._begin_late(started, delay)
                if self.first is None and time is not None:
                    self.first = time - max(0, self.position) / self.rate
                for conformed in conform.add(samples, rate):
                    yield conformed, time
        for conformed in conform.finish():
            yield conformed, None
        if self.bad and not decoded:
            raise AudioError(
                f"{self.opened.path}: none of its {self.bad} packets can be decoded: damaged, or protected"
            )

    def _packets(self) -> Iterator[av.Packet]:
        """The stream's packets. Pictures before the first one are looked at: not all containers say when theirs begin."""
        pictures = [] if self.sought else list(filter(_moves, self.opened.container.streams.video))
        for packet in self.opened.container.demux(self.stream, *pictures) if pictures else ():
            if packet.stream_index == self.stream.index:
                yield packet
                break
            if packet.pts is not None and not packet.is_discard:  # what a cut left in the file is not shown
                time = float(packet.pts * packet.time_base)
                self.began = time if self.began is None else min(self.began, time)
        yield from self.opened.container.demux(self.stream)

    def _time(self, ticks: int | None) -> float | None:
        """Seconds in the container; None where they tell nothing."""
        base = self.stream.time_base
        return None if ticks is None or not self.timed else ticks * base.numerator / base.denominator

    def _begin_late(self, started: float, delay: float) -> None:
        """Puts silence before a stream that begins after the first of all, at `started` behind a delay that is cut off."""
        late = 0.0 if self.began is None else started - self.began
        if late > GAP + delay and late * self.rate < self.longest:
            self.silence = round(late * self.rate)
            self.position = -self.silence

    def _decoder(self) -> av.AudioCodecContext:
        name = OTHER_DECODERS.get(self.stream.codec_context.name)
        return av.CodecContext.create(name, "r") if name else self.stream.codec_context

    def _without_fill(self, frame: np.ndarray, time: float | None) -> Iterator[np.ndarray]:
        """Without what fills the last frame of a codec beyond the length that its container gives."""
        if self.opened.seconds is None or self.stream.duration is None:
            yield frame
            return
        inside = max(0, round(self.opened.seconds * self.rate) - self.position)
        if inside:
            yield frame[:inside]
        if inside < len(frame):
            self.fill.append(frame[inside:])
            more_by_time = time is None or time - self.first > self.opened.seconds
            if more_by_time and sum(map(len, self.fill)) > 2 * len(frame):  # no fill: the length was wrong
                yield from self.fill
                self.fill, self.opened.seconds = [], None

    def _report(self) -> None:
        if self.bad:
            self.opened.problems.append(f"is damaged: {self.bad} packets could not be decoded and are left out")
        if self.missing > self.rate / 4:
            self.opened.problems.append(f"has gaps: {self.missing / self.rate:.1f} s in all, read as silence")
        if self.jumped:
            self.opened.problems.append(
                f"has times that jump by {self.jumped / self.rate:.1f} s more, which are left out"
            )


def _moves(picture: av.VideoStream) -> bool:
    """Whether a stream of pictures is a film, not the cover of a recording."""
    return not picture.disposition & av.stream.Disposition.attached_pic


def _names_priming(packet: av.Packet, decoder: str) -> bool:
    """Whether the container says which of the first samples are not sound. Of Speex an Ogg says it of the encoder's alone."""
    before = packet.pts is not None and packet.pts < 0 and decoder not in ("speex", "libspeex")
    return packet.has_sidedata("skip_samples") or before


def frame_samples(frame: av.AudioFrame) -> np.ndarray:
    """A decoded frame as (S, channels) float32 in [-1, 1].

    Planes are taken by their numbers: PyAV's own list of them runs past its end where there are eight or more.
    """
    kind, n, channels = frame.format.name.removesuffix("p"), frame.samples, frame.layout.nb_channels
    dtype = np.dtype(DTYPES[kind])
    if frame.format.is_planar:
        samples = np.empty((n, channels), np.float32)
        for channel in range(channels):
            samples[:, channel] = np.frombuffer(AudioPlane(frame, channel), dtype, n)
    else:
        samples = np.frombuffer(AudioPlane(frame, 0), dtype, n * channels).reshape(n, channels).astype(np.float32)
    if kind == "u8":
        samples -= 128
    if dtype.kind in "iu":
        samples *= 2.0 ** (1 - 8 * dtype.itemsize)
    return samples
