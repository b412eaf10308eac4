"""The no-speech head: how likely it is that nobody speaks in what the encoder heard, so that a sound is not taken for a word.

A linear layer gives each memory frame a weight and a sign of speech or none; the mean of the signs by the softmax of the weights
(attention pooling) is the logit. The encoder is as it was trained: a head is learnt on it in minutes
(recipes/embedded/no_speech.py), and lies in a file of its own beside the weights, which names those it was learnt on.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from asr.errors import CheckpointError
from asr.features.utterance import length_mask
from asr.files import write_file
from asr.foreign_bytes import reading

NO_SPEECH = "no_speech.safetensors"
"""Its file in a model folder."""
NEXT = "next."
"""Before the names of the tensors that belong to the weights which are about to take the place of those that are there."""


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


def write_no_speech(folder: Path, head: NoSpeechHead, header: Mapping[str, str]) -> None:
    """Keeps a head in the folder of its model. header: that of the weights it was learnt on."""
    _write(folder, {known_by(header): head})


@contextmanager
def changing_weights(
    folder: Path, head: NoSpeechHead | None, before: Mapping[str, str] | None, header: Mapping[str, str]
) -> Iterator[None]:
    """A block that puts new weights into the place of the old ones: afterwards `head`, or none, lies beside them.

    Until then the file holds what belongs to either: killed at any moment, the folder holds weights with their own head or
    without one. Where the block fails, all is as it was. before, header: those of the old weights, None without any, and of
    the new ones.
    """
    path, new = folder / NO_SPEECH, known_by(header)
    kept = path.read_bytes() if path.is_file() and before is not None else None
    if kept is None:  # or what is there is of weights that are gone
        path.unlink(missing_ok=True)
    old = None if before is None else known_by(before)
    if old not in (None, new) and (kept is not None or head is not None):
        _write(folder, {old: _old_head(path, old) if kept else None, new: head})
    elif head is not None:
        _write(folder, {new: head})
    try:
        yield
    except BaseException:
        if kept is None:
            path.unlink(missing_ok=True)
        else:
            with suppress(OSError):  # the one of both says the same
                write_file(path, kept)
        raise
    if head is None:
        path.unlink(missing_ok=True)
    else:
        with suppress(OSError):
            _write(folder, {new: head})


def _old_head(path: Path, old: str) -> NoSpeechHead | None:
    """That of weights which are about to be replaced; none where it is damaged, or was learnt on others."""
    try:
        return _head_of(path, old)
    except Exception:  # whatever a damaged file brings
        return None


def _write(folder: Path, heads: Mapping[str, NoSpeechHead | None]) -> None:
    """What belongs to each of one or two sets of weights, the first under the plain names."""
    (first, head), *others = heads.items()
    tensors, known = _tensors(head), {"weights": first}
    for other, head in others:
        tensors |= {f"{NEXT}{name}": tensor for name, tensor in _tensors(head).items()}
        known["next"] = other
    write_file(folder / NO_SPEECH, save(tensors, known))


def _tensors(head: NoSpeechHead | None) -> dict[str, Tensor]:
    values = {} if head is None else head.state_dict()
    return {name: tensor.detach().cpu().contiguous() for name, tensor in values.items()}


def read_no_speech(folder: Path, header: Mapping[str, str], width: int) -> NoSpeechHead | None:
    """The head of a model folder, if there is one. Raises CheckpointError for one that was learnt on other weights.

    header: that of the folder's weights. width: D of its encoder.
    """
    path = folder / NO_SPEECH
    if not path.is_file():
        return None
    with reading(path, CheckpointError, "damaged or not safetensors", "delete it to do without"):
        head = _head_of(path, known_by(header))
        if head is not None and head.weight.shape[1] != width:
            raise ValueError(f"its width is {head.weight.shape[1]}, the encoder's width is {width}")
    return head


def _head_of(path: Path, weights: str) -> NoSpeechHead | None:
    """What a file holds for weights that are known by this; None if these were written without a head."""
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        if weights not in (metadata.get("weights"), metadata.get("next")):
            raise CheckpointError(
                f"{path}: was learnt on other weights than those beside it; delete it, or learn it again with"
                " recipes/embedded/no_speech.py"
            )
        of_next = weights != metadata.get("weights")
        names = [name for name in file.keys() if name.startswith(NEXT) == of_next]
        tensors = {name.removeprefix(NEXT): file.get_tensor(name) for name in names}
    if not tensors and "next" in metadata:
        return None
    width = tensors["weight"].shape[-1] if "weight" in tensors else 0
    head = NoSpeechHead(width)
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    expected = {name: tuple(tensor.shape) for name, tensor in head.state_dict().items()}
    if shapes != expected:
        raise ValueError(f"its tensors are {shapes}, should be {expected}")
    head.load_state_dict(tensors)
    return head


def known_by(header: Mapping[str, str]) -> str:
    """By what a head knows the weights that it was learnt on: their answers to the golden input."""
    return hashlib.sha256(header.get("golden", "").encode()).hexdigest()[:16]
