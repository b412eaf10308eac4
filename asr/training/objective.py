"""What training minimises: cross-entropy of the decoder and, if asked for, the CTC loss of the encoder, in its several forms."""

import functools
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from asr.corpus.batching import Batch
from asr.features.augment import AugmentConfig
from asr.features.utterance import length_mask
from asr.model.model import Memory, SpeechModel
from asr.text.pinyin import syllable_ids
from asr.text.tokenizer import IGNORED, TokenTable
from asr.training.augmentation import augmented_features
from asr.training.config import Config


@dataclass(frozen=True, eq=False)
class Objective:
    """The parts of the loss and their weights."""

    label_smoothing: float = 0.0
    """Probability spread over all tokens in the decoder's target."""
    ctc_weight: float = 0.0
    """Weight of the CTC loss; the decoder's is the rest of 1."""
    blank: int = 0
    """Id of the CTC head's blank."""
    augmentation: AugmentConfig | None = None
    """How batches are changed; None: not at all."""
    guessed_share: float = 0.0
    """How many of the decoder's inputs, on average, are replaced by its own guesses."""
    syllables: Tensor | None = None
    """(V,) the sound of each token, where the CTC loss counts sounds too."""
    syllable_share: float = 0.0
    """Share of the CTC loss that is that of sounds."""
    consistency: float = 0.0
    """Above 0, each utterance is heard twice, augmented differently, and what the CTC head makes of one is to agree with what it
    makes of the other; its weight in the CTC loss (CR-CTC, Yao et al. 2024, arXiv:2410.05101)."""

    @property
    def views(self) -> int:
        """How often each utterance is heard."""
        return 2 if self.consistency and self.ctc_weight else 1


def objective_of(config: Config, table: TokenTable, step: int, device: torch.device) -> Objective:
    """What a run minimises in a step."""
    settings = config.train
    return Objective(
        label_smoothing=settings.label_smoothing,
        ctc_weight=1.0 if step < settings.ctc_only_steps else settings.ctc_weight,
        blank=table.blank,
        augmentation=config.augment,
        guessed_share=settings.token_guesses,
        syllables=_syllables(table, device) if settings.ctc_syllables else None,
        syllable_share=settings.ctc_syllables,
        consistency=settings.ctc_consistency,
    )


@functools.lru_cache(1)
def _syllables(table: TokenTable, device: torch.device) -> Tensor:
    return torch.tensor(syllable_ids(table.tokens), device=device)


@dataclass(frozen=True)
class Losses:
    """Losses of one batch, each a mean over its tokens; of one of several of a step, what it adds to the mean over theirs."""

    total: Tensor
    """What is minimised."""
    attention: Tensor
    """Cross-entropy of the decoder, with label smoothing."""
    ctc: Tensor | None
    """CTC loss of the encoder, or None."""
    accuracy: Tensor
    """Share of target tokens that the decoder ranks first, given the true tokens before them."""


def losses_of(model: SpeechModel, batch: Batch, objective: Objective) -> Losses:
    """The losses of a batch that lies on the model's device."""
    views = objective.views
    inputs, targets = batch.inputs.repeat(views, 1), batch.targets.repeat(views, 1)
    memory = model.encode_features(
        *augmented_features(model, batch.samples, batch.lengths, objective.augmentation, views=views)
    )
    if objective.guessed_share:
        inputs = with_guesses(model, memory, inputs, objective.guessed_share)
    logits = model.decode_teacher_forced(memory, inputs).float()
    real = targets != IGNORED
    attention = F.cross_entropy(
        logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, label_smoothing=objective.label_smoothing
    )
    attention = batch.share * attention
    accuracy = batch.share * ((logits.argmax(-1) == targets) & real).sum() / real.sum()
    if not objective.ctc_weight:
        return Losses(attention, attention, None, accuracy)
    ctc = batch.ctc_share * ctc_of(model, memory, targets, objective)
    total = (1 - objective.ctc_weight) * attention + objective.ctc_weight * ctc
    return Losses(total, attention, ctc, accuracy)


def ctc_of(model: SpeechModel, memory: Memory, targets: Tensor, objective: Objective) -> Tensor:
    """The CTC loss a token, with its shares of sounds and of consistency, of targets (B, U) that end with eos."""
    lengths = (targets != IGNORED).sum(1) - 1  # all but eos
    log_probs, spoken = model.ctc_log_probs(memory), targets.clamp(min=0)
    ctc = ctc_loss(log_probs, memory.lengths, spoken, lengths, blank=objective.blank)
    if objective.syllables is not None:
        sounds, share = log_probs_of_sounds(log_probs, objective.syllables), objective.syllable_share
        blank = int(objective.syllables[objective.blank])
        of_sounds = ctc_loss(sounds, memory.lengths, objective.syllables[spoken], lengths, blank=blank)
        ctc = (1 - share) * ctc + share * of_sounds
    if objective.consistency:
        ctc = ctc + objective.consistency * consistency_loss(log_probs, memory.lengths, lengths)
    return ctc


@torch.no_grad()
def with_guesses(model: SpeechModel, memory: Memory, inputs: Tensor, share: float) -> Tensor:
    """Inputs (B, U) with tokens drawn from what the decoder expects there in the place of some; the first, sos, stays.

    The share differs between utterances, from 0 to twice `share`: it writes some of them well and loses itself in others.
    """
    logits = model.decode_teacher_forced(memory, inputs).float()
    below = logits.softmax(-1).cumsum(-1)  # drawn by their probabilities, with one random number a token
    drawn = torch.searchsorted(below, below[..., -1:] * torch.rand_like(below[..., :1]))[..., 0]
    drawn = drawn.clamp(max=logits.shape[-1] - 1)
    chance = torch.rand_like(inputs, dtype=torch.float)
    replaced = chance < 2 * share * torch.rand(len(inputs), 1, device=inputs.device)
    replaced[:, 0] = False
    return torch.where(replaced, drawn.roll(1, dims=1), inputs)


def ctc_loss(log_probs: Tensor, frames: Tensor, targets: Tensor, lengths: Tensor, *, blank: int) -> Tensor:
    """CTC loss a target: log_probs (B, L, V) of which `frames` (B,) are real, targets (B, U) of which `lengths` (B,) are.

    An utterance where there are fewer targets than these: sounds in which nothing is said would else count for a single one.
    """
    loss = F.ctc_loss(log_probs.transpose(0, 1), targets, frames, lengths, blank, reduction="sum", zero_infinity=True)
    return loss / lengths.sum().clamp(min=len(lengths))


def consistency_loss(log_probs: Tensor, frames: Tensor, lengths: Tensor) -> Tensor:
    """How far two views are apart, a target: log_probs (2B, L, V) of which `frames` (2B,) are real; the views are its halves.

    The divergence of each view from the other, which is taken as given: its gradient pulls a view towards the other alone.
    """
    other = log_probs.detach().roll(len(log_probs) // 2, dims=0)
    apart = (other.exp() * (other - log_probs)).sum(-1)
    return apart.masked_fill(~length_mask(frames, apart.shape[1]), 0.0).sum() / lengths.sum().clamp(min=len(lengths))


def log_probs_of_sounds(log_probs: Tensor, sounds: Tensor) -> Tensor:
    """(B, L, V) of tokens → (B, L, S) of the sounds, `sounds` (V,), that they have: homophones added up."""
    summed = log_probs.new_zeros(*log_probs.shape[:2], int(sounds.max()) + 1).index_add(2, sounds, log_probs.exp())
    return summed.clamp(min=torch.finfo(summed.dtype).tiny).log()
