"""How many characters a model writes in ten minutes in which nobody speaks.

    python recipes/embedded/invented.py MODEL

Five minutes of the kinds of sound that nonspeech.py makes, drawn anew, and five of kinds that no model was trained on.
"""

import argparse

import numpy as np
from nonspeech import KINDS, level

from asr.audio.reading import SAMPLE_RATE
from asr.transcription.transcriber import load


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


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--lm", help="another language model, or none")
    options = parser.parse_args(arguments)
    transcriber, random = load(options.model, lm=options.lm), np.random.default_rng(2026)
    total = 0
    for kinds in (KINDS, (siren, birds, crackle, room)):
        for kind in kinds:
            seconds, texts = 300 // len(kinds), []
            for _ in range(5):
                samples = level(kind(seconds * SAMPLE_RATE // 5, random)) * 10 ** (random.uniform(-50, -12) / 20)
                texts.append(transcriber.transcribe((samples.clip(-1, 1).astype(np.float32), SAMPLE_RATE)).text)
            print(f"{kind.__name__}: {len(''.join(texts))} characters in {seconds} s")
            total += len("".join(texts))
    print(f"all: {total} characters in ten minutes")


if __name__ == "__main__":
    main()
