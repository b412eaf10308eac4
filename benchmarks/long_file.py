"""One long recording: where the time goes, how much memory it takes, and whether that grows with its length.

    python benchmarks/long_file.py dev.tsv --hours 1 --threads 2

The recording is made of the clips of the table (columns audio, text) in random order with pauses, over faint noise.
"""

import argparse
import csv
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import soundfile
import torch

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from asr.audio.reading import SAMPLE_RATE, Recording, read_samples  # noqa: E402
from asr.audio.speech_probabilities import SpeechProbabilities  # noqa: E402
from asr.features.fbank import LogMel  # noqa: E402
from asr.model.model import SpeechModel  # noqa: E402
from asr.recognition.recognizer import Recognizer  # noqa: E402
from asr.transcription.transcriber import load  # noqa: E402

STAGES = ("audio", "voice activity", "features", "encoder", "decoder")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, help="a TSV of clips")
    parser.add_argument(
        "--hours",
        type=float,
        nargs="+",
        default=[1.0],
        help="lengths of the recordings, one after the other (default: %(default)s)",
    )
    parser.add_argument("--suffix", default=".flac", help="how the recording is stored")
    parser.add_argument("--model", default="", help="a model folder or name; embedded by default")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default: %(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    spent: Counter[str] = Counter()
    measure(spent)
    started = time.perf_counter()
    transcriber = load(options.model)
    print(f"model loaded in {time.perf_counter() - started:.1f} s, {memory():.0f} MB", flush=True)
    for hours in options.hours:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"long{options.suffix}"
            write_recording(options.table, path, 3600 * hours)
            spent.clear()
            started = time.perf_counter()
            n_segments = n_characters = 0
            for segment in transcriber.iter_segments(path):
                n_segments += 1
                n_characters += len(segment.text)
                if n_segments % 500 == 0:
                    print(f"  {segment.end / 3600:.2f} h, {memory():.0f} MB at most", flush=True)
            wall = time.perf_counter() - started
        spent["encoder"] -= spent["features"]
        spent["decoder"] -= spent["encoder"] + spent["features"]
        total = sum(spent[stage] for stage in STAGES)
        print(f"{hours:g} h in {n_segments} segments, {n_characters} characters, {options.threads} threads")
        for stage in STAGES:
            print(f"  {stage:15} {spent[stage]:8.1f} s, RTF {spent[stage] / hours / 3600:.5f}")
        print(f"  {'together':15} {total:8.1f} s; the whole run {wall:.1f} s, {wall / total:.3f} times that")
        print(f"  RTF {wall / hours / 3600:.5f}, {memory():.0f} MB at most", flush=True)


def measure(spent: Counter[str]) -> None:
    """Has every stage add the time that it takes, the ones inside it included, to its count."""

    def timed(owner: type, name: str, stage: str) -> None:
        function = getattr(owner, name)

        def wrapper(*arguments, **named):
            started = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                spent[stage] += time.perf_counter() - started

        setattr(owner, name, wrapper)

    timed(SpeechProbabilities, "add", "voice activity")
    timed(LogMel, "forward", "features")
    timed(SpeechModel, "encode", "encoder")
    timed(Recognizer, "recognize", "decoder")
    blocks = Recording.blocks

    def timed_blocks(*arguments, **named):
        iterator = blocks(*arguments, **named)
        while True:
            started = time.perf_counter()
            block = next(iterator, None)
            spent["audio"] += time.perf_counter() - started
            if block is None:
                return
            yield block

    Recording.blocks = timed_blocks


def memory() -> float:
    """Most memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1024)


def write_recording(table: Path, path: Path, seconds: float) -> None:
    """Clips with pauses of 0.2 to 2 s at levels up to 12 dB apart, over faint noise."""
    with open(table, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    clips = [read_samples(table.parent / row["audio"]) for row in rows]
    random = np.random.default_rng(0)
    left = round(seconds * SAMPLE_RATE)
    with soundfile.SoundFile(path, "w", SAMPLE_RATE, 1) as file:
        while left > 0:
            clip = clips[random.integers(len(clips))] * random.uniform(0.25, 1)
            part = np.concatenate([clip, np.zeros(round(random.uniform(0.2, 2) * SAMPLE_RATE), np.float32)])[:left]
            file.write((part + random.normal(0, 0.001, len(part))).clip(-1, 1))
            left -= len(part)


if __name__ == "__main__":
    main()
