"""The convolutions in front of the encoder: lengths, edges, and what cannot be."""

import pytest
import torch
import torch.nn.functional as F

from asr.errors import ConfigError
from asr.model.subsampling import (
    LAYOUTS,
    OVER_TIME,
    ConvolutionBlock,
    Subsampling,
    SubsamplingConfig,
    SubsamplingOverTime,
)


@pytest.mark.parametrize("factor", LAYOUTS)
def test_length_formula_equals_the_convolutions(factor):
    config = SubsamplingConfig(factor, channels=2)
    subsampling = Subsampling(config, 80, 4)
    for T in range(config.shortest_input, 60):
        x, lengths = subsampling(torch.randn(1, T, 80), torch.tensor([T]))
        assert x.shape[1] == lengths.item() == config.length(T)
    assert config.length(config.shortest_input) == 1
    assert config.shortest_input == 1 or config.length(config.shortest_input - 1) == 0


def test_length_formula_by_hand():
    assert [SubsamplingConfig(factor, 2).length(100) for factor in (4, 6, 8)] == [24, 15, 11]
    assert [SubsamplingConfig(factor, 2).shortest_input for factor in (4, 6, 8)] == [7, 11, 15]


BLOCKS = (ConvolutionBlock(3, 5, 2, 2, True), ConvolutionBlock(4, 3, 1), ConvolutionBlock(2, 1, 2, shortcut=True))


@torch.inference_mode()
def test_convolutions_one_by_one():
    """Two of width 5, one of width 3, one of width 1; edges are reflected, so that only the strides shorten: 23 → 12 → 6."""
    config = SubsamplingConfig(4, 64, reflect=True, norm=True, blocks=BLOCKS)
    assert (
        [c for c, _, _ in config.convolutions] == [3, 3, 4, 2] and config.length(23) == 6 and config.first_centre == 0
    )
    torch.manual_seed(1)
    subsampling = Subsampling(config, 16, 8).eval()
    x = torch.randn(2, 23, 16)
    together, lengths = subsampling(x, torch.tensor([23, 17]))
    alone, _ = subsampling(x[1:, :17], torch.tensor([17]))
    assert lengths.tolist() == [6, 5] and torch.allclose(together[1, :5], alone[0], atol=1e-6)
    shortcut = subsampling.shortcuts[0]
    with_it = subsampling(x, torch.tensor([23, 17]))[0]
    torch.nn.init.zeros_(shortcut.norm.weight)
    torch.nn.init.zeros_(shortcut.norm.bias)
    assert not torch.allclose(subsampling(x, torch.tensor([23, 17]))[0], with_it)


@torch.inference_mode()
@pytest.mark.parametrize("factor", OVER_TIME)
def test_convolutions_over_time_see_zeros_beyond_each_utterance(factor):
    """By torch's own, with an utterance alone; 23 frames give 23, 12 and 6, and the first memory frame is around the first."""
    config = SubsamplingConfig(factor, 64, over_time=True)
    torch.manual_seed(1)
    subsampling = SubsamplingOverTime(config, 16, 8).eval()
    x = torch.randn(2, 23, 16)
    together, lengths = subsampling(x, torch.tensor([23, 17]))
    expected = x[1:, :17].transpose(1, 2)
    for layer, (_, _, stride) in zip(subsampling.convolutions, config.convolutions, strict=True):
        expected = F.gelu(F.conv1d(expected, layer.weight, layer.bias, stride, padding=1))
    assert lengths.tolist() == [config.length(23), config.length(17)] == [-(-23 // factor), -(-17 // factor)]
    assert torch.allclose(together[1, : lengths[1]], expected[0].T, atol=1e-6)
    assert (config.first_centre, config.shortest_input) == (0, 1)
    assert subsampling(x[:, :0], torch.tensor([0, 0]))[0].shape[1] == 1


def test_impossible_convolutions_are_refused():
    with pytest.raises(ConfigError, match="subsampling.factor must be one of 1, 2, 4, is 6"):
        SubsamplingConfig(6, over_time=True)
    with pytest.raises(
        ConfigError, match="subsampling.over_time has no blocks, norms, reflected edges or extra frames"
    ):
        SubsamplingConfig(over_time=True, extra_frames=6)
    with pytest.raises(ConfigError, match="subsampling.factor 6 must be the product of the blocks' strides, 4"):
        SubsamplingConfig(6, blocks=BLOCKS, reflect=True, norm=True)
    with pytest.raises(
        ConfigError, match="a shortcut needs a norm, and reflected edges where kernels are wider than 1"
    ):
        SubsamplingConfig(blocks=BLOCKS, norm=True)
    with pytest.raises(ConfigError, match="subsampling.blocks: kernel must be at least 1, is 0"):
        ConvolutionBlock(3, 0)
    with pytest.raises(
        ConfigError, match="subsampling.activation must be one of relu, leaky_relu, gelu, swish, is 'elu'"
    ):
        SubsamplingConfig(activation="elu")
    with pytest.raises(ConfigError, match="subsampling.factor 8 leaves nothing of 2 mel bins"):
        Subsampling(SubsamplingConfig(8, 4, reflect=True), 2, 8)


@torch.inference_mode()
@pytest.mark.parametrize(("factor", "kernel"), [(2, 3), (8, 3), (4, 5)])
def test_separable_convolutions_that_see_zeros(factor, kernel):
    """NeMo's: by torch's own, padded, with an utterance alone. 23 frames give 12, 6 and 3."""
    blocks = (ConvolutionBlock(4, kernel, 2),) * {2: 1, 4: 2, 8: 3}[factor]
    config = SubsamplingConfig(factor, zeros=True, separable=True, blocks=blocks)
    torch.manual_seed(1)
    subsampling = Subsampling(config, 16, 6).eval()
    x = torch.randn(2, 23, 16)
    together, lengths = subsampling(x, torch.tensor([23, 17]))
    expected = x[1:, None, :17]
    for i in range(len(blocks)):
        layer = subsampling.convolutions[2 * i]
        first, *mixing = layer if i else [layer]
        assert first.groups == (4 if i else 1) and len(mixing) == (1 if i else 0)
        expected = F.conv2d(expected, first.weight, first.bias, 2, padding=kernel // 2, groups=first.groups)
        expected = F.relu(F.conv2d(expected, mixing[0].weight, mixing[0].bias) if i else expected)
    expected = subsampling.out(expected.transpose(1, 2).flatten(2))
    assert lengths.tolist() == [config.length(23), config.length(17)] == [-(-23 // factor), -(-17 // factor)]
    assert torch.allclose(together[1, : lengths[1]], expected[0], atol=1e-6)
    assert (config.first_centre, config.shortest_input) == (0, 1)
    assert subsampling(x[:, :0], torch.tensor([0, 0]))[1].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"zeros": True, "reflect": True}, "subsampling.zeros beyond the edges are in the place of reflected edges"),
        ({"zeros": True, "extra_frames": 2}, "subsampling.zeros beyond the edges are in the place of reflected edges"),
        ({"over_time": True, "separable": True}, "subsampling.over_time has zeros beyond the edges as it is"),
    ],
)
def test_edges_of_two_kinds_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        SubsamplingConfig(**settings)
