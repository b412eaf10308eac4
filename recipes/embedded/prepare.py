"""Manifests and sentences for the embedded model.

    python recipes/embedded/prepare.py SPEECH TEXTS... --out data/embedded

SPEECH is a folder with train.tsv and dev.tsv (id, audio, text, speaker, seconds, source, kind, licence); of train.tsv only what
may be used without passing on its licence is taken. TEXTS are files with a sentence or a paragraph a line. What is in dev.tsv is
taken out of both. Beside them it makes sounds in which nobody speaks.
"""

import argparse
import dataclasses
import re
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from joining import loud_part
from nonspeech import write_sounds

from asr.audio.reading import SAMPLE_RATE
from asr.corpus.importing import import_corpus
from asr.corpus.manifest import Utterance, write_manifest
from asr.files import atomic_write, read_lines
from asr.text.normalize import RULES, TRAINING, normalize

MARGIN = 0.1
"""Seconds kept around a trimmed word."""
EVERY = 2
"""One recording of a word in so many is taken: they are twelve words, each many times over."""
PASSED_ON = "CC-BY-SA"
"""What the name of a licence begins with that the weights would have to be under as well."""
SPELLED = tuple(rule for rule in RULES if rule in {*TRAINING, "numbers"})
"""Texts are what is said: numbers in characters."""
SENTENCE_END = re.compile("[。？！；…\\n]+")
LONGEST = 60
"""Characters of a sentence; longer ones are lists and such."""


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("speech", type=Path, help="a folder with train.tsv and dev.tsv")
    parser.add_argument("texts", type=Path, nargs="+", help="files of sentences")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    parser.add_argument(
        "--sounds", type=int, default=180, help="recordings without speech to make (default: %(default)s)"
    )
    parser.add_argument("--processes", type=int, default=2, help="that read audio (default: %(default)s)")
    options = parser.parse_args(arguments)

    dev = list(import_corpus(options.speech / "dev.tsv"))
    for kind in sorted({u.extra["kind"] for u in dev}):
        write_manifest(options.out / f"dev_{kind}s.jsonl", (u for u in dev if u.extra["kind"] == kind))
    heard = {normalize(u.text) for u in dev if u.extra["kind"] == "sentence"}
    by_source = usable(import_corpus(options.speech / "train.tsv"), heard)
    for source, utterances in by_source.items():
        if utterances[0].extra["kind"] == "word":
            with ProcessPoolExecutor(options.processes) as pool:
                utterances = list(pool.map(trimmed, utterances[::EVERY], chunksize=64))
        write_manifest(options.out / f"{source}.jsonl", utterances)

    write_manifest(options.out / "nonspeech.jsonl", write_sounds(options.out / "nonspeech", options.sounds))

    lines = (line for path in options.texts for line in read_lines(path))
    with atomic_write(options.out / "text.txt") as file:
        file.writelines(f"{sentence}\n" for sentence in sentences(lines, heard))


def usable(utterances: Iterable[Utterance], heard: set[str]) -> dict[str, list[Utterance]]:
    """Source → what may be trained on: no sentence that is in the dev set, nothing under a licence that is passed on."""
    by_source = defaultdict(list)
    for utterance in utterances:
        if normalize(utterance.text) not in heard and not utterance.extra["licence"].startswith(PASSED_ON):
            by_source[utterance.source].append(utterance)
    return by_source


def trimmed(utterance: Utterance) -> Utterance:
    """The same utterance without the silence before and after it."""
    samples = utterance.read()
    first, last = loud_part(samples)
    start = max(0.0, first - MARGIN)
    end = min(len(samples) / SAMPLE_RATE, last + MARGIN)
    return dataclasses.replace(utterance, start=utterance.start + start, duration=end - start)


def sentences(lines: Iterable[str], heard: set[str]) -> list[str]:
    """The sentences of all lines as they would be said, sorted, each once; none that holds a dev sentence."""
    found = {normalize(part, SPELLED) for line in lines for part in SENTENCE_END.split(line)}
    kept = (sentence for sentence in found if 2 <= len(sentence) <= LONGEST)
    return sorted(sentence for sentence in kept if not any(part in sentence for part in heard))


if __name__ == "__main__":
    main()
