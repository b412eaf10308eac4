"""Half precision, and blocks that are computed twice or compiled: the same training, in less memory or time."""

import pytest
import torch

from asr.errors import ConfigError
from asr.features.fbank import pad_samples
from asr.model.model import SpeechModel
from asr.training import loss_scale, optimizer
from asr.training.checkpoint import Progress, load_state
from asr.training.loop import train
from asr.training.loss_scale import after_step
from asr.training.optimizer import ready_to_train
from asr.training.train_config import TrainConfig
from tests.conftest import random_model
from tests.runs import QUIET, changed, logged_losses, losses_with
from tests.test_model import KINDS, sounds

HALF = TrainConfig(precision="float16")


def test_the_factor_is_halved_where_a_gradient_overflows_and_doubled_after_many_that_do_not():
    progress = Progress()
    assert after_step(progress, HALF, False) and progress.loss_scale == 2.0**15
    for _ in range(loss_scale.GROWS_AFTER - 1):
        assert not after_step(progress, HALF, True)
    assert progress.loss_scale == 2.0**15
    after_step(progress, HALF, True)
    assert (progress.loss_scale, progress.scaled_steps) == (2.0**16, 0)
    progress.loss_scale = 1.0
    assert not after_step(progress, HALF, False) and progress.loss_scale == 1.0  # then the data are at fault
    for precision in ("float32", "bfloat16"):
        untouched = Progress()
        assert not after_step(untouched, TrainConfig(precision=precision), False) and untouched == Progress()


def starting_with(scale: float):
    """How a run begins whose losses are multiplied by another factor than usual."""
    usual = Progress.__init__
    return lambda self, **values: usual(self, **{"loss_scale": scale} | values)


def test_float16_trains_as_float32_does(config, tmp_path, monkeypatch):
    monkeypatch.setattr(Progress, "__init__", starting_with(2.0**8))
    whole, half = (
        train(changed(config, precision=name, max_steps=4), tmp_path / name, display=QUIET)
        for name in ("float32", "float16")
    )
    assert len(logged_losses(half)) == 4 and logged_losses(half) == pytest.approx(logged_losses(whole), rel=0.02)
    progress = load_state(half)["progress"]
    assert (progress["loss_scale"], progress["scaled_steps"]) == (2.0**8, 4)


def test_a_gradient_that_overflows_leaves_out_a_step_and_no_utterance(config, tmp_path, monkeypatch):
    """And the factor is saved: the run goes on as if it had not been stopped."""
    monkeypatch.setattr(Progress, "__init__", starting_with(2.0**60))
    config = changed(config, precision="float16", max_steps=3)
    run = train(config, tmp_path / "run", display=QUIET)
    progress = load_state(run)["progress"]
    assert progress["loss_scale"] == 2.0**57 and progress["unusable"] == 0 and progress["quarantine"] == {}
    assert not (run / "quarantine.jsonl").exists() and logged_losses(run) == []
    for stop in (2, None):
        parts = train(config, tmp_path / "parts", display=QUIET, stop_after=stop)
    assert load_state(parts)["progress"] | {"wall_seconds": 0} == progress | {"wall_seconds": 0}


def gradients_of(model: SpeechModel, settings: TrainConfig) -> tuple[float, dict[str, torch.Tensor]]:
    ready_to_train(model, settings, torch.device("cpu"))
    samples, lengths = pad_samples(sounds(1.0, 0.6))
    inputs, targets = torch.tensor([[2, 5, 6], [2, 7, 3]]), torch.tensor([[5, 6, 3], [7, 3, -1]])
    torch.manual_seed(3)
    losses = losses_with(model, samples, lengths, inputs, targets, ctc_weight=0.3)
    losses.total.backward()
    return losses.total.item(), {name: p.grad for name, p in model.named_parameters()}


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_that_are_computed_twice_have_the_same_gradient(kind):
    """Dropout, too, is the same both times."""
    loss, kept = gradients_of(random_model(kind), TrainConfig())
    again, recomputed = gradients_of(random_model(kind), TrainConfig(activation_checkpointing=True))
    assert again == pytest.approx(loss, abs=1e-6)
    assert all(torch.allclose(kept[name], recomputed[name], atol=1e-6) for name in kept)


def test_they_keep_less():
    kept = {}
    for again in (False, True):
        model, sizes = random_model(), []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, sizes=sizes: sizes.append(t.numel()) or t, lambda t: t):
            gradients_of(model, TrainConfig(activation_checkpointing=again))
        kept[again] = sum(sizes)
    assert kept[True] < 0.7 * kept[False]


def test_compiled_blocks_have_the_same_gradient_and_are_compiled_once_for_all_lengths(monkeypatch):
    graphs = []

    def compiler(graph, inputs):
        graphs.append(graph)
        return graph.forward

    torch._dynamo.reset()
    monkeypatch.setattr(optimizer, "COMPILER", compiler)
    loss, plain = gradients_of(random_model(), TrainConfig())
    model = random_model()
    again, compiled = gradients_of(model, TrainConfig(compile=True))
    assert again == pytest.approx(loss, abs=1e-5) and graphs
    assert all(torch.allclose(plain[name], compiled[name], atol=1e-5) for name in plain)
    assert list(model.state_dict()) == list(random_model().state_dict())
    n = len(graphs)
    for seconds in (0.8, 1.3, 2.1, 2.9):
        samples, lengths = pad_samples(sounds(seconds, 0.6, 0.7))
        tokens = torch.full((3, round(4 * seconds)), 5)
        losses_with(model, samples, lengths, tokens, tokens).total.backward()
    assert len(graphs) <= n + 4


def test_other_precisions_are_refused():
    with pytest.raises(ConfigError, match="train.precision must be one of bfloat16, float16, float32, is 'float8'"):
        TrainConfig(precision="float8")
