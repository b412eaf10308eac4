"""Texts of several lengths as one batch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from asr.punctuation.features import PAD, Inputs
from asr.punctuation.network import FIELDS

NO_TAG = -1
"""The tag of a place that is not judged: edges and padding."""


@dataclass(frozen=True)
class Batch:
    """B texts of at most T places."""

    fields: dict[str, Tensor]
    """Each (B, T)."""
    real: Tensor
    """Which places are not padding, (B, T)."""
    tags: Tensor
    """The tag of each place, (B, T); NO_TAG where there is none."""


def batch_of(texts: Sequence[Inputs], tags: Sequence[np.ndarray] = ()) -> Batch:
    """Texts of places T and, for training, the tags of their units (T - 2,)."""
    lengths = torch.tensor([len(text.characters) for text in texts])
    places = int(lengths.max())

    def filled(rows: Sequence[np.ndarray], value: int, first: int = 0) -> Tensor:
        table = np.full((len(texts), places), value, dtype=np.int64)
        for row, values in zip(table, rows, strict=True):
            row[first : first + len(values)] = values
        return torch.from_numpy(table)

    return Batch(
        fields={name: filled([getattr(text, name) for text in texts], PAD) for name in FIELDS},
        real=torch.arange(places) < lengths.unsqueeze(1),
        tags=filled(tags or [np.empty(0)] * len(texts), NO_TAG, first=1),
    )
