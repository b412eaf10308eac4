"""How a model is trained, and the learning rate at each step."""

import math
from dataclasses import dataclass, field, replace
from itertools import count

from asr.config_checks import (
    check_above_zero,
    check_at_least_one,
    check_below_one,
    check_names,
    check_not_negative,
    check_up_to_one,
)
from asr.errors import ConfigError
from asr.model.adapters import LoraConfig

AVERAGES = ("best", "last", "ema")
PRECISIONS = ("bfloat16", "float16", "float32")
SHARDINGS = ("none", "full")
FITTED = {
    "warmup_steps": (10, 5_000),
    "log_every": (10, 10),
    "evaluate_every": (5, 1_000),
    "checkpoint_every": (5, 500),
}
FITTED |= {"health_every": (5, 200)}
"""Setting → what part of `max_steps` it is where nobody has set it, and its most: settings that fit a run of any length."""


@dataclass(frozen=True)
class TrainConfig:
    """The optimisation and what is kept of it."""

    max_steps: int = 100_000
    """Optimizer steps of the whole run."""
    learning_rate: float = 1e-3
    """The highest learning rate."""
    warmup_steps: int | None = None
    """Steps over which it rises from 0; where it is not set, a tenth of max_steps, 5,000 at most."""
    decay_share: float = 1.0
    """Share of the steps after warm-up over which it falls, at the end of the run; before that it is held."""
    final_rate: float = 0.01
    """What it falls to, as a share of the highest."""
    weight_decay: float = 0.01
    """AdamW's decay of weight matrices; biases, norms and embeddings are spared."""
    beta1: float = 0.9
    """AdamW's memory of the gradient."""
    beta2: float = 0.98
    """AdamW's memory of its square."""
    clip: float = 5.0
    """Largest norm of the gradient."""
    accumulate: int = 1
    """Batches per optimizer step, on however many processes; their gradient is that of one batch of all their utterances."""
    processes: int = 1
    """Processes of this machine that share out the batches of a step, each on a core or a GPU of its own; torchrun's number
    counts where it starts the run. One is a multiple of the other: more processes than batches share out each batch."""
    initial_model: str = ""
    """A model folder whose weights, CMVN statistics and token table training starts from; empty starts from random weights."""
    new_tokens: bool = False
    """Whether characters of the training texts that the initial model cannot write are added to its token table."""
    rates: dict[str, float] = field(default_factory=dict)
    """Part → what its learning rate is multiplied by: `encoder = 0.3`. The longest name that a tensor's begins with counts."""
    frozen: tuple[str, ...] = ()
    """Parts that stay as they are: `encoder.blocks.0`, `subsampling`."""
    lora: LoraConfig = field(default_factory=LoraConfig)
    """Low-rank adapters, which learn in the place of the model."""
    new_only_steps: int = 0
    """Steps at the start in which nothing learns but what the initial model did not have, a CTC head or rows of new tokens: from
    random weights they would spoil the rest."""
    label_smoothing: float = 0.1
    """Probability spread over all tokens in the decoder's target."""
    ctc_weight: float = 0.0
    """Weight of an auxiliary CTC loss on the encoder; 0 trains with cross-entropy alone."""
    ctc_syllables: float = 0.0
    """Share of the CTC loss that counts tonal syllables in the place of characters: what the head gives to homophones is added
    up, so that a rare character is learnt from all that sound like it. Needs pypinyin."""
    ctc_consistency: float = 0.0
    """Weight, in the CTC loss, of how differently the CTC head hears two augmentations of each utterance (CR-CTC, Yao et al.
    2024, arXiv:2410.05101, which takes 0.2). Above 0 a batch holds each utterance twice, at one tempo and over one telephone,
    and takes twice as long."""
    ctc_only_steps: int = 0
    """Steps at the start that train the encoder with the CTC loss alone; the decoder then finds a memory worth listening to."""
    token_dropout: float = 0.0
    """Share of the decoder's input tokens that are replaced by `<unk>` (word dropout, Bowman et al. 2016): a decoder that knows
    the texts by heart must then listen."""
    token_dropout_after: int = 0
    """The step from which tokens are dropped."""
    token_guesses: float = 0.0
    """Share of the decoder's input tokens, on average, that are replaced by its own guesses (scheduled sampling, Bengio et al.
    2015, arXiv:1506.03099; in one pass, Mihaylova and Martins 2019, arXiv:1906.07651): it learns to find its way back."""
    precision: str = "bfloat16"
    """bfloat16 or float16 (autocast), or float32. float16 is for GPUs without bfloat16: losses are scaled, and steps whose
    gradient overflows left out."""
    activation_checkpointing: bool = False
    """Whether what the blocks compute is computed again for the gradient and not kept: a third more time, much less memory."""
    sharding: str = "none"
    """none: each process holds the whole network. full: each holds a part of it, of its gradient and of the optimizer's numbers,
    and blocks are brought together while they compute: for networks that do not fit otherwise."""
    compile: bool = False
    """Whether blocks are compiled by torch.compile, once for all lengths: for long runs on a GPU; a CPU needs a C++ compiler."""
    device: str = "auto"
    """cpu, cuda, cuda:1, …; auto takes a GPU where there is one."""
    seed: int = 1
    """Seed of the initial weights, the order of batches, dropout and augmentation."""
    log_every: int | None = None
    """Steps between two lines of log.jsonl; where it is not set, a tenth of max_steps, 10 at most."""
    evaluate_every: int | None = None
    """Steps between two decodings of the dev manifests; where it is not set, a fifth of max_steps, 1,000 at most."""
    checkpoint_every: int | None = None
    """Steps between two savings of the training state; where it is not set, a fifth of max_steps, 500 at most."""
    health_every: int | None = None
    """Steps between two looks at whether the decoder listens (asr/training/health.py), 0 never looks; where it is not set, a
    fifth of max_steps, 200 at most."""
    average: int = 5
    """So many evaluated checkpoints are kept, and averaged at the end."""
    average_of: str = "best"
    """best: those with the lowest dev CER; last: the latest; ema: a moving average of every step's weights instead."""
    ema_decay: float = 0.999
    """How much of the moving average stays at each step; it reaches back about 1 / (1 - this) steps."""
    patience: int = 0
    """Evaluations in a row without a better dev CER after which the run ends; 0 goes on to max_steps."""

    def __post_init__(self):
        check_at_least_one("train", self, "max_steps", "accumulate", "processes", "average")
        check_at_least_one("train", self, "log_every", "evaluate_every", "checkpoint_every")
        check_not_negative("train", self, "warmup_steps", "weight_decay", "token_dropout_after", "ctc_consistency")
        check_not_negative("train", self, "ctc_only_steps", "new_only_steps", "health_every", "patience")
        if not 0 <= self.seed < 1 << 63:
            raise ConfigError(f"train.seed must be from 0 to {(1 << 63) - 1}, is {self.seed}")
        if not self._can_be_shared_by(self.processes):
            fewer = next(n for n in range(self.processes - 1, 0, -1) if self._can_be_shared_by(n))
            more = next(n for n in count(self.processes + 1) if self._can_be_shared_by(n))
            raise ConfigError(
                f"{self.processes} processes (train.processes, or torchrun's) cannot share out evenly the {self.accumulate}"
                f" batches of a step (train.accumulate); the nearest numbers that can are {fewer} and {more}"
            )
        check_above_zero("train", self, "learning_rate", "clip")
        check_below_one(
            "train", self, "ctc_weight", "label_smoothing", "token_dropout", "token_guesses", "beta1", "beta2"
        )
        check_up_to_one("train", self, "decay_share", "final_rate", "ctc_syllables")
        for part, factor in self.rates.items():
            if factor < 0:
                raise ConfigError(f"train.rates.{part} must be 0 or more, is {factor:g}")
        if self.lora.rank and self.new_tokens:
            raise ConfigError("train.new_tokens: low-rank adapters (train.lora) add no tokens; set it to false")
        if not 0 < self.ema_decay < 1:
            raise ConfigError(f"train.ema_decay must be between 0 and 1, is {self.ema_decay}")
        check_names("train", self, average_of=AVERAGES, precision=PRECISIONS, sharding=SHARDINGS)
        for name, set_so in (("compile", self.compile), ("average_of ema", self.average_of == "ema")):
            if self.sharding != "none" and set_so:
                raise ConfigError(f"train.sharding {self.sharding} does not go with train.{name}: give up one of them")

    def _can_be_shared_by(self, processes: int) -> bool:
        return self.accumulate % processes == 0 or processes % self.accumulate == 0

    @property
    def sharded(self) -> bool:
        """Whether each process has a part of the network; of one process that is all of it."""
        return self.sharding == "full" and self.processes > 1

    @property
    def parts(self) -> int:
        """How many processes share out one batch."""
        return max(1, self.processes // self.accumulate)

    def takes(self, index: int, rank: int) -> bool:
        """Whether process `rank` computes batch `index` of a step, or a part of it."""
        return index % (self.processes // self.parts) == rank // self.parts

    def fitted(self) -> "TrainConfig":
        """With what is not set as it fits the length of the run."""
        fitting = {name: min(most, max(1, self.max_steps // part)) for name, (part, most) in FITTED.items()}
        return replace(self, **{name: steps for name, steps in fitting.items() if getattr(self, name) is None})


def learning_rate(step: int, config: TrainConfig) -> float:
    """The rate of optimizer step 0, 1, …: linear warm-up, hold, half a cosine down to the final rate."""
    config = config.fitted()
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    decay_steps = config.decay_share * (config.max_steps - config.warmup_steps)
    left = config.max_steps - step
    if decay_steps <= 0 or left >= decay_steps:
        return config.learning_rate
    share = 0.5 - 0.5 * math.cos(math.pi * max(0.0, left / decay_steps))  # 1 at the start of the decay, 0 at its end
    return config.learning_rate * (config.final_rate + (1 - config.final_rate) * share)
