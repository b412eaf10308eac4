"""Sounds that nobody says anything in, with empty transcripts: noise, hum, beeps, tunes, knocks.

    python recipes/embedded/nonspeech.py data/embedded-third

A model that has heard only speech writes text for whatever it hears.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

from asr.audio.reading import SAMPLE_RATE
from asr.corpus.manifest import Utterance, write_manifest

SECONDS = (0.8, 7.0)
"""Length of a sound."""
LEVELS = (-55, -10)
"""Its root mean square, in dB of full scale."""


def noise(n: int, random: np.random.Generator) -> np.ndarray:
    """Noise whose power falls with the frequency to the power of 0 (white) to 2 (brown), in a band of its own."""
    spectrum = np.fft.rfft(random.standard_normal(n))
    hz = np.fft.rfftfreq(n, 1 / SAMPLE_RATE)
    low, high = random.uniform(20, 300), random.uniform(1000, 8000)
    shape = np.maximum(hz, 20) ** (-random.uniform(0, 1)) * (hz > low) * (hz < high)
    return np.fft.irfft(spectrum * shape, n)


def swelling(n: int, random: np.random.Generator) -> np.ndarray:
    """Noise that comes and goes, as wind, breath and cars do."""
    points = random.integers(3, 3 + 4 * n // SAMPLE_RATE)
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


KINDS: tuple[Callable[[int, np.random.Generator], np.ndarray], ...] = (noise, swelling, hum, tune, knocks)


def level(samples: np.ndarray) -> np.ndarray:
    """The same with a root mean square of 1."""
    return samples / max(float(np.sqrt(np.square(samples).mean())), 1e-9)


def sound(random: np.random.Generator) -> np.ndarray:
    """A sound of one kind, or of two at once."""
    n = int(random.uniform(*SECONDS) * SAMPLE_RATE)
    kinds = [KINDS[i] for i in random.integers(len(KINDS), size=random.integers(1, 3))]
    mixed = level(sum(random.uniform(0.1, 1) * level(kind(n, random)) for kind in kinds))
    return (mixed * 10 ** (random.uniform(*LEVELS) / 20)).clip(-1, 1)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, metavar="PREPARED", help="the folder that prepare.py wrote")
    parser.add_argument("--number", type=int, default=600, help="sounds")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args(arguments)
    folder = options.out / "nonspeech"
    folder.mkdir(exist_ok=True)
    made = []
    for i in range(options.number):
        path, samples = folder / f"nonspeech-{i:04d}.wav", sound(np.random.default_rng([options.seed, i]))
        soundfile.write(path, samples, SAMPLE_RATE, subtype="PCM_16")
        made.append(Utterance(path.stem, path, len(samples) / SAMPLE_RATE, "", speaker="none", source="nonspeech"))
    write_manifest(options.out / "nonspeech.jsonl", made)
    print(f"nonspeech: {len(made):,} sounds, {sum(u.duration for u in made) / 3600:.1f} h")


if __name__ == "__main__":
    main()
