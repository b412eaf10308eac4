"""How far the times of aligned text are from the truth, on recordings joined from single syllables without pauses.

    python benchmarks/timestamps.py SPEECH

SPEECH is a folder with train.tsv (id, audio, pinyin, source, …) and the recordings of every tonal syllable of Mandarin. Each
syllable is trimmed to what is above -35 dB, brought to one level, and joined to the next with a cross-fade of 5 ms; the middle of
the cross-fade is the truth. The text is a common character for each syllable.
"""

import csv
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asr.audio.reading import SAMPLE_RATE, read_samples
from asr.text.pinyin import readings

SILENCE_DB = 35
LEVEL = 0.08
CROSS_FADE = 0.005


@dataclass(frozen=True)
class Joined:
    """A recording made of syllables."""

    samples: np.ndarray
    """(S,) at 16 kHz."""
    text: str
    """A character for each syllable."""
    starts: tuple[float, ...]
    """Where each begins, in seconds."""
    end: float
    """Where the last one ends."""


def recorded_syllables(speech: Path) -> dict[str, np.ndarray]:
    """Pinyin with tone digit → trimmed samples (S,) at a common level."""
    found = {}
    with open(speech / "train.tsv", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            if row["source"] == "syllables":
                samples = trimmed(read_samples(speech / row["audio"]))
                found[row["pinyin"]] = samples * (LEVEL / max(float(np.sqrt(np.square(samples).mean())), 1e-6))
    return found


def trimmed(samples: np.ndarray) -> np.ndarray:
    """From the first loud hundredth of a second to the last."""
    hop = SAMPLE_RATE // 100
    power = np.square(samples[: len(samples) // hop * hop].reshape(-1, hop)).mean(1)
    loud = np.flatnonzero(power > power.max() * 10 ** (-SILENCE_DB / 10))
    return samples[loud[0] * hop : (loud[-1] + 1) * hop]


def characters_by_syllable(known: list[str]) -> dict[str, list[str]]:
    """Pinyin → characters that are read so and in no other way, of those that are known, in their order."""
    found = defaultdict(list)
    for character in known:
        if len(said := readings(character)) == 1 and said[0] != character:
            found[said[0]].append(character)
    return found


def join(pieces: list[np.ndarray], text: str, margin: float = 0.2) -> Joined:
    """The pieces one after the other, with a little silence before and behind."""
    fade = int(CROSS_FADE * SAMPLE_RATE)
    rising = np.linspace(0, 1, fade, dtype=np.float32)
    samples, starts = np.zeros(int(margin * SAMPLE_RATE), np.float32), []
    for piece in pieces:
        starts.append((len(samples) - fade / 2) / SAMPLE_RATE)
        overlap = samples[-fade:] * rising[::-1] + piece[:fade] * rising
        samples = np.concatenate([samples[:-fade], overlap, piece[fade:]])
    end = len(samples) / SAMPLE_RATE
    samples = np.concatenate([samples, np.zeros(int(margin * SAMPLE_RATE), np.float32)])
    noise = np.random.default_rng(len(samples)).normal(0, 1e-4, len(samples))
    return Joined((samples + noise).astype(np.float32), text, tuple(starts), end)


def joined_recordings(
    recorded: dict[str, np.ndarray], characters: dict[str, list[str]], n: int, seed: int, syllables: int = 12
) -> list[Joined]:
    """n recordings of random syllables."""
    random = np.random.default_rng(seed)
    usable = [s for s in recorded if s in characters]
    found = []
    for _ in range(n):
        chosen = [usable[i] for i in random.integers(len(usable), size=syllables)]
        text = "".join(characters[s][0] for s in chosen)
        found.append(join([recorded[s] for s in chosen], text))
    return found
