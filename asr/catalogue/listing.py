"""What `asr model list` and `asr model info` say of published models."""

import dataclasses

from asr.catalogue.published import PUBLISHED
from asr.catalogue.published_model import NOT_RUN, PublishedModel
from asr.catalogue.pull import cached, origin

UNKNOWN = "not stated"


def table() -> list[str]:
    """Three lines for each published model."""
    heads = [(m.name, m.download or UNKNOWN, m.licence, _state(m)) for m in PUBLISHED.values()]
    widths = [max(map(len, column)) for column in zip(*heads, strict=True)]
    lines = []
    for model, head in zip(PUBLISHED.values(), heads, strict=True):
        lines.append("  ".join(cell.ljust(width) for cell, width in zip(head, widths, strict=True)).rstrip())
        lines += [f"    {model.title}", f"    CER in %, as {model.cer_by}: {model.cer or UNKNOWN}"]
    return lines


def rows() -> list[dict]:
    """All that is known of each model, for programs, and the folder it is in if it was pulled."""
    return [
        dataclasses.asdict(model) | {"state": _state(model), "folder": str(cached(model.name) or "")}
        for model in PUBLISHED.values()
    ]


def details(model: PublishedModel) -> list[str]:
    """Everything about one published model, a line each."""
    known = [
        ("name", model.name),
        ("what", model.title),
        ("toolkit", model.toolkit),
        ("licence", model.licence),
        ("CER in %", f"{model.cer}, as {model.cer_by}" if model.cer else UNKNOWN),
        ("read in", model.source),
        ("note", model.note),
        ("download", f"{model.download or UNKNOWN}: {', '.join(file.path for file in model.files)}"),
        *((hub, origin(model, hub)) for hub in model.repositories),
        ("state", _state(model)),
        ("folder", str(cached(model.name) or f"not here; asr model pull {model.name}")),
    ]
    return [f"{key:11} {value}" for key, value in known if value]


def _state(model: PublishedModel) -> str:
    state = "run" if model.run else NOT_RUN
    return f"here, {state}" if cached(model.name) else state
