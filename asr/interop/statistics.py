"""Global statistics of features as other toolkits store them: sums, sums of squares and a count of frames."""

import re
import struct
from pathlib import Path

import numpy as np
import torch

from asr.errors import CheckpointError
from asr.foreign_bytes import reading
from asr.interop.checkpoints import read_json
from asr.interop.foreign import Weights

VARIANCE_FLOOR = 1e-20
HEADER = re.compile(rb"\0B(D|F)M \x04(.{4})\x04(.{4})", re.DOTALL)
"""The head of a binary Kaldi matrix: kind of numbers, rows, columns."""
TEXT = re.compile(r"[^\[\]]*\[([^\[\]]*)\]\s*")
"""A Kaldi matrix as text, after a key or without one."""


def put_kaldi_cmvn(weights: Weights, path: Path, n_mels: int) -> None:
    """Mean and inverse deviation from a Kaldi file."""
    sums, squares = kaldi_matrix(path, n_mels)
    put_cmvn(weights, sums[:-1], squares[:-1], sums[-1], path=path)


def kaldi_matrix(path: Path, n_mels: int) -> np.ndarray:
    """The two rows of a Kaldi file, binary or text: sums and, behind them, the count; squares and a number of no meaning."""
    data = path.read_bytes()
    header = HEADER.search(data[:256])
    if header is None:
        return _from_text(data, path, n_mels)
    if tuple(struct.unpack("<i", header[i])[0] for i in (2, 3)) != (2, n_mels + 1):
        raise _no_matrix(path, n_mels)
    kind = "<f8" if header[1] == b"D" else "<f4"
    size = 2 * (n_mels + 1) * int(kind[2])
    body = data[header.end() : header.end() + size]
    if len(body) < size:
        raise CheckpointError(f"{path}: is cut off after {len(data)} bytes; copy the file again")
    return np.frombuffer(body, kind).astype(np.float64).reshape(2, n_mels + 1)


def _from_text(data: bytes, path: Path, n_mels: int) -> np.ndarray:
    try:
        matrix = TEXT.fullmatch(data.decode("utf-8"))
        numbers = [float(number) for number in matrix[1].split()] if matrix else []
    except ValueError as error:
        raise _no_matrix(path, n_mels) from error
    if len(numbers) != 2 * (n_mels + 1):
        raise _no_matrix(path, n_mels)
    return np.array(numbers).reshape(2, n_mels + 1)


def _no_matrix(path: Path, n_mels: int) -> CheckpointError:
    return CheckpointError(f"{path}: is no Kaldi matrix of 2 rows and {n_mels + 1} columns")


def put_json_cmvn(weights: Weights, path: Path) -> None:
    """Mean and inverse deviation from WeNet's global_cmvn."""
    stats = read_json(path)
    with reading(path, CheckpointError, "holds no numbers as mean_stat, var_stat and frame_num"):
        sums, squares = (np.array(stats[name], np.float64) for name in ("mean_stat", "var_stat"))
        put_cmvn(weights, sums, squares, float(stats["frame_num"]), path=path)


def put_cmvn(weights: Weights, sums: np.ndarray, squares: np.ndarray, count: float, *, path: Path) -> None:
    """Mean and inverse deviation of the features."""
    sums, squares = np.asarray(sums, np.float64), np.asarray(squares, np.float64)
    if sums.ndim != 1 or sums.shape != squares.shape:
        raise CheckpointError(f"{path}: holds sums {sums.shape} and squares {squares.shape}, not one of each a mel bin")
    if not np.isfinite(sums).all() or not np.isfinite(squares).all() or not 1 <= count < np.inf:
        raise CheckpointError(f"{path}: holds no statistics, but a count of {count:g} frames")
    mean = sums / count
    variance = np.maximum(squares / count - mean**2, VARIANCE_FLOOR)
    weights.put("cmvn.mean", torch.from_numpy(mean).float(), str(path))
    weights.put("cmvn.inverse_std", torch.from_numpy(1 / np.sqrt(variance)).float(), str(path))
