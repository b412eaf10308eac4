"""Sounds in which nobody speaks, made by numbers: some to learn from that nothing is to be written, others to try it with."""

from pathlib import Path

import numpy as np
import soundfile

from asr.audio.reading import SAMPLE_RATE
from asr.corpus.manifest import Utterance

DECIBELS = (-50.0, -12.0)
"""How loud sounds are, below full scale."""
SECONDS = (0.3, 12.0)
"""How long those are that are learnt from, by their logarithm: as short as words, too, or they are taken for words."""


def noise(n: int, random: np.random.Generator) -> np.ndarray:
    """Noise whose power falls with the frequency to the power of 0 (white) to 2 (brown), in a band of its own."""
    spectrum = np.fft.rfft(random.standard_normal(n))
    hz = np.fft.rfftfreq(n, 1 / SAMPLE_RATE)
    low, high = random.uniform(20, 300), random.uniform(1000, 8000)
    shape = np.maximum(hz, 20) ** (-random.uniform(0, 1)) * (hz > low) * (hz < high)
    return np.fft.irfft(spectrum * shape, n)


def swelling(n: int, random: np.random.Generator) -> np.ndarray:
    """Noise that comes and goes, as wind, breath and cars do."""
    points = random.integers(3, 3 + max(1, 4 * n // SAMPLE_RATE))
    loudness = np.interp(np.arange(n), np.linspace(0, n, points), random.uniform(-40, 0, points))
    return noise(n, random) * 10 ** (loudness / 20)


def hum(n: int, random: np.random.Generator) -> np.ndarray:
    """The mains, a fan or a motor: a low tone and its multiples, and some noise."""
    t = np.arange(n) / SAMPLE_RATE
    base = random.choice([50.0, 60.0, 100.0, random.uniform(25, 250)]) * (
        1 + 0.02 * np.sin(2 * np.pi * t * random.random())
    )
    phase = 2 * np.pi * np.cumsum(base) / SAMPLE_RATE
    tones = sum(random.random() / k * np.sin(k * phase) for k in range(1, 12))
    return level(tones) + random.uniform(0, 0.5) * level(noise(n, random))


def tune(n: int, random: np.random.Generator) -> np.ndarray:
    """Notes of an instrument with a few harmonics, one, two or three at a time; or beeps."""
    out, start = np.zeros(n), 0
    harmonics = random.random(random.integers(1, 8))
    while start < n:
        length = min(n - start, int(random.uniform(0.1, 0.8) * SAMPLE_RATE))
        t = np.arange(length) / SAMPLE_RATE
        for _ in range(random.integers(1, 4)):
            hz = 110 * 2 ** (random.integers(0, 40) / 12)
            note = sum(a * np.sin(2 * np.pi * hz * (k + 1) * t) for k, a in enumerate(harmonics) if hz * (k + 1) < 7900)
            out[start : start + length] += note * np.exp(-t * random.uniform(0, 8)) * np.minimum(1, t * 100)
        start += length + int(random.choice([0, 0, random.uniform(0, 0.5)]) * SAMPLE_RATE)
    return out


def knocks(n: int, random: np.random.Generator) -> np.ndarray:
    """Short dull or bright bursts: keys, doors, steps."""
    out = 0.003 * level(noise(n, random))
    for start in random.integers(0, n, size=random.integers(1, 2 + 6 * n // SAMPLE_RATE)):
        length = min(n - start, int(random.uniform(0.01, 0.15) * SAMPLE_RATE))
        dying = np.exp(-6 * np.arange(length) / length)
        out[start : start + length] += random.uniform(0.2, 1) * level(noise(max(length, 64), random))[:length] * dying
    return out


def beeps(n: int, random: np.random.Generator) -> np.ndarray:
    """A pure tone that is switched on and off: alarms, a telephone, what counts down; sometimes two by turns, or at once."""
    t = np.arange(n) / SAMPLE_RATE
    tones = [np.sin(2 * np.pi * random.uniform(200, 3500) * t) for _ in range(random.integers(1, 3))]
    period, share, start = random.uniform(0.1, 1.2), random.uniform(0.2, 0.9), random.random()
    turn = t / period + share * start  # as if cut out somewhere: within a tone
    on = np.convolve(turn % 1 < share, np.full(80, 1 / 80), "same")  # 5 ms up and down, or it would click
    if random.random() < 0.5:
        return on * sum(tones)
    return on * np.where(turn.astype(int) % 2, tones[0], tones[-1])


def music(n: int, random: np.random.Generator) -> np.ndarray:
    """Chords of held notes that tremble, as strings and organs have them, above a beat of drums."""
    t = np.arange(n) / SAMPLE_RATE
    beat, out = random.uniform(0.25, 0.8), np.zeros(n)
    vibrato = random.uniform(0, 0.01) * np.sin(2 * np.pi * random.uniform(4, 7) * t)
    moments = np.append(np.arange(-random.random() * beat, n / SAMPLE_RATE, beat), n / SAMPLE_RATE)
    for start, end in zip(moments, moments[1:], strict=False):
        inside = (t >= start) & (t < end)
        since = t[inside] - start
        root = 110 * 2 ** (random.integers(0, 25) / 12)
        phase = 2 * np.pi * np.cumsum(1 + vibrato[inside]) / SAMPLE_RATE
        for step in (0, random.choice([3, 4]), 7):
            hz = root * 2 ** (step / 12)
            harmonics = range(1, min(8, int(7900 / hz)) + 1)
            out[inside] += sum(np.sin(k * hz * phase) / k for k in harmonics) * np.minimum(1, 30 * since)
        drum = random.standard_normal(len(since)) * np.exp(-since * random.uniform(15, 80))
        out[inside] += random.uniform(0, 3) * drum
    return out


def level(samples: np.ndarray) -> np.ndarray:
    """The same with a root mean square of 1."""
    return samples / max(float(np.sqrt(np.square(samples).mean())), 1e-9)


def siren(n: int, random: np.random.Generator) -> np.ndarray:
    """A tone that glides up and down."""
    t = np.arange(n) / SAMPLE_RATE
    hz = random.uniform(500, 1200) * 2 ** (random.uniform(0.2, 1) * np.sin(2 * np.pi * random.uniform(0.2, 3) * t))
    tone = np.sin(2 * np.pi * np.cumsum(hz) / SAMPLE_RATE)
    return np.sign(tone) if random.random() < 0.5 else tone


def birds(n: int, random: np.random.Generator) -> np.ndarray:
    """Short whistles that sweep."""
    out = 0.01 * random.standard_normal(n)
    for start in random.integers(0, n, size=4 * n // SAMPLE_RATE):
        t = np.arange(min(n - start, int(random.uniform(0.05, 0.3) * SAMPLE_RATE))) / SAMPLE_RATE
        sweep = 2 * np.pi * (random.uniform(1500, 5000) * t + random.uniform(-6000, 6000) * t**2)
        out[start : start + len(t)] += np.sin(sweep) * np.hanning(len(t))
    return out


def crackle(n: int, random: np.random.Generator) -> np.ndarray:
    """Single samples, as an old record."""
    return (random.random(n) < random.uniform(0.0005, 0.01)) * random.standard_normal(n)


def room(n: int, random: np.random.Generator) -> np.ndarray:
    """The murmur of a hall: noise with the spectrum and the rhythm of many voices."""
    spectrum = np.fft.rfft(random.standard_normal(n))
    hz = np.fft.rfftfreq(n, 1 / SAMPLE_RATE)
    rhythm = 1 + 0.5 * np.sin(2 * np.pi * random.uniform(2, 6) * np.arange(n) / SAMPLE_RATE)
    return np.fft.irfft(spectrum / (1 + (hz / 500) ** 2) ** 0.75, n) * rhythm


LEARNT = (noise, swelling, hum, tune, knocks)
"""The kinds that are learnt from, with other random numbers than those that are tried."""
LEARNT_ONLY = (beeps, music)
"""Kinds that are learnt from beside those and not tried: what is tried stays the same from model to model."""
UNHEARD = (siren, birds, crackle, room)
"""The kinds that are only tried."""


def sound(kind, seconds: float, random: np.random.Generator) -> np.ndarray:
    """Samples (S,) in [-1, 1] of a kind, at some level."""
    samples = level(kind(round(seconds * SAMPLE_RATE), random)) * 10 ** (random.uniform(*DECIBELS) / 20)
    return samples.clip(-1, 1).astype(np.float32)


def write_sounds(folder: Path, count: int, seed: int = 1) -> list[Utterance]:
    """So many recordings of the kinds that are learnt from, tunes twice as often, with empty texts."""
    random, kinds = np.random.default_rng(seed), (*LEARNT, tune, *LEARNT_ONLY)
    folder.mkdir(parents=True, exist_ok=True)
    utterances = []
    for i in range(count):
        kind, path = kinds[i % len(kinds)], folder / f"{i:03}.flac"
        samples = sound(kind, float(np.exp(random.uniform(*np.log(SECONDS)))), random)
        soundfile.write(path, samples, SAMPLE_RATE)
        utterances.append(Utterance(f"nonspeech-{i:03}", path, len(samples) / SAMPLE_RATE, "", source=kind.__name__))
    return utterances
