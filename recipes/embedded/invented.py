"""How many characters a model writes in ten minutes in which nobody speaks.

    python recipes/embedded/invented.py MODEL

Five minutes of noise, hum, tunes and knocks, of which the embedded model has learnt from others of their kind, and five of
sirens, birds, crackle and the murmur of a hall, which it has never heard.
"""

import argparse

import numpy as np
from nonspeech import LEARNT, UNHEARD, sound

from asr.audio.reading import SAMPLE_RATE
from asr.transcription.transcriber import load

PARTS = 5
"""Recordings of each kind."""


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--lm", help="another language model, or none")
    options = parser.parse_args(arguments)
    transcriber, random = load(options.model, lm=options.lm), np.random.default_rng(2026)
    total = 0
    for kinds in (LEARNT, UNHEARD):
        for kind in kinds:
            seconds = 300 // len(kinds)
            recordings = [sound(kind, seconds / PARTS, random) for _ in range(PARTS)]
            n = sum(len(transcriber.transcribe((samples, SAMPLE_RATE)).text) for samples in recordings)
            print(f"{kind.__name__}: {n} characters in {seconds} s")
            total += n
    print(f"all: {total} characters in ten minutes")


if __name__ == "__main__":
    main()
