"""The tagger: embeddings of a unit and its neighbourhood, then residual blocks of dilated convolutions.

B texts, T places, D width. No place sees padding, so that a text's tags do not depend on what it is batched with.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asr.punctuation.features import PAIRS, PAUSES, SOUND_PAIRS, TRIPLES
from asr.punctuation.marks import MARKS

FIELDS = ("characters", "sounds", "pairs", "triples", "sound_pairs", "starting", "ending", "pauses")
"""The inputs of the network, in order: each is (B, T)."""
DROPPED = {"pairs": 3, "triples": 3, "sound_pairs": 3, "starting": 1, "ending": 1}
"""Those that a place lacks in training now and then, so that the network does not live on what it has seen verbatim, and
how many times as often as others are dropped."""
WIDTHS = {"characters": 128, "sounds": 48, "pairs": 48, "triples": 32, "sound_pairs": 24, "words": 64, "pauses": 16}
TABLES = {"starting": "words", "ending": "words"}
"""The tables of fields that share one."""
WIDTH, KERNEL, DILATIONS = 192, 7, (1, 1, 2, 2, 4, 8)
"""Six blocks see 54 units on either side."""

FASTER = 4
"""The largest dilation that is faster as a convolution of images."""


class Tagger(nn.Module):
    """Scores of each tag behind each place."""

    def __init__(self, characters: int, sounds: int, words: int, dropout: float = 0.0):
        super().__init__()
        rows = {
            "characters": characters,
            "sounds": sounds,
            "pairs": PAIRS,
            "triples": TRIPLES,
            "sound_pairs": SOUND_PAIRS,
            "words": words + 1,
            "pauses": len(PAUSES) + 2,
        }
        self.dropout = dropout
        self.tables = nn.ModuleDict({name: nn.Embedding(rows[name], width) for name, width in WIDTHS.items()})
        for table in self.tables.values():
            nn.init.normal_(table.weight, std=0.1)
        self.enter = nn.Linear(sum(WIDTHS[TABLES.get(name, name)] for name in FIELDS), WIDTH)
        self.blocks = nn.ModuleList([Block(dilation, dropout) for dilation in DILATIONS])
        self.norm = nn.LayerNorm(WIDTH)
        self.leave = nn.Linear(WIDTH, len(MARKS) + 1)

    def forward(self, fields: dict[str, Tensor], real: Tensor) -> Tensor:
        """Logits (B, T, tags) from fields (B, T) and which places are real (B, T)."""
        embedded = [self._embedded(name, fields[name]) for name in FIELDS]
        mask = real.unsqueeze(-1)
        x = self.enter(dropped(torch.cat(embedded, dim=-1), self.dropout, self.training)) * mask
        for block in self.blocks:
            x = block(x, mask)
        return self.leave(self.norm(x))

    def _embedded(self, name: str, rows: Tensor) -> Tensor:
        vectors = self.tables[TABLES.get(name, name)](rows)
        if self.training and name in DROPPED:
            vectors = vectors * (torch.rand(rows.shape).unsqueeze(-1) > DROPPED[name] * self.dropout)
        return vectors


class Block(nn.Module):
    """Depthwise convolution, then a layer on each place: `x + mix(norm(convolve(x)))`."""

    def __init__(self, dilation: int, dropout: float):
        super().__init__()
        reach = dilation * (KERNEL - 1) // 2
        self.convolve = nn.Conv1d(WIDTH, WIDTH, KERNEL, padding=reach, dilation=dilation, groups=WIDTH)
        self.norm = nn.LayerNorm(WIDTH)
        self.widen = nn.Linear(WIDTH, 2 * WIDTH)
        self.narrow = nn.Linear(2 * WIDTH, WIDTH)
        self.dropout = dropout

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, D), and which places are real (B, T, 1)."""
        y = self._convolved(x)
        y = dropped(F.gelu(self.widen(self.norm(y))), self.dropout, self.training)
        return x + self.narrow(y) * mask

    def _convolved(self, x: Tensor) -> Tensor:
        """The convolution along T. As one of images a single row high oneDNN is two to three times as fast, where it reaches
        this far at all."""
        at, dilation = self.convolve, self.convolve.dilation[0]
        if dilation > FASTER:
            return at(x.transpose(1, 2)).transpose(1, 2)
        row, weight = x.transpose(1, 2).unsqueeze(2), at.weight.unsqueeze(2)
        padding = (0, at.padding[0])
        y = F.conv2d(row, weight, at.bias, padding=padding, dilation=(1, dilation), groups=WIDTH)
        return y.squeeze(2).transpose(1, 2)


def dropped(x: Tensor, share: float, training: bool) -> Tensor:
    """(B, T, D) without some of its dimensions, the same ones all along a text: drawing them is cheap."""
    if not training or not share:
        return x
    kept = torch.rand(x.shape[0], 1, x.shape[2]) >= share
    return x * (kept / (1 - share)).to(x.dtype)
