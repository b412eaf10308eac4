"""What training minimises: cross-entropy, CTC of characters and syllables, two views, guesses in the place of tokens, counts."""

import dataclasses
import json
import math

import pytest
import torch

from asr.corpus.manifest import read_manifest
from asr.errors import ConfigError
from asr.features.augment import AugmentConfig
from asr.features.fbank import FeatureConfig, pad_samples
from asr.model.layers import sinusoids_at
from asr.model.model import Memory, ModelConfig, SpeechModel
from asr.text.tokenizer import IGNORED
from asr.training.objective import consistency_loss, log_probs_of_sounds, with_guesses
from asr.training.preparation import frames_for_ctc, prepare
from tests.conftest import random_model
from tests.runs import changed, losses_with, with_data
from tests.test_model import KINDS, sounds


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_learns(kind):
    model = random_model(kind).train()
    samples, lengths = pad_samples(sounds(1.0, 0.6))
    inputs = torch.tensor([[2, 5, 6], [2, 7, 3]])
    targets = torch.tensor([[5, 6, 3], [7, 3, IGNORED]])
    losses = losses_with(model, samples, lengths, inputs, targets, label_smoothing=0.1, ctc_weight=0.3)
    losses.total.backward()
    assert torch.allclose(losses.total, 0.7 * losses.attention + 0.3 * losses.ctc)
    silent = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert [n for n in silent if not n.endswith("key.bias")] == []  # softmax cancels a bias common to all keys


def test_loss_of_a_uniform_model_is_the_log_of_the_vocabulary():
    model = random_model(vocabulary=24).train()
    torch.nn.init.zeros_(model.decoder.out.weight)
    torch.nn.init.zeros_(model.decoder.out.bias)
    samples, lengths = pad_samples(sounds(1.0, 0.6))
    losses = losses_with(model, samples, lengths, torch.tensor([[2, 5], [2, 3]]), torch.tensor([[5, 3], [3, IGNORED]]))
    assert losses.total.item() == pytest.approx(torch.tensor(24.0).log().item(), abs=1e-5)
    assert losses.ctc is None


def test_padded_targets_do_not_count():
    model = random_model()
    samples, lengths = pad_samples(sounds(1.0))
    short = losses_with(model, samples, lengths, torch.tensor([[2, 5]]), torch.tensor([[5, 3]]), ctc_weight=0.5)
    long = losses_with(
        model, samples, lengths, torch.tensor([[2, 5, 3, 3]]), torch.tensor([[5, 3, IGNORED, IGNORED]]), ctc_weight=0.5
    )
    assert torch.allclose(short.total, long.total, atol=1e-6)


def test_what_homophones_get_is_added_up():
    log_probs = torch.tensor([[[0.1, 0.2, 0.3, 0.4], [0.7, 0.1, 0.1, 0.1]]]).log()
    sounds = log_probs_of_sounds(log_probs, torch.tensor([0, 1, 2, 1]))
    assert torch.allclose(sounds.exp(), torch.tensor([[[0.1, 0.6, 0.3], [0.7, 0.2, 0.1]]]))


def test_the_ctc_loss_of_syllables():
    model = random_model(vocabulary=24)
    samples, lengths = pad_samples(sounds(1.0, 0.6))
    batch = (samples, lengths, torch.tensor([[2, 5, 6], [2, 7, 3]]), torch.tensor([[5, 6, 3], [7, 3, IGNORED]]))

    def ctc(syllables: torch.Tensor, share: float) -> float:
        return losses_with(model, *batch, ctc_weight=0.5, syllables=syllables, syllable_share=share).ctc.item()

    characters = losses_with(model, *batch, ctc_weight=0.5).ctc.item()
    apart, alike = (
        torch.arange(24).flip(0),
        torch.arange(24).clamp(max=4),
    )  # all its own sound; none but the special ones
    assert ctc(apart, 1.0) == pytest.approx(characters, rel=1e-5)
    assert ctc(alike, 1.0) < characters == pytest.approx(ctc(alike, 0.0))
    assert ctc(alike, 0.25) == pytest.approx(0.75 * characters + 0.25 * ctc(alike, 1.0), rel=1e-5)


def test_how_far_two_views_are_apart():
    log_probs = torch.tensor([[[0.5, 0.5], [0.9, 0.1]], [[0.25, 0.75], [0.1, 0.9]]]).log().requires_grad_()
    loss = consistency_loss(log_probs, torch.tensor([1, 1]), torch.tensor([2, 1]))
    there = 0.25 * math.log(0.25 / 0.5) + 0.75 * math.log(0.75 / 0.5)
    back = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    assert loss.item() == pytest.approx((there + back) / 3)
    loss.backward()  # to the log-probabilities of one view: minus the probabilities of the other, and nothing else
    assert torch.allclose(log_probs.grad[:, 0], torch.tensor([[-0.25, -0.75], [-0.5, -0.5]]) / 3)
    assert not log_probs.grad[:, 1].any()


def test_two_views_that_are_one_cost_nothing():
    model = random_model(vocabulary=24).eval()
    samples, lengths = pad_samples(sounds(1.0, 0.6))
    batch = (samples, lengths, torch.tensor([[2, 5, 6], [2, 7, 3]]), torch.tensor([[5, 6, 3], [7, 3, IGNORED]]))
    plain = losses_with(model, *batch, ctc_weight=0.5)
    twice = losses_with(model, *batch, ctc_weight=0.5, consistency=0.2)
    assert twice.ctc.item() == pytest.approx(plain.ctc.item(), rel=1e-5)
    assert twice.total.item() == pytest.approx(plain.total.item(), rel=1e-5)

    def of_differing(consistency: float) -> float:
        torch.manual_seed(1)
        return losses_with(
            model, *batch, ctc_weight=0.5, consistency=consistency, augmentation=AugmentConfig(volume=1.0)
        ).ctc.item()

    assert of_differing(0.2) < of_differing(0.4)
    assert of_differing(0.4) - of_differing(0.2) == pytest.approx(of_differing(0.6) - of_differing(0.4), rel=1e-3)


def counting_model():
    """A small model whose frames tell the decoder how many tokens its CTC head has heard."""
    model = random_model()
    counting = SpeechModel(FeatureConfig(), dataclasses.replace(model.config, count_tokens=True), 24).eval()
    counting.load_state_dict(model.state_dict())
    return counting


def test_frames_carry_the_number_of_tokens_heard():
    """With a head that is sure of tokens in the frames 1, 2 and 4 of six, these are the places 0, 1 and 2."""
    model = counting_model()
    heard = torch.tensor([0.0, 1, 1, 0, 1, 0])
    with torch.no_grad():
        model.ctc.weight.zero_()
        model.ctc.weight[0, 0] = 1.0
        model.ctc.bias.zero_()
    encoded = torch.zeros(1, 6, 16)
    encoded[0, :, 0] = torch.where(heard > 0, -60.0, 60.0)  # the logit of the blank
    told = model._with_counts(encoded) - encoded
    assert torch.allclose(told[0], sinusoids_at(torch.tensor([-1.0, 0, 1, 1, 2, 2]), 16), atol=1e-4)


def test_counting_is_not_disturbed_by_padding():
    model, utterances = counting_model(), sounds(0.5, 1.0)
    samples, lengths = pad_samples(utterances)
    with torch.no_grad():
        together = model.encode(samples, lengths)
        alone = model.encode(samples[:1, : lengths[0]], lengths[:1])
    n = int(alone.lengths)
    assert torch.allclose(together.values[:1, :n], alone.values, atol=1e-4)
    assert not torch.allclose(alone.values, alone.encoded)


def test_counting_needs_a_ctc_head():
    with pytest.raises(ConfigError, match="model.count_tokens needs the head that counts: set model.ctc = true"):
        ModelConfig(count_tokens=True)


def test_guesses_take_the_place_of_a_share_of_the_tokens():
    """A decoder that is sure of token 7 whatever it hears guesses it everywhere."""
    model = random_model()
    with torch.no_grad():
        model.decoder.out.bias[7] = 1000.0
    inputs = torch.full((400, 20), 5)
    inputs[:, 0] = 2
    samples, lengths = pad_samples(sounds(0.3))
    with torch.no_grad():
        one = model.encode(samples, lengths)
    memory = Memory(one.values.expand(400, -1, -1), one.lengths.expand(400), one.encoded.expand(400, -1, -1))
    torch.manual_seed(0)
    guessed = with_guesses(model, memory, inputs, 0.4)
    assert (guessed[:, 0] == 2).all() and set(guessed[:, 1:].unique().tolist()) == {5, 7}
    shares = (guessed[:, 1:] == 7).float().mean(1)
    assert shares.mean() == pytest.approx(0.4, abs=0.04)
    assert shares.min() < 0.05 and shares.max() > 0.75  # some utterances are left alone, others hardly recognised


def test_guesses_are_drawn_by_what_the_decoder_expects():
    model = random_model(vocabulary=6)
    with torch.no_grad():
        model.decoder.out.weight.zero_()
        model.decoder.out.bias.copy_(torch.tensor([0.5, 0, 0, 0.25, 0, 0.25]).log())
    memory = model.encode_features(torch.randn(200, 24, 80), torch.full((200,), 24))
    guessed = with_guesses(model, memory, torch.full((200, 50), 1), 5.0)[:, 1:]  # nearly all of them
    shares = torch.bincount(guessed[guessed != 1], minlength=6) / (guessed != 1).sum()
    assert shares.tolist() == pytest.approx([0.5, 0, 0, 0.25, 0, 0.25], abs=0.03)


def test_texts_that_are_too_long_for_ctc_are_counted_before_the_first_step(config, corpus):
    """Of a frame in 40 ms: 我我我 needs five of them."""
    assert [frames_for_ctc(tokens) for tokens in ([], [7], [7, 8, 7], [7, 7, 7])] == [0, 1, 3, 5]
    crowded = [u for u in read_manifest(corpus["train"]) if u.duration < 0.0401 * (2 * len(u.text) - 1)]
    lines = corpus["train"].read_text(encoding="utf-8").splitlines()
    line = json.loads(lines[2])
    lines[2] = json.dumps(line | {"text": "妈" * math.ceil(line["duration"] / 0.04 / 2 + 1)}, ensure_ascii=False)
    other = corpus["train"].with_name("crowded.jsonl")
    other.write_text("\n".join(lines) + "\n", encoding="utf-8")
    said = [line for line in prepare(with_data(config, train=(str(other),))).remarks if "CTC" in line]
    assert not crowded and said == [
        "1 utterances have more tokens than the encoder gives frames, one in 40 ms: the CTC loss learns nothing from them."
        f" The first: {other}:3"
    ]
    without = changed(with_data(config, train=(str(other),)), ctc_weight=0.0)
    assert not [line for line in prepare(without).remarks if "CTC" in line]
