"""Which decoding settings hold: those saved with the model, changed by what the command line says."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from asr.config import parse_override
from asr.config_values import from_dict, whose_fault
from asr.decoding.recognizer import Recognizer
from asr.decoding.settings import DecodeConfig
from asr.errors import ConfigError, UsageError
from asr.files import atomic_write
from asr.model.folder import DECODE, read_decode

NO_LM = "none"
"""What --lm takes for no language model at all."""


def decode_settings(folder: Path, overrides: Sequence[str] = (), **given: int | None) -> DecodeConfig:
    """The model's own settings, then `given` ones that are not None, then `key=value` texts. Raises ConfigError."""
    saved = read_decode(folder)
    values = saved | {name: value for name, value in given.items() if value is not None}
    for override in overrides:
        name, value = parse_override(override, "--decode")
        if "." in name:
            raise UsageError(f"--decode {override}: must have the form key=value, and key no dot")
        values[name] = value
    try:
        return from_dict(DecodeConfig, values, "decode")
    except ConfigError as error:
        kind = whose_fault(DecodeConfig, saved, "decode")
        raise kind(str(error) if kind is UsageError else f"{folder / DECODE}: {error}") from None


def without_effect(overrides: Sequence[str], recognizer: Recognizer, lm: str | Path | None = None) -> Iterator[str]:
    """A line for each weight among `key=value` texts of something that the recognizer does not have, and for a language
    model `lm` that has no weight."""
    if lm and str(lm) != NO_LM and recognizer.lm is None:
        yield f"--lm {lm}: changes nothing, lm_weight is 0; --decode lm_weight=0.3 gives it a weight"
    model = recognizer.model
    lacking = {
        "ctc_weight": "" if model.ctc is not None else "the model has no CTC head",
        "lm_weight": "" if recognizer.lm is not None else "there is no language model",
        "reverse_weight": "" if model.reverse_decoder is not None else "the model has no right-to-left decoder",
    }
    for override in overrides:
        name, value = parse_override(override, "--decode")
        if value and lacking.get(name):
            yield f"--decode {override}: changes nothing, {lacking[name]}"


def save_decode_settings(folder: Path, config: DecodeConfig) -> None:
    """Keeps what differs from the defaults beside the weights."""
    with atomic_write(folder / DECODE) as file:
        file.write(json.dumps(not_default(config), indent=2) + "\n")


def not_default(config: DecodeConfig) -> dict:
    """The settings that differ from the defaults."""
    defaults = asdict(DecodeConfig())
    return {name: value for name, value in asdict(config).items() if value != defaults[name]}
