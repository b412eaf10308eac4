"""How likely it is that nobody speaks in utterances, as the model's no-speech head has it: such give no text."""

from collections.abc import Sequence

import numpy as np
import torch

from asr.model.model import Memory, SpeechModel


def no_speech_probabilities(
    model: SpeechModel, memory: Memory, utterances: Sequence[np.ndarray]
) -> list[float] | list[None]:
    """Of each of the utterances (S,) the probability that nobody speaks in it; None of a model without the head.

    memory: what the model made of them. Silence behind an utterance is no sign of anything: its own frames alone count.
    """
    if model.no_speech is None:
        return [None] * len(utterances)
    frames = [model.spoken_frames(int(n), len(u)) for n, u in zip(memory.lengths, utterances, strict=True)]
    logits = model.no_speech(memory.encoded, torch.tensor(frames, device=memory.encoded.device))
    return logits.sigmoid().tolist()
