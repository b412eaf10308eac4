"""Changes to recordings in training, before they become batches: another speed, noise from a folder of recordings.

Never used in evaluation. Random numbers come from the generator that is passed: they are the same in every process, and when
a run goes on.
"""

import hashlib
from pathlib import Path
from random import Random

import numpy as np
import soxr

from asr.audio.reading import SAMPLE_RATE, audio_duration, looks_like_a_recording, read_samples
from asr.errors import AudioError, ConfigError
from asr.features.augment import NOISE_DECIBELS, AugmentConfig

FRAME = SAMPLE_RATE // 40
"""Samples whose mean power is that of a frame."""


class Waveforms:
    """What is done to each utterance. Raises ConfigError for a noise folder that cannot be used."""

    def __init__(self, config: AugmentConfig):
        self.speeds, self.share = config.speeds, config.noise
        self.noises = list(recordings(Path(config.noise_folder)).items()) if config.noise_folder else []

    def __call__(self, samples: np.ndarray, random: Random) -> np.ndarray:
        """Samples (S,) → changed samples (S',)."""
        if self.speeds:
            samples = change_speed(samples, random.choice(self.speeds))
        if self.noises and random.random() < self.share:
            samples = add_recording(samples, self._piece(len(samples), random), random.uniform(*NOISE_DECIBELS))
        return samples

    def _piece(self, n: int, random: Random) -> np.ndarray:
        """So many samples from anywhere in any of the recordings; of one that is shorter all, again and again."""
        path, seconds = random.choice(self.noises)
        start = random.uniform(0, max(0.0, seconds - n / SAMPLE_RATE))
        try:
            piece = read_samples(path, start, n / SAMPLE_RATE)
        except AudioError as error:
            raise _unusable(error) from error
        return np.resize(piece, n) if len(piece) else np.zeros(n, np.float32)


def recordings(folder: Path) -> dict[Path, float]:
    """The recordings in a folder and those within it, with their lengths in seconds."""
    found = sorted(path for path in folder.rglob("*") if looks_like_a_recording(path))
    if not found:
        what = "is a file, not a folder" if folder.is_file() else "no such folder"
        what = "holds no recording" if folder.is_dir() else what
        raise ConfigError(f"augment.noise_folder {folder}: {what}")
    try:
        return {path: audio_duration(path) for path in found}
    except AudioError as error:
        raise _unusable(error) from error


def noises_fingerprint(folder: str) -> str:
    """A hash of the recordings in a folder: names and lengths; of none where there is no folder."""
    digest = hashlib.sha256()
    for path, seconds in recordings(Path(folder)).items() if folder else ():
        digest.update(f"{path.relative_to(folder).as_posix()}\t{seconds}\n".encode())
    return digest.hexdigest()[:16]


def _unusable(error: AudioError) -> ConfigError:
    return ConfigError(f"augment.noise_folder: {error}; take it out of the folder")


def change_speed(samples: np.ndarray, factor: float) -> np.ndarray:
    """Samples (S,) played `factor` times as fast, (S / factor,): pitch, formants and tempo change together."""
    return samples if factor == 1 else soxr.resample(samples, factor * SAMPLE_RATE, SAMPLE_RATE, quality="HQ")


def add_recording(samples: np.ndarray, noise: np.ndarray, decibels: float) -> np.ndarray:
    """Samples (S,) and noise (S,), whose mean power is so many decibels below that of the loudest frame of the samples."""
    if not noise.any():
        return samples
    n_frames = -(-len(samples) // FRAME)
    frames = np.pad(samples, (0, n_frames * FRAME - len(samples))).reshape(n_frames, FRAME)
    loudest, power = (frames.astype(np.float64) ** 2).mean(1).max(), (noise.astype(np.float64) ** 2).mean()
    return samples + noise * np.float32((loudest / power) ** 0.5 * 10 ** (-decibels / 20))
