"""What `asr train --dry-run` prints."""

from collections.abc import Iterator

from asr.corpus.batching import lacking_characters
from asr.training.dry_run import DryRun, Overfit
from asr.training.preparation import Prepared


def dry_run_lines(found: DryRun) -> Iterator[str]:
    """A line for each thing that a person wants to know of a run before it costs anything."""
    prepared, train = found.prepared, found.prepared.config.train
    yield from _data(prepared)
    yield from prepared.remarks
    parameters = sum(p.numel() for p in prepared.model.parameters())
    yield f"model: {parameters / 1e6:.2f} M parameters on {prepared.device}"
    sizes = ", ".join(f"{name} {' × '.join(map(str, shape))}" for name, shape in found.shapes.items())
    yield f"largest batch: {sizes}{', and all of it twice' if train.ctc_consistency else ''}"
    yield (
        f"memory: {found.memory / 1e9:.1f} GB at its highest, on the largest batch, without the optimizer's two numbers a"
        " parameter"
    )
    yield (
        f"time: {found.seconds:.2f} s a batch, {found.largest_seconds:.2f} s the largest; {train.max_steps:,} steps of"
        f" {train.accumulate} are {found.epochs:,.1f} epochs and about {found.hours:.1f} h, without reading audio and decoding"
        " dev sets"
    )
    yield _overfit(found.overfit)


def _data(prepared: Prepared) -> Iterator[str]:
    kept, all_of_them = prepared.within, prepared.utterances
    hours = kept.seconds / 3600
    left_out = f"; {len(all_of_them) - len(kept):,} are too short or too long" if len(kept) < len(all_of_them) else ""
    yield f"train: {len(kept):,} utterances, {hours:.2f} h{left_out}"
    yield f"tokens: {len(prepared.tokenizer.table):,}{_unknown(prepared.lacking)}"
    for path, dev in zip(prepared.config.data.dev, prepared.dev_sets, strict=True):
        lacking = lacking_characters(dev.utterances, prepared.tokenizer)
        yield f"dev: {path}, {len(dev.utterances):,} utterances{_unknown(lacking)}"


def _unknown(lacking: dict[str, int]) -> str:
    if not lacking:
        return "; no unknown character"
    most = sorted(lacking, key=lambda c: -lacking[c])[:20]
    return f"; {sum(lacking.values()):,} characters are unknown, {len(lacking):,} different ones: {' '.join(most)}"


def _overfit(found: Overfit) -> str:
    if found.loss[1] != found.loss[1]:
        return "one batch: its loss is not a number"
    what = (
        f"{found.utterances} utterances, accuracy {found.accuracy[0]:.2f} to {found.accuracy[1]:.2f},"
        f" loss {found.loss[0]:.2f} to {found.loss[1]:.2f} in {found.steps} steps"
    )
    if found.learned:
        return f"one batch: learned by heart, {what}"
    if found.on_its_way:
        return f"one batch: on its way, {what}, when time was up"
    return f"one batch: NOT learned, {what}; lower train.learning_rate, and look at the model's settings"
