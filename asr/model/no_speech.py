"""The no-speech head: how likely it is that nobody speaks in what the encoder heard, so that a sound is not taken for a word.

A linear layer gives each memory frame a weight and a sign of speech or none; the mean of the signs by the softmax of the weights
(attention pooling) is the logit. The encoder is as it was trained: a head is learnt on it in minutes
(recipes/embedded/no_speech.py), and lies in a file of its own beside the weights, which names those it was learnt on.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from asr.errors import CheckpointError
from asr.files import atomic_write
from asr.foreign_bytes import reading
from asr.model.layers import length_mask

NO_SPEECH = "no_speech.safetensors"
"""Its file in a model folder."""


class NoSpeechHead(nn.Module):
    """Encoded frames to the probability that none of them is speech. Nobody has spoken before it has learnt: all zeros."""

    def __init__(self, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2, width))
        self.bias = nn.Parameter(torch.zeros(1))

    def judged(self, encoded: Tensor) -> Tensor:
        """Encoded frames (B, L, D) → what is pooled of each (B, L, 2): its weight, and its sign that nobody speaks.

        Sums of products in float32, not a linear layer's, which quantised models and graphs compute in whole numbers.
        """
        encoded = encoded.float()
        weight, sign = ((encoded * row).sum(-1) for row in self.weight)
        return torch.stack([weight, sign + self.bias], dim=-1)

    def forward(self, encoded: Tensor, lengths: Tensor) -> Tensor:
        """Encoded frames (B, L, D), of which the first lengths (B,) count → logits (B,) that nobody speaks."""
        weight, sign = self.judged(encoded).unbind(-1)
        real = length_mask(lengths, encoded.shape[1])
        return (weight.masked_fill(~real, -torch.inf).softmax(-1) * sign).sum(-1)


def write_no_speech(folder: Path, head: NoSpeechHead | None, header: Mapping[str, str]) -> None:
    """Keeps a head in the folder of its model, or sees that none lies there. header: that of the weights it was learnt on."""
    if head is None:
        (folder / NO_SPEECH).unlink(missing_ok=True)
        return
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in head.state_dict().items()}
    with atomic_write(folder / NO_SPEECH, "wb") as file:
        file.write(save(tensors, {"weights": known_by(header)}))


def read_no_speech(folder: Path, header: Mapping[str, str], width: int) -> NoSpeechHead | None:
    """The head of a model folder, if there is one. Raises CheckpointError for one that was learnt on other weights.

    header: that of the folder's weights. width: D of its encoder.
    """
    path = folder / NO_SPEECH
    if not path.is_file():
        return None
    with reading(path, CheckpointError, "damaged or not safetensors", "delete it to do without"):
        head = NoSpeechHead(width)
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}
            learnt_on = (file.metadata() or {}).get("weights")
        shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        if shapes != {name: tuple(tensor.shape) for name, tensor in head.state_dict().items()}:
            raise ValueError(f"its tensors are {shapes}, the encoder's width is {width}")
        head.load_state_dict(tensors)
    if learnt_on != known_by(header):
        raise CheckpointError(
            f"{path}: was learnt on other weights than those beside it; delete it, or learn it again with"
            " recipes/embedded/no_speech.py"
        )
    return head


def known_by(header: Mapping[str, str]) -> str:
    """By what a head knows the weights that it was learnt on: their answers to the golden input."""
    return hashlib.sha256(header.get("golden", "").encode()).hexdigest()[:16]
