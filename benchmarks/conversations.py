"""Conversations made of clips of known speakers, with who speaks when: what the finding of speakers is measured on.

    python benchmarks/conversations.py dev.tsv --out exp/conversations
    python benchmarks/speakers.py exp/conversations

The TSV has the columns audio (relative to it), speaker, and may have text. Turns of one or more clips follow each other after
pauses, or begin before the one before has ended; some conversations have noise in them, some come through a telephone. Written:
N.wav, N.rttm (of each clip what voice activity calls speech) and N.stm (turns and texts).
"""

import argparse
import csv
import random
import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import soundfile
import torch

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from asr.audio.reading import SAMPLE_RATE, read_samples  # noqa: E402
from asr.audio.speech_probabilities import WINDOW, SpeechProbabilities  # noqa: E402
from asr.audio.voice_activity import load_voice_activity  # noqa: E402
from asr.features.telephone import telephone  # noqa: E402

SPEAKERS = (2, 2, 3, 3, 4, 4, 4, 6, 6, 6)
"""How many speakers the first ten have; then it begins again."""
CONDITIONS = ("clean", "noise", "telephone")
SNR_DB = (10, 20)
PAUSE, TURN, WITHIN = (0.1, 1.0), (1.0, 8.0), (0.05, 0.3)
"""Seconds between turns, of a turn, and between clips of a turn."""
OVERLAP, OVERLAPPED = (0.3, 1.5), 0.12
"""Seconds by which a turn begins early, and the share of turns that do."""
LEVEL_DB = 6
"""How much louder or softer a speaker may be than another."""
SPEECH, SILENCE = 0.5, 0.35
"""Probabilities at which speech begins, and until which it goes on."""


@dataclass
class Conversation:
    """A conversation as it grows."""

    samples: np.ndarray
    end: int = 0
    """Sample at which the last turn ends."""
    rttm: list[tuple[float, float, str]] = field(default_factory=list)
    stm: list[tuple[float, float, str, str]] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Clip:
    """A clip from its first speech to its last."""

    samples: np.ndarray
    speech: tuple[tuple[int, int], ...]
    """Samples from which to which somebody speaks."""
    text: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, help="a TSV of clips")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    parser.add_argument("--number", type=int, default=10, help="conversations (default: %(default)s)")
    parser.add_argument(
        "--speakers", type=int, nargs="+", default=SPEAKERS, help="people in one; several numbers take turns"
    )
    parser.add_argument("--minutes", type=float, default=5, help="length of one (default: %(default)s)")
    parser.add_argument("--least-clips", type=int, default=12, help="speakers of fewer clips are left out")
    parser.add_argument("--leave-out", nargs="*", default=[], help="speakers")
    parser.add_argument("--seed", type=int, default=0, help="of all that is drawn by chance (default: %(default)s)")
    options = parser.parse_args()
    clips = clips_by_speaker(options.table, options.least_clips, options.leave_out)
    options.out.mkdir(parents=True, exist_ok=True)
    for number in range(options.number):
        n, condition = options.speakers[number % len(options.speakers)], CONDITIONS[number % len(CONDITIONS)]
        chance = random.Random(f"{options.seed} {number}")
        made = conversation(clips, n, options.minutes, condition, chance=chance)
        write(options.out / f"{number:02}-{n}-{condition}", made)
        print(f"{number:02}: {n} speakers, {condition}, {len(made.stm)} turns", flush=True)


def clips_by_speaker(table: Path, least: int, left_out: list[str]) -> dict[str, list[tuple[Path, str]]]:
    """Speaker → (audio, text) of each clip."""
    found: dict[str, list[tuple[Path, str]]] = {}
    with open(table, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            found.setdefault(row["speaker"], []).append((table.parent / row["audio"], row.get("text") or ""))
    return {name: clips for name, clips in found.items() if len(clips) >= least and name not in left_out}


def conversation(
    clips: dict[str, list[tuple[Path, str]]], n: int, minutes: float, condition: str, *, chance: random.Random
) -> Conversation:
    """Who has just spoken does not speak next; all speak about as often."""
    talkers = chance.sample(sorted(clips), n)
    gains = {name: 10 ** (chance.uniform(-LEVEL_DB / 2, LEVEL_DB / 2) / 20) for name in talkers}
    decks: dict[str, list[tuple[Path, str]]] = {name: [] for name in talkers}
    made = Conversation(np.zeros(round(minutes * 60 * SAMPLE_RATE), np.float32), round(0.5 * SAMPLE_RATE))
    before = ""
    while True:
        speaker = chance.choice([name for name in talkers if name != before])
        turn = next_turn(speaker, clips[speaker], decks[speaker], chance)
        early = made.stm and chance.random() < OVERLAPPED
        gap = -chance.uniform(*OVERLAP) if early else chance.uniform(*PAUSE)
        earliest = round(made.stm[-1][0] * SAMPLE_RATE) if made.stm else 0
        start = max(made.end + round(gap * SAMPLE_RATE), earliest)
        if start + len(turn.samples) > len(made.samples):
            break
        add(made, turn, start, speaker, gains[speaker])
        before = speaker
    made.samples = heard(made.samples, condition, chance)
    return made


def next_turn(speaker: str, clips: list[tuple[Path, str]], deck: list[tuple[Path, str]], chance: random.Random) -> Clip:
    """The next clips of a speaker, as long as a turn is to be; each comes once before any comes again."""
    wanted, parts, speech, texts, at = chance.uniform(*TURN) * SAMPLE_RATE, [], [], [], 0
    while at < wanted:
        if not deck:
            deck += chance.sample(clips, len(clips))
        clip = trimmed(*deck.pop())
        if clip is None:
            continue
        if parts:
            gap = round(chance.uniform(*WITHIN) * SAMPLE_RATE)
            parts.append(np.zeros(gap, np.float32))
            at += gap
        parts.append(clip.samples)
        speech += [(at + start, at + end) for start, end in clip.speech]
        texts.append(clip.text)
        at += len(clip.samples)
    return Clip(np.concatenate(parts), tuple(speech), "".join(texts))


@cache
def trimmed(path: Path, text: str) -> Clip | None:
    """A clip without the silence around it, as loud as every other one; None where nobody speaks in it."""
    samples = read_samples(path)
    speech: list[tuple[int, int]] = []
    talks = False
    padded = np.concatenate([samples, np.zeros(-len(samples) % WINDOW, np.float32)])
    for n, probability in enumerate(SpeechProbabilities(activity()).add(padded)):
        talks = probability >= (SILENCE if talks else SPEECH)
        if talks and speech and speech[-1][1] == n * WINDOW:
            speech[-1] = speech[-1][0], (n + 1) * WINDOW
        elif talks:
            speech.append((n * WINDOW, (n + 1) * WINDOW))
    if not speech:
        return None
    first, last = speech[0][0], min(speech[-1][1], len(samples))
    loud = np.concatenate([samples[start:end] for start, end in speech])
    scaled = samples[first:last] * (0.05 / max(float(loud.std()), 1e-4))
    return Clip(scaled, tuple((start - first, min(end, last) - first) for start, end in speech), text)


@cache
def activity():
    return load_voice_activity()


def add(made: Conversation, turn: Clip, start: int, speaker: str, gain: float) -> None:
    end = start + len(turn.samples)
    made.samples[start:end] += gain * turn.samples
    made.rttm += [((start + a) / SAMPLE_RATE, (start + b) / SAMPLE_RATE, speaker) for a, b in turn.speech]
    made.stm.append((start / SAMPLE_RATE, end / SAMPLE_RATE, speaker, turn.text))
    made.end = max(made.end, end)


def heard(samples: np.ndarray, condition: str, chance: random.Random) -> np.ndarray:
    """What the microphone, or the other end of the line, hears: there is always a little noise."""
    random_ = np.random.default_rng(chance.getrandbits(32))
    snr = chance.uniform(*SNR_DB) if condition == "noise" else 45.0
    level = float(samples[samples != 0].std()) * 10 ** (-snr / 20)
    white = random_.normal(0, 1, len(samples)).astype(np.float32)
    coloured = np.convolve(white, np.exp(-np.arange(32) / 4).astype(np.float32), "same")  # most of it is low
    samples = samples + level * coloured / coloured.std()
    if condition == "telephone":
        torch.manual_seed(chance.getrandbits(32))
        samples = telephone(torch.from_numpy(samples.astype(np.float32))[None], 1.0)[0].numpy()
    return (samples / max(1.0, float(np.abs(samples).max()) * 1.01)).astype(np.float32)


def write(path: Path, made: Conversation) -> None:
    soundfile.write(f"{path}.wav", made.samples, SAMPLE_RATE, subtype="PCM_16")
    name = path.name
    rttm = (f"SPEAKER {name} 1 {a:.3f} {b - a:.3f} <NA> <NA> {who} <NA> <NA>\n" for a, b, who in sorted(made.rttm))
    stm = (f"{name} 1 {who} {a:.3f} {b:.3f} {text}\n" for a, b, who, text in made.stm)
    Path(f"{path}.rttm").write_text("".join(rttm), encoding="utf-8")
    Path(f"{path}.stm").write_text("".join(stm), encoding="utf-8")


if __name__ == "__main__":
    main()
