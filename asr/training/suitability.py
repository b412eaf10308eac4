"""What of the settings does not suit the length of a run, or the model that it goes on from: said before the first step."""

from collections.abc import Iterator

from asr.training.config import Config
from asr.training.train_config import FITTED, TrainConfig, learning_rate

GENTLE = 3e-4
"""The highest rate at which a trained model goes on without forgetting what it knew: usual are 1e-5 to 1e-4."""
GENTLE_ADAPTERS = 3e-3
"""The same where adapters learn, which begin with nothing: usual are 1e-4 to 1e-3."""
INTERVALS = {
    "log_every": "no line of losses is logged",
    "health_every": "nobody looks whether the decoder listens",
    "evaluate_every": "dev manifests are decoded at its end only",
    "checkpoint_every": "its state is saved at its end only: killed before, it starts over",
}
"""Setting → what it means where the run ends before it comes to it."""
BEGINNINGS = {
    "ctc_only_steps": "the decoder learns nothing",
    "new_only_steps": "nothing learns but what is new",
}
"""Setting that counts steps from the first → what it means where the run ends within them."""


def unsuitable(config: Config) -> Iterator[str]:
    """A line for each; what `TrainConfig.fitted` has chosen always suits."""
    train = config.train.fitted()
    yield from _of_the_length(train)
    if train.initial_model:
        yield from _of_going_on(config)


def _of_the_length(train: TrainConfig) -> Iterator[str]:
    run = f"a run of {train.max_steps:,} steps"
    if 2 * train.warmup_steps > train.max_steps + 1:
        reached = learning_rate(min(train.warmup_steps, train.max_steps) - 1, train)
        part, _ = FITTED["warmup_steps"]
        short = reached < train.learning_rate
        never = f", whose rate never comes above {reached:.3g} of {train.learning_rate:g}" if short else ""
        yield (
            f"train.warmup_steps {train.warmup_steps:,} is much for {run}{never}; a tenth is usual, and what it is where it is"
            f" not set: --set train.warmup_steps={max(1, train.max_steps // part)}"
        )
    for name, what in INTERVALS.items():
        if getattr(train, name) > train.max_steps:
            yield f"train.{name} {getattr(train, name):,} is more than {run}: {what}"
    for name, what in BEGINNINGS.items():
        if getattr(train, name) >= train.max_steps:
            yield f"train.{name} {getattr(train, name):,} is not less than {run}: {what}"
    if train.token_dropout and train.token_dropout_after >= train.max_steps:
        yield f"train.token_dropout_after {train.token_dropout_after:,} is not less than {run}: no token is dropped"


def _of_going_on(config: Config) -> Iterator[str]:
    train = config.train
    most, usual = (GENTLE_ADAPTERS, "1e-4 to 1e-3") if train.lora.rank else (GENTLE, "1e-5 to 1e-4")
    if train.learning_rate > most:
        yield (
            f"train.learning_rate {train.learning_rate:g} suits random weights; a model that goes on forgets much at it:"
            f" {usual} are usual"
        )
    if config.model.ctc and not train.ctc_weight and not train.ctc_only_steps and "encoder" not in train.frozen:
        yield (
            "the CTC head is not trained and will fit the changed encoder less and less, but takes part in decoding:"
            " --set train.ctc_weight=0.3 trains it too, --set decode.ctc_weight=0 does without it"
        )
