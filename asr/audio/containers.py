"""m4a, aac, wma, amr, mp4, mkv, webm and whatever else FFmpeg's libraries read.

Their decoders give samples; where these belong in time is said by the container, or not at all. Here the first sample of
what was recorded is the first that comes out, to within 5 ms, and what is missing in between is silence.
"""

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from asr.audio.causes import cause_of
from asr.audio.demuxers import open_container
from asr.audio.foreign import NOT_AUDIO, decoding, reason
from asr.audio.headers import holds_another_film, is_mp3_without_audio, wav_codec
from asr.audio.timeline import Timeline
from asr.audio.tracks import chosen_track, is_decodable, is_unknown, no_track, which_is_read
from asr.errors import AudioError

INDEXED = {"mov", "mp4", "matroska", "webm", "asf"}
"""Formats in which a place is found by its time."""
WARM_UP = 5.0
"""Seconds decoded before the place that was asked for: the decoder then is as if it came from the start."""


class ContainerFile:
    """A track of sound in a file that FFmpeg's libraries can open. Raises AudioError for other files.

    `track`: counted from 0; by default as `chosen_track` says.
    """

    def __init__(self, path: Path, track: int | None = None):
        self.path = path
        self.cut_off = self.goes_on = self.whole = self.more_is_sound = False
        self.problems: list[str] = []
        self.rate, self.channels, self.seconds = 16000, 1, 0.0
        self.tracks = 1
        """All tracks of sound, those that cannot be decoded among them."""
        self.track = 0
        """The one that is read."""
        # an open file, not a name: FFmpeg takes names like concat:x or http:x for something else
        self.file = open(path, "rb")  # noqa: SIM115
        self.container = self.stream = None
        try:
            with decoding(path):
                self._open(track)
        except BaseException:
            self.close()
            raise

    def _open(self, track: int | None) -> None:
        try:
            self.container = open_container(self.file)
        except Exception as error:
            cause = cause_of(self.path)
            if not cause and (isinstance(error, av.error.EOFError) or is_mp3_without_audio(self.path)):
                return  # a header and nothing behind it: 0 seconds
            raise AudioError(f"{self.path}: {cause or f'{NOT_AUDIO} ({reason(error)})'}") from error
        if any(map(is_unknown, self.container.streams.audio)):  # its sound begins late
            self.container.close()
            self.file.seek(0)
            self.container = open_container(self.file, far=True)
        if not self.container.streams:
            return  # an mp4 without a track, which encoders write for no samples at all
        tracks = self.container.streams.audio
        self.tracks = len(tracks)
        if not tracks:
            raise AudioError(f"{self.path}: holds no audio")
        # before any is opened: a decoder may know less than the container has found out
        formats = [
            (one.codec_context.sample_rate, one.codec_context.channels) if one.codec_context else (0, 0)
            for one in tracks
        ]
        self.track = chosen_track(tracks) if track is None else track
        if self.track >= self.tracks:
            raise AudioError(f"{self.path}: {no_track(self.tracks, self.track)}")
        self.stream = tracks[self.track]
        if not is_decodable(self.stream):
            raise AudioError(f"{self.path}: {self._undecodable()}")
        if track is None and self.tracks > 1:
            self.problems.append(which_is_read(tracks, self.track))
        self.formats = set(self.container.format.name.split(","))
        if "mp4" in self.formats and holds_another_film(self.path):
            self.problems.append(
                "is several recordings put end to end, of which the first is read: split it into its parts"
            )
        self.rate, self.channels = formats[self.track][0], max(1, formats[self.track][1])
        self.seconds = self._declared()

    def _undecodable(self) -> str:
        context = self.stream.codec_context
        if context:
            return f"{NOT_AUDIO} (nothing can be decoded of what looks like {context.name})"
        codec = wav_codec(self.path)
        named = f" ({codec})" if codec else ""
        return f"its sound is in a codec that nothing here decodes{named}: convert it to wav of 16 bits first"

    def close(self) -> None:
        if self.container:
            self.container.close()
        self.file.close()

    def _declared(self) -> float | None:
        """Seconds of audio that the header promises; None where it says nothing or only guesses."""
        if not self.formats & INDEXED:
            return None
        alone = len(self.container.streams) == 1  # else it may be the picture that lasts so long
        if self.stream.duration and ("mp4" in self.formats or alone):
            return float(self.stream.duration * self.stream.time_base)
        return self.container.duration / av.time_base if self.container.duration and alone else None

    def blocks(self, start: float, duration: float | None, frames: int) -> Iterator[np.ndarray]:
        """Arrays (S, channels) float32 of about so many frames. Raises AudioError where nothing can be decoded."""
        if self.stream is None:
            return
        gathered: list[np.ndarray] = []
        n = 0
        try:
            with decoding(self.path):
                for part in self._parts(start, duration):
                    n += len(part)
                    gathered.append(part)
                    if n >= frames:
                        yield np.concatenate(gathered)
                        gathered, n = [], 0
        except AudioError:
            if n:
                yield np.concatenate(gathered)
            raise
        finally:
            self.close()
        if n:
            yield np.concatenate(gathered)

    def _parts(self, start: float, duration: float | None) -> Iterator[np.ndarray]:
        """Frames, without what lies outside of the part that is asked for."""
        skip, left = round(start * self.rate), None if duration is None else round(duration * self.rate)
        position, frames = self._frames(start)
        for frame in frames:
            yield frame[max(0, skip - position) : None if left is None else max(0, skip + left - position)]
            position += len(frame)
            if left is not None and position >= skip + left:
                return

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
        heard = second - beginning.silence / self.rate
        place = round((heard + beginning.first) / self.stream.time_base) if heard > 0 else self.stream.start_time or 0
        self.container.seek(place, stream=self.stream)
        return second * self.rate, Timeline(self, second, beginning).samples()
