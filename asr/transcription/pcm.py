"""Bare samples as they come over a pipe or a network."""

import io
from functools import cache

import numpy as np
import soundfile
import soxr

from asr.audio.reading import SAMPLE_RATE
from asr.errors import AudioError

CONTAINERS = {
    b"RIFF": "WAV",
    b"fLaC": "FLAC",
    b"OggS": "Ogg",
    b"ID3": "MP3",
    b"FORM": "AIFF",
    b"caff": "CAF",
    b"\x1aE\xdf\xa3": "Matroska",
}
"""First bytes → the format of a file."""
LAWS = {"pcmu": "ULAW", "pcma": "ALAW"}
"""Codes of telephones (G.711), 8 bits a sample → what libsndfile calls them."""
FIRST = 8
"""Bytes that tell a file from samples."""


class Pcm:
    """Signed 16-bit little-endian mono samples, of any rate and in parts of any length, to samples (S,) at 16 kHz."""

    def __init__(self, rate: int, law: str = ""):
        """law: one of LAWS, where samples are such codes."""
        self.values = _values(law) if law else None
        self.resampler = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32") if rate != SAMPLE_RATE else None
        self.left = b""

    def add(self, data: bytes) -> np.ndarray:
        """The next bytes; half a sample at their end waits."""
        if self.values is not None:
            samples = self.values[np.frombuffer(data, np.uint8)]
        else:
            data = self.left + data
            whole = len(data) // 2 * 2
            self.left = data[whole:]
            samples = np.frombuffer(data[:whole], "<i2").astype(np.float32) / 32768
        return self.resampler.resample_chunk(samples) if self.resampler else samples

    def finish(self) -> np.ndarray:
        """What the resampler still holds, up to a tenth of a second, at the end; what is added later is another stream."""
        samples = np.zeros(0, np.float32)
        if self.resampler:
            samples = self.resampler.resample_chunk(samples, last=True)
            self.resampler.clear()
        return samples


@cache
def _values(law: str) -> np.ndarray:
    """The samples (256,) that the codes stand for."""
    codes = io.BytesIO(bytes(range(256)))
    raw = {"format": "RAW", "samplerate": 8000, "channels": 1, "subtype": LAWS[law]}
    return soundfile.read(codes, dtype="float32", **raw)[0]


def refuse_container(first: bytes, where: str, advice: str) -> None:
    """Raises AudioError where the first bytes are those of a file's header."""
    found = [name for start, name in CONTAINERS.items() if first.startswith(start)]
    if first[4:FIRST] == b"ftyp":
        found = ["MP4"]
    if found:
        raise AudioError(f"{where}: is {found[0]}, and {advice}")
