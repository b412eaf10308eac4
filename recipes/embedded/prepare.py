"""Manifests, and synthetic sentences, for the embedded model.

    python recipes/embedded/prepare.py SPEECH TEXTS... --out data/embedded

SPEECH is a folder with train.tsv and dev.tsv (id, audio, text, speaker, seconds, source, kind); TEXTS are files with a sentence
a line. Sentences that can be spelled with the recorded words are joined from them: silence cut away, levels made equal, edges
cross-faded, then resampled to another voice and sped up to the tempo of connected speech.
"""

import argparse
import dataclasses
import functools
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import av
import numpy as np
import soundfile
import soxr

from asr.audio.reading import SAMPLE_RATE, read_samples
from asr.corpus.importing import import_corpus
from asr.corpus.manifest import Utterance, write_manifest
from asr.files import atomic_write, read_lines
from asr.text.normalize import normalize

SILENCE_DB = 35
"""Frames so far below the loudest are silence."""
MARGIN = 0.05
"""Seconds kept around a trimmed word."""
CROSS_FADE = 0.02
LEVEL = 0.08
"""Root mean square that every joined word is brought to."""


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


def loud_part(samples: np.ndarray) -> tuple[float, float]:
    """Where the first loud frame begins and the last one ends, in seconds."""
    frame = SAMPLE_RATE // 100
    power = np.square(samples[: len(samples) // frame * frame].reshape(-1, frame)).mean(1)
    loud = np.flatnonzero(power > power.max() * 10 ** (-SILENCE_DB / 10))
    return (loud[0] / 100, (loud[-1] + 1) / 100) if len(loud) else (0.0, len(samples) / SAMPLE_RATE)


def spell(sentence: str, words: dict[str, list[Utterance]], longest: int = 5) -> list[str] | None:
    """The sentence as recorded words, as few as possible; None where a character has no recording."""
    best: list[list[str] | None] = [[]]
    for end in range(1, len(sentence) + 1):
        options = [
            [*before, sentence[start:end]]
            for start in range(max(0, end - longest), end)
            if (before := best[start]) is not None and sentence[start:end] in words
        ]
        best.append(min(options, key=len, default=None))
    return best[-1]


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
    samples = cross_fade([level(_word(u.audio, u.start, u.duration)) for u in parts])
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
    samples = read_samples(audio, start, duration)
    first, last = (round(t * SAMPLE_RATE) for t in loud_part(samples))
    return samples[first:last]


def level(samples: np.ndarray) -> np.ndarray:
    """The same at the common level."""
    return samples * (LEVEL / max(float(np.sqrt(np.square(samples).mean())), 1e-6))


def cross_fade(pieces: list[np.ndarray]) -> np.ndarray:
    """Pieces one after the other, each fading into the next."""
    n = int(CROSS_FADE * SAMPLE_RATE)
    rising = np.linspace(0, 1, n, dtype=np.float32)
    joined = pieces[0]
    for piece in pieces[1:]:
        overlap = joined[-n:] * rising[::-1] + piece[:n] * rising
        joined = np.concatenate([joined[:-n], overlap, piece[n:]])
    return joined


def change_tempo(samples: np.ndarray, factor: float) -> np.ndarray:
    """The same speech, `factor` times as fast at the same pitch (FFmpeg's atempo: waveform-similarity overlap-add)."""
    graph = av.filter.Graph()
    source = graph.add_abuffer(sample_rate=SAMPLE_RATE, format="flt", layout="mono", time_base=f"1/{SAMPLE_RATE}")
    tempo = graph.add("atempo", f"{factor:.4f}")
    sink = graph.add("abuffersink")
    source.link_to(tempo)
    tempo.link_to(sink)
    graph.configure()
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None], np.float32), format="flt", layout="mono")
    frame.sample_rate = SAMPLE_RATE
    source.push(frame)
    source.push(None)
    pieces = []
    while True:
        try:
            pieces.append(sink.pull().to_ndarray()[0])
        except (av.error.EOFError, av.error.BlockingIOError):
            return np.concatenate(pieces)


if __name__ == "__main__":
    main()
