"""What is done to the whole of an utterance, to its samples or its features, however its batch is padded."""

import torch
import torch.nn.functional as F
from torch import Tensor

SMALLEST_DEVIATION = 1e-5
"""Added to a bin's deviation in an utterance, which is 0 where it is silent."""


def silent_behind(samples: Tensor, lengths: Tensor, more: int) -> tuple[Tensor, Tensor]:
    """Samples (B, S + more), silent behind each length, and lengths, `more` longer."""
    return F.pad(samples * length_mask(lengths, samples.shape[1]), (0, more)), lengths + more


def emphasised(samples: Tensor, lengths: Tensor, share: float) -> Tensor:
    """Samples (B, S), each less a share of the one before; the first as it is, and silence behind each length."""
    before = F.pad(samples[:, :-1], (1, 0))
    return (samples - share * before) * length_mask(lengths, samples.shape[1])


def steady_noise(lengths: Tensor, size: int) -> Tensor:
    """White noise (B, size) of deviation 1 up to each length, and 0 behind it: the same for each utterance of a length.

    It is drawn on the CPU, with the length for the seed, so that it is the same everywhere.
    """
    noise = torch.zeros(len(lengths), size)
    for row, length in zip(noise, lengths.tolist(), strict=True):
        row[:length] = torch.randn(length, generator=torch.Generator().manual_seed(length))
    return noise.to(lengths.device)


def above(features: Tensor, real: Tensor, distance: float) -> Tensor:
    """Features (B, T, F) raised to at least `distance` below the largest real one of their utterance."""
    largest = features.masked_fill(~real, -torch.inf).amax((1, 2), keepdim=True)
    return features.maximum(largest - distance)


def standardised(features: Tensor, real: Tensor) -> Tensor:
    """Features (B, T, F), of which some are real (B, T, 1): each bin less its mean in the utterance, over its deviation there."""
    n_frames = real.sum(1, keepdim=True)
    mean = (features * real).sum(1, keepdim=True) / n_frames.clamp(min=1)
    squares = ((features - mean).square() * real).sum(1, keepdim=True)
    return (features - mean) / ((squares / (n_frames - 1).clamp(min=1)).sqrt() + SMALLEST_DEVIATION)


def reflected(places: Tensor, lengths: Tensor) -> Tensor:
    """Places (P,) of any size → (B, P) in 0 … length - 1, mirrored at both ends. Example: -1, 3, 4 of length 4 → 1, 3, 2."""
    last = (lengths[:, None] - 1).clamp(min=1)
    places = places % (2 * last)
    return torch.minimum(places, 2 * last - places).minimum((lengths[:, None] - 1).clamp(min=0))


def length_mask(lengths: Tensor, size: int) -> Tensor:
    """(B,) → (B, size), True where the position is below the length. Example: [1, 3] → [[T F F], [T T T]]."""
    return torch.arange(size, device=lengths.device) < lengths[:, None]
