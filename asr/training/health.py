"""Whether the decoder listens: how diagonal its attention is, how sharp, and what the wrong recording costs.

A model trained with cross-entropy alone first learns to write sentences and only then, or never, to listen. The loss
does not tell the two apart; these numbers do.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from asr.corpus.batching import Batch, make_batch
from asr.corpus.manifest import Utterance
from asr.errors import AudioError
from asr.model.model import Memory, SpeechModel
from asr.text.tokenizer import IGNORED, Tokenizer

PROBED = 32
"""Utterances that are looked at."""
FEWEST_TOKENS = 3
"""Shorter texts have no diagonal."""
LONGEST = 15.0
"""Seconds; of longer ones a handful would fill the memory."""
POSITIONS = ((1, 1), (2, 2), (3, 4), (5, 8), (9, 16), (17, 10**9))
"""Tokens counted from 1, from and to: a decoder that only recites is bad at the first ones, and gets better."""
DIAGONAL, GAIN = 0.5, 0.2
"""Attention has formed where both are exceeded. Reached early by models that learn, and not at all by those whose transcripts are
shuffled (tests/test_health.py)."""


@dataclass(frozen=True)
class Health:
    """What the decoder does with the audio, on the same utterances each time."""

    diagonal: float
    """Correlation of a token's place in the text and the places in the audio that its attention looks at, for the head
    where it is highest: 0 looks anywhere, 1 goes straight through."""
    entropy: float
    """How widely that head looks: 0 at one frame, 1 at all of them alike."""
    gain: float
    """What another utterance's recording would cost, in nats a token: 0 is a decoder that does not listen."""
    accuracy: float
    """Share of tokens predicted, the ones before them given."""
    by_position: dict[str, float]
    """That share by the token's place in the text."""

    @property
    def formed(self) -> bool:
        return self.diagonal > DIAGONAL and self.gain > GAIN

    def to_json(self) -> dict:
        return {name: _rounded(value) for name, value in asdict(self).items()}

    def line(self, step: int) -> str:
        """For people, after so many steps."""
        places = "  ".join(f"{place}: {value:.2f}" for place, value in self.by_position.items())
        return (
            f"step {step}  attention: diagonal {self.diagonal:.2f}, entropy {self.entropy:.2f},"
            f" the wrong recording costs {self.gain:.2f} nats; accuracy by position  {places}"
        )


def _rounded(value):
    return {k: _rounded(v) for k, v in value.items()} if isinstance(value, dict) else round(value, 4)


@dataclass(frozen=True)
class Probe:
    """The utterances that the meter looks at."""

    batch: Batch
    """Their audio and tokens, without any augmentation."""

    @classmethod
    def choose(cls, utterances: Sequence[Utterance], tokenizer: Tokenizer) -> "Probe | None":
        """Some that are neither short nor long, evenly from the list; None where there are not even two."""
        suitable = [u for u in utterances if u.duration <= LONGEST and len(tokenizer.encode(u.text)) >= FEWEST_TOKENS]
        read: list[tuple[Utterance, np.ndarray]] = []
        n = min(PROBED, len(suitable))
        for u in (suitable[i * len(suitable) // n] for i in range(n)):
            try:
                read.append((u, u.read()))
            except AudioError:  # the loop will meet it, and say so
                continue
        if len(read) < 2:
            return None
        tokens = [tokenizer.encode(u.text) for u, _ in read]
        return cls(make_batch([u.id for u, _ in read], [samples for _, samples in read], tokens, tokenizer))


def why_silent(utterances: Sequence[Utterance], tokenizer: Tokenizer, of: str) -> str:
    """A line where `Probe.choose` finds nothing to look at. `of`: what the utterances are."""
    short = sum(len(tokenizer.encode(u.text)) < FEWEST_TOKENS for u in utterances)
    long = sum(u.duration > LONGEST for u in utterances)
    return (
        f"whether the decoder listens is not looked at: that takes two {of} utterances of at least {FEWEST_TOKENS} tokens and at"
        f" most {LONGEST:g} s whose audio can be read; of {len(utterances):,}, {short:,} have fewer tokens, {long:,} are longer"
    )


@torch.no_grad()
def measure(model: SpeechModel, probe: Probe, device: torch.device) -> Health:
    """Takes no random number, and leaves the model in the mode it was in."""
    training = model.training
    model.eval()
    try:
        samples, lengths, inputs, targets = (
            x.to(device) for x in (probe.batch.samples, probe.batch.lengths, probe.batch.inputs, probe.batch.targets)
        )
        memory = model.encode(samples, lengths)
        logits = model.decode_teacher_forced(memory, inputs).float()
        swapped = model.decode_teacher_forced(_rolled(memory), inputs).float()
        attention = model.decoder.head_weights(
            inputs, model.decoder.start(memory.values, memory.mask), range(len(model.decoder.layers))
        )
    finally:
        model.train(training)
    real = targets != IGNORED
    correct = (logits.argmax(-1) == targets) & real
    n_tokens = real.sum(1) - 1  # all but eos, whose place in the audio is not that of a sound
    diagonal, entropy = _of_the_best_head(attention.float().cpu(), n_tokens.cpu(), memory.lengths.cpu())
    return Health(
        diagonal,
        entropy,
        (_loss(swapped, targets) - _loss(logits, targets)).item(),
        (correct.sum() / real.sum()).item(),
        _by_position(correct.cpu(), real.cpu()),
    )


@torch.no_grad()
def attention_of_the_best_head(model: SpeechModel, probe: Probe) -> list[Tensor]:
    """For each utterance of the probe (U, L): where in the audio the most diagonal head looks for each token."""
    memory = model.encode(probe.batch.samples, probe.batch.lengths)
    state = model.decoder.start(memory.values, memory.mask)
    attention = model.decoder.head_weights(probe.batch.inputs, state, range(len(model.decoder.layers))).float()
    n_tokens = ((probe.batch.targets != IGNORED).sum(1) - 1).tolist()
    cut = [w[:, :n, :length] for w, n, length in zip(attention, n_tokens, memory.lengths.tolist(), strict=True)]
    best = torch.stack([diagonality(weights) for weights in cut]).mean(0).argmax()
    return [weights[best] for weights in cut]


def _rolled(memory: Memory) -> Memory:
    """Each utterance with the audio of the one before it."""
    return replace(
        memory, **{name: value.roll(1, 0) for name, value in vars(memory).items() if isinstance(value, Tensor)}
    )


def _loss(logits: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED)


def _by_position(correct: Tensor, real: Tensor) -> dict[str, float]:
    places = {}
    for first, last in POSITIONS:
        here = real[:, first - 1 : last]
        if here.any():
            name = str(first) if first == last else f"{first}-{last}" if last < 10**9 else f"{first}+"
            places[name] = (correct[:, first - 1 : last].sum() / here.sum()).item()
    return places


def _of_the_best_head(attention: Tensor, n_tokens: Tensor, n_frames: Tensor) -> tuple[float, float]:
    """Attention (B, heads, U, L) → diagonal and entropy of the head with the highest diagonal."""
    pairs = [
        (diagonality(weights[:, :n, :length]), _entropy(weights[:, :n, :length]))
        for weights, n, length in zip(attention, n_tokens.tolist(), n_frames.tolist(), strict=True)
    ]
    diagonals, entropies = (torch.stack(values).mean(0) for values in zip(*pairs, strict=True))
    best = diagonals.argmax()
    return diagonals[best].item(), entropies[best].item()


def diagonality(weights: Tensor) -> Tensor:
    """Attention (heads, U, L) whose rows add up to 1 → (heads,) the correlation of row and column, each weight a probability.

    Example: an identity matrix gives 1, equal weights 0, an identity matrix upside down -1.
    """
    probability = weights / weights.shape[1]
    rows = torch.arange(weights.shape[1], dtype=weights.dtype)[:, None]
    columns = torch.arange(weights.shape[2], dtype=weights.dtype)
    rows, columns = rows - rows.mean(), columns - (probability * columns).sum((1, 2), keepdim=True)
    covariance = (probability * rows * columns).sum((1, 2))
    spread = (probability * rows**2).sum((1, 2)) * (probability * columns**2).sum((1, 2))
    return covariance / spread.clamp(min=1e-12).sqrt()


def _entropy(weights: Tensor) -> Tensor:
    """(heads,) the mean over rows, as a share of what equal weights have."""
    return -torch.special.xlogy(weights, weights).sum(2).mean(1) / math.log(max(weights.shape[2], 2))
