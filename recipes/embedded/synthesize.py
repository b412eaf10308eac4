"""Synthetic speech: tens of thousands of different sentences, each said once.

    python recipes/embedded/synthesize.py SPEECH data/embedded --model exp/embedded-first

After prepare.py, with the same SPEECH and the folder it wrote. A kind whose manifest is there already is not made again:

    words.jsonl      phrases joined from the recorded words of one speaker
    syllables.jsonl  phrases joined from the recorded tonal syllables of another
    strings.jsonl    strings of the twelve words that thirty speakers recorded
    spliced.jsonl    recorded sentences of two speakers, cut and put together anew; MODEL's CTC head says where to cut
    formant.jsonl    phrases said by espeak-ng in many voices
    shuffled.jsonl   sentences of neural.py, cut and put together anew, each by itself; made only where --neural names them
"""

import argparse
import csv
import subprocess
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import soundfile
import soxr
from joining import Piece, Task, make, trim
from phrases import SHORTEST, phrases, spell, syllables
from splicing import LONGEST, cut, spliced

from asr.audio.reading import SAMPLE_RATE
from asr.corpus.manifest import Utterance, read_manifest, write_manifest
from asr.files import read_lines
from asr.model.folder import TOKENS, load_model
from asr.text.normalize import normalize
from asr.text.tokenizer import TokenTable

NUMBERS = {
    "words": 40_000,
    "syllables": 22_000,
    "strings": 3_000,
    "spliced": 20_000,
    "formant": 10_000,
    "shuffled": 10_000,
}
"""Sentences of each kind."""
CONNECTED = ("spliced", "shuffled")
"""Kinds whose pieces are cut from connected speech."""
SHARES = (0.4, 0.35)
"""Of the phrases: whole sentences, and crossed ones; the others are random words."""
FORMANT_VOICES = (
    tuple(f"m{i}" for i in range(1, 9)) + tuple(f"f{i}" for i in range(1, 6)) + ("klatt", "klatt2", "klatt4")
)
"""Variants of espeak-ng."""

Said = tuple[str, tuple[Piece, ...]]
"""A text and the pieces that say it."""


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("speech", type=Path)
    parser.add_argument("out", type=Path, metavar="PREPARED", help="the folder that prepare.py wrote")
    parser.add_argument("--model", type=Path, required=True, help="a model folder with a CTC head")
    parser.add_argument("--kinds", nargs="+", choices=list(NUMBERS), default=list(NUMBERS), metavar="KIND")
    parser.add_argument("--neural", type=Path, nargs="+", default=[], metavar="MANIFEST")
    parser.add_argument("--texts", type=Path, help="what phrases are made of; without it PREPARED/text.txt")
    parser.add_argument("--longest", type=int, default=LONGEST, help="characters of a stretch that is cut out")
    parser.add_argument("--share", type=float, default=1.0, help="make this share of the sentences")
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args(arguments)
    material = Material(options)
    makers: dict[str, Callable[[], Iterator[Said]]] = {
        "words": material.by_words,
        "syllables": material.by_syllables,
        "strings": material.strings,
        "spliced": material.spliced,
        "formant": material.formant,
        "shuffled": material.shuffled,
    }
    with ProcessPoolExecutor(options.processes) as pool:
        for kind in options.kinds:
            manifest, folder = options.out / f"{kind}.jsonl", options.out / kind
            if manifest.exists() or (kind == "shuffled" and not options.neural):
                continue
            number = round(NUMBERS[kind] * options.share)
            folder.mkdir(exist_ok=True)
            tasks = [
                Task(
                    text, pieces, folder / f"{kind}-{i:05d}.wav", options.seed * 1_000_003 + i, kind, kind in CONNECTED
                )
                for i, (text, pieces) in enumerate(islice(makers[kind](), number))
            ]
            made = list(pool.map(say if kind == "formant" else make, tasks, chunksize=64))
            write_manifest(manifest, made)
            print(f"{kind}: {len(made):,} sentences, {sum(u.duration for u in made) / 3600:.1f} h")


class Material:
    """What synthetic speech is made of, and the ways to make it. A sentence of the dev sets is never said."""

    def __init__(self, options: argparse.Namespace):
        self.speech, self.out, self.model, self.seed = options.speech, options.out, options.model, options.seed
        self.neural, self.longest = options.neural, options.longest
        self.heard = {normalize(u.text) for u in read_manifest(self.out / "dev_sentences.jsonl")}
        self.words: dict[str, list[Utterance]] = defaultdict(list)
        for utterance in read_manifest(self.out / "hsk.jsonl"):
            self.words[normalize(utterance.text)].append(utterance)
        sentences = (normalize(line) for line in read_lines(options.texts or self.out / "text.txt"))
        if options.texts:  # others than the model's own texts, which may have characters that it has not
            known = set(TokenTable.load(self.model / TOKENS).tokens)
            sentences = (sentence for sentence in sentences if known.issuperset(sentence))
        spelled = ((sentence, spell(sentence, self.words)) for sentence in sentences)
        self.sentences = {sentence: parts for sentence, parts in spelled if len(sentence) >= SHORTEST}

    def phrases(self, seed: int, only_words: bool) -> Iterator[list[str]]:
        """Phrases as lists of words; with `only_words` none but the recorded ones."""
        spelled = [parts or list(s) for s, parts in self.sentences.items() if parts or not only_words]
        random = np.random.default_rng([self.seed, seed])
        for phrase in phrases(spelled, sorted(self.words), SHARES, random):
            if not self.is_heard("".join(phrase)):
                yield phrase

    def is_heard(self, text: str) -> bool:
        """Whether a dev sentence is in it."""
        return any(sentence in text for sentence in self.heard)

    def by_words(self) -> Iterator[Said]:
        """Phrases of recorded words."""
        random = np.random.default_rng([self.seed, 11])
        for phrase in self.phrases(1, only_words=True):
            takes = [self.words[word][random.integers(len(self.words[word]))] for word in phrase]
            yield "".join(phrase), tuple(Piece(u.audio, u.start, u.duration) for u in takes)

    def by_syllables(self) -> Iterator[Said]:
        """Phrases of recorded syllables; one that was not recorded in the neutral tone is said in a short fourth."""
        with open(self.speech / "train.tsv", encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            recorded = {row["pinyin"]: self.speech / row["audio"] for row in rows if row["pinyin"]}
        for phrase in self.phrases(2, only_words=False):
            text = "".join(phrase)
            pieces = [piece_of(recorded, s, last=i == len(text) - 1) for i, s in enumerate(syllables(text))]
            if all(pieces) and len(pieces) == len(text):
                yield text, tuple(pieces)

    def strings(self) -> Iterator[Said]:
        """Words that many speakers recorded, a few of one speaker in a row."""
        by_speaker: dict[str, list[Utterance]] = defaultdict(list)
        for utterance in read_manifest(self.out / "dsp20.jsonl"):
            by_speaker[utterance.speaker].append(utterance)
        groups, random = list(by_speaker.values()), np.random.default_rng([self.seed, 3])
        while True:
            group = groups[random.integers(len(groups))]
            takes = [group[i] for i in random.integers(len(group), size=random.integers(2, 7))]
            yield "".join(normalize(u.text) for u in takes), tuple(Piece(u.audio, u.start, u.duration) for u in takes)

    def spliced(self) -> Iterator[Said]:
        """Recorded sentences of the same speaker, crossed."""
        return self._crossed(read_manifest(self.out / "aishell.jsonl"), 4)

    def shuffled(self) -> Iterator[Said]:
        """Stretches of one sentence of neural.py in another order: no two of those have the same voice."""
        said = (u for manifest in self.neural for u in read_manifest(manifest))
        return self._crossed((replace(u, speaker=str(u.audio)) for u in said), 6)

    def _crossed(self, utterances: Iterable[Utterance], seed: int) -> Iterator[Said]:
        """Stretches of utterances of one speaker, put together."""
        loaded, utterances = load_model(self.model), list(utterances)
        cuts = [c for u in utterances if (c := cut(u, loaded))]
        print(f"{len(cuts):,} of {len(utterances):,} sentences could be cut")
        for text, pieces in spliced(cuts, np.random.default_rng([self.seed, seed]), self.longest):
            if not self.is_heard(text):
                yield text, pieces

    def formant(self) -> Iterator[Said]:
        """Phrases for espeak-ng, which needs no pieces."""
        for phrase in self.phrases(5, only_words=False):
            yield "".join(phrase), ()


def piece_of(recorded: dict[str, Path], syllable: str, last: bool) -> Piece | None:
    """The recording of a syllable as it sounds in a sentence; None where there is none."""
    name, tone = syllable[:-1], syllable[-1]
    if syllable in recorded:
        return Piece(recorded[syllable], kept=1.0 if last or tone != "3" else 0.65)
    for other in "4123" if tone == "5" else "":
        if name + other in recorded:
            return Piece(recorded[name + other], kept=0.6)
    return None


def say(task: Task) -> Utterance:
    """A text by espeak-ng, in a random voice, pitch and tempo."""
    random = np.random.default_rng(task.seed)
    voice = FORMANT_VOICES[random.integers(len(FORMANT_VOICES))]
    pitch, words_a_minute = int(random.integers(15, 85)), int(random.integers(140, 260))
    raw = task.path.with_suffix(".raw.wav")
    spoken = " ".join(syllables(task.text))
    command = ["espeak-ng", "-v", f"cmn-latn-pinyin+{voice}", "-p", str(pitch), "-s", str(words_a_minute)]
    subprocess.run([*command, "-w", str(raw), spoken], check=True)
    samples, rate = soundfile.read(raw, dtype="float32")
    raw.unlink()
    samples = trim(soxr.resample(samples, rate * random.uniform(0.85, 1.15), SAMPLE_RATE))
    soundfile.write(task.path, samples, SAMPLE_RATE, subtype="PCM_16")
    return make(replace(task, pieces=(Piece(task.path),), connected=True))


if __name__ == "__main__":
    main()
