"""Samples of any rate and number of channels as those of the recording's first."""

from collections.abc import Iterator

import numpy as np
import soxr


class Conform:
    """Makes one stream of samples whose rate and channels change on the way."""

    def __init__(self, rate: int, channels: int):
        self.rate, self.channels = rate, channels
        self.stream: soxr.ResampleStream | None = None
        self.from_rate = rate

    def add(self, samples: np.ndarray, rate: int) -> Iterator[np.ndarray]:
        """The next samples (S, any channels) at a rate → arrays (S, channels) at the first's."""
        samples = _with_channels(samples, self.channels)
        if rate != self.from_rate:
            yield from self.finish()
            self.from_rate = rate
            if rate != self.rate:
                self.stream = soxr.ResampleStream(rate, self.rate, self.channels, dtype="float32")
        if self.stream:
            samples = self.stream.resample_chunk(np.ascontiguousarray(samples)).reshape(-1, self.channels)
        yield samples

    def finish(self) -> Iterator[np.ndarray]:
        """What the filter still holds."""
        if self.stream:
            yield self.stream.resample_chunk(np.zeros((0, self.channels), np.float32), last=True).reshape(
                -1, self.channels
            )
        self.stream, self.from_rate = None, self.rate


def _with_channels(samples: np.ndarray, channels: int) -> np.ndarray:
    """One channel is copied to all; of other numbers the average is."""
    if samples.shape[1] == channels:
        return samples
    return np.repeat(samples.mean(axis=1, keepdims=True), channels, axis=1)
