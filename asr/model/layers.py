"""Building blocks shared by the encoder and the decoder.

Dimensions, here and everywhere in the model:
    B batch   N hypotheses   S samples   T frames   F mels   L memory frames
    U tokens  D width        H heads     K head width        V vocabulary
Masks are boolean: True = real, may be attended to. Lengths are the source, masks derive from them.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from asr.errors import AsrError

ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU, "swish": nn.SiLU}
"""Name → activation between the layers of a feed-forward network."""
VECTOR = 32
"""Numbers in bfloat16 that a CPU computes with at a time: a softmax over 160 takes half as long as over 159."""
BLOCK_OF_SCORES = 1 << 21
"""Scores of attention in bfloat16 that a CPU has at hand at once: they stay in its caches, and need no new memory. Both are
defaults of arguments that nobody gives: TorchScript sees no numbers of the module."""
INITIAL_STD = 0.02
"""Standard deviation of learned positions before training."""
KeysValues = tuple[Tensor, Tensor]
"""Keys and values, each (B, H, L, K): all that attention needs to know of what it looks at."""


def sinusoids(start: int, length: int, width: int, like: Tensor) -> Tensor:
    """Positions start … start + length - 1 as (length, D), of the type and on the device of `like`."""
    return sinusoids_at(torch.arange(start, start + length, device=like.device), width).to(like.dtype)


def sinusoids_at(positions: Tensor, width: int) -> Tensor:
    """Any positions (…) as (…, D) float32: sine on even, cosine on odd columns (Vaswani et al. 2017)."""
    rate = torch.exp(
        torch.arange(0, width, 2, dtype=torch.float32, device=positions.device) * (-math.log(10000.0) / width)
    )
    angles = positions.float()[..., None] * rate
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2)


class LearnedPositions(nn.Module):
    """A table of positions (P, D) to be added."""

    def __init__(self, places: int, width: int, what: str):
        """what: is counted, for messages."""
        super().__init__()
        self.what = what
        self.weight = nn.Parameter(torch.empty(places, width))
        nn.init.normal_(self.weight, std=INITIAL_STD)

    def forward(self, start: int, length: int) -> Tensor:
        """Positions start … start + length - 1 as (length, D). Raises AsrError where the table ends before."""
        if start + length > len(self.weight):
            raise AsrError(
                f"{start + length} {self.what} are more than the {len(self.weight)} that the model has positions for"
            )
        return self.weight[start : start + length]


class Dropout(nn.Module):
    """Dropout with one mask for all positions of a sequence (…, positions, D): (Gal and Ghahramani 2016).

    On a CPU masks are drawn serially; one a sequence instead of one a frame costs next to nothing.
    """

    def __init__(self, p: float):
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        mask = torch.rand(x[..., :1, :].shape, device=x.device) >= self.p
        return x * (mask / (1 - self.p)).to(x.dtype)


class Attention(nn.Module):
    """Multi-head attention that is told its keys and values, so that whoever calls it owns the cache."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    @torch.jit.export  # used beside `forward`, also when that is compiled
    def keys_values(self, source: Tensor) -> KeysValues:
        """(B, L, D) → keys and values (B, H, L, K)."""
        return self._split(self.key(source)), self._split(self.value(source))

    def forward(self, x: Tensor, keys_values: KeysValues, mask: Tensor | None) -> Tensor:
        """x (B, Q, D) looks at keys and values (B, H, L, K) where mask, broadcast to (B, H, Q, L), is True → (B, Q, D)."""
        return self.find(self._split(self.query(x)), keys_values, mask)

    def project(self, x: Tensor) -> tuple[Tensor, KeysValues]:
        """x (B, Q, D), which is to look at itself → queries (B, H, Q, K), and keys and values of the same shape."""
        return self._split(self.query(x)), self.keys_values(x)

    def find(self, queries: Tensor, keys_values: KeysValues, mask: Tensor | None) -> Tensor:
        """What queries (B, H, Q, K) find in keys and values (B, H, L, K): (B, Q, D)."""
        keys, values = keys_values
        return self.out(heads_joined(attend(queries, keys, values, mask)))

    @torch.jit.export
    def weights(self, x: Tensor, keys: Tensor, mask: Tensor | None) -> Tensor:
        """How much each of x (B, Q, D) looks at each key (B, H, L, K): (B, H, Q, L), adding up to 1 over keys."""
        queries = self._split(self.query(x))
        return _weights(queries, keys.to(queries.dtype), mask)

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, Q, D) → (B, H, Q, K)


def attend(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """What queries (B, H, Q, K) find; the mask, broadcast to (B, H, Q, L), is True or a number to be added to the score."""
    if keys.dtype == torch.bfloat16 and keys.device.type == "cpu":
        # Torch's own takes twice as long there (700 positions: 13 ms, here 6), and its gradient ten times.
        if torch.is_grad_enabled():
            keys, values, mask = _filled(keys, values, mask)
        elif 2 * queries.shape[2] > keys.shape[2]:  # else copies of the keys cost more
            return _attend_in_blocks(queries, keys, values, mask)
        found = _weights(queries.to(keys.dtype), keys, mask).to(values.dtype) @ values
        return found.to(queries.dtype)
    return F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)


def _attend_in_blocks(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    mask: Tensor | None,
    unit: int = VECTOR,
    most: int = BLOCK_OF_SCORES,
) -> Tensor:
    """As `attend`, of many queries in bfloat16 without a gradient: some at a time, whose scores are kept in one place."""
    B, H, L, K = keys.shape
    missing = -L % unit
    keys, values = F.pad(keys, (0, 0, 0, missing)), F.pad(values, (0, 0, 0, missing))
    scaled, n = queries.to(keys.dtype) * K**-0.5, max(1, most // (B * H * (L + missing)))
    found = []
    for first in range(0, queries.shape[2], n):
        scores = scaled[:, :, first : first + n] @ keys.transpose(2, 3)
        if mask is not None:
            part = mask if mask.shape[2] == 1 else mask[:, :, first : first + n]
            scores[..., :L] += additive(part, scores.dtype) if part.dtype == torch.bool else part
        scores[..., L:] = -torch.inf
        found.append(torch.softmax(scores, -1, out=scores) @ values)
    return torch.cat(found, dim=2).to(queries.dtype)


def _filled(
    keys: Tensor, values: Tensor, mask: Tensor | None, unit: int = VECTOR
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Keys, values and mask with hidden places behind them, up to a multiple of the unit."""
    missing = -keys.shape[2] % unit
    if mask is None or not missing:
        return keys, values, mask
    mask = F.pad(mask, (0, missing), value=0.0 if mask.dtype == torch.bool else -torch.inf)  # 0 is False
    return F.pad(keys, (0, 0, 0, missing)), F.pad(values, (0, 0, 0, missing)), mask


def computed(block: nn.Module, *inputs, again: bool = False) -> Any:
    """What a block makes of its inputs; `again`: computed a second time for the gradient, in the place of being kept."""
    if again and torch.is_grad_enabled():
        from torch.utils.checkpoint import checkpoint

        return checkpoint(block, *inputs, use_reentrant=False)
    return block(*inputs)


def heads_joined(found: Tensor) -> Tensor:
    """What each head has found (B, H, Q, K), side by side: (B, Q, D)."""
    return found.transpose(1, 2).flatten(2)


def _weights(queries: Tensor, keys: Tensor, mask: Tensor | None) -> Tensor:
    scores = (queries * keys.shape[3] ** -0.5) @ keys.transpose(2, 3)
    if mask is not None:  # in place: there are L scores for each query
        scores += additive(mask, scores.dtype) if mask.dtype == torch.bool else mask
    return scores.softmax(-1)


def additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """0 where a mask is True and -inf elsewhere."""
    return mask.to(dtype).log()


class FeedForward(nn.Sequential):
    """Two linear layers with an activation, a name in ACTIVATIONS, between them."""

    def __init__(self, width: int, hidden: int, dropout: float, activation: str = "relu"):
        super().__init__(
            nn.Linear(width, hidden), ACTIVATIONS[activation](), Dropout(dropout), nn.Linear(hidden, width)
        )
