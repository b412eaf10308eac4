"""What a line does to a voice: through a telephone, without all above 4 kHz, every vector moves the same way.

From each vector the mean of many speakers is taken away, that of telephones where its band is narrow: people are told apart
better then. `recipes/speakers/means.py` has made the means.
"""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from asr.model_paths import PRETRAINED

WIDE, NARROW = BANDS = (0, 1)
"""A microphone's band and a telephone's, as places in arrays."""
MEANS = PRETRAINED / "speakers" / "means.npy"
MIDDLE, ABOVE = slice(27, 53), slice(60, 80)
"""Filters of 1 to 3 kHz, and of what lies above 4 kHz."""
DIFFERENCE = -4.5
"""Mean log-mel ABOVE less that of MIDDLE, below which a band is narrow: of telephones -6 in the median, else -3 at the least."""


def is_narrow(features: Tensor) -> bool:
    """Whether log-mel features (T, F) of speech are those of a narrow band."""
    mean = features.mean(0)
    return bool(mean[ABOVE].mean() - mean[MIDDLE].mean() < DIFFERENCE)


def centred(vector: np.ndarray, narrow: bool) -> np.ndarray:
    """A vector (D,) of any length without what all voices of its band have in common; of length 1."""
    vector = unit(vector) - means()[NARROW if narrow else WIDE]
    return unit(vector)


def unit(vector: np.ndarray) -> np.ndarray:
    """A vector of the same direction, and length 1."""
    return vector / max(float(np.linalg.norm(vector)), 1e-9)


@lru_cache(maxsize=1)
def means() -> np.ndarray:
    """(BANDS, D): the mean of many speakers' vectors of length 1."""
    return np.load(MEANS, allow_pickle=False)


def vector_of(embedding: torch.nn.Module, features: Tensor) -> np.ndarray:
    """What log-mel features (T, F) sound like to a network: (D,)."""
    with torch.inference_mode():
        return embedding((features - features.mean(0))[None])[0].numpy()
