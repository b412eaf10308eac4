"""Changes to normalised features in training: SpecAugment, and speakers and rooms that nobody recorded. Never used in evaluation.

What must be done to samples stands elsewhere: asr/features/telephone.py and asr/features/waveforms.py.

All random numbers come from torch's global generator, whose state training saves and restores.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from asr.config_checks import check_below_one, check_not_negative, check_up_to_one
from asr.errors import ConfigError
from asr.features.fbank import NATS_PER_DECIBEL, USUAL_UNIT
from asr.features.utterance import length_mask

ENVELOPE_COSINES = 12
"""Cosines over the mel axis that make a spectral envelope: formants are wider than that, the harmonics of a voice narrower."""
TILT_COSINES = 4
"""Cosines over the mel axis that make the frequency response of a microphone and a room."""
ECHO_FRAMES = 40
"""Frames after which an echo is no longer computed."""

NOISE_DECIBELS = (5.0, 35.0)
"""How far below the loudest frame of an utterance noise is, at least and at most."""


@dataclass(frozen=True)
class AugmentConfig:
    """How strongly recordings and features are changed in training. Masks: SpecAugment (Park et al. 2019, arXiv:1904.08779)."""

    frequency_masks: int = 2
    """Bands of mel bins set to the mean, per utterance."""
    frequency_width: int = 27
    """Widest such band, in bins."""
    time_masks: int = 2
    """Stretches of frames set to the mean, per utterance."""
    time_width: int = 40
    """Longest such stretch, in frames."""
    time_share: float = 0.15
    """No stretch is longer than this share of the utterance, so that short words survive."""
    speeds: tuple[float, ...] = ()
    """Each utterance is played at one of these speeds, such as [0.9, 1.0, 1.1] (Ko et al. 2015): pitch, formants and tempo change
    together. Batches may grow longer by as much."""
    frequency_warp: float = 0.0
    """Largest relative stretch of the mel axis: 0.1 makes vocal tracts up to 10 % longer or shorter (Jaitly and Hinton 2013)."""
    tempo: float = 0.0
    """Largest relative change of tempo, pitch kept: 0.15 draws from 0.85 to 1.15."""
    volume: float = 0.0
    """Standard deviation of an offset to all log-mel bins, in units of 4.4 nats (19 dB): about their standard deviation."""
    pitch: float = 0.0
    """Largest change of pitch, as the logarithm of a factor, the spectral envelope kept: 0.7 draws from half to twice as high."""
    equalizer: float = 0.0
    """Standard deviation of a smooth curve over the mel axis, one for each utterance, in the units of `volume`."""
    noise: float = 0.0
    """Share of the utterances to which noise is added, 5 to 35 dB below their loudest frame; steady noise of a random colour,
    unless there is a `noise_folder`."""
    noise_folder: str = ""
    """A folder with recordings of noise, in it or further down, pieces of which are that noise."""
    reverberation: float = 0.0
    """Share of the utterances that are put into a room with an echo of 0.1 to 0.7 s."""
    telephone: float = 0.0
    """Share of the utterances that go through a telephone line: about 300 to 3,400 Hz, eight bits a sample."""

    def __post_init__(self):
        for speed in self.speeds:
            if not 0.5 <= speed <= 2:
                raise ConfigError(f"augment.speeds must be from 0.5 to 2, is {speed}")
        if self.noise_folder and not self.noise:
            raise ConfigError("augment.noise_folder needs a share of the utterances: set augment.noise")
        check_below_one("augment", self, "frequency_warp", "tempo", "time_share")
        check_up_to_one("augment", self, "noise", "reverberation", "telephone")
        check_not_negative("augment", self, "frequency_masks", "frequency_width", "time_masks", "time_width")
        check_not_negative("augment", self, "volume", "pitch", "equalizer")


def augment(
    features: Tensor, lengths: Tensor, config: AugmentConfig, *, views: int = 1, unit: float | Tensor = USUAL_UNIT
) -> tuple[Tensor, Tensor]:
    """Normalised features (B, T, F) with lengths (B,) → changed features (views · B, T', F) and their lengths.

    `unit`: nats of power in a unit of the features, of all or of each bin (F,), as `SpeechModel.unit` has it.
    Row v · B + b is the v-th view of utterance b. All views of it have one tempo, so that they agree on what is in each frame;
    all else is drawn for each.
    """
    if config.tempo and features.shape[1]:
        features, lengths = change_tempo(features, lengths, _uniform(features, config.tempo))
    if views > 1:
        features, lengths = features.repeat(views, 1, 1), lengths.repeat(views)
    if not features.shape[1]:
        return features, lengths
    if config.pitch:
        up = 2 * torch.rand(len(features), device=features.device) - 1
        features = change_pitch(features, torch.exp(config.pitch * up))
    if config.frequency_warp:
        features = warp_frequency(features, _uniform(features, config.frequency_warp))
    if config.reverberation:
        features = reverberate(features, config.reverberation, unit=unit)
    usual = USUAL_UNIT / unit
    if config.equalizer:
        features = features + config.equalizer * usual * smooth_curves(features)
    if config.noise and not config.noise_folder:
        features = add_noise(features, lengths, config.noise, unit=unit)
    if config.volume:
        features = features + config.volume * usual * torch.randn(len(features), 1, 1, device=features.device)
    features = mask_frequency(features, config.frequency_masks, config.frequency_width)
    features = mask_time(features, lengths, config.time_masks, config.time_width, share=config.time_share)
    return features, lengths


def _uniform(features: Tensor, spread: float) -> Tensor:
    return 1 + spread * (2 * torch.rand(len(features), device=features.device) - 1)


def change_tempo(features: Tensor, lengths: Tensor, factors: Tensor) -> tuple[Tensor, Tensor]:
    """Utterance b spoken factors[b] times as fast: frame t of the result is frame t · factor of the original."""
    new_lengths = (lengths / factors).floor().long().clamp(min=1)
    t = torch.arange(int(new_lengths.max()), device=features.device)
    source = torch.minimum(t * factors[:, None], (lengths[:, None] - 1).clamp(min=0))  # (B, T')
    return _interpolate(features, source, dim=1), new_lengths


def warp_frequency(features: Tensor, factors: Tensor) -> Tensor:
    """Bin f of the result is bin f · factor of the original; beyond the last bin, the last."""
    f = torch.arange(features.shape[2], device=features.device)
    source = (f * factors[:, None]).clamp(max=features.shape[2] - 1)  # (B, F)
    return _interpolate(features, source, dim=2)


def change_pitch(features: Tensor, factors: Tensor) -> Tensor:
    """Harmonics of a voice factors[b] times as high, and as far apart; the spectral envelope stays where it is.

    Exact only where the mel axis is straight, below about 1 kHz, which is also where single harmonics can be told apart.
    """
    basis = _cosines(features, ENVELOPE_COSINES)
    envelope = features @ basis @ basis.T
    return envelope + warp_frequency(features - envelope, 1 / factors)


def smooth_curves(features: Tensor) -> Tensor:
    """A random smooth curve over the mel axis for each utterance, (B, 1, F), of a standard deviation of about 1."""
    basis = _cosines(features, TILT_COSINES + 1)[:, 1:] * features.shape[2] ** 0.5  # without the constant
    weights = torch.randn(len(features), 1, TILT_COSINES, device=features.device) / TILT_COSINES**0.5
    return weights @ basis.T


def add_noise(features: Tensor, lengths: Tensor, share: float, *, unit: float | Tensor = USUAL_UNIT) -> Tensor:
    """A `share` of the utterances with steady noise of a random smooth spectrum, 5 to 35 dB below the loudest frame.

    `unit`: as for `augment`.
    """
    B, T, _ = features.shape
    real = length_mask(lengths, T)
    loudest = features.mean(2).masked_fill(~real, -math.inf).amax(1)[:, None, None]
    low, high = NOISE_DECIBELS
    decibels = low + (high - low) * torch.rand(B, 1, 1, device=features.device)
    decibel = NATS_PER_DECIBEL / unit
    noise = loudest - decibels * decibel + 0.4 * (USUAL_UNIT / unit) * smooth_curves(features)
    unsteady = torch.randn(features.shape, device=features.device)  # power in a mel bin is never quite steady
    noise = noise + 3 * decibel * unsteady
    louder = torch.logaddexp(features * unit, noise * unit) / unit
    chosen = torch.rand(B, 1, 1, device=features.device) < share
    return torch.where(chosen & real[:, :, None], louder, features)


def reverberate(features: Tensor, share: float, *, unit: float | Tensor = USUAL_UNIT) -> Tensor:
    """A `share` of the utterances with an echo: each frame's power dies away over the frames that follow it.

    The echo takes 0.1 to 0.7 s to fall by 60 dB and holds -3 to 15 dB less power than the sound itself. Frames are taken to be
    10 ms apart. `unit`: as for `augment`.
    """
    B, T, _ = features.shape
    frames_60_db = 10 + 60 * torch.rand(B, 1, device=features.device)
    below = 10 ** (-(-3 + 18 * torch.rand(B, 1, device=features.device)) / 10)
    k = torch.arange(ECHO_FRAMES, device=features.device)
    echo = torch.where(k > 0, 10 ** (-6 * k / frames_60_db), 0.0)  # (B, K)
    kernels = echo / echo.sum(1, keepdim=True) * below + (k == 0)
    power = torch.exp(features * unit).transpose(0, 2).transpose(1, 2)  # (F, B, T)
    power = F.conv1d(F.pad(power, (ECHO_FRAMES - 1, 0)), kernels.flip(1)[:, None], groups=B)
    wet = power.clamp(min=1e-30).log().permute(1, 2, 0) / unit
    chosen = torch.rand(B, 1, 1, device=features.device) < share
    return torch.where(chosen, wet, features)


def _cosines(features: Tensor, n: int) -> Tensor:
    """The first n cosines over the mel axis, (F, n), orthonormal: the constant, half a wave, a wave …"""
    F_bins = features.shape[2]
    positions = (torch.arange(F_bins, device=features.device) + 0.5) / F_bins
    basis = torch.cos(math.pi * positions[:, None] * torch.arange(n, device=features.device))
    return basis / basis.norm(dim=0)


def _interpolate(features: Tensor, source: Tensor, dim: int) -> Tensor:
    """Values of `features` (B, T, F) at the fractional positions `source` (B, positions) along one axis."""
    low = source.floor().long()
    high = (low + 1).clamp(max=features.shape[dim] - 1)
    share = (source - low).unsqueeze(3 - dim)
    shape = list(features.shape)
    shape[dim] = source.shape[1]
    below = features.gather(dim, low.unsqueeze(3 - dim).expand(shape))
    above = features.gather(dim, high.unsqueeze(3 - dim).expand(shape))
    return below + share * (above - below)


def mask_frequency(features: Tensor, n_masks: int, width: int) -> Tensor:
    """Up to `width` neighbouring bins set to 0, the mean, in each of `n_masks` places per utterance."""
    bins = torch.arange(features.shape[2], device=features.device)
    for _ in range(n_masks):
        size = torch.rand(len(features), 1, device=features.device) * (width + 1)
        start = torch.rand_like(size) * (features.shape[2] - size).clamp(min=0)
        hidden = (bins >= start.floor()) & (bins < (start.floor() + size.floor()))
        features = features.masked_fill(hidden[:, None, :], 0.0)
    return features


def mask_time(features: Tensor, lengths: Tensor, n_masks: int, width: int, *, share: float) -> Tensor:
    """Up to `width` frames, at most `share` of the utterance, set to 0 in each of `n_masks` places."""
    frames = torch.arange(features.shape[1], device=features.device)
    for _ in range(n_masks):
        longest = (lengths * share).clamp(max=width).floor()[:, None]
        size = torch.rand(len(features), 1, device=features.device) * (longest + 1)
        start = torch.rand_like(size) * (lengths[:, None] - size).clamp(min=0)
        hidden = (frames >= start.floor()) & (frames < (start.floor() + size.floor()))
        features = features.masked_fill(hidden[:, :, None], 0.0)
    return features
