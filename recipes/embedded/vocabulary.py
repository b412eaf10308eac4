"""Words for the language model, each on lines of its own, the more the more frequent it is.

    python recipes/embedded/vocabulary.py data/embedded/dev_sentences.jsonl --out data/embedded/words.txt

Sentences teach few of the words that there are; jieba's dictionary (MIT, the extra `text`) has hundreds of thousands with their
frequencies. No sentence of the manifest gets in.
"""

import argparse
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import jieba

from asr.corpus.manifest import read_manifest
from asr.files import atomic_write
from asr.text.normalize import normalize

WORD = re.compile("[\\u4e00-\\u9fff]{2,8}")
RAREST = 3
"""What jieba has seen less often is mostly no word."""
POWER, MOST = 0.45, 60
"""A word that was seen so many times, to this power, has as many lines; at most MOST."""


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path, help="what is to be recognised by the model, and must not be learnt")
    parser.add_argument("--out", type=Path, required=True, help="the file to write")
    options = parser.parse_args(arguments)
    heard = {normalize(utterance.text) for utterance in read_manifest(options.manifest)}
    with jieba.dt.get_dict_file() as dictionary, atomic_write(options.out) as file:
        file.writelines(f"{word}\n" for word in lines(line.decode() for line in dictionary) if word not in heard)


def lines(dictionary: Iterable[str]) -> Iterator[str]:
    """Lines of `word frequency part-of-speech` → each word as many times as it is to be read."""
    for line in dictionary:
        word, frequency, *_ = line.split()
        if WORD.fullmatch(word) and int(frequency) >= RAREST:
            yield from [word] * min(MOST, max(1, round(int(frequency) ** POWER)))


if __name__ == "__main__":
    main()
