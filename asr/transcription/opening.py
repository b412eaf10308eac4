"""Which model decodes, and how: one object that every command takes, and one place where it is opened."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from asr.decoding.recognizer import Recognizer
from asr.decoding.search import CandidateScorer
from asr.decoding.settings import DecodeConfig
from asr.decoding.wordlists import Hotwords, read_hotwords
from asr.model.folder import LoadedModel
from asr.transcription.models import find_model, language_model, open_model
from asr.transcription.settings import NO_LM, decode_settings


@dataclass(frozen=True)
class Decoding:
    """A model, and how it is to decode."""

    model: str | Path = ""
    """A model folder, or the name of a model; the one that came with the program without a name."""
    settings: DecodeConfig | Mapping[str, Any] = field(default_factory=dict)
    """What is to differ from the decoding settings that are saved with the model; a DecodeConfig takes their place."""
    lm: str | Path | None = None
    """A language model in the place of the one that the model may come with; "none" for none."""
    hotwords: str | Path | None = None
    """A file of words that are likely to come, a line each."""
    device: str = "auto"
    """auto (a GPU where there is one), cpu or cuda."""
    quantize: str = "none"
    """none, or weights of fewer bits: int8, bfloat16, float16."""


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

    def recognizer(self, settings: DecodeConfig | None = None) -> Recognizer:
        """Decodes with what was opened, by these settings or by other ones."""
        return Recognizer(self.loaded.model, self.loaded.tokenizer, settings or self.settings, self.lm, self.hotwords)


def open_decoding(decoding: Decoding, *, tuned: bool = False) -> Opened:
    """Loads what a Decoding names. Raises AsrError for what is missing, damaged, or does not fit.

    tuned: the weight of the language model and the beam will be changed, so that it is opened even if it has no weight now.
    """
    folder = find_model(decoding.model)
    settings = decoding.settings
    if not isinstance(settings, DecodeConfig):
        settings = decode_settings(folder, settings)
    loaded = open_model(folder, decoding.device, quantize=decoding.quantize, greedy=settings.beam == 1 and not tuned)
    weighed = replace(settings, lm_weight=settings.lm_weight or 1.0) if tuned else settings
    words = decoding.hotwords
    return Opened(
        folder,
        loaded,
        settings,
        language_model(folder, loaded, weighed, decoding.lm),
        read_hotwords(words, loaded.tokenizer, loaded.tokenizer.table, settings.hotword_weight) if words else None,
    )


def without_effect(decoding: Decoding, recognizer: Recognizer) -> Iterator[str]:
    """A line for each weight that a Decoding sets of something that is not there, and for a language model without a weight."""
    if decoding.lm and str(decoding.lm) != NO_LM and recognizer.lm is None:
        yield f"--lm {decoding.lm}: changes nothing, lm_weight is 0; --decode lm_weight=0.3 gives it a weight"
    model = recognizer.model
    lacking = {
        "ctc_weight": "" if model.ctc is not None else "the model has no CTC head",
        "lm_weight": "" if recognizer.lm is not None else "there is no language model",
        "reverse_weight": "" if model.reverse_decoder is not None else "the model has no right-to-left decoder",
    }
    for name, value in decoding.settings.items() if isinstance(decoding.settings, Mapping) else ():
        if value and lacking.get(name):
            yield f"--decode {name}={value}: changes nothing, {lacking[name]}"
