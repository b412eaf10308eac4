"""Which utterances nobody speaks in, as the model's no-speech head has it: they give no text, and are not searched."""

from collections.abc import Sequence

import numpy as np
import torch

from asr.model.model import Memory, SpeechModel


def without_speech(
    model: SpeechModel, memory: Memory, utterances: Sequence[np.ndarray], threshold: float
) -> frozenset[int]:
    """Which of the utterances (S,) are without speech with a probability above the threshold; none of a model without the head.

    memory: what the model made of them. Silence behind an utterance is no sign of anything: its own frames alone count.
    """
    if model.no_speech is None or threshold >= 1:
        return frozenset()
    frames = [model.spoken_frames(int(n), len(u)) for n, u in zip(memory.lengths, utterances, strict=True)]
    logits = model.no_speech(memory.encoded, torch.tensor(frames, device=memory.encoded.device))
    return frozenset(torch.nonzero(logits.sigmoid() > threshold)[:, 0].tolist())
