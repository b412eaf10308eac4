"""What is wrong with a recording, in plain words, found while it is read: no second pass, no more memory for a longer one."""

import numpy as np

from asr.audio.reading import SAMPLE_RATE

FRAME = 512
"""Samples looked at together."""
FULL_SCALE = 0.999
CLIPPED_SHARE = 1e-3
"""Share of the samples that are at full scale and next to another that is."""
FAINT_DECIBELS = -50.0
"""Level of the speech, in dB of full scale, below which it is said to be faint."""
BAND_HZ = 4000
BAND_DECIBELS = -55.0
"""Speech from a wider band has at least this much of its power above BAND_HZ."""
LEAST_SHARE = 0.1
"""Share of the recording that is speech, below which it is said that there is little."""
LONG_ENOUGH = 30.0
"""Seconds; in less, little speech is nothing to remark."""
MOST_SECONDS = 120.0
"""Speech that is listened to: how it sounds does not change much, and it costs time."""
LEAST_SECONDS = 2.0
"""Seconds of speech without which nothing is said about how it sounds."""
PITCH_HZ = (75.0, 380.0)
"""The middle of a speaker's pitch lies between these. A male voice at twice its speed does, too: not all is found."""


class InputCheck:
    """Adds up what one channel of a recording sounds like."""

    def __init__(self):
        self.n_samples = self.n_clipped = 0
        self.in_pieces = 0
        """Samples in pieces of speech, with what surrounds it."""
        self.n_speech = 0
        """Samples of speech that were listened to."""
        self.power = 0.0
        """Sum over these."""
        self.low = self.high = 0.0
        """Power of the speech below and above BAND_HZ."""
        self.pitches = np.zeros(1000)
        """How often the pitch of a frame was so many Hz."""

    def add(self, samples: np.ndarray) -> None:
        """The next samples (S,) of the channel."""
        full = np.abs(samples) >= FULL_SCALE
        self.n_clipped += int((full[1:] & full[:-1]).sum())
        self.n_samples += len(samples)

    def add_speech(self, samples: np.ndarray) -> None:
        """Samples (S,) of a piece in which somebody speaks."""
        self.in_pieces += len(samples)
        if self.n_speech > MOST_SECONDS * SAMPLE_RATE:
            return
        frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME).astype(np.float64)
        frames -= frames.mean(1, keepdims=True)  # an offset is no sound
        power = np.square(frames).sum(1)
        loud = frames[power > 0.03 * np.quantile(power, 0.95, method="higher")] if len(frames) else frames
        if not len(loud):
            return
        self.n_speech += loud.size
        self.power += float(np.square(loud).sum())
        spectrum = np.square(np.abs(np.fft.rfft(loud * np.hanning(FRAME)))).sum(0)
        edge = BAND_HZ * FRAME // SAMPLE_RATE
        self.low += float(spectrum[: edge - 4].sum())
        self.high += float(spectrum[edge + 8 :].sum())
        self.pitches += np.bincount(_pitches(samples).clip(0, 999).astype(int), minlength=1000)

    def remarks(self, rate: int) -> list[str]:
        """What a user should know; `rate` is the file's own."""
        found = []
        seconds, speech = self.n_samples / SAMPLE_RATE, self.n_speech / SAMPLE_RATE
        if self.n_samples and self.n_clipped / self.n_samples > CLIPPED_SHARE:
            share = 100 * self.n_clipped / self.n_samples
            found.append(f"is clipped: {share:.1f} % of it is at full scale; record at a lower level")
        if speech >= LEAST_SECONDS:
            level = 10 * np.log10(self.power / self.n_speech + 1e-12)
            if level < FAINT_DECIBELS:
                found.append(f"is very faint: speech is at {level:.0f} dB of full scale; record closer or louder")
            if rate <= 8000 or 10 * np.log10(self.high / (self.low + 1e-12) + 1e-12) < BAND_DECIBELS:
                found.append(
                    "has nothing above 4 kHz, as telephones do; expect more errors than in wide-band recordings"
                )
            pitch = self._pitch()
            if pitch and not PITCH_HZ[0] <= pitch <= PITCH_HZ[1]:
                found.append(
                    f"seems to play too slowly or too fast: voices are at {pitch:.0f} Hz; was it written with a wrong"
                    f" sample rate ({rate} Hz)?"
                )
        share = self.in_pieces / max(1, self.n_samples)
        if seconds >= LONG_ENOUGH and 0 < share < LEAST_SHARE:
            found.append(f"is mostly silence, noise or music: speech is in {100 * share:.1f} % of it")
        return found

    def _pitch(self) -> float | None:
        """The middle of all pitches found, in Hz; None where there are too few."""
        n = self.pitches[1:].sum()
        if n < 30:
            return None
        return float(np.searchsorted(self.pitches[1:].cumsum(), n / 2) + 1)


def _pitches(samples: np.ndarray) -> np.ndarray:
    """Pitch in Hz of frames of 64 ms, by autocorrelation; those without a clear one are left out."""
    size, shortest, longest = 1024, SAMPLE_RATE // 600, SAMPLE_RATE // 40
    n = len(samples) // size
    if not n:
        return np.zeros(0)
    frames = samples[: n * size].reshape(n, size).astype(np.float64)
    frames = (frames - frames.mean(1, keepdims=True)) * np.hanning(size)
    correlation = np.fft.irfft(np.square(np.abs(np.fft.rfft(frames, 2 * size))))[:, :size]
    window = np.fft.irfft(np.square(np.abs(np.fft.rfft(np.hanning(size), 2 * size))))[:size]
    correlation = correlation / (window / window[0] + 1e-3) / (correlation[:, :1] + 1e-9)
    lags = correlation[:, shortest:longest]
    best = lags.max(1)
    # the first lag that is nearly as good: its multiples are as good as itself
    first = (lags > 0.9 * best[:, None]).argmax(1)
    peaks = np.array([first[i] + lags[i, first[i] : first[i] + 8].argmax() for i in range(n)]) + shortest
    clear = (best > 0.6) & (peaks > shortest) & (np.square(frames).mean(1) > 1e-7)
    return SAMPLE_RATE / peaks[clear]
