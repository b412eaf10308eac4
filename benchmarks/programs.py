"""Programs and models beside each other on the same recordings: CER, time and memory, each in a process of its own, in turn.

    python benchmarks/programs.py data/embedded/dev_sentences.jsonl --ours embedded --ours exp/whisper-base \\
        --ours exp/whisper-base:int8 --faster-whisper VENV/bin/python FOLDER:int8 [--join]

`--sherpa` takes a folder that `asr model export --format onnx` made: sherpa-onnx decodes with it, each recording as it is.
`--peer paraformer=FOLDER` and `--peer sensevoice=FOLDER` take what sherpa-onnx publishes of these models, model.onnx (with
`:int8` model.int8.onnx) and tokens.txt, and decode in the same way. Whisper models get 5 ms of silence in front, so that frames
lie where ours do; `FOLDER:unshifted` goes without. `--onnx` is our own search on ONNX Runtime, with such a folder. `--greedy`
decodes each recording as it is, too, with the model itself; the last column says how many texts are those of the first program.
`--faster-whisper` takes a Python that has that package and a CTranslate2 folder (or a name of its own: base). All hear the same
WAV files and find the speech in them by their own means, beam 5 (ours: what the model is saved with). Texts are compared in
simplified characters, numbers written out, for all of them. `--join`: the clips as one recording, with pauses between them.
`--together MODEL`: as --ours, but all recordings in one go, as `asr transcribe FOLDER` decodes several at once.
`MODEL:int8@30` decodes a Whisper model of ours with `--decode window=30`. Whole programs are timed here; decoding.py and
whisper.py time the search alone. The seconds of CPU say more than those on the clock where other programs run.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from asr.audio.reading import SAMPLE_RATE  # noqa: E402
from asr.corpus.manifest import Utterance, read_manifest  # noqa: E402
from asr.scoring.cer import CharErrors, char_errors  # noqa: E402
from asr.text.normalize import RULES, TRAINING, normalize  # noqa: E402

WORKER = ROOT / "benchmarks/workers/transcribing.py"
PEERS = ("paraformer", "sensevoice")
"""What `--peer` knows."""
COMPARED = tuple(rule for rule in RULES if rule in {*TRAINING, "script", "numbers"})
"""Rules for both sides: Whisper writes traditional characters and digits at times."""
PAUSES = (0.5, 1.5)
"""Seconds between clips that are joined."""


@dataclass(frozen=True)
class Program:
    """What is run: `python`, and what its worker takes."""

    python: str
    name: str
    model: str
    variant: str

    def __str__(self) -> str:
        return f"{self.name} {self.model} {self.variant}"

    def run(self, recordings: list[Path], threads: int) -> dict:
        """What the worker prints."""
        command = [self.python, str(WORKER), self.name, self.model, self.variant, str(threads)]
        environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
        paths = "".join(f"{path}\n" for path in recordings)
        done = subprocess.run(command, input=paths, env=environment, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            raise SystemExit(f"{self}: stopped with status {done.returncode}")
        return json.loads(done.stdout.splitlines()[-1])


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path, help="a JSONL manifest with transcripts")
    for option in ("--ours", "--together"):
        parser.add_argument(
            option, action="append", default=[], metavar="MODEL[:int8][@WINDOW]", help="may be repeated"
        )
    parser.add_argument(
        "--faster-whisper", action="append", default=[], nargs=2, metavar=("PYTHON", "MODEL[:int8]"), dest="faster"
    )
    parser.add_argument("--greedy", action="append", default=[], metavar="MODEL[:int8]", help="may be repeated")
    parser.add_argument("--sherpa", action="append", default=[], metavar="FOLDER[:unshifted]", help="may be repeated")
    parser.add_argument("--onnx", action="append", default=[], metavar="FOLDER[:greedy]", help="may be repeated")
    parser.add_argument(
        "--peer", action="append", default=[], type=peer, metavar="NAME=FOLDER[:int8]", help="may be repeated"
    )
    parser.add_argument("--most", type=int, default=0, help="so many utterances, evenly from the manifest; 0: all")
    parser.add_argument("--rounds", type=int, default=1, help="turns of all programs (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: %(default)s)")
    parser.add_argument("--join", action="store_true", help="all clips as one recording")
    options = parser.parse_args(arguments)
    programs = [Program(sys.executable, "greedy", *variant(model)) for model in options.greedy]
    programs += [Program(sys.executable, "sherpa", *variant(folder, "as it is")) for folder in options.sherpa]
    programs += [Program(sys.executable, "onnx", *variant(folder, "as it is")) for folder in options.onnx]
    programs += [Program(sys.executable, name, *variant(folder)) for name, folder in options.peer]
    programs += [Program(sys.executable, "ours", *variant(model)) for model in options.ours]
    programs += [Program(sys.executable, "together", *variant(model)) for model in options.together]
    programs += [Program(python, "faster-whisper", *variant(model)) for python, model in options.faster]
    utterances = read_manifest(options.manifest)
    if 0 < options.most < len(utterances):
        utterances = [utterances[i * len(utterances) // options.most] for i in range(options.most)]
    with tempfile.TemporaryDirectory() as folder:
        if options.join:
            path, order = write_joined(utterances, Path(folder))
            paths, said = [path], [order]
        else:
            paths, said = write_clips(utterances, Path(folder)), [[u] for u in utterances]
        show(options.manifest.stem, programs, paths, said, options)


def peer(given: str) -> tuple[str, str]:
    """NAME=FOLDER → name and folder."""
    name, _, folder = given.partition("=")
    if name not in PEERS or not folder:
        raise argparse.ArgumentTypeError(f"{given}: should be {' or '.join(f'{known}=FOLDER' for known in PEERS)}")
    return name, folder


def variant(model: str, usual: str = "float32") -> tuple[str, str]:
    """MODEL:int8@30 → model, and precision with the window, or whatever else is said behind it."""
    model, at, window = model.partition("@")
    name, _, wanted = model.partition(":")
    return name, f"{wanted or usual}{at}{window}"


def write_clips(utterances: list[Utterance], folder: Path) -> list[Path]:
    """Each utterance as a file of its own."""
    paths = [folder / f"{i:05}.wav" for i in range(len(utterances))]
    for path, utterance in zip(paths, utterances, strict=True):
        soundfile.write(path, utterance.read(), SAMPLE_RATE)
    return paths


def write_joined(utterances: list[Utterance], folder: Path) -> tuple[Path, list[Utterance]]:
    """All in random order as one recording, with pauses of faint noise; in which order."""
    chance, noise, path = random.Random(1), np.random.default_rng(1), folder / "joined.wav"
    order = chance.sample(utterances, len(utterances))
    with soundfile.SoundFile(path, "w", SAMPLE_RATE, 1) as file:
        for utterance in order:
            file.write(utterance.read())
            file.write(noise.normal(0, 0.0003, round(chance.uniform(*PAUSES) * SAMPLE_RATE)))
    return path, order


def show(name: str, programs: list[Program], paths: list[Path], said: list[list[Utterance]], options) -> None:
    """Runs all programs, in turn, and prints a table: medians of the rounds."""
    seconds = sum(soundfile.info(path).duration for path in paths)
    runs = {program: [] for program in programs}
    for _ in range(options.rounds):
        for program in programs:
            runs[program].append(program.run(paths, options.threads))
    print(
        f"{name}: {seconds:.0f} s in {len(paths)} recordings, {options.threads} thread(s), {options.rounds} round(s)\n"
    )
    print(
        "| | CER | mean over speakers | start | transcribing | CPU | RTF of the CPU | memory | texts as of the first |\n"
        + "|---" * 9
        + "|"
    )
    first = runs[programs[0]][0]["texts"]
    for program, found in runs.items():
        [start, clock, cpu, memory] = (
            statistics.median(values)
            for values in zip(
                *((f["start"][0], f["transcribe"][0], f["transcribe"][1], f["memory"]) for f in found), strict=True
            )
        )
        whole, mean = errors(said, found[0]["texts"])
        print(
            f"| {program} | {100 * whole.cer:.2f} % | {100 * mean:.2f} % | {start:.1f} s | {clock:.1f} s | {cpu:.1f} s"
            f" | {cpu / seconds:.4f} | {memory:.0f} MB |"
            f" {alike(first, found[0]['texts'])} |",
            flush=True,
        )
    print()


def alike(first: list[str], texts: list[str]) -> str:
    """How many texts are equal, and how many as far as the shorter of two goes: each program has a length limit of its own."""
    equal = sum(a == b for a, b in zip(first, texts, strict=True))
    begun = sum(
        a == b or bool(a and b) and (a.startswith(b) or b.startswith(a)) for a, b in zip(first, texts, strict=True)
    )
    return f"{equal} of {len(first)}" + (f" ({begun} as far as the shorter goes)" if begun > equal else "")


def errors(said: list[list[Utterance]], texts: list[str]) -> tuple[CharErrors, float]:
    """Of all together, and the mean of the speakers' CERs (of recordings of several, each counts as one)."""
    by_speaker: dict[str, CharErrors] = {}
    for utterances, text in zip(said, texts, strict=True):
        reference = normalize("".join(u.text for u in utterances), COMPARED)
        found = char_errors(reference, normalize(text, COMPARED))
        speaker = " ".join(sorted({u.speaker for u in utterances}))
        by_speaker[speaker] = by_speaker.get(speaker, CharErrors()) + found
    return sum(by_speaker.values(), CharErrors()), statistics.mean(e.cer for e in by_speaker.values())


if __name__ == "__main__":
    main()
