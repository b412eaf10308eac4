"""Training a Transformer language model on plain text."""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from asr.config_checks import check_above_zero
from asr.config_values import from_dict, merged
from asr.errors import ConfigError, ManifestError
from asr.model.language_model import LanguageModel, LanguageModelConfig, save_language_model
from asr.text.tokenizer import IGNORED, TokenTable


@dataclass(frozen=True)
class LanguageModelTraining:
    """How a language model is trained; `asr train-lm --kind transformer --set …` changes it."""

    model: LanguageModelConfig = field(default_factory=LanguageModelConfig)
    """The network."""
    epochs: int = 10
    """Passes over the texts."""
    batch_tokens: int = 4000
    """Tokens of a batch, padding included."""
    learning_rate: float = 1e-3
    """Its largest value; it rises over a twentieth of the steps and falls to zero as a cosine."""
    weight_decay: float = 0.01
    """Weight decay of AdamW."""
    held_out: float = 0.02
    """Share of the texts, the same in each run, that perplexity is measured on and nothing is learnt from."""
    min_count: int = 1
    """Characters that occur less often become `<unk>`; a model's own tokens stay all."""
    seed: int = 1
    """Seed of the initial weights and the order of batches."""

    def __post_init__(self):
        check_above_zero("", self, "epochs", "batch_tokens", "learning_rate", "min_count")
        if not 0 < self.held_out < 1:
            raise ConfigError(f"held_out must be between 0 and 1, is {self.held_out:g}")


def training_settings(values: dict) -> LanguageModelTraining:
    """Settings from nested plain values over the defaults. Raises ConfigError with the name of what cannot be."""
    # a language model's decoder has defaults of its own
    return from_dict(LanguageModelTraining, merged(asdict(LanguageModelTraining()), values), "")


def train_language_model(
    sentences: Sequence[list[str]],
    out: Path,
    settings: LanguageModelTraining,
    say: Callable[[str], None],
    *,
    table: TokenTable | None = None,
) -> float:
    """Trains on sentences, lists of symbols, and writes the folder `out` after each epoch that is the best so far.

    table: the symbols that there are, such as a model's own tokens; without one, those that occur in the sentences.
    Returns the perplexity per symbol, eos included, of the sentences held out. Raises ManifestError where there are too few.
    """
    table = table or TokenTable.build(["".join(s) for s in sentences], settings.min_count)
    texts = [[table.ids.get(symbol, table.unk) for symbol in sentence] for sentence in sentences if sentence]
    shuffled = random.Random(0).sample(texts, len(texts))
    distinct = list(dict.fromkeys(map(tuple, shuffled)))
    held = distinct[: max(1, round(settings.held_out * len(distinct)))]
    unseen = set(held)  # wherever else they occur
    learnt = [text for text in shuffled if tuple(text) not in unseen]
    if not learnt:
        raise ManifestError(f"{len(distinct)} different sentences are too few to train on some and measure on others")
    torch.manual_seed(settings.seed)
    model = LanguageModel(settings.model, len(table))
    say(
        f"{len(learnt):,} sentences, {len(table):,} tokens, {sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters"
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    steps = settings.epochs * len(list(_batches(learnt, settings, 0)))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _share_of_rate(step, steps))
    best = math.inf
    for epoch in range(settings.epochs):
        model.train()
        for batch in _batches(learnt, settings, epoch):
            loss, n = _loss(model, batch, table)
            (loss / n).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            schedule.step()
        reached = perplexity(model, held, table, settings)
        say(f"epoch {epoch + 1} of {settings.epochs}: perplexity {reached:.2f} on {len(held):,} sentences held out")
        if reached < best:
            best = reached
            save_language_model(out, model, table, {"perplexity": f"{best:.2f}", "epoch": str(epoch + 1)})
    return best


@torch.inference_mode()
def perplexity(
    model: LanguageModel, texts: Sequence[Sequence[int]], table: TokenTable, settings: LanguageModelTraining
) -> float:
    """The perplexity a token, eos included, of texts, which are lists of ids."""
    model.eval()
    losses = [_loss(model, batch, table) for batch in _batches(texts, settings, 0)]
    return math.exp(sum(float(loss) for loss, _ in losses) / sum(n for _, n in losses))


def _batches(
    texts: Sequence[Sequence[int]], settings: LanguageModelTraining, epoch: int
) -> Iterator[list[Sequence[int]]]:
    """Texts of similar length together, in another order each epoch."""
    order = sorted(texts, key=len)
    groups: list[list[Sequence[int]]] = [[]]
    for text in order:
        if groups[-1] and (len(groups[-1]) + 1) * (len(text) + 1) > settings.batch_tokens:
            groups.append([])
        groups[-1].append(text)
    random.Random(settings.seed + epoch).shuffle(groups)
    yield from groups


def _loss(model: LanguageModel, texts: Sequence[Sequence[int]], table: TokenTable) -> tuple[Tensor, int]:
    """Summed cross-entropy of the texts in nats, and how many tokens that is of."""
    inputs = pad_sequence(
        [torch.tensor([table.sos, *text]) for text in texts], batch_first=True, padding_value=table.eos
    )
    targets = pad_sequence(
        [torch.tensor([*text, table.eos]) for text in texts], batch_first=True, padding_value=IGNORED
    )
    log_probs, _ = model(inputs[:, None], model.start(len(texts)))
    loss = F.nll_loss(log_probs[:, 0].flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="sum")
    return loss, sum(len(text) + 1 for text in texts)


def _share_of_rate(step: int, steps: int) -> float:
    warm = max(1, steps // 20)
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))
