"""Self-attention by relative position (Dai et al. 2019, arXiv:1901.02860), in the variants of published models.

The score of query i and key j is (q + u) · k + (q + v) · p: u and v are learnt, p is a projected sinusoid. The variants
differ in whose: that of the distance i - j, or, where an implementation came out otherwise, that of something else, such as
the distance without its sign (mirrored).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from asr.model.layers import Attention, KeysValues, attend, heads_joined, sinusoids_at


class RelativeAttention(Attention):
    """Attention whose scores also depend on where the keys are, seen from the query."""

    def __init__(self, width: int, heads: int, kind: str):
        super().__init__(width, heads)
        self.kind = kind
        self.place = nn.Linear(width, width, bias=False)
        self.content_bias = nn.Parameter(torch.zeros(heads, width // heads))
        self.place_bias = nn.Parameter(torch.zeros(heads, width // heads))

    def look(self, x: Tensor, keys_values: KeysValues, mask: Tensor, relative: Tensor, lengths: Tensor) -> Tensor:
        """x (B, L, D) looks at itself: keys and values (B, H, L, K), mask (B, 1, 1, L), relative (P, D), lengths (B,)."""
        keys, values = keys_values
        queries = self._split(self.query(x))
        p = self._split(self.place(relative)[None])  # (1, H, P, K)
        scores = (queries + self.place_bias[:, None]) @ p.transpose(2, 3) / queries.shape[3] ** 0.5
        scores = SCORES[self.kind](scores, lengths).masked_fill(~mask, -torch.inf)
        attended = attend(queries + self.content_bias[:, None], keys, values, scores)
        return self.out(heads_joined(attended))


def relative_sinusoids(kind: str, length: int, width: int, like: Tensor) -> Tensor:
    """The sinusoids (P, D) that attention of this kind looks up, for a padded length."""
    first, last = FIRST_AND_LAST[kind](length)
    step = 1 if last >= first else -1
    positions = torch.arange(first, last + step, step, device=like.device)
    if kind == "mirrored":
        positions = positions.abs()
    return sinusoids_at(positions, width).to(like.dtype)


LEGACY_PLACES = 5000
"""Rows of the table of sinusoids that ESPnet's older attention reads from its end: the first key seen is its last row."""


def _from_the_end(length: int) -> tuple[int, int]:
    first = max(length, LEGACY_PLACES) - 1
    return first, first - length + 1


FIRST_AND_LAST = {
    "relative": lambda length: (length - 1, 1 - length),
    "mirrored": lambda length: (length - 1, 1 - length),
    "relative_legacy": _from_the_end,
    "unshifted": lambda length: (0, length - 1),
}
"""Kind → the positions its scores are computed for, in order."""


def _shifted(scores: Tensor, lengths: Tensor) -> Tensor:
    """Scores (B, H, L, 2L - 1) by distance L - 1 … 1 - L → (B, H, L, L) by key: row i begins at distance i."""
    B, H, L, P = scores.shape
    scores = F.pad(scores, (1, 0)).view(B, H, P + 1, L)
    return scores[:, :, 1:].reshape(B, H, L, P)[..., :L]


def _legacy(scores: Tensor, lengths: Tensor) -> Tensor:
    """ESPnet's shift before 2021, on L distances instead of 2L - 1: keys ahead get what the next query says of others.

    The zero that the shift puts before each row and the wrap into the next row depend on the utterance's length n, so
    they are looked up for each: with a zero in front, row i and column j of an n × n matrix lie at (i + 1) n + j.
    """
    B, H, L, _ = scores.shape
    i, j = torch.arange(L, device=scores.device)[:, None], torch.arange(L, device=scores.device)
    n = lengths[:, None, None]
    flat = (i + 1) * n + j
    row, column = flat // (n + 1), flat % (n + 1)
    index = (row * L + column - 1).clamp(0, L * L - 1)  # what lies beyond a length is masked
    taken = scores.flatten(2).gather(2, index.view(B, 1, L * L).expand(-1, H, -1)).view(B, H, L, L)
    return taken * (column > 0)[:, None]


def _as_they_are(scores: Tensor, lengths: Tensor) -> Tensor:
    """WeNet's: no shift, so that the sinusoid is that of the key's place in the utterance."""
    return scores


SCORES = {"relative": _shifted, "mirrored": _shifted, "relative_legacy": _legacy, "unshifted": _as_they_are}
"""Kind → scores by position to scores by key."""
