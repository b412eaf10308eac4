"""The mean of many speakers' vectors, as they are recorded and through a telephone: asr/pretrained/speakers/means.npy.

    python recipes/speakers/means.py train.tsv

The TSV has the columns audio (relative to it), speaker and source. Of each speaker some clips are heard.
"""

import argparse
import csv
import random
from pathlib import Path

import numpy as np
import torch

from asr.audio.reading import SAMPLE_RATE, read_samples
from asr.features.telephone import telephone
from asr.speakers.bands import MEANS, unit, vector_of
from asr.speakers.embedding import load_speaker_embedding, mel_features

CLIPS, LONGEST, SHORTEST = 6, 4 * SAMPLE_RATE, SAMPLE_RATE
"""Of a speaker, and samples of a clip."""
SEED = 7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, help="a TSV of clips")
    parser.add_argument(
        "--sources", nargs="+", default=["aishell", "dsp20"], help="whose speakers are heard (default: %(default)s)"
    )
    parser.add_argument("--out", type=Path, default=MEANS, help="the file to write (default: %(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    clips: dict[str, list[Path]] = {}
    with open(options.table, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            if row["source"] in options.sources:
                clips.setdefault(row["speaker"], []).append(options.table.parent / row["audio"])
    chance, network = random.Random(SEED), load_speaker_embedding()
    speakers = []
    for name in sorted(clips):
        both = []
        for path in chance.sample(clips[name], len(clips[name])):
            samples = torch.from_numpy(read_samples(path))[:LONGEST]
            if len(samples) < SHORTEST:
                continue
            samples = samples * (0.05 / samples.std().clamp(min=1e-4))
            heard = torch.stack([samples, telephone(samples[None], 1.0)[0]])
            features, _ = mel_features()(heard, torch.tensor([len(samples)] * 2))
            both.append([unit(vector_of(network, one)) for one in features])
            if len(both) == CLIPS:
                break
        if both:
            speakers.append(np.mean(both, 0))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    np.save(options.out, np.mean(speakers, 0).astype(np.float32))
    print(f"{options.out}: the means of {len(speakers)} speakers")


if __name__ == "__main__":
    main()
