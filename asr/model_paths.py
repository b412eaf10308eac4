"""Where models lie that have names: those that come with the program, and those that were fetched."""

import os
from pathlib import Path

PRETRAINED = Path(__file__).parent / "pretrained"
"""The models that come with the program, a folder each."""


def cache() -> Path:
    """The folder of everything that was fetched; by the XDG rules a relative $XDG_CACHE_HOME does not count."""
    home = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (home if home.is_absolute() else Path.home() / ".cache") / "mandarin-asr"


def fetched(name: str) -> Path:
    """Where a published model lies once it was fetched."""
    return cache() / "models" / name
