"""Who of at most three speakers speaks when, in a window of ten seconds, two of them at the same time among it.

Bredin & Laurent (2021), "End-to-end speaker segmentation for overlap-aware resegmentation", and Plaquet & Bredin (2023), the
powerset of speakers: filters of learnt frequencies (SincNet), recurrent layers in both directions, a class for each set of
speakers. Weights: pyannote's segmentation-3.0. Which speaker is which is another matter in each window.
"""

from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from asr.audio.reading import SAMPLE_RATE
from asr.speakers.weights import SEGMENTATION, fill

WINDOW = 10 * SAMPLE_RATE
"""Samples that are heard together."""
SPEAKERS = 3
"""Speakers of a window at most."""
CLASSES = ((), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2))
"""Who speaks, for each class."""
FRAME = 270
"""Samples from one frame to the next: 16.875 ms."""
FIRST_MIDDLE = 495
"""Sample in the middle of the first frame, which reaches over 991."""
FILTERS, FILTER, STRIDE, CHANNELS, WIDTH = 80, 251, 10, 60, 128
LOWEST_HZ, NARROWEST_HZ = 50.0, 50.0


class SpeakerSegmentation(nn.Module):
    """The network of segmentation-3.0."""

    def __init__(self):
        super().__init__()
        self.norm = nn.InstanceNorm1d(1, affine=True)
        self.filters = nn.Parameter(torch.empty(FILTERS, 1, FILTER))
        self.convs = nn.ModuleList([nn.Conv1d(FILTERS, CHANNELS, 5), nn.Conv1d(CHANNELS, CHANNELS, 5)])
        self.norms = nn.ModuleList(nn.InstanceNorm1d(n, affine=True) for n in (FILTERS, CHANNELS, CHANNELS))
        self.lstm = nn.LSTM(CHANNELS, WIDTH, num_layers=4, bidirectional=True, batch_first=True)
        self.linear = nn.ModuleList([nn.Linear(2 * WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)])
        self.classifier = nn.Linear(WIDTH, len(CLASSES))
        of = torch.tensor([[float(speaker in who) for speaker in range(SPEAKERS)] for who in CLASSES])
        self.register_buffer("who", of, persistent=False)

    def forward(self, samples: Tensor) -> Tensor:
        """Samples (B, S) at 16 kHz → log-probabilities of the classes (B, T, len(CLASSES)); see `n_frames`."""
        x = functional.conv1d(self.norm(samples[:, None]), self.filters, stride=STRIDE).abs()
        x = functional.leaky_relu(self.norms[0](functional.max_pool1d(x, 3)))
        for conv, norm in zip(self.convs, self.norms[1:], strict=True):
            x = functional.leaky_relu(norm(functional.max_pool1d(conv(x), 3)))
        x, _ = self.lstm(x.transpose(1, 2))  # (B, T, 2 WIDTH)
        for linear in self.linear:
            x = functional.leaky_relu(linear(x))
        return self.classifier(x).log_softmax(-1)

    @torch.inference_mode()
    def activity(self, samples: Tensor) -> Tensor:
        """Samples (B, S) → whether each of the three speakers speaks in each frame: (B, T, SPEAKERS) of 0 and 1."""
        return self.who[self(samples).argmax(-1)]


def n_frames(n_samples: int) -> int:
    """Frames that so many samples give: 589 of a whole window."""
    n = (n_samples - FILTER) // STRIDE + 1
    for kernel in (3, 5, 3, 5, 3):
        n = n // 3 if kernel == 3 else n - kernel + 1
    return n


@lru_cache(maxsize=1)
def load_speaker_segmentation() -> SpeakerSegmentation:
    """The network with the installed weights. Raises AsrError where they are missing, or not those known here."""
    return fill(SpeakerSegmentation(), SEGMENTATION, _renamed)


def _renamed(theirs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Their weights under our names, the filters as they are in time."""
    sinc = "sincnet.conv1d.0.filterbank."
    names = {"sincnet.wav_norm1d.": "norm.", "sincnet.conv1d.1.": "convs.0.", "sincnet.conv1d.2.": "convs.1."}
    names |= {"sincnet.norm1d.": "norms."}
    ours = {"filters": _filters(*(theirs[sinc + name] for name in ("low_hz_", "band_hz_", "window_", "n_")))}
    for key, tensor in theirs.items():
        if not key.startswith(sinc):
            before = next((old for old in names if key.startswith(old)), "")
            ours[names.get(before, "") + key.removeprefix(before)] = tensor
    return ours


def _filters(low: Tensor, width: Tensor, window: Tensor, moments: Tensor) -> Tensor:
    """Band-pass filters of the learnt edges (FILTERS / 2, 1), even ones and then odd ones: (FILTERS, 1, FILTER).

    window, moments (radians for 1 Hz): of the samples before the middle. Ravanelli & Bengio (2018), SincNet; the odd half is
    from asteroid, Pariente et al. (2020).
    """
    low = LOWEST_HZ + low.abs()
    high = (low + NARROWEST_HZ + width.abs()).clamp(LOWEST_HZ, SAMPLE_RATE / 2)
    even = (torch.sin(high * moments) - torch.sin(low * moments)) / (moments / 2) * window
    odd = (torch.cos(low * moments) - torch.cos(high * moments)) / (moments / 2) * window
    band = high - low
    both = torch.cat(
        [torch.cat([even, 2 * band, even.flip(1)], 1), torch.cat([odd, torch.zeros_like(band), -odd.flip(1)], 1)]
    )
    return (both / (2 * band).repeat(2, 1))[:, None]
