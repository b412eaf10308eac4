"""A synthetic language of twenty syllables, made in seconds: to try the whole system without any data.

Each syllable is an onset (none, hiss, hum, burst) and a vowel (two formants), spoken by random speakers with their own
pitch, vocal tract, tempo and noise. Sentences are random, so a model that does not listen cannot guess them.
"""

from pathlib import Path

import numpy as np
import soundfile

from asr.audio.reading import SAMPLE_RATE
from asr.corpus.manifest import Utterance, write_manifest

VOWELS = {"a": (800, 1250), "i": (300, 2400), "u": (320, 750), "e": (480, 1700), "o": (520, 950)}
"""Vowel → its two formants in Hz."""
SYLLABLES = {
    "": "阿衣乌鹅哦",
    "hiss": "撒西苏色所",
    "hum": "妈米木么摸",
    "burst": "卡起哭客扣",
}
"""Onset → the characters of its syllables, vowels in the order above."""
SPELLING = {c: (onset, vowel) for onset, row in SYLLABLES.items() for c, vowel in zip(row, VOWELS, strict=True)}
CHARACTERS = "".join(SPELLING)


def prepare_toy(
    out: str | Path, n_train: int = 1200, n_dev: int = 60, n_test: int = 100, *, seed: int = 1
) -> dict[str, Path]:
    """Writes wav files and the manifests train.jsonl, dev.jsonl and test.jsonl under `out`; no sentence is in two of them."""
    out = Path(out)
    random = np.random.default_rng(seed)
    seen: set[str] = set()
    manifests = {}
    for split, n in (("train", n_train), ("dev", n_dev), ("test", n_test)):
        (out / "wav" / split).mkdir(parents=True, exist_ok=True)
        utterances = []
        while len(utterances) < n:
            text = "".join(random.choice(list(CHARACTERS), random.integers(2, 7)))
            if text in seen:
                continue
            seen.add(text)
            samples = speak(text, random)
            name = f"{split}-{len(utterances):04d}"
            audio = out / "wav" / split / f"{name}.wav"
            soundfile.write(audio, samples, SAMPLE_RATE, subtype="PCM_16")
            utterances.append(Utterance(name, audio, len(samples) / SAMPLE_RATE, text, source="toy"))
        manifests[split] = out / f"{split}.jsonl"
        write_manifest(manifests[split], utterances)
    return manifests


def speak(text: str, random: np.random.Generator) -> np.ndarray:
    """A random speaker says the text: (S,) float32 at 16 kHz."""
    pitch, tract, tempo = random.uniform(100, 240), random.uniform(0.9, 1.1), random.uniform(0.85, 1.2)
    pieces = [_silence(random.uniform(0.05, 0.15), random)]
    for character in text:
        pieces.append(_syllable(*SPELLING[character], pitch, tract, tempo, random))
    pieces.append(_silence(random.uniform(0.05, 0.15), random))
    speech = np.concatenate(pieces) * random.uniform(0.3, 1.0)
    return (speech + random.normal(0, 0.003, len(speech))).clip(-1, 1).astype(np.float32)


def _silence(seconds: float, random: np.random.Generator) -> np.ndarray:
    return random.normal(0, 0.001, int(seconds * SAMPLE_RATE))


def _syllable(
    onset: str, vowel: str, pitch: float, tract: float, tempo: float, random: np.random.Generator
) -> np.ndarray:
    sound = _voiced(pitch, [f * tract for f in VOWELS[vowel]], 0.16 / tempo, random)
    if onset == "hiss":
        noise = np.diff(random.normal(0, 0.12, int(0.07 / tempo * SAMPLE_RATE) + 1))
        return np.concatenate([noise, sound])
    if onset == "hum":
        return np.concatenate([0.5 * _voiced(pitch, [250 * tract], 0.07 / tempo, random), sound])
    if onset == "burst":
        burst = random.normal(0, 0.3, int(0.015 * SAMPLE_RATE))
        return np.concatenate([_silence(0.04 / tempo, random), burst, sound])
    return np.concatenate([_silence(0.03, random), sound])


def _voiced(pitch: float, formants: list[float], seconds: float, random: np.random.Generator) -> np.ndarray:
    """Harmonics of a slightly gliding pitch, each as loud as the nearest formant makes it."""
    t = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    phase = 2 * np.pi * pitch * t * (1 + random.uniform(-0.3, 0.3) * t)
    sound, before, harmonic, twice = np.zeros(len(t)), np.zeros(len(t)), np.sin(phase), 2 * np.cos(phase)
    for k in range(1, int(4000 / pitch)):
        loudness = sum(1 / (1 + ((k * pitch - f) / 120) ** 2) for f in formants)
        sound += loudness * harmonic
        before, harmonic = harmonic, twice * harmonic - before  # sin (k + 1) x = 2 cos x sin k x - sin (k - 1) x
    edge = np.minimum(1, np.minimum(np.arange(len(t)), np.arange(len(t))[::-1]) / (0.01 * SAMPLE_RATE))
    return 0.3 * sound * edge / max(np.abs(sound).max(), 1e-9)
