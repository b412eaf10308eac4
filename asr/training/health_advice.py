"""What to try when the decoder does not listen, in words."""

import math

from asr.training.config import Config
from asr.training.health import DIAGONAL, GAIN, Health

FIRST_EPOCH = 3
"""Epochs after which attention should have formed, if half of the warm-up is over too."""
LARGE_BATCH = 300
"""Seconds of audio a step below which a larger batch is worth trying."""


def advice(health: Health, step: int, epoch: int, config: Config) -> list[str]:
    """Lines for the person at the terminal; none where attention has formed, or may still be about to."""
    train, data = config.train, config.data
    if health.formed or epoch < FIRST_EPOCH or step < max(train.warmup_steps / 2, train.ctc_only_steps + 1):
        return []
    if health.gain <= GAIN:
        found = (
            f"the decoder recites: another recording would cost it {health.gain:.2f} nats a token, a good model several"
        )
    else:
        found = (
            f"the decoder hears something, but not in order: {health.diagonal:.2f} diagonal, should be above {DIAGONAL}"
        )
    lines = [
        f"WARNING: attention has not formed after {epoch} epochs: {found}. What to try, the likeliest first:",
        "  - do the texts belong to the recordings? Listen to a few lines of the manifest, and run asr corpus check",
    ]
    if not data.curriculum_epochs:
        lines.append("  - data.curriculum_epochs=2: short utterances first")
    seconds = data.batch_seconds * train.accumulate
    if seconds < LARGE_BATCH:
        enough = math.ceil(LARGE_BATCH / data.batch_seconds)
        lines.append(f"  - train.accumulate={enough}: a step sees {seconds:g} s of audio; {LARGE_BATCH} s are better")
    warmup, rate = 2 * max(train.warmup_steps, 1000), train.learning_rate / 2
    lines.append(f"  - train.warmup_steps={warmup}, or train.learning_rate={rate:g}: half as fast a start")
    if not train.ctc_weight:
        lines.append("  - model.ctc=true and train.ctc_weight=0.3: a CTC loss teaches the encoder what to listen to")
    if not train.ctc_only_steps:
        lines.append(f"  - model.ctc=true and train.ctc_only_steps={warmup // 4}: CTC alone at first")
    return lines
