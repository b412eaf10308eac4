"""What the telephone does to known signals."""

import dataclasses

import numpy as np
import pytest
import torch

from asr.errors import ConfigError
from asr.features.augment import AugmentConfig
from asr.features.telephone import mu_law, telephone
from tests.conftest import random_model
from tests.runs import losses_with
from tests.sounds import sine


def tone(hz: float, level: float = 0.5) -> torch.Tensor:
    return torch.from_numpy(sine(1.0, hz=hz, level=level))[None]


def decibels(x: torch.Tensor) -> float:
    return 10 * float(torch.log10((x**2).mean()))


def test_a_tone_in_the_band_stays_and_those_outside_go():
    torch.manual_seed(0)
    assert decibels(telephone(tone(1000), 1.0)) == pytest.approx(decibels(tone(1000)), abs=0.2)
    for hz in (60, 4500, 7000):
        assert decibels(telephone(tone(hz), 1.0)) < -60


def test_eight_bits_cost_what_g_711_costs():
    """A tone of normal level has 35 to 40 dB of signal to noise, and so has one that is 20 dB softer."""
    for level in (0.5, 0.05):
        signal = tone(1000, level)
        assert 35 < decibels(signal) - decibels(mu_law(signal) - signal) < 41
    assert torch.equal(mu_law(torch.tensor([0.0, 1.0, -1.0])), torch.tensor([0.0, 1.0, -1.0]))


def test_only_a_share_is_changed_and_each_a_little_differently():
    torch.manual_seed(1)
    noise = torch.randn(400, 1600) * 0.1
    changed = telephone(noise, 0.25)
    n = int((changed != noise).any(1).sum())
    assert 70 < n < 130
    assert torch.equal(telephone(noise, 0.0), noise)
    same = telephone(noise[:1].expand(2, -1), 1.0)
    assert not torch.equal(same[0], same[1])


def test_it_is_for_training_only_and_its_share_is_checked():
    model = random_model()
    samples = torch.from_numpy(np.stack([sine(1.0, hz=5000.0), sine(1.0, hz=6000.0)]))
    arguments = (samples, torch.tensor([16000, 16000]), torch.tensor([[2, 5], [2, 6]]), torch.tensor([[5, 3], [6, 3]]))
    none = AugmentConfig(frequency_masks=0, time_masks=0)
    plain = losses_with(model, *arguments).total
    assert torch.equal(losses_with(model, *arguments, augmentation=none).total, plain)
    line = dataclasses.replace(none, telephone=1.0)
    assert not torch.equal(losses_with(model, *arguments, augmentation=line).total, plain)
    with pytest.raises(ConfigError, match="augment.telephone must be from 0 to 1, is 2"):
        AugmentConfig(telephone=2)
