"""A kind of model that another program loads: its files, and what computes them."""

from collections.abc import Callable
from dataclasses import dataclass

from asr.exporting.onnx_files import Graph


@dataclass(frozen=True)
class GraphFile:
    """A file of a form."""

    name: str
    """Its name, without what says in how many bits its weights are."""
    graph: Callable[[], Graph]
    """What it computes."""
    metadata: dict[str, object]
    """What sherpa-onnx reads in it."""


@dataclass(frozen=True)
class Form:
    """A kind of model that sherpa-onnx knows."""

    loader: str
    """The method of `sherpa_onnx.OfflineRecognizer` that loads it."""
    files: dict[str, str]
    """Argument of that method → name of the part."""
    parts: list[GraphFile]
    """Its files."""
