"""Going on from a model, one of ours or an imported one: its network and its tokens, to which new ones may be added."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TypeVar

from torch import Tensor

from asr.catalogue.decode_settings import decode_settings
from asr.catalogue.opening import language_model
from asr.decoding.decode_config import DecodeConfig
from asr.errors import ConfigError
from asr.files import save_json
from asr.foreign_bytes import some
from asr.model.adapters import add_adapters
from asr.model.bases import is_adapted, require_base
from asr.model.companions import copy_companions, language_model_of
from asr.model.decoder import DecoderConfig
from asr.model.encoder import EncoderConfig
from asr.model.folder import (
    DECODE,
    TOKENS,
    LoadedModel,
    fill_weights,
    read_config,
    read_decode,
    read_network,
    weights_file,
    weights_fingerprint,
)
from asr.model.model import SpeechModel
from asr.text.tokenizer import TokenTable, symbols
from asr.text.tokenizers import open_tokenizer
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
    lost without it. A CTC head that the recipe trains and the model lacks is added. Tokens that the texts need are added, too;
    neither is where low-rank adapters learn, and ConfigError says so of the head.
    Dev manifests are decoded as the model is, so that its CER before the first step is comparable: by its own settings, but for
    those of `decode` that are asked for.
    """
    features, model = read_config(folder)
    with_head = config.model.ctc or config.train.ctc_weight > 0 or config.train.ctc_only_steps > 0
    adapted = config.train.lora.rank > 0
    if adapted and with_head and not model.ctc:
        raise ConfigError(
            f"{folder.name} has no CTC head, and low-rank adapters (train.lora) bring none: train one first without them, or"
            " leave out train.ctc_weight, train.ctc_only_steps and model.ctc"
        )
    decode = _decode(config, folder, asked, new_head=with_head and not model.ctc)
    model = replace(
        model,
        ctc=model.ctc or with_head,
        encoder=_with_dropout(model.encoder, config.model.encoder, "model.encoder.dropout" in asked),
        decoder=_with_dropout(model.decoder, config.model.decoder, "model.decoder.dropout" in asked),
    )
    features = replace(features, dither=config.features.dither)
    train = replace(config.train, initial_model=str(folder), new_tokens=not adapted)
    return replace(config, features=features, model=model, train=train, decode=decode)


def _with_dropout(part: T, recipe: T, asked: bool) -> T:
    return replace(part, dropout=recipe.dropout) if asked else part


def _decode(config: Config, folder: Path, asked: Collection[str], *, new_head: bool) -> DecodeConfig:
    """The model's own search, with what the recipe says of it, but for what goes with the model's tokens.

    A new CTC head knows nothing yet, and takes no part in it.
    """
    without = {"ctc_weight": 0.0} if new_head else {}
    own = {name: value for name, value in asdict(config.decode).items() if f"decode.{name}" in asked}
    saved = read_decode(folder)
    return decode_settings(folder, without | own | {name: saved[name] for name in OF_THE_TOKENS if name in saved})


def take_over(run: Path, config: Config, table: TokenTable) -> None:
    """Puts into the folder of a run what its initial model has besides the network: how it is decoded, its language model, what
    splits texts into its tokens, its licence. `table`: the run's."""
    initial = Path(config.train.initial_model)
    copy_companions(initial, run, TokenTable.load(initial / TOKENS).tokens, table.tokens)
    if config.model.ctc and not read_config(initial)[1].ctc:
        save_json(run / DECODE, read_decode(run) | {"ctc_weight": config.decode.ctc_weight})


def taken_over(config: Config, model: SpeechModel) -> Iterator[str]:
    """A line where the initial model has search settings or a language model, and what they mean for dev manifests.

    Raises AsrError for a language model that cannot be used. `model`: the network of the run.
    """
    folder = Path(config.train.initial_model)
    tokenizer = open_tokenizer(folder, TokenTable.load(folder / TOKENS))
    language_model(folder, LoadedModel(folder.name, model, tokenizer, {}, folder), config.decode)
    lm = language_model_of(folder)
    there = [path.name for path in (folder / DECODE, lm) if path and path.exists()]
    beam = f"dev manifests are decoded with beam {config.decode.beam}"
    slower = "; --set decode.beam=1 is faster, and not comparable" if config.decode.beam > 1 and config.data.dev else ""
    if there or slower:
        yield f"taken over from {folder.name}: {' and '.join(there) or 'its way of decoding'}; {beam}{slower}"


def lacking_symbols(folder: Path, texts: Iterable[str]) -> Counter[str]:
    """How often each symbol occurs that a model cannot write."""
    table = TokenTable.load(folder / TOKENS)
    tokenizer = open_tokenizer(folder, table)
    lacking: Counter[str] = Counter()
    for text in texts:
        if table.unk in tokenizer.encode(text):
            lacking.update(symbol for symbol in symbols(text) if table.unk in tokenizer.encode(symbol))
    return lacking


def grown_table(folder: Path, lacking: Mapping[str, int], min_count: int) -> TokenTable:
    """The model's tokens with their ids, behind them the symbols that it is `lacking`, the most frequent first."""
    new = sorted((c for c, n in lacking.items() if n >= min_count), key=lambda c: (-lacking[c], c))
    return TokenTable([*TokenTable.load(folder / TOKENS).tokens, *new])


def fill_from(model: SpeechModel, folder: Path, table: TokenTable) -> list[str]:
    """The weights of a model folder into a model that may have more tokens or a CTC head besides; what is new, in words.

    New rows keep the random values that the model was made with; their biases are the mean of the others.
    Raises CheckpointError where anything else differs.
    """
    path = weights_file(folder)
    tensors, own = read_network(folder)[0], model.state_dict()
    told: list[str] = []
    if new := table.tokens[len(TokenTable.load(folder / TOKENS)) :]:
        told.append(f"{len(new):,} new tokens, whose rows start from random weights: {some(new, NAMED, ' ')}")
    if model.ctc is not None and "ctc.weight" not in tensors:
        tensors |= {name: own[name] for name in ("ctc.weight", "ctc.bias")}
        told.append("the model had no CTC head; the new one starts from random weights")
        told.append(
            "the new CTC head takes no part in decoding, unless decode.ctc_weight is set; asr tune gives it a weight"
        )
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


def adapt(model: SpeechModel, config: Config, goes_on: Path | None = None) -> str:
    """Gives a model its adapters, in place, and returns what they are in words.

    `goes_on`: the folder of a run that goes on, which holds adapters alone: the model is filled with their base first. Raises
    ConfigError for adapters that the model cannot have, CheckpointError where the base is another one than it was.
    """
    base, lora = Path(config.train.initial_model), config.train.lora
    if not config.train.initial_model:
        raise ConfigError("train.lora: low-rank adapters need a model to go on from: asr train RECIPE --init MODEL")
    if is_adapted(base):
        raise ConfigError(
            f"train.lora: {base} holds adapters itself; asr model export {base} --out MODEL --dtype float32 makes one model of"
            " it, to which others can be added"
        )
    if goes_on is not None:
        require_base(goes_on, base, weights_fingerprint(base))
        fill_weights(model, read_network(base)[0], base)
    adapters = add_adapters(model, lora)
    size = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return f"{adapters} low-rank adapters of rank {lora.rank} on {base.name}: {size / 1e6:.2f} M parameters learn, no others"
