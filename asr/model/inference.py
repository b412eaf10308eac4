"""Making a trained model fast to decode with; the numbers it computes stay the same, or nearly so for int8."""

import warnings

import torch
from torch import nn

from asr.errors import ConfigError
from asr.model.model import SpeechModel

PRECISIONS = ("none", "int8")
"""What `--quantize` takes."""


def lay_out_for_steps(model: nn.Module) -> None:
    """Stores the weights of linear layers column by column, in place.

    A step of the search multiplies a few rows with every weight of the decoder; a CPU does that nearly twice as fast when
    the inputs of a layer, not its outputs, are what lies apart in memory. Shapes and values stay as they are.
    """
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            layer.weight.data = layer.weight.data.t().contiguous().t()


def quantize(model: SpeechModel, precision: str) -> SpeechModel:
    """A copy with int8 weights in its linear layers, whose inputs are quantised as they come (CPU only); for "none" the model."""
    if precision not in PRECISIONS:
        raise ConfigError(f"quantize must be one of {', '.join(PRECISIONS)}, is {precision!r}")
    if precision == "none":
        return model
    if model.cmvn.mean.device.type != "cpu":
        raise ConfigError(f"quantize int8 works on a CPU only, the model is on {model.cmvn.mean.device}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch announces a successor, which is no faster here
        return torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)
