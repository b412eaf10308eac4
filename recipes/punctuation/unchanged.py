"""Checks on many lines that the punctuator adds marks and changes nothing else; says how many, and the first that fails.

    python recipes/punctuation/unchanged.py FILE… --lines 100000

Each line is taken without its marks, then with them, then with errors of a recogniser and signs of all kinds thrown in.
"""

import argparse
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from corpus import read_lines

from asr.punctuation.marks import MARKS
from asr.punctuation.restoring import punctuate

THROWN_IN = [*" \t　AbZ09.%-/😀é\u200b們《》（）", "iPhone 15", "3.14", "v2.0-beta"]
SEED = 3


def variants(line: str, chance: random.Random) -> Iterator[str]:
    """The line as it is, without marks, and with other signs in it."""
    bare = "".join(character for character in line if character not in MARKS)
    yield bare
    yield line
    mixed = list(bare)
    for _ in range(chance.randint(1, 6)):
        mixed.insert(chance.randint(0, len(mixed)), chance.choice(THROWN_IN))
    yield "".join(mixed)


def only_marks_were_added(before: str, after: str) -> bool:
    """Whether `before` is `after` without some of its marks."""
    at = 0
    for character in after:
        if at < len(before) and character == before[at]:
            at += 1
        elif character not in MARKS:
            return False
    return at == len(before)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+", help="of text, a line each")
    parser.add_argument("--lines", type=int, default=100_000, help="that are checked at most (default: %(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    chance = random.Random(SEED)
    lines = [line for path in options.files for line in read_lines(path)]
    chance.shuffle(lines)
    looked_at = 0
    for line in lines:
        for text in variants(line, chance):
            if looked_at == options.lines:
                break
            if not only_marks_were_added(text, found := punctuate(text)):
                sys.exit(f"unchanged.py: {text!r} became {found!r}")
            looked_at += 1
    print(f"{looked_at:,} lines: only marks were added")


if __name__ == "__main__":
    main()
