"""What an importer gives back, and how it reads foreign settings: each known one is used or checked, an unknown one refused."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from asr.config_values import LARGEST, nearest
from asr.errors import CheckpointError, TokenError
from asr.features.fbank import FeatureConfig
from asr.foreign_bytes import listed, quoted, reading
from asr.interop.checkpoints import Tensors, existing, read_text
from asr.model.model import ModelConfig
from asr.text.sentence_pieces import pieces_of
from asr.text.tokenizer import SPACE, TokenTable

WITH_ID = re.compile(r"(.*?)[ \t]+(\d+)[ \t]*")
"""A line of a token table: the token, which may be a space, and its id."""


@dataclass(frozen=True)
class Foreign:
    """A model of another toolkit in our terms."""

    features: FeatureConfig
    """How it computes features."""
    config: ModelConfig
    """The network."""
    table: TokenTable
    """Its tokens, with their ids."""
    weights: dict[str, Tensor]
    """Tensors by our names."""
    origins: dict[str, str]
    """Our name → the foreign ones it was made from, for messages."""
    tensors: Tensors
    """The checkpoint, which knows what was taken and what ignored."""
    pieces: bytes | None = None
    """The SentencePiece model of its tokens."""
    decode: dict[str, Any] = field(default_factory=dict)
    """Decoding settings that the toolkit publishes its figures with, as decode.json has them."""
    remarks: tuple[str, ...] = ()
    """What a user should know of this import."""

    @classmethod
    def of(
        cls, weights: "Weights", features: FeatureConfig, config: ModelConfig, table: TokenTable, **more: Any
    ) -> "Foreign":
        """The model whose tensors were collected; `more`: the fields that not every toolkit has something for."""
        return cls(features, config, table, weights.named, weights.origins, weights.tensors, **more)

    def release(self) -> None:
        """Forgets all tensors, once the network has copies: of a billion numbers each set takes four gigabytes."""
        self.weights.clear()
        self.tensors.held.clear()


class Weights:
    """Collects tensors under our names from a checkpoint under theirs."""

    def __init__(self, tensors: Tensors):
        self.tensors = tensors
        self.named: dict[str, Tensor] = {}
        self.origins: dict[str, str] = {}

    def put(self, ours: str, tensor: Tensor, origin: str) -> None:
        """A tensor that was made from others."""
        self.named[ours], self.origins[ours] = tensor, origin

    def move(self, ours: str, theirs: str) -> None:
        """A tensor as it is."""
        self.put(ours, self.tensors.take(theirs), theirs)

    def linear(self, ours: str, theirs: str, bias: bool = True, scale: float = 1.0) -> None:
        """Weight and bias of a linear layer or a convolution; `bias` False: the toolkit has none there, ours is zero."""
        weight = self.tensors.take(f"{theirs}.weight")
        self.put(f"{ours}.weight", weight * scale if scale != 1.0 else weight, f"{theirs}.weight")
        added = self.tensors.take(f"{theirs}.bias") if bias else weight.new_zeros(len(weight))
        self.put(f"{ours}.bias", added * scale, f"{theirs}.bias")

    def pointwise(self, ours: str, theirs: str, bias: bool = True) -> None:
        """A linear layer from a convolution of width one."""
        self.linear(ours, theirs, bias)
        weight = self.named[f"{ours}.weight"]
        if weight.ndim == 3 and weight.shape[2] == 1:  # another shape is refused later, with its name
            self.named[f"{ours}.weight"] = weight.squeeze(2)

    def require_tied(self, theirs: str, embedding: str, setting: str = "") -> None:
        """Takes an output layer that need not be there. Raises CheckpointError where it is not the embedding, as it should be."""
        if theirs in self.tensors and not torch.equal(self.tensors.take(theirs), self.named[embedding]):
            why = f" ({setting})" if setting else ""
            raise CheckpointError(
                f"{self.tensors.path}: {theirs} is not the embedding, to which it should be tied{why}"
            )

    def norm(self, ours: str, theirs: str) -> None:
        """Gain and bias of a layer norm, or also the statistics of a batch norm."""
        for name in ("weight", "bias"):
            self.move(f"{ours}.{name}", f"{theirs}.{name}")
        if f"{theirs}.running_mean" in self.tensors:
            for name in ("running_mean", "running_var"):
                self.move(f"{ours}.{name}", f"{theirs}.{name}")


class Settings:
    """A section of foreign settings of which nothing is left unread."""

    def __init__(self, values: Any, where: str):
        if not isinstance(values, dict):
            raise CheckpointError(f"{where}: is no section of settings, but {quoted(values)}")
        self.values, self.where = values, where
        self.read: set[str] = set()

    def get(self, name: str, default: Any, kind: type = object) -> Any:
        """A setting, or the toolkit's default where it is absent or null."""
        self.read.add(name)
        value = self.values.get(name)
        if value is None:
            value = default
        if (
            kind in (int, float)
            and isinstance(value, bool)
            or not isinstance(value, (int, float) if kind is float else kind)
        ):
            raise CheckpointError(f"{self.where}.{name}: must be {kind.__name__}, is {quoted(value)}")
        if kind is float and not math.isfinite(value):
            raise CheckpointError(f"{self.where}.{name}: must be a finite number, is {quoted(value)}")
        if kind in (int, float) and not abs(value) <= LARGEST:
            raise CheckpointError(f"{self.where}.{name}: must be a number up to {LARGEST:,}, is {quoted(value)}")
        return value

    def choose(self, name: str, default: Any, known: dict) -> Any:
        """What a setting means, by a table of those that this program can compute."""
        value = self.get(name, default)
        if not isinstance(value, str | bool | int) or value not in known:
            names = ", ".join(str(k) for k in known)
            raise CheckpointError(f"{self.where}.{name}: {quoted(value)} cannot be imported; known are {names}")
        return known[value]

    def require(self, name: str, *allowed: Any) -> None:
        """Refuses a setting that changes the computation to something this program has not."""
        value = self.get(name, allowed[0])
        if value not in allowed:
            raise CheckpointError(
                f"{self.where}.{name}: {quoted(value)} cannot be imported; only {' or '.join(repr(a) for a in allowed)} can"
            )

    def pass_over(self, *names: str) -> None:
        """Settings that do not change what a trained model computes."""
        self.read |= set(names)

    def finish(self) -> None:
        """Refuses settings that were not read: what they do is not known."""
        rest = [name for name in self.values if name not in self.read]
        if rest:
            raise CheckpointError(
                f"{self.where}.{listed(rest[:1])}: this importer does not know the setting ({quoted(self.values[rest[0]])});"
                f" {nearest(str(rest[0]), self.read)}"
            )


def tokens_by_id(ids: dict[str, Any], vocabulary: int, path: Path) -> list[str]:
    """Tokens in the order of their ids, with names for ids that no token has. Raises CheckpointError where two have the same."""
    tokens = [f"<|unused-{i}|>" for i in range(vocabulary)]
    for token, i in ids.items():
        if type(i) is not int or not 0 <= i < vocabulary:
            raise CheckpointError(f"{path}: {quoted(token)} has the id {quoted(i)}, the model has {vocabulary} tokens")
        if tokens[i] != token and not tokens[i].startswith("<|unused-"):
            raise CheckpointError(f"{path}: {quoted(tokens[i])} and {quoted(token)} both have the id {i}")
        tokens[i] = token
    return tokens


def token_table(tokens: Iterable[str], path: Path) -> TokenTable:
    """The table, with a space written as in our own."""
    tokens = list(tokens)
    if SPACE not in tokens:
        tokens = [SPACE if token in ("<space>", " ") else token for token in tokens]
    try:
        return TokenTable(tokens)
    except TokenError as error:
        raise CheckpointError(f"{path}: {error}") from error


def read_pieces(path: Path, table: TokenTable) -> bytes:
    """A SentencePiece model whose pieces the table holds. Raises CheckpointError for what is none, or that of another model.

    A table may lack pieces that the training texts never had, but what begins a word in it was made by the model.
    """
    try:
        pieces = frozenset(pieces_of(existing(path)))
    except TokenError as error:
        raise CheckpointError(str(error)) from error
    begin = [token for token in table.tokens if len(token) > 1 and token.startswith(SPACE)]
    strange = [token for token in begin if token not in pieces]
    if 2 * len(strange) > len(begin):
        raise CheckpointError(
            f"{path}: is the SentencePiece model of other tokens: it has no piece {listed(strange)} of this model's"
        )
    return path.read_bytes()


def read_token_lines(path: Path) -> list[str]:
    """Tokens of a file of `token id` lines, or of one token a line, in the order of their ids."""
    with reading(path, CheckpointError, "no token table"):
        lines = read_text(path).replace("\r\n", "\n").removesuffix("\n").split("\n")
        pairs = [WITH_ID.fullmatch(line) for line in lines]
        if 2 * sum(map(bool, pairs)) <= len(lines):
            return [line or " " for line in lines]
        while not lines[-1].strip():
            del lines[-1], pairs[-1]
        if not all(pairs):
            number = pairs.index(None)
            raise CheckpointError(
                f"{path}:{number + 1}: must be a token and its id, as other lines are, is {quoted(lines[number])}"
            )
        by_id = {int(pair[2]): pair[1] or " " for pair in pairs}
    if sorted(by_id) != list(range(len(pairs))):
        raise CheckpointError(f"{path}: the ids are not 0 to {len(pairs) - 1}, each once")
    return [by_id[i] for i in range(len(pairs))]
