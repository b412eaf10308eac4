"""All settings of a run in one place: the dataclasses that stand beside their modules, filled from a TOML file.

asr train recipes/toy/base.toml --set train.max_steps=300 --set model.encoder.layers=4
"""

import copy
import dataclasses
import json
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asr.config_values import apply_override, from_dict, merged, whose_fault
from asr.corpus.batching import DataConfig
from asr.decoding.decode_config import DecodeConfig
from asr.errors import ConfigError
from asr.features.augment import AugmentConfig
from asr.features.fbank import FeatureConfig
from asr.foreign_bytes import quoted, reading
from asr.model.model import ModelConfig
from asr.training.train_config import TrainConfig


@dataclass(frozen=True)
class Config:
    """One section a part of the program."""

    features: FeatureConfig = field(default_factory=FeatureConfig)
    """Samples to log-mel."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    """Changes to features in training."""
    model: ModelConfig = field(default_factory=ModelConfig)
    """The network."""
    data: DataConfig = field(default_factory=DataConfig)
    """Manifests and batches."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """The optimisation."""
    decode: DecodeConfig = field(default_factory=lambda: DecodeConfig(beam=1))
    """The search that dev manifests are decoded with in training."""

    def __post_init__(self):
        if not self.train.initial_model:  # which may have a head, or is given one
            self.require_head()
        for name in ("ctc_syllables", "ctc_consistency"):
            if getattr(self.train, name) and not (self.train.ctc_weight or self.train.ctc_only_steps):
                raise ConfigError(f"train.{name} is a part of the CTC loss, which has no weight: set train.ctc_weight")
        if window := self.features.window_seconds:
            if self.augment.tempo:
                raise ConfigError(
                    "augment.tempo cannot be where features.window_seconds is: set it to 0, or augment.speeds"
                )
            if self.data.max_seconds / min(self.augment.speeds, default=1.0) > window:
                raise ConfigError(
                    f"data.max_seconds {self.data.max_seconds:g}, at the slowest of augment.speeds, must be within the"
                    f" {window:g} s of features.window_seconds"
                )

    def require_head(self) -> None:
        """Raises ConfigError where a CTC loss has no head to train."""
        for name in ("ctc_weight", "ctc_only_steps"):
            if (value := getattr(self.train, name)) > 0 and not self.model.ctc:
                raise ConfigError(f"train.{name} {value:g} needs the head it trains: set model.ctc = true")

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False, indent=2)


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """The settings of a TOML file, with `section.key=value` overrides. Raises ConfigError that names the setting.

    `extends = "other.toml"` in the first lines of a file takes the settings of another, relative to it, but for those that
    it sets itself.
    """
    values = _read_toml(Path(path))
    if isinstance(values.get("decode", {}), dict):
        values["decode"] = {"beam": Config().decode.beam} | values.get("decode", {})
    changed = copy.deepcopy(values)
    for override in overrides:
        apply_override(changed, override)
    try:
        with reading(path, ConfigError, "cannot be used"):
            return from_dict(Config, changed, "")
    except ConfigError as error:
        raise whose_fault(Config, values, "")(f"{path}: {error}") from None


def recipe_settings(path: str | Path) -> list[str]:
    """The names of the settings that a recipe sets, or one that it extends: `train.max_steps`."""
    return list(_names(_read_toml(Path(path)), ""))


def _names(values: dict[str, Any], prefix: str) -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _names(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _read_toml(path: Path, extending: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The values of a file, and of what it extends. `extending`: the files that led here."""
    with reading(path, ConfigError, "not TOML"):
        if path.resolve() in extending:
            raise ConfigError(f"{path}: extends itself, by way of {extending[-1]}")
        if extending and not path.exists():
            raise ConfigError(f"{path}: no such file, which {extending[-1]} extends")
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    if "extends" not in values:
        return values
    other = values.pop("extends")
    if not isinstance(other, str) or not other:
        raise ConfigError(f"{path}: extends must be the name of another recipe, is {quoted(other)}")
    return merged(_read_toml(path.parent / other, (*extending, path.resolve())), values)
