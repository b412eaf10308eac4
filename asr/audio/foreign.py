"""Whatever goes wrong in the libraries that decode recordings is the recording's own error."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from asr.errors import AudioError

NOT_AUDIO = "not recognised as audio, or damaged"
MOST_VALUES = 2**24
"""Samples, of all channels together, that one frame or block may have: 64 MB."""


@contextmanager
def decoding(path: Path) -> Iterator[None]:
    """Raises AudioError in place of every exception from inside: decoders have more kinds than can be listed."""
    try:
        yield
    except AudioError:
        raise
    except Exception as error:
        raise AudioError(f"{path}: {NOT_AUDIO} ({reason(error)})") from error


def reason(error: Exception) -> str:
    """What an exception says, in at most 200 characters."""
    return str(getattr(error, "strerror", None) or error or type(error).__name__)[:200]
