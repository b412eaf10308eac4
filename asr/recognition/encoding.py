"""Audio to what the decoder listens to: a few utterances at a time, each with as much silence behind it as it needs.

Whisper was trained on windows of 30 s, and takes as long for a word as for a speech where each is filled up to that. With too
little silence behind it a text does not end, or begins anew: such texts are decoded again in the whole window.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from asr.audio.faint import made_audible
from asr.audio.reading import SAMPLE_RATE
from asr.decoding.decode_config import AUTO
from asr.errors import Cancelled
from asr.features.fbank import pad_samples
from asr.model.model import Memory, SpeechModel
from asr.stopping import never

CPU_GROUP = 10.0
"""Seconds of audio, padding included, that a CPU encodes at once: more does not fit its caches, and only pads."""
WHOLE = 3600.0
"""Seconds of a window that is cut down to the model's own."""
MARGIN = 8.0
"""Seconds of silence behind a piece at least."""
SHORTEST = 12.0
"""Seconds of the shortest window."""
STEP = 2.0
"""Windows are multiples of so many seconds: few sizes, of which several are encoded together without padding."""


def encode(
    model: SpeechModel,
    utterances: Sequence[np.ndarray],
    cancelled: Callable[[], bool] = never,
    *,
    windows: Sequence[int] | None = None,
) -> Memory:
    """Arrays (S,) of samples, best sorted by length → the memory of all, faint ones heard louder. On a CPU a few at a time.

    windows: samples that each is filled up to, of a model that hears windows, in place of its whole one. Raises Cancelled where
    `cancelled`, which is asked before each of these groups, says so.
    """
    device = model.cmvn.mean.device
    budget = CPU_GROUP * SAMPLE_RATE if device.type == "cpu" else float("inf")
    windows = windows or [model.encoded_samples(len(u)) for u in utterances]
    memories = []
    for group in grouped(windows, budget):
        if cancelled():
            raise Cancelled("given up while it was encoded")
        samples, lengths = pad_samples([made_audible(utterances[i]) for i in group], model.shortest_samples)
        filled = torch.tensor([windows[i] for i in group]).to(device)
        memories.append(model.encode(samples.to(device), lengths.to(device), filled))
    lengths = torch.cat([memory.lengths for memory in memories])
    longest = int(lengths.max())

    def together(parts: list[Tensor]) -> Tensor:
        return pad_sequence([row for part in parts for row in part], batch_first=True)[:, :longest]

    return Memory(together([m.values for m in memories]), lengths, together([m.encoded for m in memories]))


def grouped(lengths: Sequence[int], budget: float) -> list[list[int]]:
    """Neighbours in groups whose padded length is within the budget; what is longer than that is a group of its own."""
    groups: list[list[int]] = []
    longest = 0
    for i, length in enumerate(lengths):
        longest = max(longest, length)
        if groups and longest * (len(groups[-1]) + 1) <= budget:
            groups[-1].append(i)
        else:
            groups.append([i])
            longest = length
    return groups


def window_samples(model: SpeechModel, lengths: Sequence[int], wanted: float | str) -> list[int]:
    """Samples that pieces of these lengths are filled up to. wanted: seconds of each window, or auto: by the length of the piece.

    At least the piece and at most the model's own window; of a model without one what it encodes in any case.
    """
    return [model.encoded_samples(n, automatic(n / SAMPLE_RATE) if wanted == AUTO else float(wanted)) for n in lengths]


def automatic(seconds: float) -> float:
    """The seconds of the window for a piece of so many."""
    return math.ceil(max(seconds + MARGIN, SHORTEST) / STEP) * STEP
