"""Attention by relative position, against the formula written out, and against the shift that it was made with."""

import pytest
import torch
import torch.nn.functional as F

from asr.features.fbank import reflected
from asr.model.convolution import ConvolutionModule
from asr.model.encoder import Encoder, EncoderConfig
from asr.model.layers import sinusoids_at
from asr.model.relative import SCORES, RelativeAttention, relative_sinusoids
from asr.model.subsampling import Subsampling, SubsamplingConfig


def attention(kind: str) -> RelativeAttention:
    torch.manual_seed(1)
    made = RelativeAttention(8, 2, kind)
    torch.nn.init.normal_(made.content_bias)
    torch.nn.init.normal_(made.place_bias)
    return made.eval()


def position(kind: str, i: int, j: int) -> int:
    return {"relative": i - j, "mirrored": abs(i - j), "unshifted": j}[kind]


@pytest.mark.parametrize("kind", ["relative", "mirrored", "unshifted"])
@torch.inference_mode()
def test_the_scores_are_those_of_the_formula(kind):
    """(q_i + u) · k_j + (q_i + v) · p(i - j), over the root of the head's width; p(|i - j|) mirrored, p(j) unshifted."""
    L, attend = 5, attention(kind)
    x = torch.randn(1, L, 8, generator=torch.Generator().manual_seed(2))
    keys, values = attend.keys_values(x)
    q = attend._split(attend.query(x))[0]
    weights = torch.zeros(2, L, L)
    for h in range(2):
        for i in range(L):
            for j in range(L):
                p = attend.place(sinusoids_at(torch.tensor(position(kind, i, j)), 8)).view(2, 4)[h]
                content = (q[h, i] + attend.content_bias[h]) @ keys[0, h, j]
                weights[h, i, j] = (content + (q[h, i] + attend.place_bias[h]) @ p) / 4**0.5
    expected = attend.out((weights.softmax(-1) @ values[0]).transpose(0, 1).flatten(1))
    mask, lengths = torch.ones(1, 1, 1, L, dtype=torch.bool), torch.tensor([L])
    found = attend.look(x, (keys, values), mask, relative_sinusoids(kind, L, 8, x), lengths)
    assert torch.allclose(found[0], expected, atol=1e-5)


@pytest.mark.parametrize(("n", "padded"), [(1, 1), (4, 4), (3, 6)])
def test_the_legacy_shift_is_a_zero_in_front_of_each_row(n, padded):
    """For an n × n matrix: a column of zeros in front, all in one line, cut into rows again, without the first n numbers."""
    scores = torch.randn(1, 2, padded, padded, generator=torch.Generator().manual_seed(3))
    alone = scores[:, :, :n, :n]  # the table is read from one end, however long the row is
    line = F.pad(alone, (1, 0)).reshape(1, 2, -1)
    expected = line[:, :, n:].view(1, 2, n, n)
    found = SCORES["relative_legacy"](scores, torch.tensor([n]))
    assert torch.equal(found[:, :, :n, :n], expected)


def test_the_legacy_sinusoids_are_the_last_of_five_thousand():
    like = torch.zeros(1)
    expected = sinusoids_at(torch.tensor([4999, 4998, 4997]), 8)
    assert torch.equal(relative_sinusoids("relative_legacy", 3, 8, like), expected)


@pytest.mark.parametrize("positions", ["absolute", "relative", "relative_legacy", "unshifted"])
@pytest.mark.parametrize("norm", ["layer", "batch"])
@pytest.mark.parametrize("causal", [False, True])
@torch.inference_mode()
def test_padding_changes_no_frame_whatever_the_kind(positions, norm, causal):
    torch.manual_seed(4)
    config = EncoderConfig(
        kind="conformer", layers=2, width=16, heads=2, feed_forward=32, kernel=5, positions=positions, conv_norm=norm
    )
    config = EncoderConfig(**{**config.__dict__, "causal": causal, "conv_expansion": 2})
    encoder = Encoder(config).eval()
    x = torch.randn(2, 9, 16)
    lengths = torch.tensor([9, 6])
    batch, alone = encoder(x, lengths), encoder(x[1:, :6], lengths[1:])
    assert torch.allclose(batch[1, :6], alone[0], atol=1e-5)


@torch.inference_mode()
def test_a_causal_convolution_hears_no_later_frame():
    torch.manual_seed(5)
    module = ConvolutionModule(8, 4, 1, "layer", eps=1e-5, causal=True, activation="swish").eval()
    x, real = torch.randn(1, 7, 8), torch.ones(1, 7, dtype=torch.bool)
    changed = x.clone()
    changed[:, 4:] += 1
    before, after = module(x, real), module(changed, real)
    assert torch.equal(before[:, :4], after[:, :4]) and not torch.allclose(before[:, 4:], after[:, 4:])


def test_batch_norm_takes_its_statistics_from_real_frames_alone():
    torch.manual_seed(6)
    modules = [ConvolutionModule(8, 3, 1, "batch", eps=1e-5, causal=False, activation="relu").train() for _ in range(2)]
    modules[1].load_state_dict(modules[0].state_dict())
    x = torch.randn(1, 6, 8)
    modules[0](x, torch.ones(1, 6, dtype=torch.bool))
    padded = F.pad(x, (0, 0, 0, 5), value=100.0)
    modules[1](padded, torch.arange(11)[None] < 6)
    for name in ("running_mean", "running_var"):
        assert torch.allclose(getattr(modules[0].norm, name), getattr(modules[1].norm, name), atol=1e-6)


def test_reflection_by_hand():
    places = torch.arange(-2, 7)
    assert reflected(places, torch.tensor([4, 2, 1])).tolist() == [
        [2, 1, 0, 1, 2, 3, 2, 1, 0],
        [0, 1, 0, 1, 0, 1, 0, 1, 0],
        [0] * 9,
    ]


@torch.inference_mode()
def test_a_reflected_subsampler_reflects_each_utterance_at_its_own_end():
    torch.manual_seed(7)
    module = Subsampling(SubsamplingConfig(4, 3, reflect=True, norm=True), 20, 8).eval()
    features = torch.randn(2, 30, 20)
    batch, lengths = module(features, torch.tensor([30, 17]))
    alone, (length,) = module(features[1:, :17], torch.tensor([17]))
    assert lengths.tolist() == [8, 5] and length == 5 == alone.shape[1]
    assert torch.allclose(batch[1, :5], alone[0], atol=1e-5)
    by_torch = F.pad(features[:1, None], (1, 1, 1, 1), mode="reflect")
    convolved = F.conv2d(by_torch, module.convolutions[0].weight, module.convolutions[0].bias, stride=2)
    assert convolved.shape == (1, 3, 15, 10)


@torch.inference_mode()
def test_extra_frames_are_zeros_behind_each_utterance():
    torch.manual_seed(8)
    module = Subsampling(SubsamplingConfig(4, 3, extra_frames=6), 20, 8).eval()
    features = torch.randn(1, 25, 20)
    padded = F.pad(features[:, :18], (0, 0, 0, 6))
    plain = Subsampling(SubsamplingConfig(4, 3), 20, 8).eval()
    plain.load_state_dict(module.state_dict())
    found, (length,) = module(features, torch.tensor([18]))
    expected, (same,) = plain(padded, torch.tensor([24]))
    assert length == same and torch.allclose(found[:, :length], expected[:, :length], atol=1e-6)
