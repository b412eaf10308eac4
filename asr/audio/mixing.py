"""Channels to one: their average, but for those that would cancel each other out."""

import numpy as np

CANCELLED = 0.06
"""Power of the average, as a share of what channels that have nothing in common would give: two that agree to less than
-0.94 are one and its opposite, and either of them holds all that is heard."""
PART_SECONDS = 1.0
"""Decided over."""
KEPT = 0.25
"""Share of the loudest channel's power; a channel that has as much goes on to be the one that is read."""
HEARD = 1e-6
"""Mean square of a part in which there is something, -60 dB of full scale."""
FRAME_SECONDS = 0.02
"""Over which levels are compared: shorter than a syllable."""
LEAST_FRAMES = 60
"""With sound in one channel at least, without which nothing is said of talkers."""
ALIKE = 0.6
"""Correlation of the levels of two channels, in dB, from which on they are taken for the same sounds."""
LIVELY = 5.0
"""Standard deviation of the level of speech, in dB; noise stays at one."""
CANCELLING = "has channels that cancel each other out (one is the other's opposite); the louder one is read"
TWO_TALKERS = "has different sounds in its two channels, as two talkers have; --channels split writes each by itself"


class Mixer:
    """One channel of a stream of blocks."""

    def __init__(self, rate: int):
        self.size = max(1, round(rate * PART_SECONDS))
        self.chosen: int | None = None
        """The channel that is read, while channels cancel."""
        self.cancelled = False
        """Whether they did anywhere."""
        self.levels = Levels(rate)

    def mix(self, block: np.ndarray) -> np.ndarray:
        """(S, channels) → (S, 1)."""
        if block.shape[1] == 1:
            return block
        mixed = _average(block)
        self.levels.add(block)
        for first in range(0, max(1, len(block) - self.size // 2), self.size):
            end = len(block) if first + 1.5 * self.size > len(block) else first + self.size
            self._part(block[first:end], mixed[first:end])
        return mixed

    def problems(self) -> list[str]:
        """What was found."""
        found = [CANCELLING] if self.cancelled else []
        return found + ([TWO_TALKERS] if self.levels.differ() else [])

    def _part(self, part: np.ndarray, mixed: np.ndarray) -> None:
        """Takes one channel in place of the average, where that is next to nothing."""
        if 2 * len(part) >= self.size:  # in less, chance may have it so: what was decided before holds
            self._decide(part, mixed)
        if self.chosen is not None:
            mixed[:] = part[:, self.chosen : self.chosen + 1]

    def _decide(self, part: np.ndarray, mixed: np.ndarray) -> None:
        n, channels = part.shape
        every, average = _power(part), _power(mixed)
        if not every > 0 or not average * channels**2 < CANCELLED * every:
            self.chosen = None
            return
        powers = np.einsum("sc,sc->c", part, part, dtype=np.float64)
        if self.chosen is None or powers[self.chosen] < KEPT * powers.max():
            self.chosen = int(powers.argmax())
        self.cancelled = self.cancelled or every > HEARD * n


class Levels:
    """How the levels of two channels go up and down: together where they heard the same, each for itself where two talk."""

    def __init__(self, rate: int):
        self.size = max(1, round(rate * FRAME_SECONDS))
        self.n = 0
        self.sums = np.zeros(2)
        self.products = np.zeros((2, 2))

    def add(self, block: np.ndarray) -> None:
        """(S, channels); only two are compared."""
        n = len(block) // self.size
        if block.shape[1] != 2 or not n:
            return
        frames = block[: n * self.size].reshape(n, self.size, 2)
        powers = np.einsum("nsc,nsc->nc", frames, frames, dtype=np.float64) / self.size
        powers -= np.square(np.einsum("nsc->nc", frames, dtype=np.float64) / self.size)  # an offset is no sound
        levels = 10 * np.log10(np.maximum(powers, HEARD))[powers.max(1) > 10 * HEARD]
        self.n += len(levels)
        self.sums += levels.sum(0)
        self.products += levels.T @ levels

    def differ(self) -> bool:
        """Whether both channels are lively, as speech is, and the one does not go with the other."""
        if self.n < LEAST_FRAMES:
            return False
        means = self.sums / self.n
        covariance = self.products / self.n - np.outer(means, means)
        deviations = np.sqrt(covariance.diagonal().clip(0))
        return bool(deviations.min() > LIVELY and covariance[0, 1] < ALIKE * deviations.prod())


def _average(block: np.ndarray) -> np.ndarray:
    """As numpy's mean, which takes ten times as long for two."""
    if block.shape[1] == 2:
        return (0.5 * (block[:, 0] + block[:, 1]))[:, None]
    return block.mean(axis=1, keepdims=True)


def _power(samples: np.ndarray) -> float:
    flat = samples.reshape(-1)
    return float(np.dot(flat, flat))
