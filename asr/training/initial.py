"""Going on from a model, one of ours or an imported one: its network and its tokens, to which new ones may be added."""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TypeVar

from torch import Tensor

from asr.config_values import from_dict
from asr.decoding.decode_config import DecodeConfig
from asr.model.decoder import DecoderConfig
from asr.model.encoder import EncoderConfig
from asr.model.folder import (
    PIECES,
    TOKENS,
    WEIGHTS,
    fill_weights,
    open_tokenizer,
    read_config,
    read_decode,
    read_weights,
)
from asr.model.model import SpeechModel
from asr.text.tokenizer import TokenTable, symbols
from asr.training.config import Config

T = TypeVar("T", EncoderConfig, DecoderConfig)
BY_TOKEN = tuple(
    f"{part}.{name}"
    for part in ("decoder", "reverse_decoder")
    for name in ("embedding.weight", "out.weight", "out.bias")
) + ("ctc.weight", "ctc.bias")
"""Tensors with a row for each token."""
OF_THE_TOKENS = ("rule", "max_chars_per_second", "never_written")
"""Decoding settings that go with a model's tokens, whatever it is trained on."""
NAMED = 20
"""New tokens that are named."""


def from_model(config: Config, folder: Path, asked: Collection[str] = ()) -> Config:
    """The recipe with the network and the features of a model folder in the place of its own.

    Dropout too is that of the model, unless it is among the settings `asked` for: a network that never saw a channel vanish is
    lost without it. A CTC head that the recipe trains and the model lacks is added. Tokens that the texts need are added, too.
    What the model's own decoding settings say of its tokens holds for dev manifests as well.
    """
    features, model = read_config(folder)
    model = replace(
        model,
        ctc=model.ctc or config.model.ctc or config.train.ctc_weight > 0,
        encoder=_with_dropout(model.encoder, config.model.encoder, "model.encoder.dropout" in asked),
        decoder=_with_dropout(model.decoder, config.model.decoder, "model.decoder.dropout" in asked),
    )
    features = replace(features, dither=config.features.dither)
    train = replace(config.train, initial_model=str(folder), new_tokens=True)
    return replace(config, features=features, model=model, train=train, decode=_decode(config, folder))


def _with_dropout(part: T, recipe: T, asked: bool) -> T:
    return replace(part, dropout=recipe.dropout) if asked else part


def _decode(config: Config, folder: Path) -> DecodeConfig:
    """The recipe's search, with what the model's own settings say of its tokens."""
    saved = read_decode(folder)
    kept = {name: saved[name] for name in OF_THE_TOKENS if name in saved}
    return from_dict(DecodeConfig, asdict(config.decode) | kept, "decode")


def grown_table(folder: Path, texts: Iterable[str], min_count: int) -> TokenTable:
    """The model's tokens with their ids, behind them the characters that it cannot write, the most frequent first."""
    table = TokenTable.load(folder / TOKENS)
    tokenizer = open_tokenizer(folder, table)
    lacking: Counter[str] = Counter()
    for text in texts:
        if table.unk in tokenizer.encode(text):
            lacking.update(symbol for symbol in symbols(text) if table.unk in tokenizer.encode(symbol))
    new = sorted((c for c, n in lacking.items() if n >= min_count), key=lambda c: (-lacking[c], c))
    return TokenTable([*table.tokens, *new])


def pieces_of_model(folder: Path) -> bytes | None:
    """The SentencePiece model of a model folder, if it has one."""
    return (folder / PIECES).read_bytes() if (folder / PIECES).is_file() else None


def fill_from(model: SpeechModel, folder: Path, table: TokenTable) -> list[str]:
    """The weights of a model folder into a model that may have more tokens or a CTC head besides; what is new, in words.

    New rows keep the random values that the model was made with; their biases are the mean of the others.
    Raises CheckpointError where anything else differs.
    """
    path = folder / WEIGHTS
    tensors, own = read_weights(path)[0], model.state_dict()
    told: list[str] = []
    if new := table.tokens[len(TokenTable.load(folder / TOKENS)) :]:
        named = " ".join(new[:NAMED]) + (" …" if len(new) > NAMED else "")
        told.append(f"{len(new):,} new tokens, whose rows start from random weights: {named}")
    if model.ctc is not None and "ctc.weight" not in tensors:
        tensors |= {name: own[name] for name in ("ctc.weight", "ctc.bias")}
        told.append("the model had no CTC head; the new one starts from random weights")
    for name in BY_TOKEN:
        if name in tensors and name in own:
            tensors[name] = _with_rows(tensors[name].float(), own[name])
    fill_weights(model, tensors, path)
    return told


def _with_rows(known: Tensor, own: Tensor) -> Tensor:
    """Known rows, and behind them the rows that only `own` has."""
    grown = own.clone()
    if len(known) > len(own) or known.shape[1:] != own.shape[1:]:
        return known  # refused by its shape
    if own.ndim == 1 and len(known):
        grown[:] = known.mean()
    grown[: len(known)] = known
    return grown
