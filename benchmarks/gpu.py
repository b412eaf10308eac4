"""What a GPU makes of training and of an hour of speech: the figures that recipes/scale/README.md still lacks, by one command.

    python benchmarks/gpu.py                        # everything, on CUDA: some minutes
    python benchmarks/gpu.py calls/*.wav            # and an hour of these through `asr benchmark`
    python benchmarks/gpu.py --device cpu --size tiny --shape tiny --precision float32 --quick    # whether it runs

Training is benchmarks/training.py: ours, of two sizes, as a share of what a large matrix product reaches. An hour in the shape of
whisper-small is benchmarks/whisper.py in batches: 120 windows of 30 s encoded, then exactly 40 steps for each, random weights;
Transformers stands beside it where it is installed (--transformers names another Python). Features, and reading, are not timed.
"""

import argparse
import itertools
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import training
import whisper
from decoding import compare

from asr.audio.reading import SAMPLE_RATE, read_samples
from asr.catalogue.opening import Decoding
from asr.evaluation.benchmark import LONGEST_TIMED, benchmark

HOUR, WINDOW = 3600, 30
"""Seconds."""
BATCHES = {"batch_seconds": 1200, "batch_recordings": 256}
"""Decoding settings that fill a GPU, as recipes/scale/README.md has them."""
SHAPES = {"small": whisper.SMALL, "tiny": whisper.Shape(width=64, heads=2, layers=1, feed_forward=128)}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("audio", nargs="*", type=Path, help="recordings for `asr benchmark`, repeated to an hour")
    parser.add_argument("--model", default="", help="decodes the recordings; embedded by default")
    parser.add_argument("--device", default="cuda", help="as PyTorch names it (default: %(default)s)")
    parser.add_argument("--size", action="append", choices=training.SIZES, help="may be repeated; default: 30M, 100M")
    parser.add_argument("--shape", default="small", choices=SHAPES, help="of Whisper")
    parser.add_argument("--precision", action="append", help="may be repeated; default: float16 and bfloat16")
    parser.add_argument("--beam", type=int, default=5, help="hypotheses of Whisper's search (default: %(default)s)")
    parser.add_argument("--windows", type=int, default=24, help="that are decoded together")
    parser.add_argument("--transformers", default=sys.executable, metavar="PYTHON", help="one that has transformers")
    parser.add_argument("--quick", action="store_true", help="as little as possible of each; the figures mean nothing")
    options = parser.parse_args(arguments)
    precisions = options.precision or ["float16", "bfloat16"]
    for size in options.size or ["30M", "100M"]:
        print(f"training, {size}", flush=True)
        train(size, options.device, precisions[-1], options.quick)
    for precision in precisions:
        whisper_hour(precision, options)
        if options.audio:
            recordings_hour(precision, options)
    if not options.audio:
        print("no recordings were named: asr benchmark was left out")


def train(size: str, device: str, precision: str, quick: bool) -> None:
    """A table of benchmarks/training.py."""
    amount = ["--workers", "8", "--batch-seconds", "1500", "--hours", "4", "--rounds", "1"]
    if quick:
        amount = ["--batch-seconds", "12", "--hours", "0.01", "--rounds", "1", "--warm", "1", "--steps", "2"]
    common = ["--device", device, "--processes", "1", "--precision", precision, "--size", size]
    training.main([*common, *amount])


def whisper_hour(precision: str, options: argparse.Namespace) -> None:
    """Seconds of encoder and search for an hour."""
    windows, rounds = (1, 1) if options.quick else (options.windows, 3)
    programs = {"ours": (sys.executable, "none" if precision == "float32" else precision)}
    if options.transformers != sys.executable or find_spec("transformers"):
        programs["transformers"] = (options.transformers, precision)
    else:
        print("transformers is not installed: its Whisper was left out")
    with tempfile.TemporaryDirectory() as work:
        whisper.make_folder(Path(work), SHAPES[options.shape])
        seconds = dict.fromkeys(programs, 0.0)
        for part in ("encoder", "search"):
            given = [part, work, str(options.beam)]
            commands = {
                name: [python, "whisper", name, *given, variant, options.device, str(windows)]
                for name, (python, variant) in programs.items()
            }
            for name, each in compare(commands, rounds).items():
                seconds[name] += each * HOUR / WINDOW / windows
    for name, hour in seconds.items():
        print(f"Whisper {options.shape}, {precision}, beam {options.beam}: {name:12} {hour:8.1f} s an hour", flush=True)


def recordings_hour(precision: str, options: argparse.Namespace) -> None:
    """An hour of recordings, cut every 30 s, through `asr benchmark`."""
    step, seconds = LONGEST_TIMED * SAMPLE_RATE, LONGEST_TIMED if options.quick else HOUR
    whole = [read_samples(path) for path in options.audio]
    pieces = [samples[n : n + step] for samples in whole for n in range(0, len(samples), step)]
    ends = np.cumsum([len(piece) for piece in pieces])
    repeats = itertools.islice(itertools.cycle(pieces), -(-seconds * SAMPLE_RATE // int(ends[-1])) * len(pieces))
    quantize = "none" if precision == "float32" else precision
    decoding = Decoding(
        options.model, {} if options.device == "cpu" else BATCHES, device=options.device, quantize=quantize
    )
    found = benchmark(decoding, list(repeats), rounds=1 if options.quick else 3)
    hour = (found.encoder + found.search) * HOUR / found.seconds
    print(
        f"{found.model}, {precision}, beam {found.beam}: {hour:.1f} s an hour, encoder"
        f" {found.encoder * HOUR / found.seconds:.1f}, search {found.search * HOUR / found.seconds:.1f}; the search at"
        f" {100 * found.used:.1f} % of the peak, {found.memory / 1e6:,.0f} MB",
        flush=True,
    )


if __name__ == "__main__":
    main()
