"""Rates of single parts, parts that stay as they are, and new parts that learn before the others."""

import pytest
import torch

from asr.corpus.toy import prepare_toy
from asr.errors import ConfigError
from asr.interop.importing import import_model
from asr.model.folder import load_model, read_weights
from asr.training.checkpoint import load_state
from asr.training.initial import BY_TOKEN, from_model
from asr.training.loop import train
from asr.training.optimizer import known_rows, make_optimizer, rate_factor, set_rate
from asr.training.train_config import TrainConfig
from tests.conftest import random_model
from tests.runs import QUIET, Lines, changed, small_run
from tests.test_interop import FIXTURES


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return prepare_toy(tmp_path_factory.mktemp("small"), n_train=24, n_dev=2, n_test=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return import_model("firered", FIXTURES / "fireredasr-aed", tmp_path_factory.mktemp("model") / "aed").folder


@pytest.fixture
def recipe(corpus):
    sets = ("data.curriculum_epochs=0", "data.min_count=1", "train.max_steps=3", "train.checkpoint_every=1")
    return small_run(corpus, *sets, "train.warmup_steps=0", "model.ctc=true", "train.ctc_weight=0.3")


def test_the_longest_name_counts():
    settings = TrainConfig(rates={"encoder": 0.3, "encoder.blocks.1": 0.5, "ctc": 10.0})
    factors = [
        rate_factor(name, settings) for name in ("encoder.norm.weight", "encoder.blocks.1.a", "encoder.blocks.10.a")
    ]
    assert factors == [0.3, 0.5, 0.3]
    assert rate_factor("decoder.out.bias", settings) == 1.0 and rate_factor("ctc.weight", settings) == 10.0


def test_groups_have_their_own_rates_and_frozen_parts_none():
    model = random_model()
    settings = TrainConfig(rates={"encoder": 0.5}, frozen=("subsampling", "encoder.blocks.0"), weight_decay=0.1)
    optimizer = make_optimizer(model, settings)
    set_rate(optimizer, 0.01)
    rate = {p: (g["lr"], g["weight_decay"]) for g in optimizer.param_groups for p in g["params"]}
    for name, parameter in model.named_parameters():
        if name.startswith(("subsampling.", "encoder.blocks.0.")):
            assert parameter not in rate and not parameter.requires_grad, name
        else:
            expected = 0.005 if name.startswith("encoder.") else 0.01
            decay = 0.0 if parameter.ndim < 2 or name == "decoder.embedding.weight" else 0.1
            assert rate[parameter] == (pytest.approx(expected), decay), name


@pytest.mark.parametrize("settings", [TrainConfig(rates={"encode": 0.5}), TrainConfig(frozen=("encoder.block",))])
def test_a_part_that_is_not_there_is_named(settings):
    with pytest.raises(ConfigError, match="the model has no part 'encod.*it has .*decoder, encoder, subsampling"):
        make_optimizer(random_model(), settings)


def test_a_rate_below_0_is_refused():
    with pytest.raises(ConfigError, match="train.rates.encoder must be 0 or more, is -1"):
        TrainConfig(rates={"encoder": -1.0})


@pytest.mark.parametrize("processes", [1, 2])
def test_frozen_parts_stay_bit_for_bit(recipe, folder, tmp_path, processes):
    config = changed(from_model(recipe, folder), frozen=("encoder",), processes=processes, accumulate=2)
    before, after = (
        read_weights(folder / "model.safetensors")[0],
        load_state(train(config, tmp_path / "run", display=QUIET)),
    )
    for name, tensor in before.items():
        same = torch.equal(tensor.float(), after["model"][name][: len(tensor)] if tensor.ndim else after["model"][name])
        assert same == name.startswith(("encoder.", "cmvn.")) or "running" in name, name


def test_what_is_new_learns_first(recipe, folder, tmp_path):
    """A CTC head and rows of new tokens: until `new_only_steps` all that was there is as it was; then it learns too."""
    config = changed(from_model(recipe, folder), new_only_steps=2)
    before = read_weights(folder / "model.safetensors")[0]
    early = load_state(train(config, tmp_path / "run", display=QUIET, stop_after=2))["model"]
    for name, tensor in before.items():
        known = early[name][: len(tensor)] if name in BY_TOKEN else early[name]
        assert torch.equal(tensor.float(), known) or "running" in name, name
    late = load_state(train(config, tmp_path / "run", display=QUIET))["model"]  # goes on where it was
    assert not torch.equal(
        early["encoder.blocks.0.attention.query.weight"], late["encoder.blocks.0.attention.query.weight"]
    )
    first = load_state(train(changed(config, max_steps=1), tmp_path / "first", display=QUIET))["model"]
    new = len(before["decoder.embedding.weight"])
    assert not torch.equal(first["ctc.weight"], early["ctc.weight"])
    assert not torch.equal(first["decoder.embedding.weight"][new:], early["decoder.embedding.weight"][new:])


def test_known_rows(recipe, folder):
    config = from_model(recipe, folder)
    before = load_model(folder)
    from asr.model.model import SpeechModel

    model = SpeechModel(config.features, config.model, len(before.tokenizer.table) + 3)
    known = known_rows(model, folder)
    assert known["ctc.weight"] == 0 and known["encoder.blocks.0.attention.query.weight"] is None
    assert known["decoder.embedding.weight"] == len(before.tokenizer.table)


def test_such_a_start_does_not_destroy_what_was_there(recipe, folder, tmp_path):
    """The loss of what the model knows after a step with a new head is at most a little above what it was."""
    config = changed(from_model(recipe, folder), new_only_steps=1, max_steps=1, learning_rate=1e-3)
    before, after = load_model(folder), load_model(train(config, tmp_path / "run", display=QUIET))
    losses = [heard_loss(loaded.model) for loaded in (before, after)]
    assert losses[1] <= losses[0] + 1e-5


def heard_loss(model) -> float:
    """Of the decoder, for a second of noise and tokens that both models have, over those tokens alone."""
    samples = torch.randn(2, 16000, generator=torch.Generator().manual_seed(1)) * 0.1
    with torch.inference_mode():
        memory = model.encode(samples, torch.full((2,), 16000))
        logits = model.decode_teacher_forced(memory, torch.tensor([[2, 6, 7, 8], [2, 9, 6, 5]]))[..., :20]
    return float(torch.nn.functional.cross_entropy(logits.flatten(0, 1), torch.tensor([6, 7, 8, 3, 9, 6, 5, 3])))


@pytest.mark.parametrize("able", [True, False])
def test_bfloat16_on_a_cpu_without_it_is_told(recipe, folder, tmp_path, monkeypatch, able):
    abilities = {"architecture": "x86_64", "avx512_bf16": able, "amx_bf16": False}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: abilities, raising=False)
    shown = Lines()
    train(changed(from_model(recipe, folder), max_steps=1, precision="bfloat16"), tmp_path / "run", display=shown)
    assert any("train.precision = float32 is many times faster here" in line for line in shown.lines) is not able


def test_dropout_is_that_of_the_model_unless_asked_for(recipe, folder):
    kept = load_model(folder).model.config
    config = from_model(recipe, folder)
    assert (config.model.encoder.dropout, config.model.decoder.dropout) == (kept.encoder.dropout, kept.decoder.dropout)
    asked = from_model(recipe, folder, ["model.encoder.dropout"])
    assert asked.model.encoder.dropout == recipe.model.encoder.dropout
    assert asked.model.decoder.dropout == kept.decoder.dropout
