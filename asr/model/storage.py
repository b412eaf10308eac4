"""Weights in fewer bits in a file. In memory they are float32 again."""

import torch
from torch import Tensor

from asr.errors import UsageError

DTYPES = ("float32", "float16", "int8")
"""What weights can be stored in."""
SCALE = ".scale"
"""What a tensor's name has behind it in that of its scales."""
LARGEST = 127
"""Of the whole numbers that int8 weights are."""


def check_dtype(dtype: str) -> None:
    """Raises UsageError for a name that is none of DTYPES."""
    if dtype not in DTYPES:
        raise UsageError(f"dtype must be one of {', '.join(DTYPES)}, is {dtype!r}")


def stored(tensors: dict[str, Tensor], dtype: str) -> dict[str, Tensor]:
    """What is written for float32 tensors: matrices and convolutions in `dtype`, one of DTYPES, all else as it is.

    int8: each output has a scale of its own, the largest of its weights over 127; all are rounded to multiples of it.
    """
    if dtype == "float32":
        return tensors
    if dtype == "float16":
        return {name: tensor.half() if tensor.ndim > 1 else tensor for name, tensor in tensors.items()}
    written = {}
    for name, tensor in tensors.items():
        if tensor.ndim < 2:
            written[name] = tensor
            continue
        scales = tensor.flatten(1).abs().amax(1).clamp(min=torch.finfo(torch.float32).tiny) / LARGEST
        written[name] = (tensor / _beside(scales, tensor)).round().to(torch.int8)
        written[name + SCALE] = scales
    return written


def restored(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """What `stored` was given, as exactly as it has kept it: int8 as float32, float16 as it is."""
    return {
        name: tensor if tensor.dtype != torch.int8 else tensor * _beside(tensors[name + SCALE], tensor)
        for name, tensor in tensors.items()
        if name.removesuffix(SCALE) == name or name.removesuffix(SCALE) not in tensors
    }


def _beside(scales: Tensor, tensor: Tensor) -> Tensor:
    """Scales (O,) for a tensor (O, …)."""
    return scales.view(-1, *[1] * (tensor.ndim - 1))
