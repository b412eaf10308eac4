import math
from dataclasses import replace

import pytest
import torch

from asr.errors import ConfigError
from asr.features import augment as augment_module
from asr.features.augment import (
    AugmentConfig,
    add_noise,
    augment,
    change_pitch,
    change_tempo,
    mask_frequency,
    mask_time,
    reverberate,
    smooth_curves,
    warp_frequency,
)
from asr.features.fbank import NATS_PER_DECIBEL, USUAL_UNIT, FeatureConfig, LogMel
from asr.features.waveforms import add_recording
from asr.model.folder import load_model
from asr.model.model import ModelConfig, SpeechModel
from tests.conftest import EMBEDDED, small_sizes

DECIBEL = NATS_PER_DECIBEL / USUAL_UNIT


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
    hidden = mask_time(features, lengths, 1, 30, share=0.5) == 0
    assert (hidden.all(2) == hidden.any(2)).all()
    assert hidden[:, :, 0].sum(1).max() <= 30
    assert hidden[0, :, 0].sum() <= 10 and not hidden[0, 20:].any()


def test_same_random_state_same_result():
    features, lengths = torch.randn(4, 50, 20), torch.tensor([50, 40, 30, 20])
    config = AugmentConfig(
        frequency_warp=0.1, tempo=0.2, volume=0.1, pitch=0.5, equalizer=0.2, noise=0.5, reverberation=0.5
    )
    results = []
    for _ in range(2):
        torch.manual_seed(3)
        results.append(augment(features, lengths, config))
    assert torch.equal(results[0][0], results[1][0]) and torch.equal(results[0][1], results[1][1])


def test_views_differ_in_all_but_tempo():
    features, lengths = torch.randn(3, 40, 80), torch.tensor([40, 30, 20])
    quiet = AugmentConfig(frequency_masks=0, time_masks=0, tempo=0.3)
    changed, new_lengths = augment(features, lengths, quiet, views=2)
    assert new_lengths[:3].tolist() == new_lengths[3:].tolist() != lengths.tolist()
    assert torch.equal(changed[:3], changed[3:])
    changed, _ = augment(features, lengths, replace(quiet, volume=1.0), views=2)
    assert not torch.isclose(changed[:3], changed[3:]).any()


def test_nothing_asked_nothing_changed():
    features, lengths = torch.randn(2, 30, 10), torch.tensor([30, 9])
    changed, same = augment(features, lengths, AugmentConfig(frequency_masks=0, time_masks=0))
    assert changed is features and same is lengths


def test_impossible_settings_are_refused():
    with pytest.raises(ConfigError, match="augment.tempo must be from 0 to below 1, is 1.5"):
        AugmentConfig(tempo=1.5)
    with pytest.raises(ConfigError, match="augment.time_masks must be 0 or more, is -1"):
        AugmentConfig(time_masks=-1)


def test_pitch_moves_harmonics_and_leaves_formants():
    """Harmonics eight bins apart come twelve apart at half as high again; a formant ninety bins wide stays."""
    bins = torch.arange(80.0)
    formant = torch.cos(math.pi * 2 * (bins + 0.5) / 80)
    harmonics = torch.cos(2 * math.pi * bins / 4)
    voice = (formant + harmonics)[None, None]
    higher = change_pitch(voice, torch.tensor([1.5]))
    expected = formant + torch.cos(2 * math.pi * bins / 6)
    assert torch.allclose(higher[0, 0, 4:60], expected[4:60], atol=0.35)
    assert torch.allclose(change_pitch(voice, torch.ones(1)), voice, atol=1e-5)


def test_equalizer_curves_are_smooth_and_have_no_level():
    torch.manual_seed(0)
    curves = smooth_curves(torch.zeros(500, 7, 80))
    assert curves.shape == (500, 1, 80)
    assert curves.mean(2).abs().max() < 1e-5 and curves.std() == pytest.approx(1, abs=0.1)
    assert curves.diff(dim=2).square().mean() < 0.02


def test_noise_fills_what_is_quiet():
    torch.manual_seed(0)
    features, lengths = torch.full((200, 20, 80), -3.0), torch.full((200,), 20)
    features[:, 5] = 1.0
    lengths[:] = 15
    noisy = add_noise(features, lengths, 1.0)
    assert torch.equal(noisy[:, 15:], features[:, 15:])
    assert (noisy[:, :15] >= features[:, :15] - 1e-5).all()
    below = (1.0 - noisy[:, :5].mean((1, 2))) / DECIBEL
    assert 3 < below.min() < 8 and 30 < below.max() < 37  # 5 to 35 dB below the loudest frame
    assert noisy[:, 5].mean() == pytest.approx(1.0, abs=0.1)
    kept = (add_noise(features, lengths, 0.25) == features).all(2).all(1).float().mean()
    assert 0.65 < kept < 0.85


def test_an_echo_dies_away_and_never_comes_before_the_sound():
    torch.manual_seed(0)
    features = torch.full((50, 60, 8), -3.0)
    features[:, 10] = 1.0
    wet = reverberate(features, 1.0)
    assert torch.allclose(wet[:, :10], features[:, :10], atol=0.26)  # the silence before echoes itself a little
    assert (wet[:, 11:30].diff(dim=1) < 0).all()
    power = torch.exp(wet * USUAL_UNIT)
    ratio = 10 * torch.log10(power[:, 11:].sum(1) / power[:, 10]).mean(1)
    assert -16 < ratio.min() and ratio.max() < 4


def log_mel(samples: torch.Tensor) -> torch.Tensor:
    """Samples (B, S) → features (B, T, F) in units of 4.4 nats."""
    return LogMel(FeatureConfig()).eval()(samples, torch.full((len(samples),), samples.shape[1]))[0] / USUAL_UNIT


def test_volume_is_what_a_gain_on_the_samples_is():
    """A gain of 6.02 dB adds the same to every bin; `volume` adds such an offset, another to each utterance."""
    loud = 0.2 * torch.randn(1, 16000, generator=torch.Generator().manual_seed(0))
    difference = log_mel(loud) - log_mel(loud / 2)
    assert torch.allclose(difference, torch.tensor(6.0206 * DECIBEL), atol=1e-3)
    torch.manual_seed(0)
    features = torch.randn(2000, 7, 5)
    only = AugmentConfig(frequency_masks=0, time_masks=0, volume=0.3)
    offsets = augment(features, torch.full((2000,), 7), only)[0] - features
    assert (offsets - offsets[:, :1, :1]).abs().max() < 1e-5
    assert offsets[:, 0, 0].std() == pytest.approx(0.3, abs=0.02) and offsets.mean().abs() < 0.02


def plain_stft(**other) -> FeatureConfig:
    return FeatureConfig(kind="stft", low_hz=0, sample_scale=1.0, window="hann", floor=1e-10, unit=0.0, **other)


FLAVOURS = {
    "ours": None,
    "whisper": (plain_stft(filters="slaney", decibels=True, range_db=80.0), 40.0),
    "decibels": (plain_stft(filters="htk", decibels=True), 1.0),
    "decibels, normalised": (plain_stft(filters="htk", decibels=True), 17.0),
    "nats": (plain_stft(filters="htk"), 1.0),
    "kaldi, not normalised": (FeatureConfig(unit=0.0), 1.0),
}
"""Name → features and the standard deviation that they are divided by; ours with the statistics of much speech."""


@pytest.fixture(params=FLAVOURS)
def flavour(request) -> SpeechModel:
    if request.param == "ours":
        return load_model(EMBEDDED).model
    features, std = FLAVOURS[request.param]
    model = SpeechModel(features, ModelConfig(**small_sizes()), 24).eval()
    model.cmvn.inverse_std.fill_(1 / std)
    return model


def decibels_below(model: SpeechModel, features: torch.Tensor) -> float:
    """How far the quiet frames 60 to 90 lie below the loud ones 25 to 35, by the statistics of the model."""
    nats = (NATS_PER_DECIBEL if model.log_mel.config.decibels else 1.0) / model.cmvn.inverse_std
    levels = (features * nats).mean((0, 2)) / NATS_PER_DECIBEL
    return float(levels[25:35].mean() - levels[60:90].mean())


def test_noise_at_20_db_is_20_db_in_every_flavour(flavour, monkeypatch):
    """White noise, loud for 0.2 s: real noise of a hundredth of its power fills the rest as far below as that of `add_noise`."""
    generator = torch.Generator().manual_seed(0)
    samples = 1e-6 * torch.randn(16000, generator=generator)
    samples[3200:6400] = 0.1 * torch.randn(3200, generator=generator)
    lengths = torch.tensor([16000])
    noisy = add_recording(samples.numpy(), torch.randn(16000, generator=generator).numpy(), 20.0)
    real = decibels_below(flavour, flavour.features(torch.from_numpy(noisy)[None], lengths)[0])
    assert real == pytest.approx(20, abs=1)
    monkeypatch.setattr(augment_module, "NOISE_DECIBELS", (20.0, 20.0))
    torch.manual_seed(0)
    dry, n_frames = flavour.features(samples[None], lengths)
    wet = add_noise(dry.expand(100, -1, -1), n_frames.expand(100), 1.0, unit=flavour.unit)
    assert decibels_below(flavour, wet) == pytest.approx(real, abs=1.5)


def test_volume_and_echo_are_as_strong_in_every_flavour(flavour):
    """An offset of 0.3 is 5.7 dB; an echo falls by 60 dB in 0.1 to 0.7 s."""
    torch.manual_seed(0)
    nats = (NATS_PER_DECIBEL if flavour.log_mel.config.decibels else 1.0) / flavour.cmvn.inverse_std
    features, lengths = torch.zeros(2000, 3, 80), torch.full((2000,), 3)
    only = AugmentConfig(frequency_masks=0, time_masks=0, volume=0.3)
    offsets = augment(features, lengths, only, unit=flavour.unit)[0] * nats / NATS_PER_DECIBEL
    assert offsets[:, 0].mean(1).std() == pytest.approx(0.3 * USUAL_UNIT / NATS_PER_DECIBEL, rel=0.06)
    burst = torch.full((200, 40, 80), -100.0) / nats
    burst[:, 5:8] = 0.0
    slopes = (reverberate(burst, 1.0, unit=flavour.unit)[:, 10:20] * nats).mean(2).diff(dim=1).mean(
        1
    ) / NATS_PER_DECIBEL
    assert slopes.min() == pytest.approx(-6, abs=1) and slopes.max() == pytest.approx(-60 / 70, abs=0.15)


def test_an_echo_falls_as_fast_as_that_of_a_room():
    """A burst of noise heard in a simulated room, by convolution with noise that falls by 60 dB in 0.4 s, and by the features."""
    generator = torch.Generator().manual_seed(0)
    burst = torch.zeros(1, 16000)
    burst[0, 4000:5600] = 0.3 * torch.randn(1600, generator=generator)
    t = torch.arange(8000) / 16000
    room = torch.randn(8000, generator=generator) * 10 ** (-3 * t / 0.4)
    room[0] = room.norm()  # as much power in the sound itself as in its echo
    n = 2**15
    heard = torch.fft.irfft(torch.fft.rfft(burst, n=n) * torch.fft.rfft(room, n=n), n=n)[:, :16000]
    after = slice(38, 58)  # from 0.38 s on, 30 ms after the burst
    slope = log_mel(heard)[0, after].mean(1).diff().mean() / DECIBEL
    assert slope == pytest.approx(-1.5, abs=0.15)  # decibels a frame
    torch.manual_seed(0)
    dry = log_mel(burst).expand(200, -1, -1)
    slopes = reverberate(dry, 1.0)[:, after].mean(2).diff(dim=1)[:, :10].mean(1) / DECIBEL
    assert slopes.min() == pytest.approx(-6, abs=1) and slopes.max() == pytest.approx(-60 / 70, abs=0.15)


def test_new_settings_out_of_range_are_refused():
    with pytest.raises(ConfigError, match="augment.noise must be from 0 to 1, is 2"):
        AugmentConfig(noise=2)
    with pytest.raises(ConfigError, match="augment.pitch must be 0 or more, is -0.1"):
        AugmentConfig(pitch=-0.1)
