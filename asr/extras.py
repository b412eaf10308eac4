"""As which distribution the program is installed, and what brings the packages of its extras."""

import re
from importlib import metadata

DISTRIBUTIONS = ("mandarin-asr", "mandarin-asr-onnx")
"""The program, and what of it goes without PyTorch (onnx-only/pyproject.toml): one of them is installed."""


def installed_as() -> str:
    """The name of the distribution that is installed; the program's where none is."""
    for name in DISTRIBUTIONS:
        try:
            metadata.requires(name)
            return name
        except metadata.PackageNotFoundError:
            continue
    return DISTRIBUTIONS[0]


def requirements() -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """Packages with their bounds, as this program was installed with: those it always needs, and those of each extra."""
    core: dict[str, str] = {}
    extras: dict[str, dict[str, str]] = {}
    try:
        lines = metadata.requires(installed_as()) or []
    except metadata.PackageNotFoundError:
        return {name: "" for name in ("torch", "numpy", "soundfile", "av", "soxr", "safetensors")}, {}
    for line in lines:
        requirement, _, marker = line.partition(";")
        name, bounds = re.fullmatch(r"\s*([A-Za-z0-9._-]+)\s*\(?([^)]*?)\)?\s*", requirement).groups()
        extra = re.search(r"extra == ['\"]([^'\"]+)", marker)
        (extras.setdefault(extra[1], {}) if extra else core)[name] = bounds
    return core, extras


def brings(extra: str) -> str:
    """What to do for the packages of an extra of the program as it is installed: `pip install 'mandarin-asr[text]'`."""
    name = installed_as()
    if name == DISTRIBUTIONS[0] or extra in requirements()[1]:
        return f"pip install '{name}[{extra}]'"
    return f"pip uninstall {name}, and in a checkout of the program pip install -c constraints.txt '.[{extra}]'"
