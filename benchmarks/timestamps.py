"""How far the times of aligned text are from the truth, on recordings joined from single syllables without pauses.

    python benchmarks/timestamps.py SPEECH

SPEECH is a folder with train.tsv (id, audio, pinyin, source, …) and the recordings of every tonal syllable of Mandarin. Each
syllable is trimmed to what is above -35 dB, brought to one level, and joined to the next with a cross-fade of 5 ms; the middle of
the cross-fade is the truth. The text is a common character for each syllable, so that the words mean nothing.

The weights in asr/recognition/boundaries.py were fitted on every second syllable (`--half 0`); the others are measured.
"""

import argparse
import csv
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import jieba
import numpy as np

from asr.audio.reading import SAMPLE_RATE, read_samples
from asr.catalogue.opening import open_model
from asr.text.normalize import is_han
from asr.text.pinyin import readings
from asr.text.tokenizer import Tokenizer
from asr.transcription.aligning import Aligner

sys.path.insert(0, str(Path(__file__).parent.parent / "recipes/embedded"))
from joining import change_tempo, cross_fade, level, trim  # noqa: E402

CROSS_FADE, MARGIN = 0.005, 0.2
SYLLABLES = 12


@dataclass(frozen=True)
class Joined:
    """A recording made of syllables."""

    samples: np.ndarray
    """(S,) at 16 kHz."""
    text: str
    """A character for each syllable."""
    starts: np.ndarray
    """(U,) where each begins, in seconds."""


def recorded_syllables(speech: Path) -> dict[str, np.ndarray]:
    """Pinyin with tone digit → trimmed samples (S,) at a common level."""
    with open(speech / "train.tsv", encoding="utf-8", newline="") as file:
        rows = [
            row for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE) if row["source"] == "syllables"
        ]
    return {row["pinyin"]: level(trim(read_samples(speech / row["audio"]))) for row in rows}


def characters_by_syllable(tokenizer: Tokenizer) -> dict[str, str]:
    """Pinyin → the most frequent character that is read so and in no other way, of those that the model can write."""
    words = jieba.Tokenizer()
    frequency, _ = words.gen_pfdict(words.get_dict_file())
    found: dict[str, str] = {}
    for character in sorted((c for c in frequency if len(c) == 1), key=lambda c: (-frequency[c], c)):
        if is_han(character) and len(said := readings(character)) == 1 and not tokenizer.unknown(character):
            found.setdefault(said[0], character)
    return found


def joined(pieces: Sequence[np.ndarray], text: str) -> Joined:
    """The pieces one after the other, with a little silence before and behind."""
    fade = int(CROSS_FADE * SAMPLE_RATE)
    ends = np.cumsum([len(piece) - fade for piece in pieces])
    starts = MARGIN + (np.concatenate([[0], ends[:-1]]) + fade / 2 * (np.arange(len(pieces)) > 0)) / SAMPLE_RATE
    silence = np.zeros(int(MARGIN * SAMPLE_RATE), np.float32)
    samples = np.concatenate([silence, cross_fade(pieces, CROSS_FADE), silence])
    return Joined(samples, text, starts)


def recordings(
    recorded: dict[str, np.ndarray], characters: dict[str, str], half: int, n: int, seed: int
) -> Iterator[Joined]:
    """n recordings of random syllables of one half: every second one, beginning with the first or the second."""
    random = np.random.default_rng(seed)
    usable = sorted(recorded.keys() & characters.keys())[half::2]
    if not usable:
        sys.exit("no recorded syllable is one that the model has a character for")
    for _ in range(n):
        chosen = [usable[i] for i in random.integers(len(usable), size=SYLLABLES)]
        made = joined([recorded[s] for s in chosen], "".join(characters[s] for s in chosen))
        hiss = random.normal(0, 1e-4, len(made.samples))
        yield replace(made, samples=(made.samples + hiss).astype(np.float32))


def faster(recording: Joined, tempo: float) -> Joined:
    """The same speech at the same pitch, `tempo` times as fast."""
    return Joined(change_tempo(recording.samples, tempo), recording.text, recording.starts / tempo)


def errors(aligner: Aligner, made: Sequence[Joined]) -> np.ndarray:
    """Seconds by which each start lies behind the truth."""
    found = []
    for recording in made:
        transcript = aligner.align((recording.samples, SAMPLE_RATE), recording.text)
        starts = [token.start for segment in transcript.segments for token in segment.tokens]
        found.append(np.array(starts) - recording.starts)
    return np.concatenate(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("speech", type=Path, help="a folder with train.tsv, which names recorded syllables")
    parser.add_argument("--model", default="", help="a model folder or name; embedded by default")
    parser.add_argument("--recordings", type=int, default=60, help="that are joined (default: %(default)s)")
    parser.add_argument(
        "--half", type=int, choices=(0, 1), default=1, help="which syllables are taken (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of all that is drawn by chance (default: %(default)s)")
    options = parser.parse_args()
    loaded = open_model(options.model, "cpu")
    characters = characters_by_syllable(loaded.tokenizer)
    made = list(
        recordings(recorded_syllables(options.speech), characters, options.half, options.recordings, options.seed)
    )
    seconds = sum(len(recording.samples) for recording in made) / SAMPLE_RATE
    print(f"{len(made)} recordings of {SYLLABLES} syllables, {seconds / len(made):.1f} s each")
    for tempo in (1.0, 1.5, 2.0):
        sped = [faster(recording, tempo) for recording in made] if tempo != 1 else made
        rate = (
            SYLLABLES * len(made) / sum(len(recording.samples) / SAMPLE_RATE - 2 * MARGIN / tempo for recording in sped)
        )
        for by in ("ctc", "attention") if loaded.model.ctc is not None else ("attention",):
            off = errors(Aligner(loaded, by), sped)
            far = np.abs(off)
            print(
                f"{rate:.1f} syllables/s, {by:9}: start off by {1000 * np.median(far):.0f} ms (median),"
                f" {1000 * np.quantile(far, 0.9):.0f} ms (90 %), {100 * (far < 0.15).mean():.1f} % within 150 ms,"
                f" bias {1000 * np.median(off):+.0f} ms"
            )


if __name__ == "__main__":
    main()
