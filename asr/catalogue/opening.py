"""Which model decodes, and how: one object that every command takes, and one place where it is opened."""

import os
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from asr.catalogue.decode_settings import Changes, changed_settings, decode_settings
from asr.catalogue.finding import find_model
from asr.decoding.decode_config import NO_LM, DecodeConfig
from asr.decoding.kenlm_scorer import KenlmScorer, is_kenlm_binary
from asr.decoding.network_lm import NetworkLm
from asr.decoding.ngram import NgramScorer
from asr.decoding.ngram_file import require_characters, words_of
from asr.decoding.search import CandidateScorer
from asr.decoding.wordlists import HotwordList, Hotwords, read_hotwords
from asr.errors import AsrError
from asr.model.companions import language_model_of
from asr.model.device import pick_device
from asr.model.folder import LoadedModel, load_model
from asr.model.inference import ready_to_decode
from asr.model.language_model import load_language_model
from asr.recognition.large_lm import LargeLm, is_large_lm, load_large_lm, refuse_gguf
from asr.recognition.recognizer import Recognizer
from asr.text.byte_pairs import BytePairTokenizer, holds_bytes
from asr.text.normalize import holds_han

KEPT_KERNELS = "64"
"""Compiled kernels that oneDNN keeps. Left alone it keeps 1,024, one for each shape it meets, which is faster by a twentieth or a
little more, and takes 0.4 GB in ten hours of audio (benchmarks/README.md)."""


@dataclass(frozen=True)
class Decoding:
    """A model, and how it is to decode."""

    model: str | Path = ""
    """A model folder, or the name of a model; the one that came with the program without a name."""
    settings: Changes = field(default_factory=dict)
    """What is to differ from the decoding settings that are saved with the model; all else stays as it is there."""
    lm: str | Path | None = None
    """A language model in the place of the one that the model may come with; "none" for none. A large one (a folder as Hugging
    Face has them) ranks what is found with that of the model."""
    hotwords: HotwordList | None = None
    """Words that are likely to come: a file with a line each, a list, words with weights, or a string of words."""
    device: str = "auto"
    """auto (a GPU where there is one), cpu or cuda."""
    quantize: str = "none"
    """none, or weights of fewer bits: int8, bfloat16, float16."""

    def __post_init__(self) -> None:
        words = self.hotwords
        if isinstance(words, Iterable) and not isinstance(words, str | Mapping):  # a set, or what can be read once
            object.__setattr__(self, "hotwords", tuple(sorted(words) if isinstance(words, Set) else words))


def from_anywhere(decoding: Decoding) -> Decoding:
    """The same, whatever folder a process is in: paths are absolute, names of models stay names."""

    def absolute(given: Any) -> Any:
        return Path(given).absolute() if isinstance(given, str | os.PathLike) and os.path.exists(given) else given

    model, lm, hotwords = map(absolute, (decoding.model, decoding.lm, decoding.hotwords))
    return replace(decoding, model=model, lm=lm, hotwords=hotwords)


@dataclass(frozen=True)
class Opened:
    """What a Decoding names, loaded."""

    folder: Path
    """The model's."""
    loaded: LoadedModel
    """Network and tokens."""
    settings: DecodeConfig
    """All of them: the model's own, changed."""
    lm: CandidateScorer | None
    """The language model, where there is one and it has a weight."""
    hotwords: Hotwords | None
    """The hot words, where there are any."""
    large_lm: LargeLm | None = None
    """The large language model, where there is one and it has a weight."""

    def recognizer(self, settings: DecodeConfig | None = None) -> Recognizer:
        """Decodes with what was opened, by these settings or by other ones."""
        settings, more = settings or self.settings, {"hotwords": self.hotwords, "large_lm": self.large_lm}
        return Recognizer(self.loaded.model, self.loaded.tokenizer, settings, self.lm, **more)


def open_decoding(decoding: Decoding, *, tuned: bool = False) -> Opened:
    """Loads what a Decoding names. Raises AsrError for what is missing, damaged, or does not fit.

    tuned: the beam will be changed, so that the model is not made ready for a beam of 1 alone.
    """
    folder = find_model(decoding.model)
    settings = decode_settings(folder, decoding.settings)
    loaded = open_model(folder, decoding.device, quantize=decoding.quantize, greedy=settings.beam == 1 and not tuned)
    return Opened(
        folder,
        loaded,
        settings,
        language_model(folder, loaded, settings, decoding.lm),
        hotwords_of(decoding, loaded, settings),
        large_language_model(loaded, settings, decoding.lm),
    )


def hotwords_of(decoding: Decoding, loaded: LoadedModel, settings: DecodeConfig) -> Hotwords | None:
    """The hot words that a Decoding names, as tokens of the model; None without any."""
    tokenizer, words = loaded.tokenizer, decoding.hotwords
    return read_hotwords(words, tokenizer, tokenizer.table, settings.hotword_weight) if words else None


def without_effect(decoding: Decoding, recognizer: Recognizer) -> Iterator[str]:
    """A line for each weight that a Decoding sets of something that is not there, for a language model without a weight, and
    for hot words that will hardly ever come."""
    if decoding.hotwords and recognizer.hotwords:
        yield from recognizer.hotwords.remarks(recognizer.config)
    if decoding.lm and str(decoding.lm) != NO_LM:
        large = is_large_lm(decoding.lm)
        name, there = ("large_lm_weight", recognizer.large_lm) if large else ("lm_weight", recognizer.lm)
        if there is None:
            weight = getattr(DecodeConfig(), name)
            yield f"--lm {decoding.lm}: changes nothing, {name} is 0; --decode {name}={weight} gives it a weight"
        elif large and recognizer.config.beam == 1:
            yield f"--lm {decoding.lm}: changes nothing, a beam of 1 leaves a single text; --beam 8 leaves more"
    model = recognizer.model
    lacking = {
        "ctc_weight": "" if model.ctc is not None else "the model has no CTC head",
        "lm_weight": "" if recognizer.lm is not None else "there is no language model",
        "large_lm_weight": "" if recognizer.large_lm is not None else "there is no large language model",
        "correct_names": "" if recognizer.hotwords else "there are no hot words",
        "no_speech": "" if model.no_speech is not None else "the model has no no-speech head",
        "window": "" if model.log_mel.config.window_samples else "the model hears audio of any length as it is",
        "reverse_weight": "" if model.reverse_decoder is not None else "the model has no right-to-left decoder",
    }
    for name, value in changed_settings(decoding.settings).items():
        if value and lacking.get(name):
            option = "--correct-names" if name == "correct_names" else f"--decode {name}={value}"
            yield f"{option}: changes nothing, {lacking[name]}"


def open_model(
    name: str | Path = "", device: str = "auto", *, quantize: str = "none", greedy: bool = False
) -> LoadedModel:
    """Loads a model by path or name onto a device, to decode with.

    `quantize`: one of asr.model.inference.QUANTIZATIONS. `greedy`: whether it will be searched with a beam of 1.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", KEPT_KERNELS)  # read when the first kernel is compiled
    loaded = load_model(find_model(name), pick_device("cpu" if quantize == "int8" and device == "auto" else device))
    return replace(loaded, model=ready_to_decode(loaded.model, quantize, greedy))


def language_model(
    folder: Path, loaded: LoadedModel, config: DecodeConfig, lm: str | Path | None = None
) -> CandidateScorer | None:
    """The language model `lm`, a file of n-grams or the folder of a network; without a name the one in the model's folder,
    if there is one, beside a large one, too; None for "none"."""
    path = language_model_of(folder) if not lm or is_large_lm(lm) else Path(lm)
    if str(lm) == NO_LM or not config.lm_weight or path is None:
        return None
    table, device = loaded.tokenizer.table, loaded.model.cmvn.mean.device
    refuse_gguf(path)
    if path.is_dir():
        network, own = load_language_model(path, device)
        _require_alike(loaded, path, holds_bytes(own))
        return NetworkLm(network, own, table.tokens, table.sos, eos=table.eos, device=device, path=path)
    require_tokens(loaded, path)
    if is_kenlm_binary(path):
        return KenlmScorer(path, table.tokens, table.eos)
    return NgramScorer(path, table.tokens, table.eos, device)


def large_language_model(loaded: LoadedModel, config: DecodeConfig, lm: str | Path | None) -> LargeLm | None:
    """The large language model `lm`, where the model is; None for any other one, or without a weight."""
    if not config.large_lm_weight or not is_large_lm(lm):
        return None
    return load_large_lm(lm, loaded.model.cmvn.mean.device)


def refuse_large(lm: str | Path | None) -> None:
    """Raises AsrError for a large language model where one is to go into a model's folder."""
    if is_large_lm(lm):
        raise AsrError(
            f"{lm}: is a large language model, which stays where it is: --lm of asr transcribe, evaluate and serve takes it"
        )


def require_tokens(loaded: LoadedModel, lm: Path) -> None:
    """Raises AsrError for n-grams of words, and for n-grams of characters where the model's tokens are bytes."""
    if isinstance(loaded.tokenizer, BytePairTokenizer):
        _require_alike(loaded, lm, not is_kenlm_binary(lm) and not any(holds_han(word) for word in words_of(lm)))
    elif not is_kenlm_binary(lm):  # KenLM's are asked when they are opened
        require_characters(lm, loaded.tokenizer.table.tokens)


def _require_alike(loaded: LoadedModel, lm: Path, of_bytes: bool) -> None:
    """Raises AsrError unless the tokens of both a model and a language model are bytes, or of neither."""
    if of_bytes == isinstance(loaded.tokenizer, BytePairTokenizer):
        return
    if of_bytes:
        raise AsrError(
            f"{lm}: is a language model of bytes of UTF-8, which the tokens of {loaded.name} are not;"
            f" asr train-lm --tokens {loaded.name} makes one of these"
        )
    raise AsrError(
        f"{lm}: is a language model of characters or words, the tokens of {loaded.name} are bytes of UTF-8;"
        f" asr train-lm --tokens {loaded.name} makes one of these"
    )
