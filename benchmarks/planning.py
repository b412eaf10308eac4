"""What a manifest of millions of utterances costs: its index, the plan of an epoch, going on in its middle, the plan of shards.

    python benchmarks/planning.py [--utterances 5000000]

The manifest is synthetic: shards of an hour, lengths as those of read speech (log-normal, 1 to 15 s). Each line is measured in a
process of its own, whose memory at its highest is printed (`before`: what the imports alone take), and of whose time it is said
how much a processor worked, imports included.
"""

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from asr.corpus.batching import DataConfig
from asr.corpus.indexed import Utterances
from asr.corpus.indexing import SUFFIX, open_manifest
from asr.corpus.manifest import read_manifest
from asr.corpus.planning import Plan, plan_batches
from asr.corpus.shards import Sharding, plan_shards

SHARD = 720
"""Utterances in a shard: an hour."""
CHARACTERS = [chr(0x4E00 + n) for n in range(4000)]
BATCH_SECONDS = 120.0


def write(path: Path, n: int) -> None:
    """A manifest of n utterances, about 200 bytes each."""
    chance = np.random.default_rng(0)
    with open(path, "w", encoding="utf-8") as file:
        for first in range(0, n, SHARD):
            seconds = chance.lognormal(1.5, 0.5, SHARD).clip(1, 15).round(2)
            drawn = chance.integers(0, len(CHARACTERS), (SHARD, 64))
            for i in range(first, min(first + SHARD, n)):
                length = float(seconds[i - first])
                line = {
                    "id": f"Y{i:010d}_S{i % 977:05d}",
                    "audio": f"l-{i // SHARD:06d}.tar",
                    "duration": length,
                    "text": "".join(CHARACTERS[j] for j in drawn[i - first, : int(4 * length)]),
                    "offset": 512 + 65_536 * (i % SHARD),
                    "bytes": 60_000,
                }
                file.write(json.dumps(line, ensure_ascii=False) + "\n")


def index(path: Path) -> str:
    """Every line is looked at, and the index is kept."""
    return f"{len(open_manifest(path)):,} lines"


def plan_of(path: Path, epoch: int) -> tuple[Utterances, Plan]:
    utterances = Utterances([open_manifest(path)])
    config = DataConfig(batch_seconds=BATCH_SECONDS)
    return utterances, plan_batches(utterances.durations, config, 1, epoch, shards=utterances.shards, steps=(8, 3))


def plan(path: Path) -> str:
    """The index is opened, and an epoch planned."""
    utterances, planned = plan_of(path, epoch=1)
    padding = 1 - utterances.durations.sum() / planned.padded(utterances.durations).sum()
    return f"{len(planned):,} batches of {BATCH_SECONDS:g} s, padding {100 * padding:.1f} %"


def resume(path: Path) -> str:
    """The index is opened, the epoch planned, its data told from other data, and the batch in the middle looked up."""
    utterances, planned = plan_of(path, epoch=1)
    batch = [utterances[i] for i in planned[len(planned) // 2]]
    return f"{utterances.fingerprint}, batch {len(planned) // 2:,}: {len({u.audio for u in batch})} shards"


def shard(path: Path) -> str:
    """The index is opened, ids are compared, and it is drawn what lies in which shard, as `asr corpus shard` does first."""
    return f"{len(plan_shards([path], Sharding())[1]):,} shards of an hour"


def as_a_list(path: Path) -> str:
    """For comparison: all lines as objects."""
    return f"{len(read_manifest(path)):,} objects"


def measured(work: Callable[[Path], str], path: Path) -> str:
    """What a function says, how long it takes, and the memory of the process at its highest."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_measure, args=(theirs, work, path))
    process.start()
    said, seconds, busy, before, after = ours.recv()
    process.join()
    memory = f"{after / 1e9:5.2f} GB (before: {before / 1e9:.2f})"
    return f"{work.__name__:10} {seconds:7.1f} s, {busy:5.1f} of a processor   {memory}   {said}"


def _measure(pipe, work: Callable[[Path], str], path: Path) -> None:
    before, started = _memory(), time.perf_counter()
    said = work(path)
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    busy = sum(usage.ru_utime + usage.ru_stime for usage in used)
    pipe.send((said, time.perf_counter() - started, busy, before, _memory()))


def _memory() -> int:
    """Bytes of this process at its highest."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--utterances", type=int, default=5_000_000, help="lines of the manifest (default: %(default)s)"
    )
    parser.add_argument("--as-a-list", action="store_true", help="also read all lines as objects, about 1 GB a million")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="asr-planning-") as folder:
        path = Path(folder) / "train.jsonl"
        write(path, options.utterances)
        print(f"{options.utterances:,} utterances, {path.stat().st_size / 1e9:.2f} GB", flush=True)
        for work in (index, plan, resume, shard, *([as_a_list] if options.as_a_list else [])):
            print(measured(work, path), flush=True)
        kept = path.with_name(path.name + SUFFIX)
        if kept.exists():
            print(f"{kept.stat().st_size / 1e6:.0f} MB of index on disk")


if __name__ == "__main__":
    main()
