"""Hours of audio that a training run learns from in an hour, beside other toolkits, in turn in one run.

    python benchmarks/training.py --peer speechbrain=VENV/bin/python    # a Python with speechbrain

Ours is `asr train`, as --processes processes of one thread each on torch.distributed, and as one process of as many threads; a
peer is one process of as many threads. Networks have the same sizes (--size), batches the same seconds; weights are random, the
loss is cross-entropy alone, speech is noise: utterances of 1.5 to 15 s, 4 characters a second. Padding, of the frames that the
network gets, and waiting for data are those of the first process. The share of the peak is that of a large matrix product in the
same precision on as many threads, measured before; the network's products count, forward and backward, padding included.

--profile adds what a step spends its time on: by its parts, in the steps that count, and by kinds of operators, forward and
backward together, in as many steps behind them, in which PyTorch's profiler looks on and adds to what is not within operators.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile
import torch

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from asr.audio.reading import SAMPLE_RATE  # noqa: E402
from asr.corpus.manifest import Utterance, write_manifest  # noqa: E402
from asr.model.device import matrix_peak, pick_device  # noqa: E402
from asr.text.tokenizer import TokenTable  # noqa: E402

WORKER = ROOT / "benchmarks/workers/training.py"
VOCABULARY, CHARACTERS_A_SECOND = 4232, 4
SHORTEST, LONGEST = 1.5, 15.0
"""Seconds of an utterance; most are of 3 to 7, as in AISHELL-1."""


def layers(encoder: int, decoder: int, width: int, heads: int, feed_forward: int) -> dict:
    """A section `model` of a recipe."""
    common = {"heads": heads, "feed_forward": feed_forward}
    return {"encoder": {"layers": encoder, "width": width} | common, "decoder": {"layers": decoder} | common}


SIZES = {"tiny": layers(1, 1, 64, 2, 128), "30M": layers(12, 6, 256, 4, 2048), "100M": layers(16, 6, 512, 8, 3072)}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--peer", action="append", default=[], metavar="NAME=PYTHON", help="speechbrain; may be repeated"
    )
    parser.add_argument("--size", choices=SIZES, default="30M", help="parameters of the network (default: %(default)s)")
    parser.add_argument("--precision", default="bfloat16", help="as train.precision (default: %(default)s)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    parser.add_argument(
        "--processes", type=int, default=2, help="of the runs on several; threads of the others (default: %(default)s)"
    )
    parser.add_argument("--batch-seconds", type=float, default=80.0, help="audio in a batch (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=0, help="processes that read ahead, for each that trains")
    parser.add_argument("--steps", type=int, default=40, help="of a process, those that count")
    parser.add_argument("--warm", type=int, default=10, help="those before, which do not")
    parser.add_argument("--hours", type=float, default=2.0, help="of speech that is made")
    parser.add_argument("--rounds", type=int, default=3, help="turns (default: %(default)s)")
    parser.add_argument("--profile", action="store_true", help="what a step spends its time on, too; on a CPU")
    options = parser.parse_args(arguments)
    if options.profile and options.device != "cpu":
        parser.error("--profile is for --device cpu: a GPU computes while Python goes on")
    numbers = dict.fromkeys((options.processes, 1) if options.device == "cpu" else (options.processes,))
    commands = {f"ours, {n} process{'es' if n > 1 else ''}": (sys.executable, "ours", n) for n in numbers}
    for name, python in (peer.split("=", 1) for peer in options.peer):
        commands[name] = (python, name, 1)
    torch.set_num_threads(options.processes)
    peak = matrix_peak(pick_device(options.device), getattr(torch, options.precision))
    print(f"a large matrix product: {peak / 1e9:,.0f} GFLOP/s in {options.precision} on {options.device}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        manifest = write_speech(Path(folder), 3600 * options.hours)
        found: dict[str, list[dict]] = {name: [] for name in commands}
        for _ in range(options.rounds):
            for name, (python, program, processes) in commands.items():
                found[name].append(run(python, program, processes, manifest, options=options))
    show(found, peak)
    for kind in ("parts", "kinds") if options.profile else ():
        show_profile({name: [each[kind] for each in runs] for name, runs in found.items()}, kind)


def write_speech(folder: Path, seconds: float) -> Path:
    """A manifest and its files, of so many seconds."""
    random = np.random.default_rng(1)
    characters = [chr(0x4E00 + i) for i in range(VOCABULARY - 4)]
    TokenTable(["<blank>", "<unk>", "<sos>", "<eos>", *characters]).save(folder / "tokens.txt")
    utterances, total = [], 0.0
    while total < seconds:
        length = float(np.clip(random.lognormal(1.5, 0.4), SHORTEST, LONGEST))
        samples = random.normal(0, 0.1, round(length * SAMPLE_RATE))
        path, total = folder / f"{len(utterances):06}.wav", total + length
        soundfile.write(path, samples.clip(-1, 1), SAMPLE_RATE, subtype="PCM_16")
        text = "".join(random.choice(characters, round(CHARACTERS_A_SECOND * length)))
        utterances.append(Utterance(path.stem, path, len(samples) / SAMPLE_RATE, text))
    write_manifest(folder / "train.jsonl", utterances)
    return folder / "train.jsonl"


def run(python: str, program: str, processes: int, manifest: Path, *, options: argparse.Namespace) -> dict:
    """What the worker prints."""
    steps, warm, threads = options.steps, options.warm, options.processes // processes
    if processes == 1:
        steps, warm = steps * options.processes, warm * options.processes  # as much audio
    all_steps = warm + steps * (1 + options.profile)
    train = {
        "max_steps": all_steps,
        "checkpoint_every": all_steps,  # nobody saves a run every few steps
        "accumulate": processes,
        "processes": processes,
        "log_every": 1,
    }
    train |= {"health_every": 0, "device": options.device, "precision": options.precision}
    data = {"train": [str(manifest)], "tokens": str(manifest.parent / "tokens.txt")}
    data |= {"batch_seconds": options.batch_seconds, "workers": options.workers}
    recipe = {"model": SIZES[options.size], "data": data, "train": train}
    settings = {"recipe": recipe, "folder": str(manifest.parent), "vocabulary": VOCABULARY}
    settings |= {"steps": steps, "warm": warm, "threads": threads, "profile": options.profile}
    command = [python, str(WORKER), program, json.dumps(settings)]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{done.stderr}\n{program}: stopped with status {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def show(found: dict[str, list[dict]], peak: float) -> None:
    """A table: medians of the rounds."""
    print("| | times real time | ours over it | padding | waiting for data | share of the peak | memory of a process |")
    print("|---" * 7 + "|")
    first = None
    for name, runs in found.items():
        middle = {key: statistics.median(each[key] for each in runs) for key in ("padding", "waiting", "memory")}
        speed = statistics.median(each["audio"] / each["seconds"] for each in runs)
        used = statistics.median(each["operations"] / each["seconds"] for each in runs) / peak
        first = first or speed
        print(
            f"| {name} | {speed:.1f} | {first / speed:.2f} | {100 * middle['padding']:.1f} % | {100 * middle['waiting']:.1f} %"
            f" | {100 * used:.0f} % | {middle['memory']:,.0f} MB |",
            flush=True,
        )


def show_profile(found: dict[str, list[dict[str, float]]], what: str) -> None:
    """A table of shares of the time, medians of the rounds, those of the first program largest first."""
    middle: dict[str, dict[str, float]] = {}
    for name, runs in found.items():
        for row in dict.fromkeys(row for run in runs for row in run):
            middle.setdefault(row, {})[name] = statistics.median(run.get(row, 0.0) for run in runs)
    title = {"parts": "part of a step", "kinds": "kind of operator"}[what]
    print(f"\n| {' | '.join([title, *found])} |\n{'|---' * (1 + len(found))}|")
    for row, of in sorted(middle.items(), key=lambda item: -item[1].get(next(iter(found)), 0.0)):
        print(f"| {row} | {' | '.join(f'{100 * of.get(name, 0.0):.1f} %' for name in found)} |", flush=True)


if __name__ == "__main__":
    main()
