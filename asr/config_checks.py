"""What settings of a dataclass must satisfy. Each function raises ConfigError for the first of some that does not, by its name.

`section` is what messages say before the name, "" for nothing. A setting whose default is None is not looked at where it is None.
"""

from collections.abc import Collection, Iterator

from asr.errors import ConfigError
from asr.foreign_bytes import quoted


def check_names(section: str, settings: object, **known: Collection[str]) -> None:
    """Each is one of the names that are known for it."""
    for setting, value in _values(section, settings, *known):
        names = known[setting.rpartition(".")[2]]
        if value not in names:
            shown = ", ".join(name or repr(name) for name in names)
            raise ConfigError(f"{setting} must be one of {shown}, is {quoted(value)}")


def check_above_zero(section: str, settings: object, *names: str) -> None:
    """Each is above 0."""
    for setting, value in _values(section, settings, *names):
        if not value > 0:
            raise ConfigError(f"{setting} must be above 0, is {value}")


def check_not_negative(section: str, settings: object, *names: str) -> None:
    """Each is 0 or more."""
    for setting, value in _values(section, settings, *names):
        if not value >= 0:
            raise ConfigError(f"{setting} must be 0 or more, is {value}")


def check_at_least_one(section: str, settings: object, *names: str) -> None:
    """Each is 1 or more."""
    for setting, value in _values(section, settings, *names):
        if not value >= 1:
            raise ConfigError(f"{setting} must be at least 1, is {value}")


def check_up_to_one(section: str, settings: object, *names: str) -> None:
    """Each is from 0 to 1."""
    for setting, value in _values(section, settings, *names):
        if not 0 <= value <= 1:
            raise ConfigError(f"{setting} must be from 0 to 1, is {value}")


def check_below_one(section: str, settings: object, *names: str) -> None:
    """Each is from 0 to below 1."""
    for setting, value in _values(section, settings, *names):
        if not 0 <= value < 1:
            raise ConfigError(f"{setting} must be from 0 to below 1, is {value}")


def _values(section: str, settings: object, *names: str) -> Iterator[tuple[str, float]]:
    """(name with its section, value) of those that are to be looked at."""
    for name in names:
        value = getattr(settings, name)
        if value is not None or getattr(type(settings), name, "") is not None:
            yield f"{section}.{name}" if section else name, value
