"""The same run on one process and on two, stopped and gone on with, through files and through shards, the network whole or shared
out: how far losses are apart.

    python -m tests.exactness [--steps 100]

A small model in float32 without dropout or augmentation, two batches a step, in a fixed order. Prints the largest difference of
the loss of a step from that of one process that reads files; the status is 1 where one is above 1e-4. Where each process takes a
batch of its own the sums are the same, bit for bit; where two share out one they are rounded otherwise. The rate rises to 1e-4:
at ten times that a change of the gradients in their last bit moves losses by 1e-3 within the same steps, on one process, too.
"""

import argparse
import sys
import tempfile
import unittest.mock
from collections.abc import Sequence
from pathlib import Path

import torch

from asr.corpus.shards import Sharding, write_shards
from asr.corpus.toy import prepare_toy
from asr.training import loop
from asr.training.config import Config
from asr.training.gradients import StepNumbers
from tests.runs import QUIET, changed, small_run

SETTINGS = (
    "data.batch_seconds=8 data.curriculum_epochs=0 data.dev=[] data.join=0 model.encoder.layers=2 model.encoder.width=32"
    " model.encoder.heads=2 model.encoder.feed_forward=64 model.encoder.dropout=0 model.decoder.layers=2 model.decoder.heads=2"
    " model.decoder.feed_forward=64 model.decoder.dropout=0 features.dither=0 augment.frequency_masks=0 augment.time_masks=0"
    " augment.tempo=0 train.token_dropout=0 train.log_every=1 train.health_every=0 train.precision=float32 train.accumulate=2"
    " train.learning_rate=1e-3 train.warmup_steps=1000"
)
WITHIN = 1e-4


def losses(config: Config, out: Path, *parts: tuple[int, int | None]) -> list[float]:
    """Of each step, of a run in parts: (processes, the step at which it is stopped). Not of the log, which rounds them.

    Where one process follows two, or two follow one, the network is shared out as before, if it was: by one it is whole.
    """
    taken, take_step = [], loop.take_step

    def noted(*given, **named) -> StepNumbers:
        taken.append(take_step(*given, **named))
        return taken[-1]

    with unittest.mock.patch.object(loop, "take_step", noted):
        for processes, until in parts:
            loop.train(changed(config, processes=processes), out, display=QUIET, stop_after=until)
    return [numbers.loss for numbers in taken]


def apart(steps: int, folder: Path) -> dict[str, float]:
    """The largest difference of a step's loss from that of one process that reads files, of each other way to train."""
    torch.set_num_threads(1)
    corpus = prepare_toy(folder / "toy", n_train=60, n_dev=2, n_test=2)
    files = small_run(corpus, *SETTINGS.split(), f"train.max_steps={steps}")
    sharded = write_shards([corpus["train"]], folder / "shards", Sharding(hours=0.01)).manifest
    shards = small_run(corpus | {"train": sharded}, *SETTINGS.split(), f"train.max_steps={steps}")
    third = steps // 3
    ways = {
        "two processes": (files, (2, None)),
        "two, then one, then two": (files, (2, third), (1, 2 * third), (2, None)),
        "shards": (shards, (1, None)),
        "shards, two processes": (shards, (2, None)),
        "shards, two, then one, then two": (shards, (2, third), (1, 2 * third), (2, None)),
    }
    shared_network = changed(files, sharding="full")
    ways |= {
        f"network shared out, {name}": (shared_network, *parts) for name, (c, *parts) in ways.items() if c is files
    }
    expected = losses(files, folder / "runs/one", (1, None))
    assert len(expected) == steps
    one_batch = changed(files, accumulate=1)
    shared = [losses(one_batch, folder / f"runs/shared-{n}", (n, None)) for n in (1, 2)]
    shared.append(losses(changed(one_batch, sharding="full"), folder / "runs/shared-network", (2, None)))
    names = ("two processes that share out each batch", "two processes that share out each batch and the network")
    found = {
        name: max(abs(a - b) for a, b in zip(shared[0], other, strict=True))
        for name, other in zip(names, shared[1:], strict=True)
    }
    for name, (config, *parts) in ways.items():
        others = losses(config, folder / "runs" / name.replace(" ", "-"), *parts)
        found[name] = max(abs(a - b) for a, b in zip(expected, others, strict=True))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100)
    steps = parser.parse_args(arguments).steps
    with tempfile.TemporaryDirectory(prefix="asr-exactness-") as folder:
        found = apart(steps, Path(folder))
    for name, difference in found.items():
        print(f"{name}: {difference:.1e} at most over {steps} steps")
    return int(max(found.values()) > WITHIN)


if __name__ == "__main__":
    sys.exit(main())
