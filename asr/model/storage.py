"""Weights in fewer bits in a file. In memory they are float32 again."""

import torch
from torch import Tensor

from asr.errors import UsageError

DTYPES = ("float32", "float16", "int8")
"""What weights can be stored in."""
SCALE = ".scale"
"""What a tensor's name has behind it in that of its scales."""
LARGEST = 127
"""The largest of the whole numbers that int8 weights are."""
OF_THE_NUMBERS = ("checksum", "golden", "tokens")
"""What a header says of the very numbers below it: made anew with others, and nothing for people to read."""
WORD = 8
"""Bytes of the numbers that a checksum adds up: as fast as memory is read."""


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
    """What `stored` was given, as exactly as it has kept it: int8 as float32, float16 as it is.

    Raises ValueError where an int8 tensor has no scales, or not as many as outputs.
    """
    whole = {name: tensor for name, tensor in tensors.items() if tensor.dtype == torch.int8}
    scales = {name: tensors.get(name + SCALE) for name in whole}
    for name, scale in scales.items():
        if scale is None or scale.shape != whole[name].shape[:1]:
            found = "none" if scale is None else tuple(scale.shape)
            raise ValueError(f"{name + SCALE} should have the shape {tuple(whole[name].shape[:1])}, has {found}")
    others = {name: t for name, t in tensors.items() if name not in whole and name.removesuffix(SCALE) not in whole}
    # First to float32, then times the scales: one product of both kinds takes thirty times as long.
    return others | {name: tensor.float().mul_(_beside(scales[name], tensor)) for name, tensor in whole.items()}


def checksum(tensors: dict[str, Tensor]) -> str:
    """What tells damaged numbers: the sum of all of them, as they lie in a file, read as whole numbers of 64 bits."""
    total = 0
    for tensor in tensors.values():
        content = tensor.contiguous().reshape(-1).view(torch.uint8)
        if content.storage_offset() % WORD:  # a part of a larger tensor
            content = content.clone()
        even = len(content) // WORD * WORD
        total += int(content[:even].view(torch.int64).sum()) + int(content[even:].sum())
    return f"{total % 2**64:016x}"


def _beside(scales: Tensor, tensor: Tensor) -> Tensor:
    """Scales (O,) for a tensor (O, …)."""
    return scales.view(-1, *[1] * (tensor.ndim - 1))
