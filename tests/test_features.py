import librosa
import numpy as np
import pytest
import torch

from asr.errors import AudioError, ConfigError
from asr.features.cmvn import Cmvn, CmvnStats, compute_cmvn
from asr.features.fbank import FeatureConfig, LogMel, mel_matrix, pad_samples
from asr.features.mel import slaney_filters
from tests.torchaudio_import import import_torchaudio


def noise(n: int, seed: int = 0, level: float = 0.1) -> torch.Tensor:
    return torch.randn(n, generator=torch.Generator().manual_seed(seed)) * level


@pytest.mark.parametrize("n_mels", [40, 80])
@pytest.mark.parametrize("level", [1e-4, 0.1])
def test_equals_torchaudios_kaldi_fbank(n_mels, level):
    samples = noise(32123, level=level)
    kaldi = import_torchaudio().compliance.kaldi.fbank(
        samples[None] * 32768, num_mel_bins=n_mels, dither=0.0, window_type="povey", sample_frequency=16000
    )
    ours, lengths = LogMel(FeatureConfig(n_mels=n_mels))(samples[None], torch.tensor([len(samples)]))
    assert ours.shape == (1, *kaldi.shape) and lengths.tolist() == [len(kaldi)]
    assert (ours[0] - kaldi).abs().max() < 1e-5  # the same operations in the same precision: usually no bit differs


def test_mel_matrix_equals_librosas():
    config = FeatureConfig()
    ours = mel_matrix(config).T.numpy()
    reference = librosa.filters.mel(sr=16000, n_fft=512, n_mels=80, fmin=20, fmax=8000, htk=True, norm=None)
    # librosa's triangles are straight in hertz, Kaldi's in mel: same corners, same peaks, slightly different sides
    assert np.array_equal(ours[:, :-1] > 1e-4, reference[:, :-1] > 1e-4)
    assert np.abs(ours - reference).max() < 0.06
    centre = lambda m: (m * np.arange(257)).sum(1) / m.sum(1)  # noqa: E731
    assert np.abs(centre(ours) - centre(reference)).max() < 0.1


@pytest.mark.parametrize(("n_mels", "low", "high"), [(80, 0, 8000), (40, 20, 7600)])
def test_slaneys_filters_equal_librosas(n_mels, low, high):
    ours = slaney_filters(n_mels, 512, 16000, low, high_hz=high).T.numpy()
    assert np.abs(ours - librosa.filters.mel(sr=16000, n_fft=512, n_mels=n_mels, fmin=low, fmax=high)).max() < 1e-8


def test_an_stft_equals_torchs_with_either_edge():
    samples = noise(5000)
    for edges, mode in (("reflect", "reflect"), ("zero", "constant")):
        config = FeatureConfig(
            kind="stft",
            window="hann",
            frame_ms=20,
            shift_ms=8,
            fft_size=512,
            edges=edges,
            sample_scale=1.0,
            floor=1e-10,
        )
        window = torch.hann_window(320)
        reference = torch.stft(samples, 512, 128, 320, window, center=True, pad_mode=mode, return_complex=True)
        expected = (reference.abs().square().T @ mel_matrix(config)).clamp(min=1e-10).log()
        ours, lengths = LogMel(config)(samples[None], torch.tensor([5000]))
        assert lengths.tolist() == [40] and torch.allclose(ours[0], expected, atol=1e-4)


def test_decibels_and_the_floor_below_the_loudest_bin():
    quiet = FeatureConfig(kind="stft", sample_scale=1.0, decibels=True, range_db=30.0, floor=1e-10)
    plain = FeatureConfig(kind="stft", sample_scale=1.0, floor=1e-10)
    samples, lengths = pad_samples([noise(8000, 1, 0.3).numpy(), noise(3000, 2, 0.001).numpy()])
    samples[0, 4000:] *= 1e-4
    ours, n = LogMel(quiet)(samples, lengths)
    reference = LogMel(plain)(samples, lengths)[0] * 10 / np.log(10)
    for b in range(2):
        rows = reference[b, : n[b]]
        assert torch.allclose(ours[b, : n[b]], rows.maximum(rows.max() - 30), atol=1e-3)
    assert (ours[1, n[1] :] == 0).all() and float(ours[0].max() - ours[0].min()) == pytest.approx(30, abs=1e-3)


WHISPER = {
    "kind": "stft", "window": "hann", "fft_size": 400, "low_hz": 0.0, "sample_scale": 1.0, "filters": "slaney",
    "floor": 1e-10, "decibels": True, "range_db": 80.0, "window_seconds": 2.0,
}  # fmt: skip


def test_a_window_is_filled_up_with_silence_and_all_of_it_counts():
    """By torch's STFT and librosa's filters, as Whisper's authors describe it: 8 below the loudest in base-10 logarithms."""
    samples, lengths = pad_samples([noise(20000, 1, 0.3).numpy(), noise(32000, 2, 0.01).numpy()])
    log_mel = LogMel(FeatureConfig(**WHISPER))
    ours, n = log_mel(samples, lengths)
    filters = torch.from_numpy(librosa.filters.mel(sr=16000, n_fft=400, n_mels=80))
    assert n.tolist() == [200, 200] == log_mel.n_frames(torch.tensor([1, 32000])).tolist()
    for b in range(2):
        spectrum = torch.stft(samples[b], 400, 160, window=torch.hann_window(400), return_complex=True)[:, :-1]
        expected = (filters @ spectrum.abs().square()).clamp(min=1e-10).log10()
        assert torch.allclose(ours[b].T / 10, expected.maximum(expected.max() - 8), atol=1e-4)
    alone, _ = log_mel(samples[:1, :20000], lengths[:1])
    assert torch.allclose(ours[:1], alone, atol=1e-4) and log_mel.config.samples_of(200) == 1


def test_what_is_longer_than_the_window_is_refused():
    with pytest.raises(AudioError, match="2.5 s of audio are more than the 2 s that the model hears at once"):
        LogMel(FeatureConfig(**WHISPER))(noise(40000)[None], torch.tensor([40000]))


@pytest.mark.parametrize("settings", [{}, WHISPER | {"window_seconds": 0.0}], ids=["kaldi", "stft"])
def test_a_tail_is_the_same_as_silence_behind_each_utterance(settings):
    utterances = [noise(20000, 1, 0.3).numpy(), noise(9000, 2, 0.1).numpy()]
    tailed = LogMel(FeatureConfig(**settings, tail_seconds=0.25))
    features, n = tailed(*pad_samples(utterances))
    silent = [np.concatenate([u, np.zeros(4000, np.float32)]) for u in utterances]
    expected, frames = LogMel(FeatureConfig(**settings))(*pad_samples(silent))
    assert n.tolist() == frames.tolist() and torch.allclose(features, expected, atol=1e-5)
    assert tailed.n_frames(torch.tensor([0])).tolist() == [0]  # of nothing there is nothing
    fewest = tailed.config.samples_of(60)
    assert tailed.n_frames(torch.tensor([fewest - 1, fewest])).tolist() == [59, 60]


@pytest.mark.parametrize(("samples", "frames"), [(0, 0), (399, 0), (400, 1), (559, 1), (560, 2), (16000, 98)])
def test_number_of_frames(samples, frames):
    features, lengths = LogMel(FeatureConfig())(torch.zeros(1, samples), torch.tensor([samples]))
    assert features.shape == (1, frames, 80) and lengths.tolist() == [frames]


def test_padding_a_batch_changes_no_frame():
    log_mel = LogMel(FeatureConfig())
    long, short = noise(20000, 1), noise(9000, 2)
    samples, lengths = pad_samples([long.numpy(), short.numpy()])
    batch, frames = log_mel(samples, lengths)
    alone, _ = log_mel(short[None], torch.tensor([9000]))
    assert frames.tolist() == [123, 54]
    assert torch.allclose(batch[1, :54], alone[0], atol=1e-5)
    assert (batch[1, 54:] == 0).all()


def test_dither_only_in_training():
    log_mel = LogMel(FeatureConfig(dither=1.0))
    samples, lengths = torch.zeros(1, 4000), torch.tensor([4000])
    floor = float(np.log(np.finfo(np.float32).eps))
    assert torch.allclose(log_mel.eval()(samples, lengths)[0], torch.tensor(floor))
    assert (log_mel.train()(samples, lengths)[0] > floor + 5).all()


def test_a_louder_signal_is_the_same_plus_a_constant():
    log_mel = LogMel(FeatureConfig())
    samples, lengths = noise(8000)[None], torch.tensor([8000])
    difference = log_mel(samples * 2, lengths)[0] - log_mel(samples, lengths)[0]
    assert torch.allclose(difference, torch.tensor(2 * np.log(2.0), dtype=torch.float32), atol=1e-3)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"high_hz": 9000}, "high_hz 9000 must satisfy 0 <= low_hz < high_hz <= 8000"),
        ({"n_mels": 0}, "n_mels must be above 0, is 0"),
        ({"window_seconds": 30.0}, 'features.window_seconds is for centred frames: set features.kind = "stft"'),
        (WHISPER | {"window_seconds": 1.005}, "features.window_seconds must be a multiple of the shift, is 1.005"),
        (WHISPER | {"window_seconds": -1.0}, "features.window_seconds must be a multiple of the shift, is -1"),
        ({"tail_seconds": -1.0}, "features.tail_seconds must be 0 or more, and 0 beside a window, is -1"),
        (WHISPER | {"tail_seconds": 1.0}, "features.tail_seconds must be 0 or more, and 0 beside a window, is 1"),
        ({"tail_seconds": 61.0}, "features.tail_seconds must be at most 60, is 61"),
    ],
)
def test_impossible_settings_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        FeatureConfig(**values)


def test_too_many_mels_are_refused():
    with pytest.raises(ConfigError, match="n_mels 400: .* filters hold no frequency bin"):
        LogMel(FeatureConfig(n_mels=400))


def test_cmvn_gives_mean_zero_and_deviation_one(tmp_path):
    torch.manual_seed(0)
    pieces = [torch.randn(n, 4) * torch.tensor([1.0, 2, 3, 4]) + 5 for n in (10, 300, 77)]
    stats = compute_cmvn(pieces)
    stats.save(tmp_path / "cmvn.json")
    assert CmvnStats.load(tmp_path / "cmvn.json") == stats and stats.n_frames == 387
    cmvn = Cmvn(4)
    cmvn.set(stats)
    normalised = cmvn(torch.cat(pieces))
    assert torch.allclose(normalised.mean(0), torch.zeros(4), atol=1e-5)
    assert torch.allclose(normalised.std(0, unbiased=False), torch.ones(4), atol=1e-5)


def test_cmvn_of_half_precision_features_does_not_overflow():
    stats = compute_cmvn([torch.full((70000, 2), 1000.0, dtype=torch.float16)])
    assert stats.mean == (1000.0, 1000.0)


def test_cmvn_errors(tmp_path):
    with pytest.raises(ConfigError, match="no frame of audio"):
        compute_cmvn([])
    with pytest.raises(ConfigError, match="statistics have 3 bins, the model's features 4"):
        Cmvn(4).set(CmvnStats((0.0,) * 3, (1.0,) * 3, 1))
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(ConfigError, match="x.json: not CMVN statistics"):
        CmvnStats.load(tmp_path / "x.json")
