"""F1 of the restored marks on a file of punctuated Mandarin: of the model, with and without pauses, and of the pause rule.

    python recipes/punctuation/report.py FOLDER/dev.txt

Each line is a text of its own, whose end is known. Errors and pauses are simulated as in training: pauses of real speakers
will be more telling or less. The last columns count no mark that ends a line, where a guess is easy.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch
from corpus import Line, encoded, read_lines
from evaluation import HEADING, counted
from simulation import Homophones, pauses_for, with_errors

from asr.errors import AsrError
from asr.finishing.punctuating import by_pauses
from asr.punctuation.features import LATIN, NUMBER, RARE, SPECIAL, Array, Vocabulary
from asr.punctuation.marks import MARKS
from asr.punctuation.restoring import OWN, Punctuator
from asr.text.units import units
from asr.transcript import TranscriptToken

SEED = 7
ERRORS = 0.15
"""Share of the characters that are wrong."""
SPOKEN = 0.2
"""Seconds of a unit."""


def tags_of(marks: list[str]) -> Array:
    return np.array([MARKS.index(mark) + 1 if mark else 0 for mark in marks])


def words_of(line: Line, vocabulary: Vocabulary) -> list[str]:
    """The units of a line as text; a word, number or rare character as one of its kind."""
    kinds = {LATIN: "A", NUMBER: "1", RARE: "龘"}
    return [kinds[i] if i < SPECIAL else vocabulary.characters[i - SPECIAL] for i in line.ids.tolist()]


def tokens_of(words: list[str], pauses: Array) -> list[TranscriptToken]:
    """The words as if they were said, with such pauses behind them."""
    starts = np.concatenate([[0.0], np.cumsum(pauses + SPOKEN)])[:-1]
    return [
        TranscriptToken(word, float(start), float(start) + SPOKEN, 1.0, (i, i))
        for i, (word, start) in enumerate(zip(words, starts, strict=True))
    ]


def report(path: Path, folder: Path) -> None:
    model = Punctuator(folder)
    texts = [line for line in read_lines(path)]
    clean = encoded(model.vocabulary, texts)
    random = np.random.default_rng(SEED)
    homophones = Homophones(model.vocabulary, random)
    written = [[unit.text for unit in units(text)] for text in texts]
    erred = [with_errors(line, ERRORS, homophones, model.vocabulary) for line in clean]
    print(f"{len(clean)} lines, {sum(len(line.ids) for line in clean)} units; F1\n")
    print(f"{'':34} {HEADING}   without the ends of lines")
    as_words = [words_of(line, model.vocabulary) for line in erred]
    for name, lines, words in (("clean", clean, written), ("15 % errors", erred, as_words)):
        pauses = [pauses_for(line.tags, random) for line in lines]
        both = list(zip(words, pauses, strict=True))
        rows = {
            "model, text alone": [model.marks(one) for one in words],
            "model, text and pauses": [model.marks(one, silence) for one, silence in both],
            "pause rule": [[t.mark for t in by_pauses(tokens_of(*one))] for one in both],
        }
        real = [line.tags for line in lines]
        for row, marks in rows.items():
            found = [tags_of(each) for each in marks]
            inside = counted([tags[:-1] for tags in found], [tags[:-1] for tags in real])
            print(f"{name:11} {row:22} {counted(found, real).row()}   {inside.row()}")
    print(f"\n{speed(model, written):.2f} ms of processor time for 100 characters, {torch.get_num_threads()} threads")


def speed(model: Punctuator, texts: list[list[str]], most: int = 200) -> float:
    """Milliseconds of processor time for a text of 100 units, the median."""
    stream = [word for words in texts for word in words]
    took = []
    for first in range(0, min(len(stream), 100 * most), 100):
        began = time.process_time()
        model.marks(stream[first : first + 100])
        took.append(time.process_time() - began)
    return 1000 * float(np.median(took))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path, help="a file of punctuated text, a line each")
    parser.add_argument("--model", type=Path, default=OWN, help="a folder of train.py; the program's own by default")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: %(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    try:
        report(options.text, options.model)
    except AsrError as error:
        sys.exit(f"report.py: {error}")


if __name__ == "__main__":
    main()
