import pytest
import torch

from asr.errors import ConfigError
from asr.features.augment import AugmentConfig, augment, change_tempo, mask_frequency, mask_time, warp_frequency


def ramp(B: int, T: int, F: int) -> torch.Tensor:
    """Features whose value is frame + bin / 100."""
    return (torch.arange(T)[:, None] + torch.arange(F) / 100.0).expand(B, T, F).clone()


def test_tempo_two_takes_every_second_frame():
    fast, lengths = change_tempo(ramp(2, 8, 3), torch.tensor([8, 4]), torch.tensor([2.0, 1.0]))
    assert lengths.tolist() == [4, 4]
    assert torch.allclose(fast[0, :, 0], torch.tensor([0.0, 2, 4, 6]))
    assert torch.allclose(fast[1, :, 0], torch.tensor([0.0, 1, 2, 3]))


def test_slow_tempo_interpolates():
    slow, lengths = change_tempo(ramp(1, 3, 2), torch.tensor([3]), torch.tensor([0.5]))
    assert lengths.tolist() == [6]
    assert torch.allclose(slow[0, :, 0], torch.tensor([0.0, 0.5, 1, 1.5, 2, 2]))


def test_frequency_warp_moves_bins_and_repeats_the_last():
    warped = warp_frequency(ramp(1, 2, 5), torch.tensor([1.5]))
    assert torch.allclose(warped[0, 0] * 100, torch.tensor([0, 1.5, 3, 4, 4]))


def test_factor_one_changes_nothing():
    features = torch.randn(3, 20, 8)
    same, lengths = change_tempo(features, torch.tensor([20, 20, 20]), torch.ones(3))
    assert torch.equal(same, features) and lengths.tolist() == [20, 20, 20]
    assert torch.equal(warp_frequency(features, torch.ones(3)), features)


def test_masks_are_bands_within_bounds():
    torch.manual_seed(0)
    features, lengths = torch.ones(64, 100, 40), torch.full((64,), 100)
    lengths[0] = 20
    hidden = mask_frequency(features, 1, 10) == 0
    assert (hidden.all(1) == hidden.any(1)).all()  # a bin is hidden in all frames or in none
    assert 1 < hidden[:, 0].sum(1).float().mean() < 9 and hidden[:, 0].sum(1).max() <= 10
    hidden = mask_time(features, lengths, 1, 30, 0.5) == 0
    assert (hidden.all(2) == hidden.any(2)).all()
    assert hidden[:, :, 0].sum(1).max() <= 30
    assert hidden[0, :, 0].sum() <= 10 and not hidden[0, 20:].any()


def test_same_random_state_same_result():
    features, lengths = torch.randn(4, 50, 20), torch.tensor([50, 40, 30, 20])
    config = AugmentConfig(frequency_warp=0.1, tempo=0.2, volume=0.1)
    results = []
    for _ in range(2):
        torch.manual_seed(3)
        results.append(augment(features, lengths, config))
    assert torch.equal(results[0][0], results[1][0]) and torch.equal(results[0][1], results[1][1])


def test_nothing_asked_nothing_changed():
    features, lengths = torch.randn(2, 30, 10), torch.tensor([30, 9])
    changed, same = augment(features, lengths, AugmentConfig(frequency_masks=0, time_masks=0))
    assert changed is features and same is lengths


def test_impossible_settings_are_refused():
    with pytest.raises(ConfigError, match="augment.tempo must be from 0 to below 1, is 1.5"):
        AugmentConfig(tempo=1.5)
    with pytest.raises(ConfigError, match="augment.time_masks must not be negative, is -1"):
        AugmentConfig(time_masks=-1)
