"""Teaches a model when nobody speaks: a no-speech head on its encoder, which stays as it is.

    python recipes/embedded/no_speech.py MODEL data/embedded/aishell.jsonl data/embedded/dsp20.jsonl

Speech is what the manifests say, as it might be recorded elsewhere: loud or faint, over a telephone, in a room, in noise or with
other sounds before and behind it. All else is made by numbers (nonspeech.py, everyday.py), but for the kinds that are only tried.
The head lies beside the weights. With `--leave-out` no head is written: a few kinds of sound at a time are left out, and a line
for each says in how many of its sounds the head hears nobody that has learnt from the other kinds.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soxr
import torch
from everyday import EVERYDAY
from nonspeech import LEARNT, LEARNT_ONLY, UNHEARD, level, sound
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.nn.utils.rnn import pad_sequence

from asr.audio.reading import SAMPLE_RATE
from asr.corpus.manifest import read_manifest
from asr.features.telephone import telephone
from asr.features.waveforms import FRAME
from asr.model.folder import load_model, read_header, weights_file
from asr.model.model import SpeechModel
from asr.model.no_speech import NoSpeechHead, write_no_speech
from asr.recognition.encoding import encode, grouped

KINDS = (*LEARNT, *LEARNT_ONLY, *EVERYDAY)
"""Kinds that are learnt from; UNHEARD ones are not."""
SECONDS = (0.3, 5.0)
"""How long clips and sounds are, by their logarithm."""
TOGETHER = 20.0
"""Seconds that are encoded at once."""
THRESHOLDS = (0.5, 0.8, 0.95)
"""Probabilities that nobody speaks."""
LEFT_OUT = 5
"""Heads that are taught with `--leave-out`, each without a fifth of the kinds."""
STEPS, BATCH_FRAMES, BATCHES, RATE, DECAY = 400, 6000, 3, 0.01, 0.02
"""Of the training: steps, memory frames of a batch, batches of a step, AdamW's rate and decay."""


@dataclass(frozen=True, eq=False)
class Clip:
    """What is learnt from."""

    kind: str
    """A kind of sound; empty: speech."""
    samples: np.ndarray
    """(S,)."""
    encoded: Tensor | None = None
    """(L, D) of its samples, not of the silence behind them."""


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a model folder")
    parser.add_argument("speech", type=Path, nargs="+", help="manifests of the training data")
    parser.add_argument("--clips", type=int, default=600, help="recordings of each manifest (default: %(default)s)")
    parser.add_argument("--sounds", type=int, default=50, help="sounds of each kind (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of all that is drawn by chance (default: %(default)s)")
    parser.add_argument("--leave-out", action="store_true", help="try kinds with heads that have not learnt from them")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    loaded, random = load_model(options.model), np.random.default_rng(options.seed)
    clips = [clip for manifest in options.speech for clip in spoken(manifest, options.clips, random)]
    tried = UNHEARD if options.leave_out else ()
    clips += [made(kind, random) for kind in (*KINDS, *tried) for _ in range(options.sounds)]
    clips = heard(loaded.model, clips)
    if options.leave_out:
        leave_out(clips, options.seed)
        return
    head = taught(clips, options.seed)
    write_no_speech(options.model, head, read_header(weights_file(options.model)))
    print(f"{options.model}: {told(head, clips)}")


def spoken(manifest: Path, count: int, random: np.random.Generator) -> list[Clip]:
    """So many recordings of a manifest, chosen by chance, no two alike."""
    utterances = read_manifest(manifest)
    chosen = random.permutation(len(utterances))[:count]
    return [Clip("", elsewhere(part(utterances[i].read(), random), random)) for i in chosen]


def made(kind: Callable, random: np.random.Generator) -> Clip:
    return Clip(kind.__name__, sound(kind, length(random), random))


def length(random: np.random.Generator) -> float:
    """Seconds of a clip."""
    return float(np.exp(random.uniform(*np.log(SECONDS))))


def part(samples: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A stretch of samples (S,), at least twice as long as the shortest sound: in less there may be a pause."""
    n = round(max(length(random), 2 * SECONDS[0]) * SAMPLE_RATE)
    first = random.integers(0, max(1, len(samples) - n))
    return samples[first : first + n]


def elsewhere(samples: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Samples (S,) of speech as they might have been recorded elsewhere."""
    if random.random() < 0.3:
        samples = soxr.resample(samples, random.uniform(0.87, 1.15) * SAMPLE_RATE, SAMPLE_RATE)
    if random.random() < 0.25:
        samples = in_a_room(samples, random)
    loudest = loudest_frame(samples)
    if random.random() < 0.3:
        samples = np.concatenate([beside(loudest, random), samples, beside(loudest, random)])
    if random.random() < 0.5:
        behind = level(KINDS[random.integers(len(KINDS))](len(samples), random))
        samples = samples + loudest * 10 ** (-random.uniform(0, 25) / 20) * behind
    loud = 10 ** (random.uniform(-45, 0) / 20)
    samples = (samples * loud / max(float(np.abs(samples).max()), 1e-9)).astype(np.float32)
    return telephone(torch.from_numpy(samples)[None], 1.0)[0].numpy() if random.random() < 0.25 else samples


def beside(loudest: float, random: np.random.Generator) -> np.ndarray:
    """A sound before or behind somebody speaks, as loud or less."""
    kind, n = KINDS[random.integers(len(KINDS))], round(random.uniform(0.1, 2) * SAMPLE_RATE)
    return level(kind(n, random)) * loudest * 10 ** (-random.uniform(0, 40) / 20)


def loudest_frame(samples: np.ndarray) -> float:
    """The largest root mean square of a fortieth of a second."""
    frames = np.pad(samples, (0, -len(samples) % FRAME)).reshape(-1, FRAME)
    return float(np.sqrt(np.square(frames).mean(1)).max())


def in_a_room(samples: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Samples (S,) with an echo that dies away."""
    n = round(random.uniform(0.1, 0.6) * SAMPLE_RATE)
    echo = random.standard_normal(n) * 10 ** (-3 * np.arange(n) / n)
    echo[0] = random.uniform(2, 10)
    both = len(samples) + n
    return np.fft.irfft(np.fft.rfft(samples, both) * np.fft.rfft(echo, both), both)[: len(samples)]


def heard(model: SpeechModel, clips: Sequence[Clip]) -> list[Clip]:
    """The clips, by their length, with what the encoder makes of them."""
    clips, done = sorted(clips, key=lambda clip: len(clip.samples)), []
    budget = TOGETHER * SAMPLE_RATE
    with torch.inference_mode():
        for group in grouped([model.encoded_samples(len(clip.samples)) for clip in clips], budget):
            memory = encode(model, [clips[i].samples for i in group])
            for row, i in enumerate(group):
                frames = model.spoken_frames(int(memory.lengths[row]), len(clips[i].samples))
                done.append(replace(clips[i], encoded=memory.encoded[row, :frames].half().clone()))
    return done


def taught(clips: Sequence[Clip], seed: int) -> NoSpeechHead:
    """A head that has learnt from clips in order of their length."""
    random = np.random.default_rng(seed)
    groups = grouped([len(clip.encoded) for clip in clips], BATCH_FRAMES)
    head = NoSpeechHead(clips[0].encoded.shape[1])
    optimizer = torch.optim.AdamW(head.parameters(), RATE, weight_decay=DECAY)
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = RATE * (1 - step / STEPS)
        optimizer.zero_grad()
        for group in random.integers(0, len(groups), BATCHES):
            batch = [clips[i] for i in groups[group]]
            nobody = torch.tensor([float(bool(clip.kind)) for clip in batch])
            binary_cross_entropy_with_logits(logits(head, batch), nobody).backward()
        optimizer.step()
    return head


def logits(head: NoSpeechHead, clips: Sequence[Clip]) -> Tensor:
    """(B,) that nobody speaks in each."""
    lengths = torch.tensor([len(clip.encoded) for clip in clips])
    return head(pad_sequence([clip.encoded for clip in clips], batch_first=True).float(), lengths)


@torch.inference_mode()
def probabilities(head: NoSpeechHead, clips: Sequence[Clip]) -> np.ndarray:
    return np.array([float(logits(head, [clip]).sigmoid()) for clip in clips])


def told(head: NoSpeechHead, clips: Sequence[Clip]) -> str:
    """In how many of the sounds, and of the clips of speech, a head hears nobody, by thresholds."""
    parts = []
    for name, some in (
        ("sounds", [clip for clip in clips if clip.kind]),
        ("clips of speech", [clip for clip in clips if not clip.kind]),
    ):
        found = probabilities(head, some)
        counts = ", ".join(f"{(found > threshold).sum()} above {threshold:g}" for threshold in THRESHOLDS)
        parts += [f"of {len(some)} {name} {counts}"] if some else []
    return "; ".join(parts)


def leave_out(clips: Sequence[Clip], seed: int) -> None:
    """Prints, for each kind, what a head says of it that has learnt neither from it nor from those that are only tried."""
    tried = {kind.__name__ for kind in UNHEARD}
    kinds = sorted({clip.kind for clip in clips if clip.kind} - tried)
    for out in (set(kinds[first::LEFT_OUT]) for first in range(LEFT_OUT)):
        head = taught([clip for clip in clips if clip.kind not in tried | out], seed)
        for kind in sorted(out):
            print(f"{kind}: {told(head, [clip for clip in clips if clip.kind == kind])}", flush=True)
    head = taught([clip for clip in clips if clip.kind not in tried], seed)
    for kind in sorted(tried):
        print(f"{kind}: {told(head, [clip for clip in clips if clip.kind == kind])}")


if __name__ == "__main__":
    main()
