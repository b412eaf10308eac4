"""Two runs side by side, and a run beside the curve that its recipe keeps."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from asr.errors import CheckpointError
from asr.files import save_json
from asr.foreign_bytes import json_in, reading
from asr.training.history import History

REFERENCE = "reference.json"
"""The file beside a recipe that holds the curve of the run its README reports."""
ABOVE, FACTOR = 0.02, 1.25
"""How much higher a dev CER may be than the reference's: so much, or by this factor. Other seeds stay within it."""
SETTLED = 0.5
"""Share of the steps after which curves are compared: before that, when a model begins to listen is a matter of luck."""
ELSEWHERE = (
    "train.device",
    "data.workers",
    "train.log_every",
    "train.checkpoint_every",
    "data.train",
    "data.dev",
    "data.tokens",
)
"""Settings that are where and how, not what."""
ROWS = 12
"""Rows of a table of curves."""


def compare(a: History, b: History) -> list[str]:
    """Lines: what differs in settings and origin, both dev curves, the best of each."""
    names = [history.folder.name for history in (a, b)]
    if names[0] == names[1]:
        names = [str(a.folder), str(b.folder)]
    lines = [f"{'':28}{names[0]:>20}{names[1]:>20}"]
    for name in ("data", "table", "batch", "versions", "commit", "seed"):
        values = [history.origin.get(name, "?") for history in (a, b)]
        if values[0] != values[1]:
            lines.append(_row(name, values))
    different = [n for n in sorted(a.settings.keys() | b.settings.keys()) if a.settings.get(n) != b.settings.get(n)]
    lines += [_row(name, [a.settings.get(name), b.settings.get(name)]) for name in different]
    if len(lines) == 1:
        lines.append("same data, settings, versions and commit")
    lines += ["", "dev CER in %"] + [_row(f"step {step:,}", values) for step, values in _curves(a, b)]
    for name, of in (("best", _best), ("hours of audio", _hours), ("hours of time", _time)):
        lines.append(_row(name, [of(a), of(b)]))
    return lines


def _row(name: str, values: Sequence) -> str:
    return f"{name:28}" + "".join(f"{str(value):>20}" for value in values)


def _curves(a: History, b: History) -> Iterator[tuple[int, list[str]]]:
    """Dev CER of both at up to ROWS of the steps at which either was evaluated."""
    curves = [{line["step"]: line["dev_cer"] for line in history.evaluations} for history in (a, b)]
    steps = sorted(curves[0].keys() | curves[1].keys())
    every = max(1, -(-len(steps) // ROWS))
    for step in steps[::-1][::every][::-1]:
        yield step, [f"{100 * curve[step]:.2f}" if step in curve else "" for curve in curves]


def _best(history: History) -> str:
    best = history.best
    return f"{100 * best['dev_cer']:.2f} at {best['step']:,}" if best else "none"


def _hours(history: History) -> str:
    return f"{history.losses[-1]['hours']:.2f}" if history.losses else "none"


def _time(history: History) -> str:
    return f"{history.losses[-1]['wall'] / 3600:.2f}" if history.losses else "none"


def write_reference(run: History, recipe: Path) -> Path:
    """Keeps a run's dev curve beside its recipe."""
    if not run.evaluations:
        raise CheckpointError(f"{run.folder}: has not been evaluated yet: there is no curve to keep")
    settings = {name: value for name, value in run.settings.items() if name not in ELSEWHERE}
    origin = {name: run.origin[name] for name in ("data", "versions", "commit", "seed") if name in run.origin}
    curve = [[line["step"], round(line["dev_cer"], 5)] for line in run.evaluations]
    path = _folder(recipe) / REFERENCE
    save_json(path, {"origin": origin, "settings": settings, "dev_cer": curve}, indent=1)
    return path


def verify(run: History, recipe: Path) -> tuple[bool, list[str]]:
    """Whether a run keeps to the curve of its recipe in the second half of it, and lines that say where not, and what differs.

    Judged is the best so far, which is what a run would ship: between two machines single evaluations differ by chance.
    """
    path = _folder(recipe) / REFERENCE
    if not path.exists():
        raise CheckpointError(f"{path}: is not there: this recipe has no reference curve yet")
    with reading(path, CheckpointError, "is no reference curve"):
        reference = json_in(path)
        expected = {int(step): float(cer) for step, cer in reference["dev_cer"]}
        settings, origin = dict(reference["settings"]), dict(reference["origin"])
        if not expected or not all(map(math.isfinite, expected.values())):
            raise ValueError("its dev_cer are no steps and rates")
    found = {line["step"]: line["dev_cer"] for line in run.evaluations}
    shared = [step for step in expected if step in found]
    if not shared:
        raise CheckpointError(
            f"{run.folder}: was not evaluated at any step of {path}; keep train.evaluate_every as it is there"
        )
    lines, good = [], True
    best, reference_best = math.inf, math.inf
    for step in shared:
        best, reference_best = min(best, found[step]), min(reference_best, expected[step])
        limit = max(reference_best + ABOVE, reference_best * FACTOR)
        high = best > limit and step >= SETTLED * max(expected)
        good = good and not high
        note = f"   above {100 * limit:.2f}" if high else ""
        lines.append(
            f"step {step:>8,}   dev CER {100 * found[step]:6.2f} %   reference {100 * expected[step]:6.2f} %{note}"
        )
    if max(shared) < SETTLED * max(expected):
        good = False
        lines.append(
            f"the last step at which both were evaluated is {max(shared):,}, too early to say; the reference goes to"
            f" {max(expected):,}"
        )
    for name, value in settings.items():
        if run.settings.get(name) != value:
            lines.append(f"differs: {name} is {run.settings.get(name)}, in the reference {value}")
    if origin.get("data") not in (None, run.origin.get("data")):
        lines.append("differs: the training data (other utterances, lengths or texts)")
    return good, lines


def _folder(recipe: Path) -> Path:
    """The folder of a recipe that is named by it, or by a file in it. Raises CheckpointError where there is neither."""
    if not recipe.exists() and recipe.name != REFERENCE:
        raise CheckpointError(f"{recipe}: no such recipe; name its folder, or a file in it")
    return recipe if recipe.is_dir() else recipe.parent
