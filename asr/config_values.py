"""Plain values (from TOML or JSON) into frozen dataclasses: types checked, unknown keys answered with the nearest valid one."""

import dataclasses
import difflib
import math
import re
import tomllib
import typing
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from asr.errors import ConfigError, UsageError
from asr.foreign_bytes import QUOTED, listed, quoted, shortened

T = TypeVar("T")
LARGEST = 2**53
"""No number of a setting is larger, or further below 0: up to this floats hold whole numbers exactly."""
BARE_POINT = re.compile(r"[+-]?(?:\d+\.|\.\d+)(?:[eE][+-]?\d+)?")
"""Numbers with digits on one side of the point only, which TOML does not know."""
SECTION_KEY = "section.key=value"
"""The form of what changes a setting of a recipe."""
KINDS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
KINDS |= {int | None: "a whole number", float | str: "a number or a text"}


def from_dict(cls: type[T], values: Any, section: str) -> T:
    """An instance of a dataclass from a dict; nested dataclasses from nested dicts. `section` is only for messages."""
    if not isinstance(values, dict):
        raise ConfigError(f"[{section}] must be a section, is {quoted(values)}")
    hints = typing.get_type_hints(cls)
    prefix = f"{section}." if section else ""
    names = [f.name for f in dataclasses.fields(cls)]
    for key in values:
        if key not in names:
            raise ConfigError(f"{prefix}{listed([key])}: there is no such setting; {nearest(str(key), names)}")
    return cls(**{key: _value(hints[key], value, f"{prefix}{key}") for key, value in values.items()})


def whose_fault(cls: type, values: Any, section: str) -> type[ConfigError]:
    """The kind of error that settings are which options of the command line changed: were these `values` wrong before?"""
    try:
        from_dict(cls, values, section)
    except ConfigError:
        return ConfigError
    return UsageError


def nearest(key: str, names: Iterable[str]) -> str:
    """What to say of a name that does not exist: the one that was probably meant, and all there are."""
    names = list(names)
    close = difflib.get_close_matches(key[:QUOTED], names, n=1, cutoff=0.5)
    return (f"did you mean {close[0]}? " if close else "") + f"valid are {', '.join(names)}"


def _value(kind: Any, value: Any, name: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return from_dict(kind, value, name)
    if typing.get_origin(kind) is tuple:
        if not isinstance(value, list | tuple):
            hint = ""
            if isinstance(value, str):
                hint = f"; as a shell takes it: '{name}=[\"{shortened(value.strip('[]'))}\"]', with all of these quotes"
            raise ConfigError(f"{name} must be a list, is {quoted(value)}{hint}")
        item = typing.get_args(kind)[0]
        return tuple(_value(item, v, f"{name}[{i}]") for i, v in enumerate(value))
    if typing.get_origin(kind) is dict:
        if not isinstance(value, dict):
            raise ConfigError(f"[{name}] must be a section, is {value!r}")
        return {key: _value(typing.get_args(kind)[1], v, f"{name}.{key}") for key, v in value.items()}
    if kind in (float, float | str) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value) if abs(value) <= LARGEST else math.inf
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise ConfigError(f"{name} must be {KINDS[kind]}, is {quoted(value)}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{name} must be a finite number, is {quoted(value)}")
    if kind in (int, int | None) and abs(value or 0) > LARGEST:
        raise ConfigError(f"{name} must be at most {LARGEST:,}, is {quoted(value)}")
    return value


def parse_changes(overrides: Iterable[str], option: str, **own: int | bool | None) -> dict[str, Any]:
    """The values of several `key=value` for one option of the command line, whose keys have no dot; the last of one key holds.

    `own`: what options of their own say of the same keys, such as --beam, None for those that are not given. Raises
    UsageError where these and the overrides say different things.
    """
    overrides = list(overrides)
    for override in overrides:
        if "." in parse_override(override, option)[0]:
            raise UsageError(f"{option} {override}: must have the form key=value, and key no dot")
    return agreeing(overrides, option, {own_option(name): (name, value) for name, value in own.items()})


def agreeing(
    overrides: Iterable[str], option: str, own: Mapping[str, tuple[str, Any]], form: str = "key=value"
) -> dict[str, Any]:
    """The values by key of several `key=value` for one option, and of other options: name → (key, value), None for not given.

    Raises UsageError where an option and an override say different things of one key: which is meant, nobody can tell.
    """
    last: dict[str, str] = {}
    values: dict[str, Any] = {}
    for override in overrides:
        key, value = parse_override(override, option, form)
        last[key], values[key] = override, value
    for name, (key, value) in own.items():
        if value is not None and values.setdefault(key, value) != value:
            first = name if value is True else f"{name} {value}"
            raise UsageError(f"{first} and {option} {last[key]} contradict each other: leave one of them out")
    return values


def own_option(name: str) -> str:
    """What the option is called that sets a setting by itself: --correct-names."""
    return f"--{name.replace('_', '-')}"


def parse_override(override: str, option: str, form: str = "key=value") -> tuple[str, Any]:
    """The name and the value of `name=value`, as TOML has it; a text need not be quoted, and .5, 5. and True are what they
    look like."""
    name, equals, text = override.partition("=")
    if not equals or not name.strip():
        raise UsageError(f"{option} {override}: must have the form {form}")
    try:
        return name.strip(), tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        if text.strip() in ("True", "False"):
            return name.strip(), text.strip() == "True"
        return name.strip(), float(text) if BARE_POINT.fullmatch(text.strip()) else text


def merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Nested values, those `above` where both have one."""
    both = {
        key: merged(below[key], value)
        for key, value in above.items()
        if isinstance(below.get(key), dict) and isinstance(value, dict)
    }
    return below | above | both


def apply_override(values: dict[str, Any], override: str, sections_only: bool = True) -> None:
    """Puts the value of `section.key=value` into nested values; without `sections_only` also that of `key=value`."""
    *sections, key = override.partition("=")[0].strip().split(".")
    if "=" not in override or not key or (sections_only and not sections):
        form = SECTION_KEY if sections_only else "key=value"
        raise UsageError(f"--set {override}: must have the form {form}")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise UsageError(f"--set {override}: {section} is a setting, not a section")
    values[key] = parse_override(override, "--set")[1]
