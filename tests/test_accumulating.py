"""A step of several batches learns what it would from the one batch that they make together, on any number of processes."""

import dataclasses

import pytest
import torch

from asr.corpus.batching import Batch, make_batch, weighed
from asr.corpus.manifest import read_manifest, write_manifest
from asr.errors import AsrError
from asr.features.augment import AugmentConfig
from asr.training.config import Config
from asr.training.distributed import Ranks
from asr.training.loop import train
from asr.training.objective import Objective, losses_of
from tests.conftest import random_model
from tests.runs import QUIET, changed, first_step, lines_of, quickly, with_data
from tests.test_model import sounds

TEXTS = [[4, 5, 6, 7, 8, 9, 10, 11], [4], [], [12, 5], [6, 6, 6, 7, 4], [9, 8, 7]]
SECONDS = [1.4, 0.3, 0.5, 0.7, 1.2, 0.9]
SILENT = 2
"""The utterance that says nothing."""
SPLITS = [[[0], [1, 2, 3, 4, 5]], [[0, 4], [2], [1, 3, 5]], [[n] for n in range(6)]]
OBJECTIVES = {
    "cross-entropy": Objective(),
    "smoothed": Objective(label_smoothing=0.1),
    "ctc": Objective(ctc_weight=1.0),
    "both": Objective(label_smoothing=0.1, ctc_weight=0.3),
    "sounds and two views": Objective(
        ctc_weight=0.5, syllables=torch.arange(24).clamp(max=9), syllable_share=0.4, consistency=0.2
    ),
}


def batches_of(split, tokenizer) -> list[Batch]:
    """A batch of each group of the six utterances; one of them says nothing."""
    audio = sounds(*SECONDS)
    return [
        make_batch([str(n) for n in group], [audio[n] for n in group], [TEXTS[n] for n in group], tokenizer)
        for group in split
    ]


def gradient_of(batches: list[Batch], objective: Objective) -> torch.Tensor:
    """Of a step on these batches, all parameters in one vector."""
    model = random_model()
    counts = sum(batch.tokens for batch in batches), sum(len(batch.targets) for batch in batches)
    for batch in weighed(batches, *counts):
        losses_of(model, batch, objective).total.backward()
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


@pytest.mark.parametrize("name", OBJECTIVES)
def test_batches_of_a_step_have_the_gradient_of_the_one_they_make(name, tokenizer):
    whole = gradient_of(batches_of([range(6)], tokenizer), OBJECTIVES[name])
    for split in SPLITS:
        found = gradient_of(batches_of(split, tokenizer), OBJECTIVES[name])
        assert (found - whole).abs().max() <= 1e-6 * whole.norm()


def test_a_ctc_loss_of_sounds_alone_is_one_an_utterance(tokenizer):
    """In which nothing is said: as many of them cost what one does, and not the sum."""
    one, three = (batches_of([[SILENT] * n], tokenizer)[0] for n in (1, 3))
    costs = [losses_of(random_model(), batch, OBJECTIVES["ctc"]).ctc.item() for batch in (one, three)]
    assert costs[1] == pytest.approx(costs[0], rel=1e-5)
    apart, together = (
        gradient_of(batches_of(split, tokenizer), OBJECTIVES["both"]) for split in ([[2], [2, 1]], [[2, 2, 1]])
    )
    assert (apart - together).abs().max() <= 1e-6 * together.norm()


def step_on(batches: list[Batch], tokenizer, **settings):
    """The numbers of a step that changes nothing, and its gradient."""
    model, found = random_model(), []
    config = Config(model=model.config, augment=AugmentConfig(frequency_masks=0, time_masks=0))
    config = changed(config, accumulate=len(batches), clip=1e9, **settings)
    optimizer = torch.optim.SGD(model.parameters(), 0.0)
    optimizer.register_step_pre_hook(
        lambda *_: found.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
    )
    numbers = first_step(model, optimizer, batches, config, tokenizer.table)
    return numbers, found[0]


@pytest.mark.parametrize(("precision", "within"), [("float32", 1e-6), ("bfloat16", 0.05)])
def test_a_step_logs_and_learns_means_over_its_tokens(tokenizer, precision, within):
    whole, gradient = step_on(batches_of([range(6)], tokenizer), tokenizer, ctc_weight=0.3, precision=precision)
    for split in SPLITS:
        numbers, found = step_on(batches_of(split, tokenizer), tokenizer, ctc_weight=0.3, precision=precision)
        assert found.dtype == torch.float32 and (found - gradient).abs().max() <= within * gradient.norm()
        assert numbers.to_log() == pytest.approx(whole.to_log(), rel=5 * within)
        assert numbers.share == pytest.approx(1.0) and numbers.seconds == pytest.approx(whole.seconds)


def test_a_batch_that_is_not_a_number_leaves_the_mean_over_the_others(tokenizer):
    """Without CTC exactly so; both losses are weighed anew by the decoder's tokens."""
    first, second, third = batches_of([[0, 4], [3], [1, 5]], tokenizer)
    spoiled = dataclasses.replace(second, samples=second.samples * float("nan"))
    numbers, found = step_on([first, spoiled, third], tokenizer, precision="float32")
    expected, gradient = step_on([first, third], tokenizer, precision="float32")
    assert numbers.not_finite == ["3"] and numbers.ids == expected.ids
    assert (found - gradient).norm() <= 1e-6 * gradient.norm()
    assert numbers.to_log() == pytest.approx(expected.to_log(), rel=1e-5)


def test_processes_learn_what_one_does_from_all_in_one_batch(config, corpus, monkeypatch, tmp_path):
    """Eight utterances, all in each step, however they are shared out; their texts differ in length."""
    quickly(monkeypatch)
    some = tmp_path / "some.jsonl"
    write_manifest(some, read_manifest(corpus["train"])[:8])
    parts = (dataclasses.replace(part, dropout=0.0) for part in (config.model.encoder, config.model.decoder))
    encoder, decoder = parts
    plain = dataclasses.replace(
        with_data(config, train=(str(some),), dev=(), batch_seconds=1e4, max_utterances=8),
        model=dataclasses.replace(config.model, encoder=encoder, decoder=decoder),
        features=dataclasses.replace(config.features, dither=0.0),
        augment=AugmentConfig(frequency_masks=0, time_masks=0),
    )
    plain = changed(plain, precision="float32", max_steps=2, health_every=0)
    whole = train(plain, tmp_path / "whole", display=QUIET)
    settings = changed(with_data(plain, max_utterances=2), accumulate=4, processes=2)
    found = lines_of(train(settings, tmp_path / "parts", display=QUIET))
    expected = lines_of(whole)
    assert len(found) == len(expected) == 2
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other, rel=1e-4)


def test_what_one_process_cannot_compute_is_told_to_all(monkeypatch, tokenizer):
    """Else the others would wait for its gradient."""
    told = []
    monkeypatch.setattr(
        Ranks, "gather", lambda ranks, value, gather=Ranks.gather: told.append(value) or gather(ranks, value)
    )

    def fail(*_, **__):
        raise AsrError("9 places are more than the 8 that the model has positions for")

    monkeypatch.setattr("asr.training.step.add_gradients", fail)
    with pytest.raises(AsrError, match="9 places are more than the 8"):
        step_on(batches_of([[0]], tokenizer), tokenizer)
    assert isinstance(told[-1], AsrError)
