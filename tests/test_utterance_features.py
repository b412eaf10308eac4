"""Features of a whole utterance, as NeMo computes them: by torch's STFT, librosa's filters and the formulas, padded or alone."""

import librosa
import pytest
import torch

from asr.errors import ConfigError
from asr.features.fbank import FeatureConfig, LogMel, pad_samples
from asr.model.decoder import DecoderConfig
from asr.model.encoder import EncoderConfig
from asr.model.model import ModelConfig, SpeechModel
from tests.test_features import noise

NEMO = {
    "kind": "stft", "n_mels": 64, "low_hz": 0.0, "signal_preemphasis": 0.97, "sample_scale": 1.0, "window": "hann_symmetric",
    "fft_size": 512, "edges": "zero", "filters": "slaney", "floor": 2**-24, "floor_added": True, "whole_shifts": True,
    "per_utterance": True,
}  # fmt: skip


def expected(samples: torch.Tensor) -> torch.Tensor:
    """(T, F), by the formulas."""
    emphasised = torch.cat([samples[:1], samples[1:] - 0.97 * samples[:-1]])
    window = torch.hann_window(400, periodic=False)
    spectrum = torch.stft(emphasised, 512, 160, 400, window, pad_mode="constant", return_complex=True)
    filters = torch.from_numpy(librosa.filters.mel(sr=16000, n_fft=512, n_mels=64))
    mel = (filters @ spectrum.abs().square() + 2**-24).log().T[: len(samples) // 160]
    return (mel - mel.mean(0)) / (mel.std(0) + 1e-5)


def test_each_utterance_is_emphasised_and_normalised_by_itself():
    utterances = [noise(9000, 1, 0.3), noise(4321, 2, 0.01), noise(4800, 3, 0.0)]
    features, n = LogMel(FeatureConfig(**NEMO))(*pad_samples([u.numpy() for u in utterances]))
    assert n.tolist() == [56, 27, 30]
    for row, count, samples in zip(features[:2], n.tolist()[:2], utterances[:2], strict=True):
        assert torch.allclose(row[:count], expected(samples), atol=1e-4)
        assert (row[count:] == 0).all()
    assert features[2].abs().max() < 1, "silence without any noise has no deviation, but for what rounding leaves"


@pytest.mark.parametrize(("samples", "frames"), [(0, 0), (1, 0), (159, 0), (160, 1), (161, 1), (16000, 100)])
def test_whole_shifts(samples, frames):
    log_mel = LogMel(FeatureConfig(**NEMO))
    features, lengths = log_mel(torch.ones(1, samples), torch.tensor([samples]))
    assert features.shape == (1, frames, 64) and lengths.tolist() == [frames]
    assert features.isfinite().all()
    if frames:
        fewest = log_mel.config.samples_of(frames)
        assert log_mel.n_frames(torch.tensor([fewest - 1, fewest])).tolist() == [frames - 1, frames]


def test_steady_noise_is_the_same_each_time_and_for_each_length():
    """As the authors draw it: standard normal numbers, the number of samples for a seed."""
    plain, noisy = LogMel(FeatureConfig(**NEMO)), LogMel(FeatureConfig(**NEMO, steady_dither=0.1)).eval()
    samples, lengths = pad_samples([noise(5000, 1).numpy(), noise(3300, 2).numpy()])
    first, again = noisy(samples, lengths)[0], noisy.train()(samples, lengths)[0]
    assert torch.equal(first, again) and not torch.allclose(first, plain(samples, lengths)[0], atol=0.1)
    for b, length in enumerate(lengths.tolist()):
        added = torch.randn(length, generator=torch.Generator().manual_seed(length)) * 0.1
        alone, n = plain((samples[b, :length] + added)[None], lengths[b : b + 1])
        assert torch.allclose(first[b, : n[0]], alone[0], atol=1e-4)


def test_what_decibels_are_to_features_that_are_normalised_by_themselves():
    """The usual deviation of speech, whatever the statistics of training data say, which change nothing here."""
    config = ModelConfig(
        encoder=EncoderConfig(layers=1, width=8, heads=2, feed_forward=8), decoder=DecoderConfig(1, 2, 8)
    )
    model = SpeechModel(FeatureConfig(**NEMO, unit=0.0), config, 8)
    model.cmvn.inverse_std.fill_(0.25)
    assert model.unit == pytest.approx(4.4)
    model.log_mel.config = FeatureConfig(**NEMO, unit=2.0)
    assert model.unit == 2.0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"signal_preemphasis": 1.0}, "features.signal_preemphasis must be from 0 to below 1, is 1"),
        ({"steady_dither": -1.0}, "features.steady_dither must be 0 or more, is -1"),
        ({"dither": -0.5}, "features.dither must be 0 or more, is -0.5"),
        ({"whole_shifts": True}, 'features.whole_shifts is for centred frames: set features.kind = "stft"'),
        ({"window": "hanning"}, "features.window must be one of povey, hann, hann_symmetric, hamming, is 'hanning'"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(ConfigError, match=message):
        FeatureConfig(**settings)
