"""The error rate of each dev manifest: of one's own speech, and of what a model is not to forget."""

from pathlib import Path

from asr.model.folder import read_header, weights_file
from asr.scoring.cer import CharErrors
from asr.training.history import read_history

DIGITS = 8
"""Digits of the dev CER that is stored with a model, and compared: more than are ever shown."""
CER = "dev_cer"
"""What the rate over all dev manifests is called in logs and headers; behind it, and a `_`, the name of a single one."""


def cer_of_each(overall: CharErrors, by_name: dict[str, CharErrors]) -> dict[str, float]:
    """Rates under the names that they have in a log: over all dev manifests, and of each."""
    return {CER: overall.cer} | {f"{CER}_{name}": errors.cer for name, errors in by_name.items()}


def in_header(rates: dict[str, float]) -> dict[str, str]:
    """Rates as the header of weights holds them; of a single dev manifest there is only one."""
    kept = rates if len(rates) > 2 else {CER: rates[CER]}
    return {name: f"{rate:.{DIGITS}f}" for name, rate in kept.items()}


def before_and_after(folder: Path) -> dict[str, tuple[float, float]]:
    """Each dev manifest of a finished run → its CER by the initial model, and by the model that is kept.

    Empty where there was no initial model, or its evaluation is not in the log.
    """
    before, after = read_history(folder).before or {}, read_header(weights_file(folder))
    names = [name.removeprefix(f"{CER}_") for name in before if name.startswith(f"{CER}_")]
    if len(names) == 1:
        after = {f"{CER}_{names[0]}": after.get(CER)}
    pairs = {name: (before[f"{CER}_{name}"], after.get(f"{CER}_{name}")) for name in names}
    return {name: (was, round(float(now), DIGITS)) for name, (was, now) in pairs.items() if now is not None}
