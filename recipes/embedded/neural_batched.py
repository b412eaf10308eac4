"""Sentences said by Kokoro-82M (Apache-2.0), a neural synthesiser, each in a voice of its own, many at a time on a GPU.

    python recipes/embedded/neural_batched.py data/embedded/phonemes.jsonl data/embedded --voices data/kokoro/voices

PHONEMES is what phonemes.py wrote, VOICES/*.bin what build.sh fetches. A voice is a vector in two halves: how it sounds, and how
it speaks. The first is drawn from around all voices, the second from around those of native speakers of Mandarin. Writes
OUT/neural.jsonl and a WAV file for each sentence. Started again, it begins anew.
"""

import argparse
import json
import multiprocessing
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soxr
import torch
from joining import finish, trim
from kokoro_torch import HALF, Kokoro, expand_to_frames
from kokoro_weights import RATE
from neural import NATIVE, STYLE
from torch import Tensor

from asr.audio.reading import SAMPLE_RATE
from asr.corpus.manifest import Utterance, write_manifest
from asr.files import read_lines

SPEEDS = (0.8, 1.5)
"""Tempi, from a little slower than neural.py's on."""
TOGETHER = 65_536
"""Sentences that are sorted by length together; what is kept of them takes 16 GB of the GPU's memory."""
PHONEMES, FRAMES = 32_768, 32_768
"""Of a batch, at most."""
WAITING = 32
"""Batches that may wait to be written, of up to 40 MB each."""


@dataclass(frozen=True)
class Sentence:
    """What is to be said."""

    number: int
    text: str
    ids: tuple[int, ...]
    style: np.ndarray
    speed: float


class Timed(NamedTuple):
    """A sentence of which it is known how long it takes."""

    sentence: Sentence
    features: Tensor
    """(N, 1152) of its phonemes."""
    frames: Tensor
    """(N,) of each phoneme."""
    n_frames: int


class Voices:
    """New voices, drawn from the normal distribution that the published ones have; `spread` makes them more different."""

    def __init__(self, folder: Path, spread: float):
        paths = sorted(folder.glob("*.bin"))
        voices = np.stack([np.fromfile(path, np.float32).reshape(-1, STYLE) for path in paths])
        native = [path.stem.startswith(NATIVE) for path in paths]
        self.sounds, self.manners = _around(voices[..., :HALF]), _around(voices[native, :, HALF:])
        self.spread = spread

    def draw(self, length: int, random: np.random.Generator) -> np.ndarray:
        """A voice for a sentence of `length` phonemes: (256,)."""
        return np.concatenate([self._drawn(half, length, random) for half in (self.sounds, self.manners)])

    def _drawn(self, half: tuple[np.ndarray, np.ndarray], length: int, random: np.random.Generator) -> np.ndarray:
        mean, deviations = half
        row = min(length, len(mean)) - 1
        weights = random.standard_normal(deviations.shape[1], np.float32)
        return mean[row] + self.spread * weights @ deviations[row]


def _around(voices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Voices (V, lengths, numbers) → their means, and a matrix for each length that makes normal numbers deviations from them."""
    mean, scale = voices.mean(0), np.float32(len(voices) ** -0.5)
    return mean, ((voices - mean) * scale).transpose(1, 0, 2).copy()


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("phonemes", type=Path, metavar="PHONEMES", help="JSON lines with text and ids")
    parser.add_argument("out", type=Path, metavar="OUT", help="the folder that prepare.py wrote")
    parser.add_argument("--voices", type=Path, required=True, help="a folder with the published voices")
    parser.add_argument("--spread", type=float, default=1.3, help="how far voices lie from their mean")
    parser.add_argument("--number", type=int, help="sentences; without it all")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="after which no other batch is begun")
    parser.add_argument("--seed", type=int, default=5, help="of the voices and tempi")
    parser.add_argument("--name", default="neural", help="of the folder and the manifest")
    parser.add_argument("--writers", type=int, default=2, help="processes that trim and write")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args(arguments)
    started = time.monotonic()
    folder, manifest = options.out / options.name, options.out / f"{options.name}.jsonl"
    folder.mkdir(parents=True, exist_ok=True)
    manifest.unlink(missing_ok=True)  # it would name files that now say something else
    lines = list(islice(read_lines(options.phonemes), options.number))
    made = say(lines, Voices(options.voices, options.spread), folder, options, started + 60 * options.minutes)
    write_manifest(manifest, sorted(made, key=lambda u: u.id))
    hours = sum(u.duration for u in made) / 3600
    print(f"\n{options.name}: {len(made):,} sentences, {hours:.1f} h, in {(time.monotonic() - started) / 60:.1f} min")


def say(lines: list[str], voices: Voices, folder: Path, options: argparse.Namespace, until: float) -> list[Utterance]:
    """Says what is asked for, and has other processes write it meanwhile."""
    kokoro = Kokoro().to(options.device)
    if options.device != "cpu":
        kokoro.fuse()
    made: list[Utterance] = []
    waiting: deque[Future[list[Utterance]]] = deque()
    n = 0
    with ProcessPoolExecutor(options.writers, multiprocessing.get_context("spawn")) as pool:
        for batch, samples in said(kokoro, drawn(lines, voices, options.seed), options.device):
            waiting.append(pool.submit(write, [(s.number, s.text) for s in batch], samples, folder, options.seed))
            while len(waiting) > WAITING or waiting and waiting[0].done():
                made += waiting.popleft().result()
            n += len(batch)
            print(f"{n:,} of {len(lines):,} sentences said", end="\r", flush=True)
            if time.monotonic() > until:
                break
        return made + [u for future in waiting for u in future.result()]


def drawn(lines: list[str], voices: Voices, seed: int) -> Iterator[Sentence]:
    """The sentences, each with a voice and a tempo."""
    for number, line in enumerate(lines):
        fields, random = json.loads(line), np.random.default_rng([seed, number])
        style = voices.draw(len(fields["ids"]) - 2, random)
        yield Sentence(number, fields["text"], tuple(fields["ids"]), style, random.uniform(*SPEEDS))


@torch.inference_mode()
def said(kokoro: Kokoro, sentences: Iterator[Sentence], device: str) -> Iterator[tuple[list[Sentence], np.ndarray]]:
    """Batches of sentences with their samples (B, S) at 24 kHz."""
    while together := list(islice(sentences, TOGETHER)):
        timed = [each for batch in _equally_long(together) for each in _timed(kokoro, batch, device)]
        batches = list(_similarly_long(timed))
        computing = None
        for i in torch.randperm(len(batches)).tolist():  # whoever stops early has some of all lengths
            before = computing
            computing = [each.sentence for each in batches[i]], _fetched(_sound(kokoro, batches[i], device))
            if before:
                yield before[0], before[1]()
        yield computing[0], computing[1]()


def _fetched(samples: Tensor) -> Callable[[], np.ndarray]:
    """Starts to fetch samples from the GPU, which can compute the next ones meanwhile; what is returned waits for them."""
    if samples.device.type == "cpu":
        return samples.numpy
    host = torch.empty(samples.shape, dtype=samples.dtype, pin_memory=True)
    host.copy_(samples, non_blocking=True)
    event = torch.cuda.Event()
    event.record()

    def wait() -> np.ndarray:
        event.synchronize()
        return host.numpy()

    return wait


def _similarly_long(timed: list[Timed]) -> Iterator[list[Timed]]:
    """Batches of sentences with nearly the same number of frames."""
    batch: list[Timed] = []
    for each in sorted(timed, key=lambda each: each.n_frames):
        if batch and each.n_frames * (len(batch) + 1) > FRAMES:
            yield batch
            batch = []
        batch.append(each)
    yield batch


def _equally_long(sentences: list[Sentence]) -> Iterator[list[Sentence]]:
    """Batches of sentences with the same number of phonemes."""
    by_length: dict[int, list[Sentence]] = defaultdict(list)
    for sentence in sentences:
        by_length[len(sentence.ids)].append(sentence)
    for length, group in by_length.items():
        n = max(1, PHONEMES // length)
        yield from (group[i : i + n] for i in range(0, len(group), n))


def _timed(kokoro: Kokoro, batch: list[Sentence], device: str) -> list[Timed]:
    ids = torch.tensor([s.ids for s in batch], device=device)
    speeds = torch.tensor([s.speed for s in batch], device=device, dtype=torch.float32)
    features, frames = kokoro.time(ids, _styles(batch, device), speeds)
    return list(map(Timed, batch, features, frames, frames.sum(1).tolist()))


def _sound(kokoro: Kokoro, batch: list[Timed], device: str) -> Tensor:
    """Samples (B, S) of a batch, the shorter ones ending in silence."""
    of_frames = expand_to_frames([t.features for t in batch], [t.frames for t in batch], max(t.n_frames for t in batch))
    styles = _styles([t.sentence for t in batch], device)
    curves = kokoro.curves(of_frames, styles)
    with torch.autocast(device, torch.bfloat16, enabled=device != "cpu"):
        return kokoro.sound(of_frames, *curves, styles).half()


def _styles(batch: list[Sentence], device: str) -> Tensor:
    return torch.from_numpy(np.stack([s.style for s in batch])).to(device)


def write(sentences: list[tuple[int, str]], batch: np.ndarray, folder: Path, seed: int) -> list[Utterance]:
    """Trims what was said, and writes it as joining.py does."""
    made = []
    for (number, text), samples in zip(sentences, batch, strict=True):
        samples = trim(soxr.resample(samples.astype(np.float32), RATE, SAMPLE_RATE))
        path = folder / f"{folder.name}-{number:06d}.wav"
        made.append(finish(samples, text, path, "neural", np.random.default_rng([seed, number, 1])))
    return made


if __name__ == "__main__":
    main()
