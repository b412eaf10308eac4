"""Log-mel filter banks for a padded batch, on whatever device the samples are on: Kaldi's, and those of a centred STFT.

Kaldi's are equal to `torchaudio.compliance.kaldi.fbank` with snip_edges; the steps for each frame: remove the mean,
pre-emphasis, povey window, power spectrum, triangular mel filters, natural logarithm. A centred STFT, as ESPnet and
SpeechBrain compute it, has its frames' middles at multiples of the shift, the first at the first sample.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from asr.audio.reading import SAMPLE_RATE
from asr.config_checks import check_above_zero, check_below_one, check_names, check_not_negative
from asr.errors import AudioError, ConfigError
from asr.features.mel import FILTERS
from asr.features.utterance import above, emphasised, length_mask, reflected, silent_behind, standardised, steady_noise

POVEY_POWER = 0.85
LOG_FLOOR = float(torch.finfo(torch.float32).eps)
DECIBELS = 10 / math.log(10)
"""Decibels of power in a natural logarithm of one."""
NATS_PER_DECIBEL = math.log(10) / 10
"""Natural logarithms of power in a decibel."""
USUAL_UNIT = 4.4
"""Nats of power in about one standard deviation of log-mel features of speech."""
WINDOWS = {
    "povey": lambda length: torch.hann_window(length, periodic=False) ** POVEY_POWER,
    "hann": torch.hann_window,
    "hann_symmetric": lambda length: torch.hann_window(length, periodic=False),
    "hamming": torch.hamming_window,
}
"""Name → window of a length, in float32 as the toolkits have it. Kaldi's is symmetric, so is NeMo's, the others are periodic."""
MOST = {
    "n_mels": 1024,
    "frame_ms": 500,
    "shift_ms": 500,
    "fft_size": 16_384,
    "window_seconds": 3600,
    "tail_seconds": 60,
}
"""Beyond these is a mistake, or a trap: memory grows with them."""
EDGES = ("reflect", "zero")


@dataclass(frozen=True)
class FeatureConfig:
    """How samples become features; it travels with the model."""

    kind: str = "kaldi"
    """kaldi: whole frames only, without mean, pre-emphasised; stft: frames centred on multiples of the shift, as they are."""
    n_mels: int = 80
    """Mel bins F."""
    frame_ms: float = 25.0
    """Length of a frame."""
    shift_ms: float = 10.0
    """Distance between the starts of two frames."""
    low_hz: float = 20.0
    """Lower edge of the lowest filter."""
    high_hz: float = 8000.0
    """Upper edge of the highest filter."""
    preemphasis: float = 0.97
    """kaldi: each sample less this share of the one before, in each frame by itself."""
    signal_preemphasis: float = 0.0
    """The same of the whole recording, before frames are cut out of it (NeMo)."""
    sample_scale: float = 32768.0
    """Samples in [-1, 1] times this: Kaldi's CMVN statistics and log floor suppose 16-bit integers."""
    dither: float = 0.0
    """Standard deviation of noise added to the scaled samples, in training only."""
    steady_dither: float = 0.0
    """The same, always, and drawn so that the same audio gets the same noise (Cohere Transcribe)."""
    window: str = "povey"
    """A name in WINDOWS."""
    fft_size: int = 0
    """Samples of the Fourier transform; 0 is the power of two that holds a frame."""
    edges: str = "reflect"
    """What a centred frame sees beyond the recording: its samples in reverse, or zero."""
    filters: str = "kaldi"
    """A name in FILTERS: the shape of the mel filters."""
    floor: float = LOG_FLOOR
    """Mel energies below this count as this."""
    floor_added: bool = False
    """The floor is added to all mel energies in place of that (NeMo)."""
    decibels: bool = False
    """10 log10 instead of the natural logarithm."""
    range_db: float = 0.0
    """What lies more than so many decibels below an utterance's loudest bin is raised to that; 0 is off."""
    window_seconds: float = 0.0
    """Each utterance is filled up to so long with silence, of which all frames count (Whisper), and none is longer; 0 is off."""
    whole_shifts: bool = False
    """stft: as many frames as there are whole shifts, and not the one behind them whose middle is where they end (NeMo)."""
    per_utterance: bool = False
    """Each bin is normalised by its mean and deviation in the utterance (NeMo's per_feature); statistics of training data, which
    are used besides, change nothing then."""
    tail_seconds: float = 0.0
    """So much silence is put behind each utterance, and its frames count: what has learnt from windows and hears none behind a
    short word may write the word twice; 0 is off."""
    unit: float = USUAL_UNIT
    """Nats of power in a unit of the normalised features, with which augmentation computes decibels: about a standard deviation
    where the statistics are those of speech. 0: what the statistics in the model say, bin by bin, as for imported models."""

    def __post_init__(self):
        check_names("features", self, kind=KINDS, window=WINDOWS, edges=EDGES, filters=FILTERS)
        if not 0 <= self.low_hz < self.high_hz <= SAMPLE_RATE / 2:
            raise ConfigError(
                f"features.low_hz {self.low_hz:g} and high_hz {self.high_hz:g} must satisfy"
                f" 0 <= low_hz < high_hz <= {SAMPLE_RATE / 2:g} (half the sample rate)"
            )
        check_above_zero("features", self, "n_mels", "frame_ms", "shift_ms", "sample_scale", "floor")
        for name, most in MOST.items():
            if getattr(self, name) > most:
                raise ConfigError(f"features.{name} must be at most {most:,}, is {getattr(self, name):,}")
        if self.frame_shift < 1 or self.frame_length < 2:
            raise ConfigError(
                f"features: frames of {self.frame_ms:g} ms every {self.shift_ms:g} ms are shorter than a sample"
            )
        check_below_one("features", self, "signal_preemphasis")
        check_not_negative("features", self, "dither", "steady_dither", "unit")
        if self.whole_shifts and self.kind != "stft":
            raise ConfigError('features.whole_shifts is for centred frames: set features.kind = "stft"')
        if self.window_seconds < 0 or self.window_samples % self.frame_shift:
            raise ConfigError(f"features.window_seconds must be a multiple of the shift, is {self.window_seconds:g}")
        if self.tail_seconds < 0 or (self.tail_seconds and self.window_seconds):
            raise ConfigError(
                f"features.tail_seconds must be 0 or more, and 0 beside a window, is {self.tail_seconds:g}"
            )
        if self.window_seconds and self.kind != "stft":
            raise ConfigError('features.window_seconds is for centred frames: set features.kind = "stft"')
        if self.kind == "stft" and self.n_fft % 2:
            raise ConfigError(f"features.fft_size must be even for centred frames, is {self.n_fft}")
        if self.n_fft < self.frame_length:
            raise ConfigError(
                f"features.fft_size {self.fft_size} is shorter than a frame of {self.frame_length} samples"
            )

    @property
    def frame_length(self) -> int:
        """Samples in a frame."""
        return round(SAMPLE_RATE * self.frame_ms / 1000)

    @property
    def frame_shift(self) -> int:
        """Samples between the starts of two frames."""
        return round(SAMPLE_RATE * self.shift_ms / 1000)

    @property
    def n_fft(self) -> int:
        """Samples of the Fourier transform."""
        return self.fft_size or 1 << (self.frame_length - 1).bit_length()

    @property
    def window_samples(self) -> int:
        """Samples that an utterance is filled up to; 0: none is."""
        return round(SAMPLE_RATE * self.window_seconds)

    @property
    def tail_samples(self) -> int:
        """Samples of silence behind each utterance."""
        return round(SAMPLE_RATE * self.tail_seconds)

    @property
    def first_centre(self) -> float:
        """The middle of the first frame in seconds."""
        return self.frame_length / 2 / SAMPLE_RATE if self.kind == "kaldi" else 0.0

    def samples_of(self, n_frames: int) -> int:
        """The fewest samples that give so many frames, at least one."""
        if self.window_seconds:
            return 1
        first = self.frame_length if self.kind == "kaldi" else self.frame_shift * self.whole_shifts
        return max(1, (n_frames - 1) * self.frame_shift + first - self.tail_samples)


class LogMel(nn.Module):
    """Samples (B, S) and their lengths to log-mel features (B, T, F) and their lengths."""

    def __init__(self, config: FeatureConfig):
        super().__init__()
        self.config = config
        with torch.device("cpu"):  # they are computed, also in a network that is sizes alone
            self.register_buffer("window", _window(config), persistent=False)
            self.register_buffer("mel", mel_matrix(config), persistent=False)

    def n_frames(self, n_samples: Tensor, windows: Tensor | None = None) -> Tensor:
        """Kaldi: whole frames that fit, 1 + (S - frame) // shift. STFT: 1 + S // shift, 0 for no samples, or
        S // shift of whole shifts; all of a window's."""
        config = self.config
        if config.window_seconds:
            return self._windows(n_samples, windows) // config.frame_shift
        n_samples = torch.where(n_samples > 0, n_samples + config.tail_samples, 0)
        if config.kind == "kaldi":
            n_samples = n_samples - config.frame_length
            return (1 + torch.div(n_samples, config.frame_shift, rounding_mode="floor")).clamp(min=0)
        return torch.where(n_samples > 0, n_samples // config.frame_shift + (not config.whole_shifts), 0)

    def _windows(self, lengths: Tensor, windows: Tensor | None) -> Tensor:
        """(B,): samples that each utterance is filled up to."""
        return torch.full_like(lengths, self.config.window_samples) if windows is None else windows

    @torch.no_grad()
    def forward(self, samples: Tensor, lengths: Tensor, windows: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Samples (B, S) in [-1, 1], lengths (B,) → features (B, T, F), zero behind each length, and lengths (B,).

        windows (B,): samples that each utterance is filled up to, multiples of the shift, in place of the model's whole window.
        Raises AudioError for an utterance that is longer than the window, if there is one.
        """
        config = self.config
        n_frames = self.n_frames(lengths, windows)
        if config.window_seconds:
            samples, lengths = _filled(samples, lengths, self._windows(lengths, windows), config)
        elif config.tail_samples:
            samples, lengths = silent_behind(samples, lengths, config.tail_samples)
        if int(n_frames.max()) < 1:
            return samples.new_zeros(samples.shape[0], 0, config.n_mels), n_frames
        with torch.autocast(samples.device.type, enabled=False):
            samples = samples.float() * config.sample_scale
            if self.training and config.dither:
                samples = samples + torch.randn_like(samples) * config.dither
            if config.steady_dither:
                samples = samples + steady_noise(lengths, samples.shape[1]) * config.steady_dither
            if config.signal_preemphasis:
                samples = emphasised(samples, lengths, config.signal_preemphasis)
            frames = KINDS[config.kind](samples, lengths, config)[:, : int(n_frames.max())]  # (B, T, frame)
            frames = frames * self.window
            spectrum = torch.fft.rfft(frames, n=config.n_fft)  # (B, T, fft/2 + 1)
            # not abs(), which takes roots: four times as long
            power = spectrum.real.square().addcmul_(spectrum.imag, spectrum.imag)
            energies = power @ self.mel
            features = torch.log(energies + config.floor if config.floor_added else energies.clamp(min=config.floor))
            if config.decibels:
                features = features * DECIBELS
        real = length_mask(n_frames, features.shape[1])[..., None]
        if config.range_db:
            features = above(features, real, config.range_db if config.decibels else config.range_db / DECIBELS)
        if config.per_utterance:
            features = standardised(features, real)
        return features * real, n_frames


def _filled(samples: Tensor, lengths: Tensor, windows: Tensor, config: FeatureConfig) -> tuple[Tensor, Tensor]:
    """Samples (B, S), silent behind each length up to its window (B,), and the windows, which are the lengths now."""
    if int(lengths.max()) > config.window_samples:
        seconds = int(lengths.max()) / SAMPLE_RATE
        raise AudioError(
            f"{seconds:.1f} s of audio are more than the {config.window_seconds:g} s that the model hears at once"
        )
    if bool(((windows < lengths) | (windows > config.window_samples)).any()):
        raise ValueError("a window is shorter than its audio, or longer than the model's")
    longest = int(windows.max())
    samples, _ = silent_behind(samples, lengths, max(0, longest - samples.shape[1]))
    return samples[:, :longest], windows


def _kaldi_frames(samples: Tensor, lengths: Tensor, config: FeatureConfig) -> Tensor:
    """(B, S) → (B, T, frame): whole frames, their mean removed, pre-emphasised."""
    frames = samples.unfold(1, config.frame_length, config.frame_shift)
    frames = frames - frames.mean(dim=2, keepdim=True)
    before = torch.cat([frames[..., :1], frames[..., :-1]], dim=2)
    return frames - config.preemphasis * before


def _window(config: FeatureConfig) -> Tensor:
    """What frames are multiplied by: Kaldi's in front of the transform's zeros, a centred one in the middle of them.

    Only the phase depends on where it stands, and how the transform rounds.
    """
    window = WINDOWS[config.window](config.frame_length)
    if config.kind == "kaldi":
        return window
    before = (config.n_fft - config.frame_length) // 2
    return F.pad(window, (before, config.n_fft - config.frame_length - before))


def _centred_frames(samples: Tensor, lengths: Tensor, config: FeatureConfig) -> Tensor:
    """(B, S) → (B, T, fft): frames around multiples of the shift; each utterance has edges of its own, however it is padded."""
    before, last = config.n_fft // 2, samples.shape[1] // config.frame_shift * config.frame_shift
    place = torch.arange(-before, last + config.n_fft - before, device=samples.device)
    if config.edges == "zero":
        inside = (place >= 0) & (place < lengths[:, None])
        place = place.clamp(0, samples.shape[1] - 1).expand(len(samples), -1)
        return (samples.gather(1, place) * inside).unfold(1, config.n_fft, config.frame_shift)
    return samples.gather(1, reflected(place, lengths)).unfold(1, config.n_fft, config.frame_shift)


KINDS = {"kaldi": _kaldi_frames, "stft": _centred_frames}
"""Kind → samples to frames."""


def mel_matrix(config: FeatureConfig) -> Tensor:
    """The filters that the settings name: (fft_size / 2 + 1, F). Raises ConfigError where one of them would be empty."""
    build = FILTERS[config.filters]
    matrix = build(config.n_mels, config.n_fft, SAMPLE_RATE, config.low_hz, high_hz=config.high_hz)
    if empty := int((matrix.sum(0) == 0).sum()):
        raise ConfigError(
            f"features.n_mels {config.n_mels}: {empty} filters hold no frequency bin; use fewer mels or longer frames"
        )
    return matrix.float()


def pad_samples(utterances: Sequence[np.ndarray], shortest: int = 1) -> tuple[Tensor, Tensor]:
    """Arrays (S,) → one tensor (B, S) with zeros behind each, and the lengths (B,).

    An array below `shortest` counts as that long.
    """
    lengths = torch.tensor([max(len(u), shortest) for u in utterances])
    samples = torch.zeros(len(utterances), int(lengths.max()))
    for row, utterance in zip(samples, utterances, strict=True):
        row[: len(utterance)] = torch.from_numpy(np.asarray(utterance, dtype=np.float32))
    return samples, lengths
