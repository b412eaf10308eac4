"""CAM++: a few seconds of one voice to a vector, which points in about the same direction whatever is said.

Wang et al. (2023), "CAM++: a fast and efficient network for speaker verification using context-aware masking": convolutions over
time and frequency, densely connected layers over time, each masked by what its surroundings are like, mean and deviation over
time. Weights: 3D-Speaker's, trained on 200,000 speakers of Mandarin and English; their batch normalisations are part of the
convolutions here wherever they stand behind one.
"""

from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from asr.features.fbank import FeatureConfig, LogMel
from asr.speakers.weights import EMBEDDING, affine, fill, folded

N_MELS, WIDTH = 80, 192
"""Filters of the input, and dimensions of the vectors."""
HEAD, FIRST, GROWTH, BOTTLENECK = 32, 128, 32, 128
"""Channels: of the convolutions over time and frequency, of the first layer over time, added by each layer, inside a layer."""
BLOCKS = ((12, 1), (24, 2), (16, 2))
"""Layers of each block, and dilation."""
SURROUNDINGS = 100
"""Steps of 20 ms over which a layer looks around."""
FEATURES = FeatureConfig(n_mels=N_MELS, sample_scale=1.0)


class Residual(nn.Module):
    """Two convolutions beside a shortcut; with a stride every second frequency goes."""

    def __init__(self, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(HEAD, HEAD, 3, (stride, 1), 1)
        self.conv2 = nn.Conv2d(HEAD, HEAD, 3, 1, 1)
        self.shortcut = nn.Conv2d(HEAD, HEAD, 1, (stride, 1)) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return (self.conv2(self.conv1(x).relu()) + self.shortcut(x)).relu()


class Masked(nn.Module):
    """GROWTH more channels, each step of which is weighted by its surroundings: (B, C, T) → (B, GROWTH, T)."""

    def __init__(self, channels: int, dilation: int):
        super().__init__()
        self.factor, self.summand = (nn.Parameter(torch.empty(channels, 1)) for _ in range(2))
        self.linear1 = nn.Conv1d(channels, BOTTLENECK, 1)
        self.local = nn.Conv1d(BOTTLENECK, GROWTH, 3, padding=dilation, dilation=dilation, bias=False)
        self.mask1 = nn.Conv1d(BOTTLENECK, BOTTLENECK // 2, 1)
        self.mask2 = nn.Conv1d(BOTTLENECK // 2, GROWTH, 1)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.linear1(torch.addcmul(self.summand, x, self.factor).relu()).relu()
        near = functional.avg_pool1d(hidden, SURROUNDINGS, SURROUNDINGS, ceil_mode=True)
        around = hidden.mean(-1, keepdim=True) + near  # (B, C, T / SURROUNDINGS)
        mask = self.mask2(self.mask1(around).relu()).sigmoid()
        return self.local(hidden) * mask.repeat_interleave(SURROUNDINGS, -1)[..., : x.shape[-1]]


class Narrowed(nn.Module):
    """Half as many channels."""

    def __init__(self, channels: int):
        super().__init__()
        self.factor, self.summand = (nn.Parameter(torch.empty(channels, 1)) for _ in range(2))
        self.linear = nn.Conv1d(channels, channels // 2, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(torch.addcmul(self.summand, x, self.factor).relu())


class SpeakerEmbedding(nn.Module):
    """Log-mel features of voices to their vectors."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, HEAD, 3, 1, 1)
        self.residuals = nn.ModuleList(Residual(stride) for stride in (2, 1, 2, 1))
        self.conv2 = nn.Conv2d(HEAD, HEAD, 3, (2, 1), 1)
        self.first = nn.Conv1d(HEAD * N_MELS // 8, FIRST, 5, 2, 2)
        self.blocks, self.narrowed = nn.ModuleList(), nn.ModuleList()
        channels = FIRST
        for n_layers, dilation in BLOCKS:
            self.blocks.append(nn.ModuleList(Masked(channels + i * GROWTH, dilation) for i in range(n_layers)))
            channels += n_layers * GROWTH
            self.narrowed.append(Narrowed(channels))
            channels //= 2
        self.factor, self.summand = (nn.Parameter(torch.empty(channels, 1)) for _ in range(2))
        self.out = nn.Linear(2 * channels, WIDTH)

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, T, F) less their mean over time, T at least 8 → vectors (B, WIDTH)."""
        x = self.conv1(features.transpose(1, 2)[:, None]).relu()  # (B, HEAD, F, T)
        for residual in self.residuals:
            x = residual(x)
        x = self.first(self.conv2(x).relu().flatten(1, 2)).relu()  # (B, FIRST, T / 2)
        for block, narrowed in zip(self.blocks, self.narrowed, strict=True):
            for layer in block:
                x = torch.cat([x, layer(x)], 1)
            x = narrowed(x)
        x = torch.addcmul(self.summand, x, self.factor).relu()
        return self.out(torch.cat([x.mean(-1), x.std(-1)], -1))


@lru_cache(maxsize=1)
def mel_features() -> LogMel:
    """What makes features of samples for these networks."""
    return LogMel(FEATURES).eval()


@lru_cache(maxsize=1)
def load_speaker_embedding() -> SpeakerEmbedding:
    """The network with the installed weights. Raises AsrError where they are missing, or not those known here."""
    network = fill(SpeakerEmbedding(), EMBEDDING, _renamed)
    return network.to(memory_format=torch.channels_last)  # twice as fast where it is wide


def _renamed(theirs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Their weights under our names."""
    ours: dict[str, Tensor] = {}

    def put(name: str, tensors: dict[str, Tensor]) -> None:
        ours.update({f"{name}.{key}" if name else key: tensor for key, tensor in tensors.items()})

    def normalisation(name: str) -> dict[str, Tensor]:
        return dict(zip(("factor", "summand"), (t[:, None] for t in affine(theirs, name)), strict=True))

    put("conv1", folded(theirs, "head.conv1", "head.bn1"))
    put("conv2", folded(theirs, "head.conv2", "head.bn2"))
    for n, place in enumerate(("layer1.0", "layer1.1", "layer2.0", "layer2.1")):
        for i in (1, 2):
            put(f"residuals.{n}.conv{i}", folded(theirs, f"head.{place}.conv{i}", f"head.{place}.bn{i}"))
        if n % 2 == 0:
            put(f"residuals.{n}.shortcut", folded(theirs, f"head.{place}.shortcut.0", f"head.{place}.shortcut.1"))
    put("first", folded(theirs, "xvector.tdnn.linear", "xvector.tdnn.nonlinear.batchnorm"))
    for b, (n_layers, _) in enumerate(BLOCKS):
        for i in range(n_layers):
            their, our = f"xvector.block{b + 1}.tdnnd{i + 1}", f"blocks.{b}.{i}"
            put(our, normalisation(f"{their}.nonlinear1.batchnorm"))
            put(f"{our}.linear1", folded(theirs, f"{their}.linear1", f"{their}.nonlinear2.batchnorm"))
            for mine, name in (("local", "linear_local"), ("mask1", "linear1"), ("mask2", "linear2")):
                inside = f"{their}.cam_layer.{name}."
                put(f"{our}.{mine}", {k.removeprefix(inside): v for k, v in theirs.items() if k.startswith(inside)})
        put(f"narrowed.{b}", normalisation(f"xvector.transit{b + 1}.nonlinear.batchnorm"))
        ours[f"narrowed.{b}.linear.weight"] = theirs[f"xvector.transit{b + 1}.linear.weight"]
    put("", normalisation("xvector.out_nonlinear.batchnorm"))
    put("out", folded(theirs, "xvector.dense.linear", "xvector.dense.nonlinear.batchnorm"))
    ours["out.weight"] = ours["out.weight"][..., 0]
    return ours
