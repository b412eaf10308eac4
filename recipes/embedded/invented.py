"""How many characters a model writes in ten minutes in which nobody speaks.

    python recipes/embedded/invented.py MODEL

Five minutes of noise, hum, tunes and knocks, of which the embedded model has learnt from others of their kind, and five of
sirens, birds, crackle and the murmur of a hall, which it has never heard. With `--short` sounds as long as a word or two in
their place, of which more are taken for words: thirty of each kind, and of those that are only learnt from, too.
"""

import argparse

import numpy as np
from nonspeech import LEARNT, LEARNT_ONLY, UNHEARD, sound

from asr.audio.reading import SAMPLE_RATE
from asr.transcription.transcriber import load

PARTS = 5
"""Recordings of each kind."""
SHORT, SHORT_SECONDS = 30, (0.3, 2.5)
"""Short sounds of each kind, and how long they are."""


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a model folder or name")
    parser.add_argument("--lm", help="another language model, or none")
    parser.add_argument("--short", action="store_true", help="sounds as long as a word or two")
    options = parser.parse_args(arguments)
    transcriber, random = load(options.model, lm=options.lm), np.random.default_rng(2026)
    total = 0
    for kind in (*LEARNT, *LEARNT_ONLY, *UNHEARD) if options.short else (*LEARNT, *UNHEARD):
        if options.short:
            lengths = random.uniform(*SHORT_SECONDS, SHORT)
        else:
            lengths = [300 // len(LEARNT if kind in LEARNT else UNHEARD) / PARTS] * PARTS
        texts = [transcriber.transcribe((sound(kind, s, random), SAMPLE_RATE)).text for s in lengths]
        n = sum(len(text) for text in texts)
        print(
            f"{kind.__name__}: {n} characters in {sum(lengths):.0f} s, {sum(map(bool, texts))} of {len(texts)} recordings"
        )
        total += n
    print(f"all: {total} characters in " + ("short sounds" if options.short else "ten minutes"))


if __name__ == "__main__":
    main()
