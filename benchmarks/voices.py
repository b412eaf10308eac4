"""How sure a voice must be to be named (`--voices`), measured on conversations whose speakers have clips of their own.

    python benchmarks/conversations.py train.tsv --out exp/conversations
    python benchmarks/voices.py train.tsv exp/conversations

Every second speaker of a conversation is known by some seconds of clips, and so are as many people who are not in it. For each
threshold: how many of those who are known are named right, by somebody else's name, or by none, and how many of the others are
named at all. A person is whom most of what is labelled so belongs to.
"""

import argparse
import random
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from asr.audio.voice_activity import load_voice_activity  # noqa: E402
from asr.errors import AudioError  # noqa: E402
from asr.scoring.diarization import SpokenTurn  # noqa: E402
from asr.scoring.turns import read_turns  # noqa: E402
from asr.speakers.diarizer import Diarizer, Networks, names_of, voice_of  # noqa: E402
from asr.speakers.wanted import Speakers  # noqa: E402
from benchmarks.conversations import SAMPLE_RATE, clips_by_speaker, trimmed  # noqa: E402
from benchmarks.speakers import BLOCK, samples_of  # noqa: E402

THRESHOLDS = [round(0.05 * n, 2) for n in range(3, 15)]
PeopleAndVoices = tuple[list[tuple[np.ndarray, str]], dict[str, np.ndarray]]
"""The people of a conversation, with who they are, and the voices that are known."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, help="TSV of clips: audio, speaker")
    parser.add_argument("folder", type=Path, help="conversations made of them")
    parser.add_argument(
        "--seconds", type=float, default=6, help="of clips of each person who is known (default: %(default)s)"
    )
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of who is known (default: %(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    networks, chance = Networks.load(load_voice_activity()), random.Random(options.seed)
    clips = {name: [path for path, _ in rows] for name, rows in clips_by_speaker(options.table, 12, []).items()}
    voices: dict[str, np.ndarray] = {}
    for name in sorted(clips):
        try:
            voices[name] = voice_of(networks, name, clip(clips[name], options.seconds, chance))
        except AudioError as error:
            print(error)
    heard: list[PeopleAndVoices] = []
    for path in sorted(options.folder.glob("*.wav")):
        said = list(read_turns(path.with_suffix(".rttm")).values())[0].turns
        people = people_of(networks, samples_of(path), said)
        here = sorted({turn.speaker for turn in said})
        known = [name for name in here[chance.randrange(2) :: 2] if name in voices]
        others = chance.sample(sorted(voices.keys() - set(here)), min(len(known), len(voices.keys() - set(here))))
        heard.append((people, {name: voices[name] for name in (*known, *others)}))
        print(f"{path.stem}: {len(people)} people for {len(here)}, {len(known)} of them known", flush=True)
    for threshold in THRESHOLDS:
        counts = named(heard, threshold)
        total = counts["right"] + counts["wrong"] + counts["nobody"]
        print(
            f"{threshold:.2f}: of {total} who are known {counts['right']} right, {counts['wrong']} wrong, {counts['nobody']}"
            f" nobody; of {counts['strangers']} who are not {counts['named']} named"
        )


def clip(paths: list[Path], seconds: float, chance: random.Random) -> np.ndarray:
    """Clips of one person, one after the other, until there are so many seconds."""
    parts, n = [], 0
    for path in chance.sample(paths, len(paths)):
        if n < seconds * SAMPLE_RATE and (cut := trimmed(path, "")) is not None:
            parts += [cut.samples, np.zeros(SAMPLE_RATE // 5, np.float32)]
            n += len(cut.samples)
    return np.concatenate(parts)


def people_of(networks: Networks, samples: np.ndarray, said: list[SpokenTurn]) -> list[tuple[np.ndarray, str]]:
    """What each person who is found sounds like, (BANDS, D), and who that is."""
    diarizer = Diarizer(networks, Speakers())
    for first in range(0, len(samples), BLOCK):
        diarizer.add(samples[first : first + BLOCK].astype(np.float32) / 32768)
    stretches, labels, centres = diarizer.people()
    seconds: dict[int, Counter] = {}
    for stretch, label in zip(stretches, labels, strict=True):
        for turn in said:
            together = min(stretch.end, turn.end) - max(stretch.start, turn.start)
            seconds.setdefault(label, Counter())[turn.speaker] += max(0.0, together)
    return [
        (centres[label], counted.most_common(1)[0][0]) for label, counted in sorted(seconds.items()) if len(centres)
    ]


def named(heard: list[PeopleAndVoices], threshold: float) -> Counter:
    counts: Counter[str] = Counter()
    for people, voices in heard:
        for (_, who), name in zip(people, names_of([centre for centre, _ in people], voices, threshold), strict=True):
            if who in voices:
                counts["right" if name == who else "wrong" if name in voices else "nobody"] += 1
            else:
                counts["strangers"] += 1
                counts["named"] += name in voices
    return counts


if __name__ == "__main__":
    main()
