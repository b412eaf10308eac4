"""Low-rank adapters (LoRA, Hu et al. 2021, arXiv:2106.09685): what learns in the place of a matrix that stays as it is.

Beside a projection of attention or feed-forward, x → W x, stands x → alpha / rank · B A x: A has `rank` rows, and B, which
has as many columns, begins at 0. Afterwards their product is added to W, and the network is one like any other.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from asr.config_checks import check_above_zero, check_below_one, check_not_negative
from asr.errors import ConfigError
from asr.foreign_bytes import listed, quoted
from asr.model.layers import Attention, Dropout, FeedForward

A, B = ".lora_a", ".lora_b"
"""What the name of a projection has behind it in those of its two matrices."""
PROJECTIONS = ("query", "key", "value", "out", "feed_forward")
"""What can have adapters: four matrices of attention, and the two of a feed-forward part."""


@dataclass(frozen=True)
class LoraConfig:
    """Low-rank adapters, which learn while the model that a run goes on from stays as it is."""

    rank: int = 0
    """Rank of the adapters: 4 to 32 are usual. 0: none, the whole model learns."""
    alpha: float = 16.0
    """What they add is multiplied by alpha / rank, so that another rank needs no other learning rate."""
    dropout: float = 0.0
    """Share of a projection's input channels that its adapter does not see in training."""
    parts: tuple[str, ...] = ("encoder", "decoder")
    """Parts of the model that get adapters, named as in train.frozen: `decoder`, `encoder.blocks.5.attention`."""
    projections: tuple[str, ...] = PROJECTIONS
    """Which projections of these parts: query, key, value and out of attention, feed_forward."""

    def __post_init__(self):
        check_not_negative("train.lora", self, "rank")
        check_above_zero("train.lora", self, "alpha")
        check_below_one("train.lora", self, "dropout")
        for name in self.projections:
            if name not in PROJECTIONS:
                raise ConfigError(
                    f"train.lora.projections must be some of {', '.join(PROJECTIONS)}, is {quoted(name)} among them"
                )

    @property
    def scale(self) -> float:
        """What the product of the two matrices is multiplied by."""
        return self.alpha / self.rank


class AdaptedLinear(nn.Module):
    """A linear layer, which stays as it is, and its adapter."""

    def __init__(self, layer: nn.Linear, config: LoraConfig):
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias
        self.scale, self.dropout = config.scale, Dropout(config.dropout)
        self.lora_a = nn.Parameter(torch.empty(config.rank, layer.in_features))
        self.lora_b = nn.Parameter(torch.zeros(layer.out_features, config.rank))
        nn.init.kaiming_uniform_(self.lora_a, a=5**0.5)  # as a linear layer's own weights

    def forward(self, x: Tensor) -> Tensor:
        """x (…, I) → (…, O)."""
        return F.linear(x, self.weight, self.bias) + self.scale * F.linear(
            F.linear(self.dropout(x), self.lora_a), self.lora_b
        )


def is_of(name: str, part: str) -> bool:
    """Whether a tensor or module is the part, or in it."""
    return name == part or name.startswith(part + ".")


def add_adapters(model: nn.Module, config: LoraConfig) -> int:
    """Gives a model its adapters, in place; from then on nothing else of it learns. Returns how many there are.

    Raises ConfigError for a part that the model does not have or that has no such projection, and for too high a rank.
    """
    targets = list(_projections(model, config))
    for part in config.parts:
        if not any(is_of(name, part) for name, _, _ in targets):
            known = sorted({name.partition(".")[0] for name, _, _ in _projections(model, LoraConfig())})
            raise ConfigError(
                f"train.lora.parts: the model has no part {quoted(part)} with {' or '.join(config.projections) or 'projections'};"
                f" such are in {listed(known)}"
            )
    chosen = [target for target in targets if any(is_of(target[0], part) for part in config.parts)]
    if not chosen:
        raise ConfigError("train.lora.parts: names no part, so that nothing would learn")
    most = min(min(layer.weight.shape) for _, _, layer in chosen)
    if config.rank > most:
        raise ConfigError(f"train.lora.rank must be at most {most}, that of the smallest matrix, is {config.rank}")
    model.requires_grad_(False)
    for name, parent, layer in chosen:
        setattr(parent, name.rpartition(".")[2], AdaptedLinear(layer, config))
    return len(chosen)


def _projections(model: nn.Module, config: LoraConfig) -> Iterator[tuple[str, nn.Module, nn.Linear]]:
    """(name, what it is in, itself) of each projection of these kinds."""
    for place, module in model.named_modules():
        if isinstance(module, Attention | FeedForward):
            for name, layer in module.named_children():
                kind = name if isinstance(module, Attention) else "feed_forward"
                if isinstance(layer, nn.Linear) and kind in config.projections:
                    yield f"{place}.{name}", module, layer


def is_adapter(name: str) -> bool:
    """Whether a tensor is one of an adapter's two matrices."""
    return name.endswith((A, B))


def kept_tensors(model: nn.Module) -> dict[str, Tensor]:
    """What is to be kept of a model: of an adapted one its adapters alone, of another one everything."""
    tensors = model.state_dict()
    return {name: tensor for name, tensor in tensors.items() if is_adapter(name)} or tensors


def load_kept(model: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Puts `kept_tensors` back. Raises ValueError or RuntimeError where they are not those of this model."""
    if odd := sorted(tensors.keys() ^ kept_tensors(model).keys()):
        raise ValueError(f"{listed(odd)} is only in one of them")
    model.load_state_dict(tensors, strict=False)


def merged(base: dict[str, Tensor], adapters: dict[str, Tensor], config: LoraConfig) -> dict[str, Tensor]:
    """The tensors of a model, to whose weights those of its adapters are added; the adapted ones are float32.

    Raises ValueError for what is no adapter of this model.
    """
    whole = dict(base)
    for name in sorted({name.removesuffix(A).removesuffix(B) for name in adapters}):
        down, up, weight = adapters.get(name + A), adapters.get(name + B), base.get(f"{name}.weight")
        if down is None or up is None or weight is None or weight.ndim != 2:
            raise ValueError(f"{listed([name])} is not two matrices beside a weight of the base")
        if up.shape != (len(weight), config.rank) or down.shape != (config.rank, weight.shape[1]):
            raise ValueError(
                f"{listed([name])} has the shapes {tuple(down.shape)} and {tuple(up.shape)}, the weight"
                f" {tuple(weight.shape)}, the rank is {config.rank}"
            )
        whole[f"{name}.weight"] = weight.float() + config.scale * (up.float() @ down.float())
    return whole
