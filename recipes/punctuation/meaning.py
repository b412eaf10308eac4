"""What a language model knows of words, as a start for the tables of characters and words.

A table is the model's vectors, mapped by a matrix that is learnt, and what each row learns of its own: the rows of words
that are rare in the text, or not there at all, get from the map what it learnt of the others.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from asr.punctuation.features import SPECIAL, Vocabulary
from asr.punctuation.network import Tagger

OWN, MAP = "parametrizations.weight.original", "map"
"""In the names of parameters: what a row learns of its own, and what maps the vectors."""
SPREAD = 0.1
"""Standard deviation of a table at the start."""


class Mapped(nn.Module):
    """A table (rows, width) as its own numbers and a map of fixed vectors (rows, D), whose numbers spread by about 1."""

    def __init__(self, vectors: Tensor, width: int):
        super().__init__()
        self.register_buffer("vectors", vectors.bfloat16())
        self.map = nn.Parameter(torch.randn(width, vectors.shape[1]) * SPREAD / vectors.shape[1] ** 0.5)

    def forward(self, own: Tensor) -> Tensor:
        return own + nn.functional.linear(self.vectors, self.map.bfloat16()).float()


def words_of(file: Path | None) -> list[str]:
    """The words of a file of words.py; none without one."""
    if file is None:
        return []
    with np.load(file) as read:
        return read["words"].tolist()


def give_meaning(network: Tagger, vocabulary: Vocabulary, file: Path) -> None:
    """Lets the tables of characters and words start from the vectors of a file of words.py."""
    with np.load(file) as read:
        vectors = dict(zip(read["words"].tolist(), read["vectors"], strict=True))
    nothing = np.zeros_like(next(iter(vectors.values())))
    rows = {
        "characters": [nothing] * SPECIAL + [vectors.get(c, nothing) for c in vocabulary.characters],
        "words": [nothing] + [vectors[word] for word in vocabulary.words],
    }
    for name, found in rows.items():
        table = network.tables[name]
        nn.init.normal_(table.weight, std=SPREAD / 5)
        mapped = Mapped(torch.from_numpy(np.stack(found)), table.embedding_dim)
        parametrize.register_parametrization(table, "weight", mapped)


def plain(network: Tagger) -> Tagger:
    """The same network with tables that are numbers alone, as they are used and stored."""
    tables = {f"tables.{name}.weight": table.weight.detach() for name, table in network.tables.items()}
    rows = [len(tables[f"tables.{name}.weight"]) for name in ("characters", "sounds", "words")]
    found = Tagger(rows[0], rows[1], rows[2] - 1)
    others = {name: tensor for name, tensor in network.state_dict().items() if not name.startswith("tables.")}
    found.load_state_dict(tables | others)
    return found
