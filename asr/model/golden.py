"""Golden answers: what a model makes of a sound that is always the same, kept with its weights and compared at each load."""

import json
from pathlib import Path

import torch

from asr.audio.reading import SAMPLE_RATE
from asr.errors import CheckpointError
from asr.foreign_bytes import json_value, reading
from asr.model.model import SpeechModel

GOLDEN_ANSWERS = 16
"""Numbers that are kept."""
GOLDEN_TOLERANCE = 0.02
"""How far a model may be off."""
GOLDEN_WINDOW = 2.0
"""Seconds of a window that the sound is heard in: in Whisper's 30 s the comparison took a quarter of the time to start."""


def kept_answers(model: SpeechModel) -> str:
    """What a header keeps, as JSON: the answers, of a model with a window beside the seconds of it that were filled up."""
    if not model.log_mel.config.window_samples:
        return json.dumps(golden_answers(model))
    return json.dumps({"window": GOLDEN_WINDOW, "answers": golden_answers(model, GOLDEN_WINDOW)})


@torch.no_grad()
def golden_answers(model: SpeechModel, window: float | None = None) -> list[float]:
    """Log-probabilities of some tokens after `sos` and one token, for a sound of a second made of two gliding tones.

    window: seconds, of a model with a window, in place of its whole one.
    """
    t = torch.arange(SAMPLE_RATE, dtype=torch.float64) / SAMPLE_RATE
    sound = 0.3 * torch.sin(2 * torch.pi * (200 + 300 * t) * t) + 0.1 * torch.sin(2 * torch.pi * (1500 - 400 * t) * t)
    device, training = model.cmvn.mean.device, model.training
    model.eval()
    filled = torch.tensor([model.encoded_samples(len(t), window)], device=device)
    memory = model.encode(sound.float()[None].to(device), torch.tensor([len(t)], device=device), filled)
    logits = model.decode_teacher_forced(memory, torch.tensor([[2, 4]], device=device))
    model.train(training)
    log_probs = logits[0].float().log_softmax(-1)
    picked = torch.linspace(0, log_probs.shape[1] - 1, GOLDEN_ANSWERS // 2).long()
    return [round(x, 4) for x in log_probs[:, picked].flatten().tolist()]


def check_golden(model: SpeechModel, header: dict[str, str], weights: Path) -> None:
    """Raises CheckpointError where a model answers otherwise than the header of its weights says."""
    if "golden" not in header:
        return
    with reading(weights, CheckpointError, "its golden answers are damaged"):
        kept = json_value(header["golden"])
        expected, window = (kept["answers"], float(kept["window"])) if isinstance(kept, dict) else (kept, None)
        pairs = zip(expected, golden_answers(model, window), strict=True)
        differences = [abs(wanted - found) for wanted, found in pairs]
    if not all(difference <= GOLDEN_TOLERANCE for difference in differences):
        difference = max(differences, key=lambda one: (one != one, one))  # what is no number is the worst
        raise CheckpointError(
            f"{weights.parent}: on its golden input the model is off by {difference:.3g} (at most {GOLDEN_TOLERANCE} is allowed):"
            " the weights are damaged, or this program computes something else than the one that saved them"
        )
