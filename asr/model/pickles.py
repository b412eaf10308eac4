"""Files of torch.save as plain data: nothing of them runs, and nothing is made that is larger than the file.

PyTorch's own reader runs no code of strangers, but it makes what a pickle asks for, whatever its size, and unpacks what is
compressed. So what a pickle names, and how large its parts say they are, is looked at before.
"""

import argparse
import pickletools
import zipfile
from collections.abc import Iterator
from pathlib import Path
from pickle import UnpicklingError
from typing import IO, Any

import torch
from torch import Tensor

from asr.foreign_bytes import quoted

STORAGES = ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")
NAMES = {
    *(f"torch {kind}Storage" for kind in STORAGES),
    "torch.storage UntypedStorage",
    "torch._utils _rebuild_tensor",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
    "torch Size",
    "collections OrderedDict",
    "argparse Namespace",  # FireRedASR keeps its sizes in one
}
"""All that a checkpoint of tensors and plain values names. Of PyTorch's own list are left out kinds of tensors that we have no
use for, and what makes something of any size out of a number."""
LARGEST_PICKLE = 1 << 28
"""Bytes of values besides the tensors."""
PICKLES = 4
"""At the beginning of a file of PyTorch before 1.6: what it is, its version, the machine, the values."""
ARCHIVE = b"PK\x03\x04"
"""How a file of PyTorch since 1.6 begins; what makes it an archive stands at its end."""
SHARED = 4
"""How often the tensors of a file may say the same numbers, as those of tied weights do."""


def load_pickle(path: Path) -> Any:
    """What torch.save wrote: tensors and plain data.

    Raises UnpicklingError, with `GLOBAL name`, for a pickle that wants anything else, ValueError for one that would be larger
    in memory than it is, or is damaged, and whatever torch.load raises.
    """
    for opcode, argument, _ in _operations(path):
        if opcode.name in ("GLOBAL", "INST") and argument not in NAMES:
            raise UnpicklingError(f"GLOBAL {argument.replace(' ', '.')} is not among the names that are read")
        if opcode.name == "STACK_GLOBAL":
            raise UnpicklingError("Unsupported operand STACK_GLOBAL")
    with torch.serialization.safe_globals([argparse.Namespace]):
        data = torch.load(path, map_location="cpu", weights_only=True)
    _check_tensors(data)
    return data


def _operations(path: Path) -> Iterator[tuple]:
    with open(path, "rb") as file:
        if not zipfile.is_zipfile(file):
            file.seek(0)
            if file.read(len(ARCHIVE)) == ARCHIVE:
                raise ValueError(f"it is cut off after {path.stat().st_size:,} bytes")
            yield from _one_after_the_other(file)
            return
        with zipfile.ZipFile(file) as archive:
            if any(name.endswith("/constants.pkl") for name in archive.namelist()):
                raise ValueError("it is a program of TorchScript, not the checkpoint that it was made of")
            size = path.stat().st_size
            stated = sum(entry.file_size for entry in archive.infolist())
            if stated > size or any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                raise ValueError(f"its parts are compressed, {size:,} bytes to {stated:,}, which PyTorch never does")
            if (part := archive.testzip()) is not None:  # torch.load does not look at checksums
                raise ValueError(f"{quoted(part)} is not what was saved")
            for name in archive.namelist():
                if name.endswith(".pkl"):
                    yield from pickletools.genops(_bounded(archive.read(name)))


def _one_after_the_other(file: IO[bytes]) -> Iterator[tuple]:
    file.seek(0)
    for _ in range(PICKLES):
        for operation in pickletools.genops(file):
            yield operation
            if file.tell() > LARGEST_PICKLE:
                raise ValueError(f"it holds more than {LARGEST_PICKLE:,} bytes of values besides tensors")


def _bounded(data: bytes) -> bytes:
    if len(data) > LARGEST_PICKLE:
        raise ValueError(f"it holds more than {LARGEST_PICKLE:,} bytes of values besides tensors")
    return data


def _check_tensors(data: Any) -> None:
    """Raises ValueError where tensors say that they are larger than what lies in the file: by strides of 0, for example."""
    storages: dict[int, int] = {}
    said = 0
    for tensor in _tensors(data):
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta:
            raise ValueError(f"it holds a tensor of a kind that is not read ({tensor.layout}, {tensor.dtype})")
        storage = tensor.untyped_storage()
        size = tensor.numel() * tensor.itemsize
        if size > storage.nbytes():
            raise ValueError(f"a tensor {tuple(tensor.shape)} would have {size:,} bytes, it has {storage.nbytes():,}")
        storages[storage.data_ptr()] = storage.nbytes()
        said += size
    if said > SHARED * sum(storages.values()):
        raise ValueError(f"its tensors would have {said:,} bytes, they share {sum(storages.values()):,}")


def _tensors(data: Any) -> Iterator[Tensor]:
    """All tensors, each object once, however often the pickle refers to it."""
    seen: set[int] = set()
    waiting = [data]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, dict | list | tuple | argparse.Namespace) and id(value) not in seen:
            seen.add(id(value))
            value = vars(value) if isinstance(value, argparse.Namespace) else value
            waiting += value.values() if isinstance(value, dict) else value
