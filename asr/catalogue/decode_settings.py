"""Which decoding settings hold: those saved with the model, changed by what the command line says."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from asr.config_values import from_dict, parse_changes, whose_fault
from asr.decoding.decode_config import DecodeConfig
from asr.errors import ConfigError, UsageError
from asr.files import save_json
from asr.foreign_bytes import quoted
from asr.model.folder import DECODE, read_decode


def changes(overrides: Sequence[str], **given: int | bool | None) -> dict[str, Any]:
    """`given` settings that are not None, and those of `key=value` texts. Raises UsageError for texts of another form, and
    where two say different things."""
    return parse_changes(overrides, "--decode", **given)


Changes = DecodeConfig | Mapping[str, Any]
"""What is to differ from the settings of a model: a table of them, or a DecodeConfig, of which those count that it was given."""


def changed_settings(given: Changes | None, beam: int | None = None) -> dict[str, Any]:
    """The settings that are to differ from a model's own, `beam` among them. Raises UsageError for what is no table of them."""
    if not isinstance(given, DecodeConfig | Mapping | None):
        raise UsageError(f'decode must be a table of settings, such as {{"ctc_weight": 0.3}}, is {quoted(given)}')
    named = given.given() if isinstance(given, DecodeConfig) else dict(given or {})
    return named | ({} if beam is None else {"beam": beam})


def decode_settings(folder: Path, changed: Changes | None = None) -> DecodeConfig:
    """The settings that are saved with a model, but for those that are `changed`. Raises ConfigError for what cannot be."""
    saved = read_decode(folder)
    try:
        return from_dict(DecodeConfig, saved | changed_settings(changed), "decode")
    except ConfigError as error:
        kind = whose_fault(DecodeConfig, saved, "decode")
        raise kind(str(error) if kind is UsageError else f"{folder / DECODE}: {error}") from None


def save_decode_settings(folder: Path, config: DecodeConfig) -> None:
    """Keeps what differs from the defaults beside the weights."""
    save_json(folder / DECODE, not_default(config))


def not_default(config: DecodeConfig) -> dict[str, Any]:
    """The settings that differ from the defaults."""
    defaults = asdict(DecodeConfig())
    return {name: value for name, value in asdict(config).items() if value != defaults[name]}
