"""What it costs that batches hold utterances of nearly one length: the toy language, learnt with less and with more mixing.

    python benchmarks/mixing.py --out exp/mixing

Each seed trains recipes/toy/base.toml from random weights once for each value of --mixed: utterances of a batch are mixed
with those of so many batches of like length (MIXED of asr/corpus/planning.py). Steps, weights at first and data are the same.
Prints padding, the loss of the dev sentences, the true tokens given, and their CER, greedily decoded: means over seeds, and
how much more each is than with the first value, with the standard error of that over seeds.
"""

import argparse
import math
import statistics
import unittest.mock
from pathlib import Path

import torch

from asr.corpus import planning
from asr.corpus.batching import make_batch
from asr.corpus.manifest import read_manifest
from asr.corpus.toy import prepare_toy
from asr.decoding.decode_config import DecodeConfig
from asr.model.folder import load_model
from asr.recognition.recognizer import Recognizer
from asr.scoring.cer import CharErrors, char_errors
from asr.training.config import Config, load_config
from asr.training.loop import train
from asr.training.objective import Objective, losses_of

ROOT = Path(__file__).parents[1]
COLUMNS = ("padding", "loss", "CER")
EPOCHS = 20
"""Whose padding is counted."""


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the data and the runs")
    parser.add_argument("--mixed", type=int, nargs="+", default=[2, 10], help="batches (default: 2 and 10)")
    parser.add_argument("--seeds", type=int, default=6, help="runs for each of --mixed (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=600, help="of training in each run (default: %(default)s)")
    parser.add_argument("--batch-seconds", type=float, default=8.0, help="small, so that there are many batches")
    parser.add_argument("--train", type=int, default=600, help="sentences to train on")
    parser.add_argument("--dev", type=int, default=200, help="sentences to decode")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default: %(default)s)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    prepare_toy(options.out / "toy", options.train, options.dev, 1)
    found: dict[int, list[tuple[float, ...]]] = {mixed: [] for mixed in options.mixed}
    for seed in range(1, options.seeds + 1):
        for mixed, rows in found.items():
            with unittest.mock.patch.object(planning, "MIXED", mixed):
                rows.append(measure(settings(options, seed), options.out / "run"))
            print(f"seed {seed}, {mixed}: {described(rows[-1])}", flush=True)
    for line in table(found):
        print(line)


def settings(options: argparse.Namespace, seed: int) -> Config:
    """A run that chooses nothing by dev sentences: the last weights count."""
    manifest, steps = options.out / "toy/train.jsonl", options.steps
    data = [f'data.train=["{manifest}"]', "data.dev=[]", "data.curriculum_epochs=0"]
    data.append(f"data.batch_seconds={options.batch_seconds}")
    often = [f"train.{name}={steps}" for name in ("max_steps", "evaluate_every", "checkpoint_every", "log_every")]
    return load_config(ROOT / "recipes/toy/base.toml", [*data, *often, f"train.seed={seed}", "train.health_every=0"])


def measure(config: Config, out: Path) -> tuple[float, ...]:
    """The COLUMNS of one run."""
    manifest = Path(config.data.train[0])
    seconds = torch.tensor([utterance.duration for utterance in read_manifest(manifest)]).numpy()
    plans = [planning.plan_batches(seconds, config.data, config.train.seed, epoch) for epoch in range(EPOCHS)]
    padding = 1 - EPOCHS * seconds.sum() / sum(plan.padded(seconds).sum() for plan in plans)
    loaded = load_model(train(config, out, force=True))
    dev = read_manifest(manifest.with_name("dev.jsonl"))
    samples = [utterance.read() for utterance in dev]
    tokens = [loaded.tokenizer.encode(utterance.text) for utterance in dev]
    with torch.no_grad():
        batch = make_batch([utterance.id for utterance in dev], samples, tokens, loaded.tokenizer)
        loss = losses_of(loaded.model.eval(), batch, Objective()).total.item()
    results = Recognizer(loaded.model, loaded.tokenizer, DecodeConfig(beam=1)).recognize(samples)
    errors = (char_errors(u.text, nbest[0].text) for u, nbest in zip(dev, results, strict=True))
    return float(padding), loss, sum(errors, CharErrors()).cer


def described(row: tuple[float, ...]) -> str:
    padding, loss, cer = row
    return f"padding {100 * padding:.1f} %, loss {loss:.3f}, CER {100 * cer:.2f} %"


def table(found: dict[int, list[tuple[float, ...]]]) -> list[str]:
    """Means of each column, and for all but the first value how much more that is, ± its standard error."""
    first = next(iter(found.values()))
    lines = [f"| mixed | {' | '.join(COLUMNS)} |", "|---" * (1 + len(COLUMNS)) + "|"]
    for mixed, rows in found.items():
        cells, columns, usual_columns = [], zip(*rows, strict=True), zip(*first, strict=True)
        for column, (name, values, usual) in enumerate(zip(COLUMNS, columns, usual_columns, strict=True)):
            unit, digits = ("", 3) if name == "loss" else (" %", 2)
            scale = 100 if unit else 1
            cell = f"{scale * statistics.mean(values):.{digits}f}{unit}"
            more = [scale * (a - b) for a, b in zip(values, usual, strict=True)]
            if rows is not first and column:
                error = statistics.stdev(more) / math.sqrt(len(more)) if len(more) > 1 else math.nan
                cell += f" ({statistics.mean(more):+.{digits}f} ± {error:.{digits}f})"
            cells.append(cell)
        lines.append(f"| {mixed} | {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    main()
