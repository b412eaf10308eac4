"""Low-rank adapters: what they add, what learns, and that they become part of the network again."""

import pytest
import torch

from asr.errors import ConfigError
from asr.model.adapters import LoraConfig, add_adapters, kept_tensors, merged
from asr.training.optimizer import learning, make_optimizer
from asr.training.train_config import TrainConfig
from tests.conftest import random_model

KINDS = {
    "transformer": {},
    "conformer": {"kind": "conformer", "positions": "relative"},
    "e_branchformer": {"kind": "e_branchformer", "positions": "relative"},
    "conformer with batch norms": {"kind": "conformer", "conv_norm": "batch"},
}


def adapted(lora: LoraConfig, random_products: bool = False, **model):
    model = random_model(**model)
    add_adapters(model, lora)
    if random_products:
        generator = torch.Generator().manual_seed(5)
        for name, parameter in model.named_parameters():
            if name.endswith(".lora_b"):
                parameter.data.normal_(generator=generator)
    return model


def answers(model) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of decoder and CTC head for two sounds."""
    samples = torch.randn(2, 16000, generator=torch.Generator().manual_seed(1)) * 0.1
    with torch.inference_mode():
        memory = model.encode(samples, torch.tensor([16000, 12000]))
        return model.decode_teacher_forced(memory, torch.tensor([[2, 6, 7], [2, 9, 6]])), model.ctc_log_probs(memory)


@pytest.mark.parametrize("kind", KINDS)
def test_merged_is_unmerged(kind):
    lora = LoraConfig(rank=3, alpha=6.0)
    plain, changed = random_model(**KINDS[kind]), adapted(lora, random_products=True, **KINDS[kind])
    apart = answers(changed)
    assert max(float((a - b).abs().max()) for a, b in zip(apart, answers(plain), strict=True)) > 0.1
    plain.load_state_dict(merged(plain.state_dict(), kept_tensors(changed), lora), strict=False)
    for one, other in zip(answers(plain), apart, strict=True):
        assert torch.allclose(one, other, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_start_is_the_base_exactly(kind):
    plain, changed = random_model(**KINDS[kind]), adapted(LoraConfig(rank=2), **KINDS[kind])
    for one, other in zip(answers(plain), answers(changed), strict=True):
        assert torch.equal(one, other)
    same = merged(plain.state_dict(), kept_tensors(changed), LoraConfig(rank=2))
    assert all(torch.equal(tensor, same[name]) for name, tensor in plain.state_dict().items())


def test_the_product_by_hand():
    """W + alpha / rank · B A."""
    base = {"query.weight": torch.zeros(2, 3)}
    both = {"query.lora_a": torch.tensor([[1.0, 0.0, 2.0]]), "query.lora_b": torch.tensor([[3.0], [5.0]])}
    whole = merged(base, both, LoraConfig(rank=1, alpha=2.0))
    assert whole["query.weight"].tolist() == [[6.0, 0.0, 12.0], [10.0, 0.0, 20.0]]


@pytest.mark.parametrize("kind", KINDS)
def test_only_adapters_get_gradients(kind):
    """And a batch norm keeps its statistics, though the model is in training mode."""
    model = adapted(LoraConfig(rank=2), random_products=True, **KINDS[kind]).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    optimizer = make_optimizer(model, TrainConfig(weight_decay=0.1))
    memory = model.encode(torch.randn(2, 16000) * 0.1, torch.tensor([16000, 12000]))
    model.decode_teacher_forced(memory, torch.tensor([[2, 6, 7], [2, 9, 6]])).sum().backward()
    optimizer.step()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None) == (".lora_" in name), name
    for name, tensor in model.state_dict().items():
        assert torch.equal(before[name], tensor) != (".lora_" in name), name


def names(lora: LoraConfig) -> set[str]:
    return {name.rpartition(".")[0] for name in kept_tensors(adapted(lora))}


def test_parts_and_projections_are_named():
    both = names(LoraConfig(rank=2))
    assert len(both) == 2 * (4 + 2) + 2 * (4 + 4 + 2)
    assert "encoder.blocks.1.attention.query" in both and "decoder.layers.0.feed_forward.3" in both
    one = LoraConfig(
        rank=2, parts=("decoder.layers.1.cross_attention", "encoder.blocks.0"), projections=("query", "value")
    )
    assert names(one) == {
        f"{part}.{name}"
        for part in ("decoder.layers.1.cross_attention", "encoder.blocks.0.attention")
        for name in ("query", "value")
    }
    assert names(LoraConfig(rank=2, parts=("encoder",), projections=("feed_forward",))) == {
        f"encoder.blocks.{i}.feed_forward.{j}" for i in (0, 1) for j in (0, 3)
    }


def test_rates_of_parts_are_those_of_their_adapters():
    model = adapted(LoraConfig(rank=2))
    optimizer = make_optimizer(model, TrainConfig(rates={"encoder.blocks.0": 0.1, "decoder": 2.0}))
    factors = {parameter: group["factor"] for group in optimizer.param_groups for parameter in group["params"]}
    assert set(factors) == set(learning(model))
    for name, parameter in model.named_parameters():
        if parameter in factors:
            expected = 0.1 if name.startswith("encoder.blocks.0.") else 2.0 if name.startswith("decoder.") else 1.0
            assert factors[parameter] == expected, name


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"parts": ("encodr",)},
            "train.lora.parts: the model has no part 'encodr' with query or .*such are in decoder, encoder",
        ),
        ({"parts": ("ctc",)}, "train.lora.parts: the model has no part 'ctc' with"),
        ({"parts": ()}, "train.lora.parts: names no part, so that nothing would learn"),
        ({"rank": 17}, "train.lora.rank must be at most 16, that of the smallest matrix, is 17"),
        ({"rank": -1}, "train.lora.rank must be 0 or more, is -1"),
        ({"alpha": 0.0}, "train.lora.alpha must be above 0, is 0"),
        ({"dropout": 1.0}, "train.lora.dropout must be from 0 to below 1, is 1"),
        ({"projections": ("q",)}, "train.lora.projections must be some of query, key, .*is 'q' among them"),
    ],
)
def test_what_cannot_be_is_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        add_adapters(random_model(), LoraConfig(**{"rank": 2} | settings))


@pytest.mark.parametrize(
    "tensors",
    [
        {"query.lora_a": torch.zeros(1, 3)},
        {"query.lora_b": torch.zeros(2, 1)},
        {"query.lora_a": torch.zeros(1, 4), "query.lora_b": torch.zeros(2, 1)},
        {"query.lora_a": torch.zeros(1, 3), "query.lora_b": torch.zeros(2, 2)},
        {"key.lora_a": torch.zeros(1, 3), "key.lora_b": torch.zeros(2, 1)},
        {"query.weight": torch.zeros(2, 3)},
    ],
)
def test_adapters_of_another_network_are_refused(tensors):
    with pytest.raises(ValueError, match=r"is not two matrices beside a weight of the base|has the shapes \(1, "):
        merged({"query.weight": torch.zeros(2, 3)}, tensors, LoraConfig(rank=1))
