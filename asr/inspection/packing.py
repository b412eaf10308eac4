"""Arrays as text in a page: few bits, deflated, in base64. The page's `unpacked` is the way back."""

import base64
import zlib
from typing import Any

import numpy as np

MOST_ATTENTION = 24_000_000
"""Weights of attention in a page; where there are more, neighbouring frames are added up."""
FRAME_ROWS = 64
"""Numbers of a frame that are shown, of the hundreds that there are."""


def packed(array: np.ndarray) -> str:
    """Little-endian bytes, deflated, in base64."""
    little = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<")))
    return base64.b64encode(zlib.compress(little.tobytes())).decode()


def share(values: np.ndarray, low: float = 0.0, high: float = 1.0) -> np.ndarray:
    """Values as bytes: `low` and below 0, `high` and above 255."""
    return np.round(255 * ((values - low) / max(high - low, 1e-12)).clip(0, 1)).astype(np.uint8)


def picture(values: np.ndarray) -> dict[str, Any]:
    """(rows, columns) in bytes between the least and the greatest of its usual values."""
    low, high = (float(q) for q in np.quantile(values, [0.01, 0.995])) if values.size else (0.0, 1.0)
    return {"rows": len(values), "columns": values.shape[1], "data": packed(share(values, low, high))}


def frames(values: np.ndarray) -> dict[str, Any]:
    """(L, D) frames: some of their numbers, each set off against its own mean, and a colour by the three directions in which
    they differ most."""
    every = -(-values.shape[1] // FRAME_ROWS)
    shown = values[:, ::every]
    shown = (shown - shown.mean(0)) / (shown.std(0) + 1e-6)
    return picture(shown) | {"every": every, "width": values.shape[1], "colours": packed(share(_directions(values)))}


def _directions(values: np.ndarray) -> np.ndarray:
    """(L, D) → (L, 3) from 0 to 1 in the directions of the largest variance."""
    centred = values - values.mean(0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    found = centred @ vectors[:, ::-1][:, :3]
    found = np.pad(found, ((0, 0), (0, 3 - found.shape[1])))
    largest = np.quantile(np.abs(found), 0.98, axis=0) + 1e-6
    return found / largest / 2 + 0.5


def attention(weights: np.ndarray, spoken: int) -> dict[str, Any]:
    """(layers, H, U + 1, L) in bytes of each row's largest, of the first `spoken` frames; how much falls behind those, too."""
    layers, heads, rows, _ = weights.shape
    outside = weights[..., spoken:].sum(-1)
    weights = weights[..., :spoken]
    pooled = max(1, -(-weights.size // MOST_ATTENTION))
    padded = np.pad(weights, ((0, 0), (0, 0), (0, 0), (0, -spoken % pooled)))
    weights = padded.reshape(layers, heads, rows, -1, pooled).sum(-1)
    peaks = weights.max(-1, keepdims=True) + 1e-12
    return {
        **{"layers": layers, "heads": heads, "rows": rows, "frames": weights.shape[3], "pooled": pooled},
        "data": packed(share(weights / peaks)),
        "peaks": packed(peaks[..., 0].astype(np.float32)),
        "outside": packed(share(outside)),
    }
