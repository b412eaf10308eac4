"""How likely somebody speaks, window by window of a stream, by a network of silero-vad in whatever form it runs."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from asr.errors import AsrError

WINDOW = 512
"""Samples that one probability is for: 32 ms."""
CONTEXT = 64
"""Samples before a window that its spectra reach back to."""
INSTALL = "pip install 'silero-vad>=6,<7'"


class SpeechNetwork(Protocol):
    """A network that holds no state of a stream, so that one serves any number of them."""

    def start(self) -> Any:
        """The state before a stream."""
        ...

    def probabilities(self, samples: np.ndarray, state: Any) -> tuple[np.ndarray, Any]:
        """Samples (CONTEXT + N WINDOW,) and the state before them → probabilities of speech (N,) and the state after."""
        ...


class SpeechProbabilities:
    """The probabilities of one stream, whose samples come in arrays of any length."""

    def __init__(self, network: SpeechNetwork):
        self.network = network
        self.state = network.start()
        self.held = np.zeros(CONTEXT, np.float32)

    def add(self, samples: np.ndarray) -> np.ndarray:
        """The next samples (S,) → (N,), one for each window that is now complete; the rest waits for the next call."""
        held = np.concatenate([self.held, samples])
        n = (len(held) - CONTEXT) // WINDOW
        self.held = held[n * WINDOW :]
        if not n:
            return np.zeros(0, np.float32)
        found, self.state = self.network.probabilities(held[: CONTEXT + n * WINDOW], self.state)
        return found


def silero_file(name: str) -> Path:
    """A file of the installed silero-vad, which is not imported: that would bring PyTorch and set it to one thread.

    Raises AsrError where the package is missing.
    """
    spec = find_spec("silero_vad")
    if spec is None or not spec.submodule_search_locations:
        raise AsrError(f"silero-vad, which finds the speech in a recording, is not installed: {INSTALL}")
    return Path(spec.submodule_search_locations[0]) / "data" / name
