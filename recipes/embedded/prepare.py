"""Manifests, and synthetic sentences, for the embedded model.

    python recipes/embedded/prepare.py SPEECH TEXTS... --out data/embedded

SPEECH is a folder with train.tsv and dev.tsv (id, audio, text, speaker, seconds, source, kind); TEXTS are files with a sentence
a line. Sentences that can be spelled with the recorded words are joined from them: silence cut away, levels made equal, edges
cross-faded, then resampled to another voice and sped up to the tempo of connected speech. What is there is not joined again.
"""

import argparse
import dataclasses
import functools
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import soundfile
import soxr
from joining import change_tempo, cross_fade, level, loud_part, trim
from phrases import spell

from asr.audio.reading import SAMPLE_RATE, read_samples
from asr.corpus.importing import import_corpus
from asr.corpus.manifest import Utterance, write_manifest
from asr.files import atomic_write, read_lines
from asr.text.normalize import normalize

MARGIN = 0.05
"""Seconds kept around a trimmed word."""
CROSS_FADE = 0.02
"""Seconds in which one word fades into the next."""


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("speech", type=Path)
    parser.add_argument("texts", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--joined", type=int, default=16000, help="synthetic sentences to make")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args(arguments)

    dev = list(import_corpus(options.speech / "dev.tsv"))
    for kind in sorted({u.extra["kind"] for u in dev}):
        write_manifest(options.out / f"dev_{kind}s.jsonl", (u for u in dev if u.extra["kind"] == kind))
    heard = {normalize(u.text) for u in dev if u.extra["kind"] == "sentence"}
    train = [u for u in import_corpus(options.speech / "train.tsv") if normalize(u.text) not in heard]

    by_source = defaultdict(list)
    for utterance in train:
        by_source[utterance.source].append(utterance)
    with ProcessPoolExecutor(options.processes) as pool:
        by_source["hsk"] = list(pool.map(trimmed, by_source["hsk"], chunksize=64))
    for source, utterances in by_source.items():
        write_manifest(options.out / f"{source}.jsonl", utterances)

    sentences = sorted({normalize(line) for path in options.texts for line in read_lines(path)} - {""} - heard)
    with atomic_write(options.out / "text.txt") as file:
        file.writelines(f"{sentence}\n" for sentence in sentences)
    if not (options.out / "joined.jsonl").exists():
        joined = join_sentences(
            sentences, by_source["hsk"], options.out / "joined", options.joined, options.seed, options.processes
        )
        write_manifest(options.out / "joined.jsonl", joined)


def trimmed(utterance: Utterance) -> Utterance:
    """The same utterance without the silence before and after it."""
    samples = utterance.read()
    first, last = loud_part(samples)
    start = max(0.0, first - MARGIN)
    end = min(len(samples) / SAMPLE_RATE, last + MARGIN)
    return dataclasses.replace(utterance, start=utterance.start + start, duration=end - start)


def join_sentences(
    sentences: Iterable[str], recorded: list[Utterance], folder: Path, n: int, seed: int, processes: int
) -> list[Utterance]:
    """At most n sentences as audio files in `folder`, each from a random choice of recordings, voice and tempo."""
    words: dict[str, list[Utterance]] = defaultdict(list)
    for utterance in recorded:
        words[normalize(utterance.text)].append(utterance)
    spelled = [(s, parts) for s in sentences if 2 <= len(s) <= 30 and (parts := spell(s, words))]
    random = np.random.default_rng(seed)
    chosen = [spelled[i] for i in random.permutation(len(spelled))[:n]]
    print(f"{len(spelled):,} sentences can be spelled with {len(words):,} recorded words; joining {len(chosen):,}")
    folder.mkdir(parents=True, exist_ok=True)
    tasks = [
        (
            text,
            [words[w][random.integers(len(words[w]))] for w in parts],
            folder / f"joined-{i:05d}.flac",
            int(random.integers(2**31)),
        )
        for i, (text, parts) in enumerate(chosen)
    ]
    with ProcessPoolExecutor(processes) as pool:
        return list(pool.map(_join, tasks, chunksize=32))


def _join(task: tuple[str, list[Utterance], Path, int]) -> Utterance:
    text, parts, path, seed = task
    random = np.random.default_rng(seed)
    samples = cross_fade([level(_word(u.audio, u.start, u.duration)) for u in parts], CROSS_FADE)
    voice, tempo = random.uniform(0.8, 1.2), random.uniform(1.1, 1.7)
    samples = soxr.resample(samples, SAMPLE_RATE * voice, SAMPLE_RATE)  # lower and slower for a voice below 1
    samples = change_tempo(samples, float(np.clip(tempo / voice, 0.5, 2.0)))
    silence = [np.zeros(int(random.uniform(0, 0.3) * SAMPLE_RATE), np.float32) for _ in range(2)]
    samples = np.concatenate([silence[0], samples, silence[1]]) * random.uniform(0.3, 1.5)
    samples += random.normal(0, 10 ** random.uniform(-4.5, -2.5), len(samples))
    soundfile.write(path, samples.clip(-1, 1), SAMPLE_RATE, subtype="PCM_16")
    return Utterance(path.stem, path, len(samples) / SAMPLE_RATE, text, speaker="joined", source="joined")


@functools.cache
def _word(audio: Path, start: float, duration: float) -> np.ndarray:
    """The word without the margins that trimming left."""
    return trim(read_samples(audio, start, duration))


if __name__ == "__main__":
    main()
